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

	mu        sync.Mutex
	node      *raft.Node
	saved     state                // but for Entries and PrevTerm: the node has them
	snapshot  []byte               // the content of saved.Snapshot
	sending   map[raft.ID]outgoing // snapshots on their way to peers
	receiving []byte               // what has come of a peer's
	timer     *time.Timer
	dead      bool
	done      chan struct{} // closed when it is dead
	queue     []ApplyMsg
	ready     *sync.Cond // something is in the queue, or the replica is dead
}

// outgoing is a snapshot that a peer is being sent, which may be older than the newest.
type outgoing struct {
	index   uint64
	content []byte
}

// Make starts the replica peers[me] from what persister holds. What is committed goes to applyCh in order, until Kill;
// then applyCh is closed, whether anybody reads from it or not. Commands are of types that encoding/gob knows.
func Make(peers []Peer, me int, persister Persister, applyCh chan<- ApplyMsg, cfg Config) (*Raft, error) {
	rf := &Raft{peers: peers, origin: time.Now(), persister: persister, saved: state{Entries: raft.Entries{First: 1}},
		snapshot: persister.ReadSnapshot(), sending: map[raft.ID]outgoing{}, done: make(chan struct{})}
	rf.ready = sync.NewCond(&rf.mu)
	if b := persister.ReadRaftState(); len(b) > 0 {
		err := gob.NewDecoder(bytes.NewReader(b)).Decode(&rf.saved)
		if err = errors.Join(err, rf.saved.Entries.Validate()); err != nil {
			return nil, fmt.Errorf("labadapter: the saved state of replica %d: %w", me, err)
		}
	}
	log := raft.NewLog(rf.saved.Entries.First, rf.saved.PrevTerm)
	log.AppendEntries(rf.saved.Entries)
	var voters []raft.ID
	for i := range peers {
		voters = append(voters, raft.ID(i+1))
	}
	var err error
	rf.node, err = raft.New(0, raft.Config{ID: raft.ID(me + 1), Voters: voters, Strategy: cfg.Strategy, Heartbeat: cfg.Heartbeat,
		ElectionTimeout: cfg.ElectionTimeout, Seed: cfg.Seed, MaxLagBytes: cfg.MaxLagBytes},
		raft.Saved{Term: rf.saved.Term, Vote: rf.saved.Vote, Log: log, Snapshot: rf.saved.Snapshot})
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

// Snapshot says that the service has everything up to a command in a snapshot: the log before it may go. The service must
// have got that command, or a snapshot that holds it, from applyCh. An older one than the newest is ignored.
func (rf *Raft) Snapshot(index int, snapshot []byte) {
	rf.do(func(now raft.Time) {
		term, held := rf.node.Log().Term(uint64(index))
		if held && uint64(index) <= rf.node.Status().Applied {
			rf.keep(now, raft.Snapshot{Index: uint64(index), Term: term, Bytes: uint64(len(snapshot))}, snapshot)
		}
	})
}

// keep saves a snapshot, if it is the newest, and tells the core.
func (rf *Raft) keep(now raft.Time, s raft.Snapshot, content []byte) {
	if s.Index <= rf.saved.Snapshot.Index {
		return
	}
	rf.saved.Snapshot, rf.snapshot = s, content
	rf.persist()
	rf.node.SnapshotSaved(now, s)
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
		if out.Save.Seq != 0 {
			rf.saved.Term, rf.saved.Vote = out.Save.Term, out.Save.Vote
		}
		if out.Save.Seq != 0 || out.Compact != 0 {
			rf.persist()
		}
		for _, m := range out.Messages {
			switch m.Type {
			case raft.AppendEntries, raft.RequestVote, raft.InstallSnapshot:
				m = m.Clone() // the call outlives the core's memory
				rf.fill(&m)
				go rf.call(&m)
			default:
				replies = append(replies, m)
			}
		}
		if s := out.Restore; s.Index != 0 {
			rf.queue = append(rf.queue, ApplyMsg{SnapshotValid: true, Snapshot: rf.snapshot, SnapshotTerm: int(s.Term),
				SnapshotIndex: int(s.Index)})
			rf.ready.Broadcast()
		}
		for _, run := range out.Apply {
			rf.enqueue(run)
		}
		whole := rf.receive(out.Chunks)
		rf.node.Saved(now, out.Save.Seq)
		if whole.Index != 0 {
			rf.keep(now, whole, rf.receiving)
			rf.receiving = nil
		}
	}
	for to, from := range rf.sending {
		if rf.node.Sending(to) != from.index {
			delete(rf.sending, to)
		}
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

// fill gives an InstallSnapshot its part of the snapshot, which the core only names. A peer is sent all of the one that was
// the newest when its first part went.
func (rf *Raft) fill(m *raft.Message) {
	if m.Type != raft.InstallSnapshot {
		return
	}
	from := rf.sending[m.To]
	if from.index != m.Snapshot.Index {
		from = outgoing{rf.saved.Snapshot.Index, rf.snapshot}
		rf.sending[m.To] = from
	}
	m.Chunk = from.content[m.Offset:][:m.ChunkBytes]
}

// receive collects parts of a snapshot, which come in order, and returns which one is whole now.
func (rf *Raft) receive(chunks []raft.Chunk) (whole raft.Snapshot) {
	for i := range chunks {
		c := &chunks[i]
		if c.Offset == 0 {
			rf.receiving, whole = nil, raft.Snapshot{}
		}
		if rf.receiving = append(rf.receiving, c.Data...); c.Last() {
			whole = c.Snapshot
		}
	}
	return whole
}

// persist writes the whole state anew, as the lab's persister wants it. Right after a Take the node's log is what has to be
// saved.
func (rf *Raft) persist() {
	log := rf.node.Log()
	rf.saved.PrevTerm, _ = log.Term(log.First() - 1)
	e := raft.Entries{First: log.First()}
	for i := log.First(); i <= log.Last(); {
		run := log.Slice(i, log.Last())
		e.Bytes, e.Count = append(e.Bytes, run.Bytes...), e.Count+run.Count
		i = run.Last() + 1
	}
	rf.saved.Entries = e
	rf.persister.Save(encode(rf.saved), rf.snapshot)
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
