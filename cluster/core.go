package cluster

import (
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Core is a consensus algorithm as a pure state machine: no goroutine, clock, lock or I/O. What surrounds it, clients,
// state machine, storage, snapshots, events and counters, is the Shell's, alike for all. Its methods are called by one
// goroutine at a time. All memory that it hands out is valid until the next call.
type Core interface {
	// Propose appends the first n of these to the log of the leader, from index first on. If not all were, err says why
	// the next one was not: raft.ErrNotLeader, raft.ErrBusy or raft.ErrEntryTooLarge.
	Propose(now raft.Time, data [][]byte) (first, term uint64, n int, err error)
	// Accepting reports whether Propose may be called now. A core that is not takes proposals once it has nothing to do
	// or has been told that a save is durable.
	Accepting() bool
	// Receive handles a frame that another member's core made. The error says that it cannot be read.
	Receive(now raft.Time, from raft.ID, frame []byte) error
	// Saved tells that the save with this number, and all before it, are durable, SnapshotSaved that a snapshot is.
	Saved(now raft.Time, seq uint64)
	SnapshotSaved(now raft.Time, s raft.Snapshot)
	// Tick fires the timers that are due. Deadline says, after Take, when it next has something to do.
	Tick(now raft.Time)
	Deadline() raft.Time
	// Campaign starts an election. Reachable tells that frames can travel to a peer again.
	Campaign(now raft.Time)
	Reachable(now raft.Time, peer raft.ID)
	// Take returns what the core wants done. more says that the caller is about to bring more and asks again then, before
	// anything leaves the machine: an AppendEntries without entries may wait for that, see raft.Node.TakeMore.
	Take(now raft.Time, more bool) *Output
	// Sending returns the index of the snapshot that a peer is being sent, 0 if none is.
	Sending(peer raft.ID) uint64

	Status() raft.Status
	// Leads is what Status says of role and term, for those who ask often.
	Leads() (leads bool, term uint64)
	// Counts returns the campaigns begun and the rejections heard of, since the core was made.
	Counts() (elections, rejections uint64)
}

// Output is what a core wants done: what raft.Output is, with the messages encoded.
type Output struct {
	Save     raft.Save
	Frames   []Frame
	Chunks   []raft.Chunk
	Restore  raft.Snapshot
	Apply    []raft.Entries
	Snapshot raft.Snapshot
	Compact  uint64
	Events   []raft.Event
}

// Empty reports whether there is nothing to do.
func (o *Output) Empty() bool {
	return o.Save.Seq == 0 && len(o.Frames) == 0 && len(o.Chunks) == 0 && o.Restore.Index == 0 && len(o.Apply) == 0 &&
		o.Snapshot.Index == 0 && o.Compact == 0 && len(o.Events) == 0
}

// Frame is an encoded message: Head, then the pieces of Body, then ChunkBytes of Snapshot from Offset on, which the Shell
// reads from the storage.
type Frame struct {
	To         raft.ID
	Class      transports.Class
	Head       []byte
	Body       [][]byte
	Append     bool // it is an AppendEntries, or what takes its place
	Entries    int  // that it carries
	Snapshot   raft.Snapshot
	Offset     uint64
	ChunkBytes int
}
