package cluster

import (
	"fmt"
	"io"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// Shell is the Member around a Core: the clients that wait, the state machine, storage and snapshots, events and counters,
// once for all engines.
type Shell struct {
	id       raft.ID
	cfg      *Config
	host     Host
	storage  storage.Storage
	core     Core
	machine  StateMachine
	applied  uint64
	counters Counters

	offered []*Proposal // since the last Settle
	data    [][]byte    // scratch
	clients Clients
	marks   watermarks
	leading bool

	snapshots snapshots
}

// NewShell returns the member of a core that was made from what the storage held. Errors are about the snapshot.
func NewShell(id raft.ID, cfg *Config, host Host, store storage.Storage, state *storage.State, core Core) (*Shell, error) {
	s := &Shell{id: id, cfg: cfg, host: host, storage: store, core: core, machine: NewStateMachine(cfg.StateBytes)}
	s.clients.Stamp = s.marks.fill
	s.snapshots = snapshots{shell: s, sending: map[raft.ID]*openSnapshot{}}
	if state.Snapshot.Index == 0 {
		return s, nil
	}
	reader, err := store.OpenSnapshot()
	if err != nil {
		return nil, err
	}
	s.snapshots.newest = &openSnapshot{SnapshotReader: reader, users: 1}
	s.applied = state.Snapshot.Index
	if err := s.restore(s.snapshots.newest); err != nil {
		return nil, err
	}
	if cfg.Observer != nil {
		cfg.Observer.Restored(host.Now(), id, coreSnapshot(state.Snapshot))
	}
	return s, nil
}

func (s *Shell) restore(from *openSnapshot) error {
	snapshot := from.Snapshot()
	if err := s.machine.Restore(io.NewSectionReader(from, 0, snapshot.Size)); err != nil {
		return fmt.Errorf("snapshot of entry %d: %w", snapshot.Index, err)
	}
	return nil
}

// Core returns what the shell is around, for looking at its state.
func (s *Shell) Core() Core { return s.core }

// Receive hands a frame to the core.
func (s *Shell) Receive(now raft.Time, from raft.ID, frame []byte) error {
	return s.core.Receive(now, from, frame)
}

// Tick fires the core's timers, and answers who has waited for too long.
func (s *Shell) Tick(now raft.Time) {
	s.core.Tick(now)
	s.clients.Tick(now)
}

// Deadline returns when Tick has something to do.
func (s *Shell) Deadline() raft.Time { return min(s.core.Deadline(), s.clients.Deadline()) }

// Campaign starts an election.
func (s *Shell) Campaign(now raft.Time) { s.core.Campaign(now) }

// Reachable tells that messages can travel to a peer again.
func (s *Shell) Reachable(now raft.Time, peer raft.ID) { s.core.Reachable(now, peer) }

// Saved tells that a save of which the storage said that it was not durable yet is.
func (s *Shell) Saved(now raft.Time, seq uint64) { s.core.Saved(now, seq) }

// Counters returns what the member has done since it was made.
func (s *Shell) Counters() Counters {
	c := s.counters
	c.Elections, c.Rejections = s.core.Counts()
	return c
}

// Status returns what a scenario may know of the member.
func (s *Shell) Status() Status {
	return Status{Status: s.core.Status(), Up: true, Digest: s.machine.Digest()}
}

// Propose keeps the proposal until Settle: those that come together are one batch.
func (s *Shell) Propose(_ raft.Time, p *Proposal) {
	p.Replica, p.Outcome, p.Err, p.Stages = s.id, Pending, nil, Stages{}
	s.offered = append(s.offered, p)
}

// Settle carries out everything that the core wants done, until it wants nothing more.
func (s *Shell) Settle(now raft.Time) {
	for {
		if len(s.offered) > 0 && s.core.Accepting() {
			s.propose(now)
		}
		out := s.core.Take(now, !s.cfg.SendApart)
		s.lead(now)
		if out.Empty() && (len(s.offered) == 0 || !s.core.Accepting()) {
			if s.snapshots.tidy(); s.cfg.SendApart || s.host.Pending() {
				return
			}
			if out = s.core.Take(now, false); out.Empty() {
				return
			}
		}
		s.carryOut(now, out)
	}
}

// propose gives the core what was offered.
func (s *Shell) propose(now raft.Time) {
	batch := s.offered
	s.offered = nil
	for left := batch; len(left) > 0; {
		s.data = s.data[:0]
		for _, p := range left {
			s.data = append(s.data, p.Data)
		}
		first, term, n, err := s.core.Propose(now, s.data)
		s.lead(now)
		for i, p := range left[:n] {
			p.Index, p.Term = first+uint64(i), term
			s.clients.Await(p)
		}
		if left = left[n:]; len(left) > 0 {
			left[0].Tell(Refused, err)
			left = left[1:]
		}
	}
	clear(batch)
	if s.offered == nil { // nothing was offered by somebody who was answered
		s.offered = batch[:0]
	}
}

func (s *Shell) lead(now raft.Time) {
	leads, term := s.core.Leads()
	s.clients.Lead(now, leads, term, s.cfg.ElectionTimeout)
}

func (s *Shell) carryOut(now raft.Time, out *Output) {
	s.observe(now, out.Events)
	durable := out.Save.Seq != 0 && s.save(out.Save)
	for i := range out.Frames {
		s.send(&out.Frames[i])
	}
	for i := range out.Chunks {
		s.snapshots.receive(&out.Chunks[i])
	}
	if out.Restore.Index != 0 {
		s.install(out.Restore)
	}
	if len(out.Apply) > 0 {
		s.apply(out.Apply)
	}
	if out.Snapshot.Index != 0 {
		s.snapshots.take(out.Snapshot)
	}
	if out.Compact != 0 {
		s.storage.Compact(out.Compact)
	}
	if durable {
		s.core.Saved(now, out.Save.Seq)
	}
}

func (s *Shell) save(save raft.Save) bool {
	if r := save.Reset; r.Index != 0 {
		s.storage.Reset(r.Index, r.Term)
	}
	return s.storage.Save(save)
}

func (s *Shell) send(f *Frame) {
	if f.ChunkBytes > 0 {
		chunk, ok := s.snapshots.read(f)
		if !ok {
			return
		}
		f.Body = append(f.Body, chunk)
	}
	s.counters.Messages++
	if f.Append {
		s.counters.AppendEntries++
		s.counters.EntriesSent += uint64(f.Entries)
	}
	s.counters.Bytes += uint64(transports.WireSize(f.Head, f.Body))
	s.host.Send(f.To, f.Class, f.Head, f.Body...)
}

func (s *Shell) observe(now raft.Time, events []raft.Event) {
	if len(events) == 0 || !s.cfg.Events() {
		return
	}
	for i := range events {
		if e := &events[i]; e.Kind == raft.EventRole {
			s.leading = e.Role == raft.Leader
			s.marks.reset(e.Term)
		}
	}
	if s.leading {
		s.marks.observe(now, events)
	}
	s.cfg.Observer.Events(now, s.id, events)
}

func (s *Shell) apply(runs []raft.Entries) {
	now := s.host.Now() // what applying answers, it answers now, however long the input before it took
	for _, e := range runs {
		s.machine.Apply(e)
		s.applied = e.Last()
		if s.cfg.Observer != nil {
			s.cfg.Observer.Applied(now, s.id, e)
		}
		s.clients.Answer(now, e)
	}
}

// install goes on from a snapshot that was received.
func (s *Shell) install(snapshot raft.Snapshot) {
	from := s.snapshots.newest
	if from == nil || from.Snapshot().Index != snapshot.Index {
		panic(fmt.Sprintf("cluster: replica %d is to go on from snapshot %d, which is not its newest", s.id, snapshot.Index))
	}
	if err := s.restore(from); err != nil {
		s.host.Fail(err)
		return
	}
	s.applied = snapshot.Index
	s.clients.Skip(s.host.Now(), snapshot.Index, snapshot.Term)
	if s.cfg.Observer != nil {
		s.cfg.Observer.Restored(s.host.Now(), s.id, snapshot)
	}
}

// Abandon ends the member's life: all clients that wait are told that nobody knows, and snapshots are given up.
func (s *Shell) Abandon() {
	batch := s.offered
	s.offered = nil
	for _, p := range batch {
		p.Refuse(s.id, ErrDown)
	}
	s.clients.Abandon()
	s.snapshots.abandon()
}
