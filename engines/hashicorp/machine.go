package hashicorp

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	hraft "github.com/hashicorp/raft"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// machine is the library's state machine around everybody's.
type machine struct {
	r *replica

	mu      sync.Mutex
	state   cluster.StateMachine
	applied uint64
	term    uint64       // of the last entry
	boxed   any          // that term, as it is answered
	run     raft.Entries // scratch
	results []any        // scratch
}

func newMachine(r *replica) *machine {
	return &machine{r: r, state: cluster.NewStateMachine(r.g.cfg.StateBytes), boxed: uint64(0)}
}

// now returns the last index applied, and the digest of everything up to it.
func (m *machine) now() (applied, digest uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, m.state.Digest()
}

// Apply is not called: the library sees that ApplyBatch is there.
func (m *machine) Apply(log *hraft.Log) any { return m.ApplyBatch([]*hraft.Log{log})[0] }

// ApplyBatch applies entries. Those that the library keeps to itself, such as a leader's first, count as empty ones.
func (m *machine) ApplyBatch(logs []*hraft.Log) []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = raft.Entries{First: m.applied + 1, Bytes: m.run.Bytes[:0]}
	m.results = m.results[:0]
	for _, log := range logs {
		for m.run.Last()+1 < log.Index {
			m.run.Append(log.Term, nil)
		}
		if log.Type == hraft.LogCommand {
			m.run.Append(log.Term, log.Data)
		} else {
			m.run.Append(log.Term, nil)
		}
		if m.term != log.Term {
			m.term, m.boxed = log.Term, log.Term
		}
		m.results = append(m.results, m.boxed)
	}
	m.state.Apply(m.run)
	m.applied = m.run.Last()
	cfg, now := &m.r.g.cfg, m.r.g.Now()
	if cfg.Observer != nil {
		cfg.Observer.Applied(now, m.r.id, m.run)
	}
	if cfg.Events() {
		cfg.Observer.Events(now, m.r.id, []raft.Event{{Kind: raft.EventCommitted, Index: m.applied, Term: m.term},
			{Kind: raft.EventApplied, Index: m.applied, Term: m.term}})
	}
	return m.results
}

// snapshotHead opens a snapshot: the last index applied and its term, uint64 each, little endian. The library's own index
// of a snapshot may be later, by entries that it keeps to itself.
const snapshotHead = 16

// Snapshot freezes the state.
func (m *machine) Snapshot() (hraft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head := binary.LittleEndian.AppendUint64(nil, m.applied)
	head = binary.LittleEndian.AppendUint64(head, m.term)
	return &snapshot{m, head, m.state.Snapshot()}, nil
}

type snapshot struct {
	m    *machine
	head []byte
	view cluster.View
}

// Persist writes the frozen state. The library closes the sink.
func (s *snapshot) Persist(to hraft.SnapshotSink) error {
	if _, err := to.Write(s.head); err != nil {
		return err
	}
	_, err := s.view.WriteTo(to)
	return err
}

// Release lets go of it.
func (s *snapshot) Release() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.view.Close()
}

// Restore goes on from a snapshot, at the start or from the leader.
func (m *machine) Restore(from io.ReadCloser) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var head [snapshotHead]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return fmt.Errorf("hashicorp: restoring: %w", err)
	}
	if err := m.state.Restore(from); err != nil {
		return err
	}
	m.applied, m.term = binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	m.boxed = m.term
	if o := m.r.g.cfg.Observer; o != nil {
		o.Restored(m.r.g.Now(), m.r.id, raft.Snapshot{Index: m.applied, Term: m.term})
	}
	return nil
}
