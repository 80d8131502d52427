// Package mem keeps a replica's state in memory: what durability costs is what the others add to this.
//
// A Disk survives the crash of a replica, not the end of the process. It does no I/O, so nothing about it is ever late,
// torn or full; cluster/sim adds delays and lost writes of its own.
package mem

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// Disk holds what was saved while no Storage is open on it. It must not be copied.
type Disk struct {
	mu     sync.Mutex
	inUse  bool
	term   uint64
	vote   raft.ID
	log    *raft.Log
	newest *snapshot
}

type snapshot struct {
	storage.Snapshot
	content []byte
}

// NewDisk returns an empty disk that keeps its log in this one, which must be fresh: raft.NewLog(1, 0), or
// raft.NewSmallLog(1, 0) where there are many disks.
func NewDisk(log *raft.Log) *Disk { return &Disk{log: log} }

// Open returns the storage on a disk. The error wraps storage.ErrLocked while another is open on it.
func Open(d *Disk) (storage.Storage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inUse {
		return nil, fmt.Errorf("mem: %w: close the other storage first", storage.ErrLocked)
	}
	d.inUse = true
	return &memory{d}, nil
}

// State returns what the disk holds as it stands, for looking only: a log that the snapshot has overtaken is still there.
func (d *Disk) State() storage.State {
	s := storage.State{Term: d.term, Vote: d.vote, Log: d.log}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.newest != nil {
		s.Snapshot = d.newest.Snapshot
	}
	return s
}

// memory is a Disk while it is in use. The lock is for the snapshots; log, term and vote belong to one goroutine.
type memory struct{ *Disk }

func (m *memory) Load() (storage.State, error) {
	s := storage.State{Term: m.term, Vote: m.vote, Log: m.log, Snapshot: m.snapshot()}
	_, err := s.Reconcile()
	m.log = s.Log
	return s, err
}

func (m *memory) snapshot() storage.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.newest == nil {
		return storage.Snapshot{}
	}
	return m.newest.Snapshot
}

func (m *memory) Save(s raft.Save) bool {
	m.term, m.vote = s.Term, s.Vote
	if s.TruncateFrom != 0 {
		m.log.TruncateFrom(s.TruncateFrom)
	}
	for _, e := range s.Entries {
		m.log.AppendEntries(e)
	}
	return true
}

func (m *memory) Compact(index uint64) { m.log.Compact(min(index, m.snapshot().Index, m.log.Last())) }

func (m *memory) Reset(index, term uint64) { m.log.Reset(index+1, term) }

func (m *memory) CreateSnapshot(index, term uint64) (storage.SnapshotWriter, error) {
	if index == 0 {
		return nil, errors.New("mem: a snapshot of entry 0 has nothing in it: want 1 or more")
	}
	return &writer{memory: m, snapshot: storage.Snapshot{Index: index, Term: term}}, nil
}

func (m *memory) OpenSnapshot() (storage.SnapshotReader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.newest == nil {
		return nil, fmt.Errorf("mem: %w", storage.ErrNoSnapshot)
	}
	return reader{bytes.NewReader(m.newest.content), m.newest.Snapshot}, nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inUse = false
	return nil
}

type writer struct {
	*memory
	snapshot storage.Snapshot
	content  []byte
}

func (w *writer) Write(p []byte) (int, error) {
	w.content = append(w.content, p...)
	return len(p), nil
}

func (w *writer) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot.Size = int64(len(w.content))
	if w.newest == nil || w.newest.Index < w.snapshot.Index {
		w.newest = &snapshot{w.snapshot, w.content}
	}
	return nil
}

func (w *writer) Abort() {}

type reader struct {
	*bytes.Reader
	snapshot storage.Snapshot
}

func (r reader) Snapshot() storage.Snapshot { return r.snapshot }
func (r reader) Close() error               { return nil }
