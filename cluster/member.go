package cluster

import (
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// Member is one member of a group, whatever engine it runs. It is not safe for concurrent use and does nothing by
// itself: no goroutine, no clock, no I/O. Its Host brings it what arrives, any number of times, and then lets it settle.
type Member interface {
	// Propose offers a proposal. A refusal is told at once, through Done.
	Propose(now raft.Time, p *Proposal)
	// Receive handles a frame that another member sent. The error says that it cannot be read.
	Receive(now raft.Time, from raft.ID, frame []byte) error
	// Saved tells that the save with this number, for which Storage.Save returned false, is durable, and all before it.
	Saved(now raft.Time, seq uint64)
	// Tick fires the timers that are due.
	Tick(now raft.Time)
	// Campaign starts an election.
	Campaign(now raft.Time)
	// Reachable tells that frames can travel to a peer again.
	Reachable(now raft.Time, peer raft.ID)

	// Settle carries out, through the Host, everything that follows from what was brought since the last time.
	Settle(now raft.Time)
	// Deadline returns, after Settle, when Tick next has something to do.
	Deadline() raft.Time

	Status() Status
	Counters() Counters // since the member was made, without Dropped and Writes, which are the transport's
	// Abandon ends the member's life: all clients that wait are told that nobody knows.
	Abandon()
}

// Host is where a member runs.
type Host interface {
	// Now reads the clock.
	Now() raft.Time
	// Send sends the frame that head and the pieces of body make together, having copied all of them.
	Send(to raft.ID, class transports.Class, head []byte, body ...[]byte)
	// Pending reports whether proposals wait, which the host will bring, and call Settle once more, before it lets
	// anything go.
	Pending() bool
	// Background runs work, which may wait for a disk, where it delays nobody, and then, with the member as in any of its
	// methods, then. Either may happen before it returns. If the member's life ends meanwhile, then is called nevertheless.
	Background(work func(), then func(now raft.Time))
	// Fail stops the member for good, as a crash does: its storage or its state can no longer be relied on.
	Fail(error)
}

// Engine makes a member that starts from what its storage holds. The storage calls Saved through the host.
type Engine func(id raft.ID, cfg *Config, host Host, store storage.Storage) (Member, error)
