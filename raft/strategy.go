package raft

import (
	"math"
	"time"
)

// Strategy is one way to use the freedom that Raft leaves: when a leader's work passes each of four gates, and how it
// finds the place where a follower's log agrees with its own. It changes when things happen, never what: under every
// strategy the same input gives the same committed log.
type Strategy struct {
	Name string // short and unique; empty for a point of the space that has none
	Doc  string // one sentence

	Backup   Backup // after a rejection, which index is tried next
	Send     Gate   // appended entries -> an AppendEntries to a follower
	Commit   Gate   // acknowledged by a quorum -> commitIndex moves
	Announce Gate   // committed -> a follower is told
	Apply    Gate   // committed -> applied, on every replica; on the leader this answers the client

	CatchUp CatchUp // a follower is behind: the log or the snapshot; nil: the log while it is there
}

// Gate decides how long work that has arrived at it waits. It must be a pure function of what it is given: no state,
// no clock.
type Gate interface {
	// Wait returns for how long the gate stays shut: 0 or less opens it now, a span opens it then if nothing does
	// earlier, and NextMessage, NextBeat and Shut leave it to an event. It is asked again whenever anything happens.
	Wait(Waiting) time.Duration
	// String returns the gate as it is written on the command line.
	String() string
}

// What Gate.Wait returns when no timer opens the gate.
const (
	// NextMessage: the work rides with the next AppendEntries of any kind, at the latest the next heartbeat.
	NextMessage time.Duration = math.MaxInt64 - iota
	// NextBeat: the next heartbeat opens the gate, other messages do not.
	NextBeat
	// Shut: only a change of what Waiting says opens the gate.
	Shut
)

// Waiting describes the work that waits at a gate.
type Waiting struct {
	Now, Since Time // the moment of asking; when the oldest of the waiting work arrived
	Count      int  // entries waiting
	Bytes      int  // their size
	InFlight   int  // Send: AppendEntries with entries, or probes, that this follower has not answered
	// Owed is the number of answers still missing. Send and Commit: followers that were sent entries and have not
	// answered for all of them (Commit: not for all of those up to the ones that wait here). Apply on a leader:
	// replicas of a quorum that have not yet acknowledged the commit.
	Owed int

	Beat  time.Duration // the heartbeat period
	Phase time.Duration // a seeded offset of this node: a gate with a period d opens at times t with (t-Phase)%d == 0
}

// Backup is the search for the last entry that a follower's log shares with the leader's.
type Backup interface {
	// Next returns the nextIndex to try after a rejection. The core keeps it within r.Match+1 and r.PrevLogIndex, so
	// that each round makes progress. It must be a pure function of its arguments and must not change the log.
	Next(log *Log, r Reject) (nextIndex uint64)
	// String returns the backup as it is written on the command line.
	String() string
}

// Reject is what a leader knows when a follower has rejected an AppendEntries.
type Reject struct {
	PrevLogIndex, PrevLogTerm uint64 // what was rejected
	Match                     uint64 // last index known to agree; 0 if none
	Round                     int    // 1 for the first rejection of a search
	// The follower's hints: see Message.
	XTerm, XIndex, XLen uint64
	HintIndex, HintTerm uint64
}
