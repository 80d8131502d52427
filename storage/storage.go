// Package storage says what keeps a replica's term, vote, log and snapshots across a crash: the interface, and what
// every implementation promises. mem, wal and bbolt implement it, and storage/conformance holds them to it.
//
// It does no I/O itself, knows nothing of groups or clocks, and does not say when a snapshot is due: that is the
// core's. No implementation replicates or encrypts anything, and none can help against a disk that loses what it has
// confirmed.
package storage

import (
	"errors"
	"fmt"
	"io"

	"github.com/raftbench/raftbench/raft"
)

// Storage keeps what must survive a crash of one replica. Saves, compactions and resets take effect in the order of the
// calls, and a crash leaves the effect of the first so many of them, at least all that were acknowledged.
//
// Save, Compact and Reset are called by one goroutine at a time, as a raft.Node is; they never wait for the disk. The
// snapshot methods may be called at any time after Load, from any goroutine.
//
// After a failed write or sync nothing is assumed of what the disk holds: Options.Failed is called, nothing is
// acknowledged any more, and only Close is of use.
type Storage interface {
	// Load returns what is durable. It is called once, before everything else. What a crash left half written at the end
	// is cut off and counted in State.TornBytes; damage before it is an error that wraps ErrDamaged and names file and
	// offset. Snapshots that were never finished are removed.
	Load() (State, error)
	// Save makes s durable as one: all of it or nothing is there after a crash. True says that it is durable already;
	// otherwise Options.Durable is called later. It copies what it needs of s.
	Save(s raft.Save) bool
	// Compact says that entries up to index are no longer needed. What no snapshot covers stays, so a call with an index
	// beyond the newest snapshot means that snapshot's. It becomes durable with the next Save or Close.
	Compact(index uint64)
	// Reset makes the log empty, to go on after this entry: a snapshot was installed that the log does not contain.
	// Its Commit comes first. A crash between the two is no loss, because Load then does what Reset would have done.
	Reset(index, term uint64)

	// CreateSnapshot begins a snapshot of the state machine as of this entry.
	CreateSnapshot(index, term uint64) (SnapshotWriter, error)
	// OpenSnapshot opens the newest complete snapshot. It can be read to its end also if a newer one is committed
	// meanwhile. The error wraps ErrNoSnapshot if there is none.
	OpenSnapshot() (SnapshotReader, error)

	// Close makes durable what has been saved, releases everything, and returns the failure that stopped the storage, if
	// one did. Durable and Failed may still be called until it returns, so its caller must hold no lock that they take.
	Close() error
}

// State is what a storage holds.
type State struct {
	Term uint64
	Vote raft.ID
	// Log begins at the latest after Snapshot: its first index is at most Snapshot.Index+1. If a snapshot was durable
	// that the log did not contain, the log is empty and begins after it. It is valid until the next call of any method;
	// raft.New copies it.
	Log *raft.Log
	// Snapshot is the newest complete one. Its index is 0 if there is none.
	Snapshot Snapshot
	// TornBytes is how many bytes of an unfinished write were cut off.
	TornBytes int64
}

// Snapshot describes a snapshot: the state machine after applying entry Index, whose term is Term. Size is in bytes.
type Snapshot struct {
	Index, Term uint64
	Size        int64
}

// SnapshotWriter takes the bytes of a snapshot. It is used by one goroutine at a time; exactly one of Commit and Abort
// ends it, and Abort after Commit does nothing, so that it may be deferred.
type SnapshotWriter interface {
	io.Writer
	// Commit makes the snapshot durable. It then replaces older ones; if a newer one has been committed meanwhile, this
	// one is dropped, which is no error.
	Commit() error
	// Abort drops what was written.
	Abort()
}

// SnapshotReader reads a snapshot, at any offset, from any goroutine. Bytes that are damaged give an error that wraps
// ErrDamaged and are never returned.
type SnapshotReader interface {
	Snapshot() Snapshot
	io.ReaderAt
	io.Closer
}

// Options are the same for all implementations.
type Options struct {
	// Group and Replica say whose folder this is. A folder of another is refused. Replica is not 0.
	Group   uint64
	Replica raft.ID
	// SyncEach gives every Save a sync of its own. Otherwise one sync serves all that gathered while the last ran.
	SyncEach bool
	// Durable tells that the save with this number is durable, and all before it: what raft.Node.Saved wants. It is
	// called from the storage's goroutine, with rising numbers, and may call Save. It is not needed if Save only ever
	// returns true.
	Durable func(seq uint64)
	// Failed tells why the storage has stopped. It is called once, from the storage's goroutine; after it nothing is
	// acknowledged.
	Failed func(err error)
}

// Errors that those of an implementation wrap. Each is one line, with the file and what to do.
var (
	ErrOptions    = errors.New("storage options")
	ErrLocked     = errors.New("folder is in use")
	ErrForeign    = errors.New("folder belongs to somebody else")
	ErrFormat     = errors.New("format is not known")
	ErrDamaged    = errors.New("damaged")
	ErrNoSnapshot = errors.New("no snapshot")
)

// Check returns an error that wraps ErrOptions if something is missing.
func (o *Options) Check() error {
	switch {
	case o.Replica == 0:
		return fmt.Errorf("%w: Replica is 0, want 1 or more", ErrOptions)
	case o.Durable == nil || o.Failed == nil:
		return fmt.Errorf("%w: Durable and Failed are both needed", ErrOptions)
	}
	return nil
}

// Identity is what a file's header says of its owner. The error wraps ErrForeign.
func (o *Options) Identity(file string, group uint64, replica raft.ID) error {
	if group != o.Group || replica != o.Replica {
		return fmt.Errorf("%w: %s is of group %d, replica %d, want group %d, replica %d: give another folder",
			ErrForeign, file, group, replica, o.Group, o.Replica)
	}
	return nil
}

// CheckFormat returns an error that wraps ErrFormat if a file's format is newer than the newest that is known.
func CheckFormat(file string, format, newest uint64) error {
	if format > newest {
		return fmt.Errorf("%w: %s has format %d, this program reads up to %d: use a newer one",
			ErrFormat, file, format, newest)
	}
	return nil
}

// Reconcile fits what was read to the newest snapshot, as State.Log says: a log that does not contain the snapshot is
// replaced by an empty one, which reset reports. Entries that are in neither are an error that wraps ErrDamaged.
//
// A snapshot may be durable before the term in which it came is. No vote in that term can have been sent then, so
// raising the term to the snapshot's, without a vote, breaks no promise.
func (s *State) Reconcile() (reset bool, err error) {
	snap, base := s.Snapshot, s.Log.First()-1
	if s.Term < snap.Term {
		s.Term, s.Vote = snap.Term, 0
	}
	baseTerm, _ := s.Log.Term(base)
	if base > snap.Index {
		return false, fmt.Errorf("%w: the log begins at %d, but the newest snapshot ends at %d: what is between is missing",
			ErrDamaged, base+1, snap.Index)
	}
	term, known := s.Log.Term(snap.Index)
	switch {
	case known && term == snap.Term:
		return false, nil
	case snap.Index == base:
		return false, fmt.Errorf("%w: the log begins after entry %d of term %d, which is of term %d in the snapshot",
			ErrDamaged, base, baseTerm, snap.Term)
	}
	s.Log.Reset(snap.Index+1, snap.Term)
	return true, nil
}
