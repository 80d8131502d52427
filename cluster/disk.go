package cluster

import (
	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/raft"
)

// Disk is what a replica's storage has made durable, kept in memory: it survives the crash of the replica, not the end
// of the process. How long writing takes is the business of whoever owns it.
type Disk struct {
	term uint64
	vote raft.ID
	log  *raft.Log

	// The state machine as of its last checkpoint: entries up to applied may be gone from the log.
	applied uint64
	digest  xxhash.Digest
}

// NewDisk returns a disk that holds this state.
func NewDisk(b Boot) *Disk {
	d := &Disk{term: b.Term, vote: b.Vote, log: raft.NewLog(1, 0)}
	if b.SmallLog {
		d.log = raft.NewSmallLog(1, 0)
	}
	for _, e := range b.Entries {
		d.log.Append(e.Term, e.Data)
	}
	d.digest.Reset()
	return d
}

// Write makes a save durable.
func (d *Disk) Write(s raft.Save) {
	d.term, d.vote = s.Term, s.Vote
	if s.TruncateFrom != 0 {
		d.log.TruncateFrom(s.TruncateFrom)
	}
	for _, e := range s.Entries {
		d.log.AppendEntries(e)
	}
}

// Checkpoint keeps the state machine as of the applied index, and forgets the log up to compact, which is not later.
func (d *Disk) Checkpoint(applied uint64, digest xxhash.Digest, compact uint64) {
	d.applied, d.digest = applied, digest
	d.log.Compact(compact)
}

// Digest returns the state machine's digest as of its last checkpoint.
func (d *Disk) Digest() xxhash.Digest { return d.digest }

// Saved returns what a node starts from.
func (d *Disk) Saved() raft.Saved {
	return raft.Saved{Term: d.term, Vote: d.vote, Log: d.log, Applied: d.applied}
}
