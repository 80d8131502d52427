package cluster

import (
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Member is one member of a group, whatever engine it runs. It is not safe for concurrent use and does nothing by
// itself: no goroutine, no clock, no I/O. Its Host brings it what arrives, any number of times, and then lets it settle.
type Member interface {
	// Propose offers a proposal. A refusal is told at once, through Done.
	Propose(now raft.Time, p *Proposal)
	// Receive handles a frame that another member sent. The error says that it cannot be read.
	Receive(now raft.Time, from raft.ID, frame []byte) error
	// Saved tells that the save with this number, for which Host.Save returned false, is durable, and all before it.
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
	// Save makes s durable, or starts to, having copied what it needs. It returns true if s is durable already;
	// otherwise the host calls Saved later.
	Save(s raft.Save) bool
	// Compactable returns the index up to which every member of the group has applied the log.
	Compactable() uint64
}

// Engine makes a member that starts from what its disk holds.
type Engine func(id raft.ID, cfg *Config, host Host, disk *Disk) (Member, error)
