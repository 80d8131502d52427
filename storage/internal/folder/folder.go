// Package folder is what storages in a folder have in common: its lock, its snapshots, and the goroutine that writes.
//
// It does not say how entries are laid out there, and opens none of their files.
package folder

import (
	"fmt"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
	"github.com/raftbench/raftbench/storage/internal/group"
	"github.com/raftbench/raftbench/storage/internal/snapshots"
)

// Folder is the part of a storage.Storage that does not depend on the layout, but for Close.
type Folder struct {
	Name      string // of the kind of storage, in front of each error
	Dir       files.Dir
	Options   storage.Options
	Snapshots *snapshots.Store // nil before Load
	queue     *group.Queue     // likewise
}

// New returns a folder that is locked already.
func New(name string, dir files.Dir, o storage.Options) Folder {
	failed := o.Failed
	o.Failed = func(err error) { failed(fmt.Errorf("%s: %w", name, err)) }
	return Folder{Name: name, Dir: dir, Options: o}
}

// Load finds the snapshots, has read tell what else is there, and starts the queue that start makes. An error about what
// does not fit together names where.
func (f *Folder) Load(where string, read func() (storage.State, error), start func() *group.Queue) (storage.State, error) {
	s, err := f.load(where, read, start)
	if err != nil {
		return storage.State{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	return s, nil
}

func (f *Folder) load(where string, read func() (storage.State, error), start func() *group.Queue) (s storage.State, err error) {
	if f.Snapshots, err = snapshots.Open(f.Dir, f.Options); err != nil {
		return s, err
	}
	if s, err = read(); err != nil {
		return s, err
	}
	s.Snapshot = f.Snapshots.Newest()
	reset, err := s.Reconcile()
	if err != nil {
		return s, fmt.Errorf("%s: %w", where, err)
	}
	f.queue = start()
	if reset {
		f.queue.Reset(s.Snapshot.Index, s.Snapshot.Term)
	}
	return s, nil
}

// Save implements storage.Storage.
func (f *Folder) Save(s raft.Save) bool {
	f.queue.Save(&s)
	return false
}

// Compact implements storage.Storage.
func (f *Folder) Compact(index uint64) { f.queue.Compact(min(index, f.Snapshots.Newest().Index)) }

// Reset implements storage.Storage.
func (f *Folder) Reset(index, term uint64) { f.queue.Reset(index, term) }

// CreateSnapshot implements storage.Storage.
func (f *Folder) CreateSnapshot(index, term uint64) (storage.SnapshotWriter, error) {
	w, err := f.Snapshots.Create(index, term)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return w, nil
}

// OpenSnapshot implements storage.Storage.
func (f *Folder) OpenSnapshot() (storage.SnapshotReader, error) {
	r, err := f.Snapshots.OpenNewest()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return r, nil
}

// Stop waits until what was saved is written. The lock stays: the layout's files are to be closed first.
func (f *Folder) Stop() error {
	if f.queue == nil {
		return nil
	}
	if err := f.queue.Close(); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}
