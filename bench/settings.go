package bench

import (
	"math"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
)

// Settings is everything that one trial is run with.
type Settings struct {
	Engine    engines.Engine
	Strategy  raft.Strategy
	Transport string
	Nodes     int
	Leader    raft.ID // who stands for election first; 0 is replica 1

	PayloadBytes int           // MinPayloadBytes or more
	Clients      int           // of the steady scenario's closed loop, if PerSecond is 0
	PerSecond    float64       // of the steady scenario's open loop
	Foreground   float64       // proposals a second, open loop, while other scenarios run
	Arrivals     string        // how an open loop's proposals are spaced: one of Arrivals; "" is the first
	Warmup       time.Duration // before anything is measured
	Duration     time.Duration // of the steady scenario's measured span
	Count        uint64        // its length in commits instead, if not 0

	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	PreVote         bool
	CheckQuorum     bool
	NoOp            bool
	MaxAppendBytes  int  // of entries in one AppendEntries
	SendApart       bool // see cluster.Config
	// SnapshotEntries and SnapshotBytes say when a replica takes a snapshot: see raft.Config. Both 0 mean the default, -1
	// for SnapshotEntries never.
	SnapshotEntries, SnapshotBytes int
	SnapshotTrailing               int // entries kept before a snapshot
	StateBytes                     int // of the state machine, beside its digest
	Storage                        string
	Timeout                        time.Duration // for anything that a trial waits for
	// Patience is how long a client waits for an answer; 0 is a third of Timeout. A long trial has a long Timeout, and
	// clients that are no more patient than in a short one.
	Patience time.Duration
	// Unmeasured leaves out what the harness does for a measured trial beside counting answers and keeping the ledger:
	// events, stages and histograms. What is left of a trial is its throughput.
	Unmeasured bool
	// RoundTrip is the longest between two replicas, as far as it is known beforehand: it is for estimates and
	// timeouts.
	RoundTrip time.Duration
	// Cut is how the scenario's links are cut.
	Cut    cluster.CutKind
	Params map[string]string
}

// group returns the configuration of the trial's replicas.
func (s *Settings) group(seed uint64) cluster.Config {
	group := cluster.Config{
		Replicas: s.Nodes, Strategy: s.Strategy, Heartbeat: s.Heartbeat, ElectionTimeout: s.ElectionTimeout,
		PreVote: s.PreVote, CheckQuorum: s.CheckQuorum, NoOp: s.NoOp, Seed: seed,
		MaxAppendBytes: s.MaxAppendBytes, SendApart: s.SendApart,
	}
	group.StateBytes, group.SnapshotTrailing = s.StateBytes, s.trailing()
	switch {
	case s.SnapshotEntries < 0:
	case s.SnapshotEntries == 0 && s.SnapshotBytes == 0:
		group.SnapshotEntries, group.SnapshotBytes = snapshotEntries, snapshotBytes
		if s.StateBytes > 0 {
			group.SnapshotEntries, group.SnapshotBytes = 0, max(snapshotBytes, 4*s.StateBytes)
		}
	default:
		group.SnapshotEntries, group.SnapshotBytes = s.SnapshotEntries, s.SnapshotBytes
	}
	if s.Engine.Configure != nil {
		s.Engine.Configure(&group)
	}
	return group
}

// first returns who is to lead at first.
func (s *Settings) first() raft.ID { return max(1, s.Leader) }

// Other returns the follower that scenarios do things to: the last replica that is not the leader.
func (s *Settings) Other(leader raft.ID) raft.ID {
	if id := raft.ID(s.Nodes); id != leader {
		return id
	}
	return raft.ID(s.Nodes - 1)
}

// How often a replica takes a snapshot, unless a run says otherwise: often enough that the memory in use stays small also
// if entries are large, and seldom enough that it costs nothing. With a state of some size it is written when four times
// as much log has been.
const (
	snapshotEntries = 1024
	snapshotBytes   = 1 << 20
)

// maxTrailingBytes bounds the memory for entries that are kept before a snapshot. A replica holds them twice, in its log
// and on its disk, which is memory too: with more, what is measured of large entries is page faults and cache misses.
const maxTrailingBytes = 1 << 20

// trailing returns how many entries are kept before a snapshot: fewer than asked for if they are large.
func (s *Settings) trailing() int {
	return min(s.SnapshotTrailing, max(1, maxTrailingBytes/max(1, s.PayloadBytes)))
}

// keepLog makes replicas keep enough of their logs that a follower which lacks so many entries can be sent them.
func (s *Settings) keepLog(group *cluster.Config, entries int) {
	group.SnapshotTrailing = max(group.SnapshotTrailing, 2*entries+keptBeside)
}

// keptBeside is how many entries the foreground load may commit beside those that a scenario makes.
const keptBeside = 65536

// longestEstimate is what an estimate reads that would be longer: several of them still fit into a time.Duration.
const longestEstimate = math.MaxInt64 / 16 * time.Nanosecond

// repeated returns how long it takes to do n times what takes so long, at most longestEstimate.
func repeated(n int, each time.Duration) time.Duration {
	if n > 0 && each > longestEstimate/time.Duration(n) {
		return longestEstimate
	}
	return time.Duration(n) * each
}

// workPerCommit is about what a commit takes of a core, for estimates.
const workPerCommit = 3 * time.Microsecond

// countTakes estimates how long it takes to commit as many proposals as Count says.
func (s *Settings) countTakes() time.Duration {
	if s.PerSecond > 0 {
		return time.Duration(min(float64(s.Count)/s.PerSecond*float64(time.Second), float64(longestEstimate)))
	}
	n := int(min(s.Count, math.MaxInt64))
	return max(repeated(n/max(1, s.Clients)+1, s.beatPerCommit()), repeated(n, workPerCommit))
}

// beatPerSend estimates how long the Send gate keeps an entry, or a probe, at the most, and its way there and back.
func (s *Settings) beatPerSend() time.Duration {
	w := raft.Waiting{Count: 1, Bytes: s.PayloadBytes, Beat: s.Heartbeat}
	switch d := s.Strategy.Send.Wait(w); d {
	case raft.NextMessage, raft.NextBeat, raft.Shut:
		return s.Heartbeat + s.RoundTrip
	default:
		return max(d, 200*time.Microsecond) + s.RoundTrip
	}
}

// beatPerCommit estimates how long one proposal takes.
func (s *Settings) beatPerCommit() time.Duration {
	d := s.beatPerSend()
	for _, g := range []raft.Gate{s.Strategy.Commit, s.Strategy.Apply} {
		switch wait := g.Wait(raft.Waiting{Count: 1, Beat: s.Heartbeat}); wait {
		case raft.NextMessage, raft.NextBeat, raft.Shut:
			d += s.Heartbeat
		default:
			d += max(0, wait)
		}
	}
	return d
}
