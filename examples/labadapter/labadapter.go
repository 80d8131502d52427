package labadapter

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Raft is one replica.
type Raft struct {
	peers     []Peer
	origin    time.Time
	persister Persister

	mu    sync.Mutex
	node  *raft.Node
	saved state
	timer *time.Timer
	dead  bool
	done  chan struct{} // closed when it is dead
	queue []ApplyMsg
	ready *sync.Cond // something is in the queue, or the replica is dead
}

// Make starts the replica peers[me] from what persister holds. What is committed goes to applyCh in order, until Kill;
// then applyCh is closed, whether anybody reads from it or not. Commands are of types that encoding/gob knows.
func Make(peers []Peer, me int, persister Persister, applyCh chan<- ApplyMsg, cfg Config) (*Raft, error) {
	rf := &Raft{peers: peers, origin: time.Now(), persister: persister, saved: state{Entries: raft.Entries{First: 1}}, done: make(chan struct{})}
	rf.ready = sync.NewCond(&rf.mu)
	if b := persister.ReadRaftState(); len(b) > 0 {
		err := gob.NewDecoder(bytes.NewReader(b)).Decode(&rf.saved)
		if err = errors.Join(err, rf.saved.Entries.Validate()); err != nil {
			return nil, fmt.Errorf("labadapter: the saved state of replica %d: %w", me, err)
		}
	}
	log := raft.NewLog(1, 0)
	log.AppendEntries(rf.saved.Entries)
	var voters []raft.ID
	for i := range peers {
		voters = append(voters, raft.ID(i+1))
	}
	var err error
	rf.node, err = raft.New(0, raft.Config{ID: raft.ID(me + 1), Voters: voters, Strategy: cfg.Strategy, Heartbeat: cfg.Heartbeat,
		ElectionTimeout: cfg.ElectionTimeout, Seed: cfg.Seed}, raft.Saved{Term: rf.saved.Term, Vote: rf.saved.Vote, Log: log})
	if err != nil {
		return nil, err
	}
	rf.mu.Lock()
	rf.timer = time.AfterFunc(0, func() { rf.do(rf.node.Tick) })
	rf.mu.Unlock()
	go rf.apply(applyCh)
	return rf, nil
}

// Start offers a command. A leader returns the index and term that it will have if it is ever committed.
func (rf *Raft) Start(command any) (index, term int, isLeader bool) {
	data := encode(&command)
	rf.do(func(now raft.Time) {
		i, t, err := rf.node.Propose(now, data)
		index, term, isLeader = int(i), int(t), err == nil
	})
	return index, term, isLeader
}

// GetState returns the replica's term, and whether it believes that it leads.
func (rf *Raft) GetState() (term int, isLeader bool) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	s := rf.node.Status()
	return int(s.Term), s.Role == raft.Leader
}

// Kill stops the replica: from now on it neither sends nor saves anything.
func (rf *Raft) Kill() {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	if !rf.dead {
		rf.dead = true
		close(rf.done)
	}
	rf.timer.Stop()
	rf.ready.Broadcast()
}

// Handle is what peers call. A request that deserves no answer gets an empty one.
func (rf *Raft) Handle(request, reply *raft.Message) {
	for _, r := range rf.do(func(now raft.Time) { rf.step(now, request) }) {
		if r.To == request.From && r.Seq == request.Seq {
			*reply = r
		}
	}
}

// step takes a message from outside: the core relies on well-formed entries.
func (rf *Raft) step(now raft.Time, m *raft.Message) {
	if m.Entries.Validate() == nil {
		rf.node.Step(now, m)
	}
}

// do gives the core an input and carries out what it wants. It returns the replies that came of it.
func (rf *Raft) do(input func(now raft.Time)) (replies []raft.Message) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	if rf.dead {
		return nil
	}
	now := raft.Time(time.Since(rf.origin))
	input(now)
	for out := rf.node.Take(); !out.Empty(); out = rf.node.Take() {
		rf.save(out.Save)
		for _, m := range out.Messages {
			if m.Type == raft.AppendEntries || m.Type == raft.RequestVote {
				m = m.Clone() // the call outlives the core's memory
				go rf.call(&m)
			} else {
				replies = append(replies, m)
			}
		}
		for _, run := range out.Apply {
			rf.enqueue(run)
		}
		rf.node.Saved(now, out.Save.Seq)
	}
	rf.timer.Reset(rf.node.Deadline().Sub(now))
	return replies
}

func (rf *Raft) call(request *raft.Message) {
	var reply raft.Message
	if rf.peers[request.To-1].Call(request, &reply) {
		rf.do(func(now raft.Time) { rf.step(now, &reply) })
	}
}

// save writes the whole state anew, as the lab's persister wants it.
func (rf *Raft) save(s raft.Save) {
	if s.Seq == 0 {
		return
	}
	e := &rf.saved.Entries
	if s.TruncateFrom != 0 {
		kept := raft.Entries{First: 1}
		for old := range e.All() {
			if old.Index < s.TruncateFrom {
				kept.Append(old.Term, old.Data)
			}
		}
		*e = kept
	}
	for _, run := range s.Entries {
		e.Bytes, e.Count = append(e.Bytes, run.Bytes...), e.Count+run.Count
	}
	rf.saved.Term, rf.saved.Vote = s.Term, s.Vote
	rf.persister.SaveRaftState(encode(rf.saved))
}

func (rf *Raft) enqueue(run raft.Entries) {
	for e := range run.All() {
		msg := ApplyMsg{CommandValid: true, CommandIndex: int(e.Index)}
		if err := gob.NewDecoder(bytes.NewReader(e.Data)).Decode(&msg.Command); err != nil {
			panic(fmt.Sprintf("labadapter: entry %d is no command: %v", e.Index, err))
		}
		rf.queue = append(rf.queue, msg)
	}
	rf.ready.Broadcast()
}

// apply hands commands over without the lock: the service may take its time, and may call Start meanwhile.
func (rf *Raft) apply(applyCh chan<- ApplyMsg) {
	defer close(applyCh)
	for {
		rf.mu.Lock()
		for len(rf.queue) == 0 && !rf.dead {
			rf.ready.Wait()
		}
		batch, dead := rf.queue, rf.dead
		rf.queue = nil
		rf.mu.Unlock()
		if dead {
			return
		}
		for _, msg := range batch {
			select {
			case applyCh <- msg:
			case <-rf.done:
				return
			}
		}
	}
}
