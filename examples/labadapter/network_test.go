package labadapter

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/lab"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// network is a group of adapters on a network of calls like the lab's: a call to a replica that is cut off fails only
// after a while, and the lab's losses and delays are those of requests and replies. It implements cluster.Cluster, so
// that lab's tests can be played on it.
type network struct {
	cfg    cluster.Config
	meter  *lab.Meter
	origin time.Time
	closed chan struct{}
	calls  sync.WaitGroup // in flight, and what follows from them

	mu         sync.Mutex
	random     *rand.Rand
	replicas   []*Raft // nil while crashed
	disks      []*disk
	readers    []chan struct{} // closed when a replica's service has ended
	cut        map[[2]raft.ID]bool
	conditions cluster.Conditions
	values     [][]byte // as they were first applied by a service, from index 1
	broken     error    // the first difference of a snapshot to those
	restored   int      // snapshots that services got from others
}

// disk is a Persister whose owner may be cut off from it: what a killed replica still does must not be saved.
type disk struct {
	mu              sync.Mutex
	state, snapshot []byte
	size            func(state int) // is told how large the state is, if not nil
}

func (d *disk) Save(state, snapshot []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state, d.snapshot = state, snapshot; d.size != nil {
		d.size(len(state))
	}
}

func (d *disk) ReadSnapshot() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.snapshot
}

func (d *disk) ReadRaftState() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

func open(cfg cluster.Config, meter *lab.Meter) (cluster.Cluster, error) {
	n := &network{cfg: cfg, meter: meter, origin: time.Now(), closed: make(chan struct{}), cut: map[[2]raft.ID]bool{},
		random: rand.New(rand.NewPCG(cfg.Seed, 1)), replicas: make([]*Raft, cfg.Replicas), readers: make([]chan struct{}, cfg.Replicas)}
	for i := range cfg.Replicas {
		n.disks = append(n.disks, &disk{size: func(state int) { meter.State(raft.ID(i+1), uint64(state)) }})
	}
	for id := raft.ID(1); id <= raft.ID(cfg.Replicas); id++ {
		if err := n.Restart(id); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// end is one replica's way to another.
type end struct {
	n        *network
	from, to raft.ID
}

func (e end) Call(request, reply *raft.Message) bool {
	n := e.n
	n.mu.Lock()
	select {
	case <-n.closed:
		n.mu.Unlock()
		return false
	default:
	}
	n.calls.Add(1)
	n.mu.Unlock()
	defer n.calls.Done()
	n.meter.Request(encodedSize(request))
	lost, delay := n.fate(false)
	n.pause(delay)
	target := n.reach(e.from, e.to)
	if target == nil {
		n.pause(time.Duration(rand.IntN(7000)) * time.Millisecond)
		return false
	}
	if lost {
		return false
	}
	target.Handle(request, reply)
	lost, delay = n.fate(true)
	if lost || reply.Type == 0 || n.reach(e.to, e.from) == nil {
		return false
	}
	n.pause(delay)
	n.meter.Reply(encodedSize(reply))
	return true
}

// encodedSize is what a lab.Meter counts: the encoded message, without the prefix that it has in a stream.
func encodedSize(m *raft.Message) int { return len(transports.AppendMessage(nil, m)) + m.EntryBytes() }

func (n *network) fate(reply bool) (bool, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conditions == (cluster.Conditions{}) {
		return false, 0
	}
	return n.conditions.Fate(reply, n.random)
}

// reach returns the replica that a message would come to, nil if the link is cut or the replica is down.
func (n *network) reach(from, to raft.ID) *Raft {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[[2]raft.ID{from, to}] {
		return nil
	}
	return n.replicas[to-1]
}

func (n *network) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.closed:
	}
}

func (n *network) replica(id raft.ID) *Raft {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.replicas[id-1]
}

func (n *network) Now() raft.Time { return raft.Time(time.Since(n.origin)) }
func (n *network) Size() int      { return n.cfg.Replicas }

func (n *network) Propose(to raft.ID, p *cluster.Proposal) {
	rf := n.replica(to)
	if rf == nil {
		p.Refuse(to, cluster.ErrDown)
		return
	}
	index, term, isLeader := rf.Start(p.Data)
	if !isLeader {
		p.Refuse(to, raft.ErrNotLeader)
		return
	}
	p.Replica, p.Index, p.Term = to, uint64(index), uint64(term)
	p.Accepted(p) // lab's tests do not ask for more: they look at what is applied
}

func (n *network) Status(id raft.ID) (s cluster.Status) {
	if rf := n.replica(id); rf != nil {
		term, isLeader := rf.GetState()
		s.Term, s.Up = uint64(term), true
		if isLeader {
			s.Role = raft.Leader
		}
	}
	return s
}

func (n *network) Crash(id raft.ID) {
	n.mu.Lock()
	rf, reader := n.replicas[id-1], n.readers[id-1]
	n.replicas[id-1] = nil
	n.mu.Unlock()
	if rf != nil {
		rf.Kill()
		<-reader
	}
}

func (n *network) Restart(id raft.ID) error {
	var peers []Peer
	for to := raft.ID(1); to <= raft.ID(n.cfg.Replicas); to++ {
		peers = append(peers, end{n, id, to})
	}
	applyCh, done := make(chan ApplyMsg), make(chan struct{})
	service := &service{n: n, id: id}
	if snapshot := n.disks[id-1].ReadSnapshot(); len(snapshot) > 0 {
		service.restore(snapshot)
	}
	rf, err := Make(peers, int(id-1), n.disks[id-1], applyCh, Config{Strategy: n.cfg.Strategy, Heartbeat: n.cfg.Heartbeat,
		ElectionTimeout: n.cfg.ElectionTimeout, Seed: n.cfg.Seed, MaxLagBytes: n.cfg.MaxLagBytes})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.replicas[id-1], n.readers[id-1] = rf, done
	n.mu.Unlock()
	go func() {
		defer close(done)
		for msg := range applyCh {
			if msg.SnapshotValid {
				n.mu.Lock()
				n.restored++
				n.mu.Unlock()
				service.restore(msg.Snapshot)
			} else {
				service.apply(rf, msg)
			}
		}
	}()
	return nil
}

// service is what a replica serves: as the course's, it keeps all values, and they are its snapshot.
type service struct {
	n      *network
	id     raft.ID
	values [][]byte
}

// apply takes a snapshot at the course's indexes.
func (s *service) apply(rf *Raft, msg ApplyMsg) {
	value := msg.Command.([]byte)
	run := raft.Entries{First: uint64(msg.CommandIndex)}
	run.Append(1, value)
	s.values = append(s.values, value)
	s.n.mu.Lock()
	if msg.CommandIndex > len(s.n.values) {
		s.n.values = append(s.n.values, value)
	}
	s.n.mu.Unlock()
	s.n.cfg.Observer.Applied(s.n.Now(), s.id, run)
	if every := s.n.cfg.SnapshotEntries; every > 0 && (msg.CommandIndex+1)%every == 0 {
		rf.Snapshot(msg.CommandIndex, encode(s.values))
	}
}

// restore compares what a snapshot holds with what was applied.
func (s *service) restore(snapshot []byte) {
	s.values = nil
	err := gob.NewDecoder(bytes.NewReader(snapshot)).Decode(&s.values)
	s.n.mu.Lock()
	for i, value := range s.values {
		if err == nil && (i >= len(s.n.values) || !bytes.Equal(value, s.n.values[i])) {
			err = fmt.Errorf("replica %d got a snapshot of %d values, of which that at %d was never applied", s.id, len(s.values), i+1)
		}
	}
	if s.n.broken == nil {
		s.n.broken = err
	}
	s.n.mu.Unlock()
	s.n.cfg.Observer.Restored(s.n.Now(), s.id, raft.Snapshot{Index: uint64(len(s.values)), Bytes: uint64(len(snapshot))})
}

func (n *network) Cut(from, to raft.ID, _ cluster.CutKind) { n.set(from, to, true) }
func (n *network) Heal(from, to raft.ID)                   { n.set(from, to, false) }

func (n *network) set(from, to raft.ID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]raft.ID{from, to}] = cut
}

func (n *network) SetConditions(c cluster.Conditions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conditions = c
}

func (n *network) Wait(ctx context.Context, timeout time.Duration, cond func() bool) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return cluster.ErrTimeout
		case <-look.C:
		}
	}
	return nil
}

func (n *network) Counters() cluster.Counters { return cluster.Counters{} }

func (n *network) Close() error {
	for id := raft.ID(1); id <= raft.ID(n.cfg.Replicas); id++ {
		n.Crash(id)
	}
	n.mu.Lock()
	close(n.closed)
	n.mu.Unlock()
	n.calls.Wait()
	return n.broken
}

// What lab's tests do not ask for.

func (n *network) Campaign(raft.ID) {
	panic("a replica of the lab decides by itself when it campaigns")
}
func (n *network) Pause(raft.ID)  { panic("the lab pauses nobody") }
func (n *network) Resume(raft.ID) { panic("the lab pauses nobody") }
func (n *network) At(raft.Time, func(raft.Time) raft.Time) {
	panic("lab's tests keep their own time")
}
