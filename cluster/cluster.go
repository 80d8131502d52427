// Package cluster says what a scenario sees of a group of replicas, and holds what every kind of group shares: the
// member that it is made of (Replica: a raft.Node with its disk, state machine and waiting clients), the stages of a
// proposal's way and the counters. live runs such a group over sockets on the wall clock, sim in virtual time.
//
// It starts no goroutine and reads no clock. It measures nothing: it stamps and reports to an Observer.
package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// Cluster is a group of replicas under a scenario's control. Its replicas have the IDs 1 to n.
//
// Functions that a scenario hands over run on the cluster's own time and must not block: they call neither Wait nor
// Close. The steps of At run beside the replicas, and may do everything else. A proposal's Done and Accepted, and an
// Observer, are called by a replica in the middle of its work, with its lock held in live: a client is part of what its
// leader does. They do not call Restart, and what they ask for by Crash, Pause and Resume happens once that replica has
// finished what it is doing, in the order in which they asked. Propose and Campaign may be called from anywhere; a client
// that was refused does not propose again from Done, but later, or it keeps the replica busy with refusing.
type Cluster interface {
	// Now returns the time on the cluster's clock.
	Now() raft.Time
	// Size returns the number of replicas.
	Size() int

	// Propose offers a proposal to a replica. It returns at once; what became of it is told through Done, or that nobody
	// knows: of a leader that was deposed at the latest an election timeout later, of one that crashes when it does. A
	// replica that is paused, or leads without being heard, tells nothing.
	Propose(to raft.ID, p *Proposal)
	// Campaign makes a replica start an election.
	Campaign(id raft.ID)

	// Status returns what is known of a replica. It never waits for the replica.
	Status(id raft.ID) Status

	// Crash stops a replica at once; what its storage had made durable survives. Restart starts it again from there.
	Crash(id raft.ID)
	Restart(id raft.ID) error
	// Pause freezes a replica as a stopped process is frozen: it handles nothing and no timer fires, while its
	// connections stay. Resume lets it go on.
	Pause(id raft.ID)
	Resume(id raft.ID)
	// Cut drops everything that from sends to to, until Heal. The other direction is a link of its own. While either is
	// cut no connection between the two is made. A second cut changes nothing, unless it is the first that resets.
	Cut(from, to raft.ID, kind CutKind)
	Heal(from, to raft.ID)

	// SetConditions changes what all links do to messages, besides what the network below them does.
	SetConditions(Conditions)

	// At calls step at the time t, or as soon as possible after it, and again at the time that it returns, until that
	// is 0 or the cluster is closed.
	At(t raft.Time, step func(now raft.Time) (next raft.Time))
	// Wait returns nil as soon as cond holds, which it looks at whenever something has happened, ErrTimeout if that
	// takes longer than the timeout, or the context's error. In virtual time nothing happens except during Wait.
	Wait(ctx context.Context, timeout time.Duration, cond func() bool) error

	// Counters returns what all replicas have done since the start, those of crashed ones included.
	Counters() Counters
	// Close ends everything. Proposals that are still waiting become Unknown.
	Close() error
}

// CutKind says what becomes of the connection when a link is cut.
type CutKind uint8

const (
	// SilentCut leaves the connection as it is: frames vanish, and nobody is told, neither of the cut nor of the healing.
	SilentCut CutKind = iota
	// ResetCut breaks the connection too, as a process that ends or a middlebox does. After the healing the two dial
	// again, as after any break, and the new connection tells both. Without connections (datagram) it is silent.
	ResetCut
)

// CutKinds are the names of all kinds of cut, by value.
var CutKinds = []string{SilentCut: "silent", ResetCut: "reset"}

func (k CutKind) String() string { return CutKinds[k] }

// ErrTimeout is returned by Wait.
var ErrTimeout = errors.New("timed out")

// Config describes a group, however it is run.
type Config struct {
	Replicas        int
	Engine          Engine // nil for NewReplica: this project's own core
	Strategy        raft.Strategy
	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	PreVote         bool
	CheckQuorum     bool
	NoOp            bool
	Seed            uint64

	MaxAppendBytes      int // see raft.Config; 0 means its default, as for the others
	MaxInFlight         int
	MaxEntryBytes       int
	MaxUncommittedBytes int
	MaxHeld             int

	// SendApart sends an AppendEntries without entries, such as the news of a commit, although one with entries goes to
	// the same follower at the same moment and says the same; otherwise a driver that can tell leaves it out. It is a
	// matter of messages, not of time, and no strategy's.
	SendApart bool
	// Yield makes a driver on the wall clock let other goroutines run between a message and what follows from it, so that
	// what they bring is part of the same batch. This project's driver does not need it: see engines/etcd.
	Yield bool

	// Snapshots: see raft.Config. StateBytes is the size of the state machine's state beside its digest.
	SnapshotEntries, SnapshotBytes, SnapshotTrailing int
	ChunkBytes, MaxChunks, MaxLagBytes               int
	StateBytes                                       int
	// OpenStorage opens a replica's storage, in each of its lives; nil for memory that survives them. A simulated group
	// has disks of its own.
	OpenStorage func(storage.Options) (storage.Storage, error)
	// Boot gives replicas a saved state to start from; those that are not in it start empty.
	Boot map[raft.ID]Boot
	// Observer is told what happens; nil for nobody. Without one, proposals carry no stages.
	Observer Observer
	// AppliedOnly spares the Observer the events, and proposals their stages: it is told what is applied.
	AppliedOnly bool
}

// Events reports whether somebody is told of events.
func (c *Config) Events() bool { return c.Observer != nil && !c.AppliedOnly }

// Boot is a replica's saved state at the start.
type Boot struct {
	Term    uint64
	Vote    raft.ID
	Entries []raft.Entry // from index 1, without gaps; their Index need not be set
	// SmallLog makes the log's memory grow in small pieces, for groups that are many and short-lived.
	SmallLog bool
}

// Observer watches a group. Its methods are called by each replica in turn, for different replicas perhaps at the same
// time, on the path that is measured: they must be quick and must not keep what they are given.
type Observer interface {
	// Events tells what happened in a replica's core.
	Events(now raft.Time, id raft.ID, events []raft.Event)
	// Applied gives the entries that a replica applies, in order. A replica that was restarted may apply again what it
	// had applied before it crashed.
	Applied(now raft.Time, id raft.ID, entries raft.Entries)
	// Restored tells that a replica goes on from a snapshot, which its leader sent or which it had when it was started: it
	// applies no entry up to that index.
	Restored(now raft.Time, id raft.ID, s raft.Snapshot)
}

// Conditions is what links do to whole messages, as a course's simulated network does: it is no emulation of packets on
// a wire. The zero value does nothing. Chances are from 0 to 1; what is delayed may be overtaken.
type Conditions struct {
	RequestLoss, ReplyLoss float64       // chance that a message is dropped
	RequestDelay           time.Duration // a request waits for 0 to this long, drawn uniformly
	ReplyHold              float64       // chance that a reply is held back
	// HoldMin, HoldMax bound how long a held reply waits: HoldMin and a part of the rest that is drawn uniformly up to a
	// bound which is drawn uniformly itself, so a quarter of the rest in the mean (MIT 6.824's labrpc, "long reordering").
	HoldMin, HoldMax time.Duration
}

// Fate decides what becomes of one message: it is dropped, or sent after a delay.
func (c *Conditions) Fate(reply bool, random *rand.Rand) (drop bool, delay time.Duration) {
	if reply {
		drop = random.Float64() < c.ReplyLoss
		if random.Float64() < c.ReplyHold {
			delay = c.HoldMin + time.Duration(random.Float64()*random.Float64()*float64(c.HoldMax-c.HoldMin))
		}
		return drop, delay
	}
	return random.Float64() < c.RequestLoss, time.Duration(random.Float64() * float64(c.RequestDelay))
}

// Outcome is what became of a proposal.
type Outcome uint8

const (
	Pending   Outcome = iota
	Committed         // it is committed and applied by the replica that it was offered to
	Refused           // the replica did not append it: see Err. It may be offered again
	Failed            // it is in no log that may be committed: see Clients
	Unknown           // the replica crashed, was deposed, or the cluster was closed before its fate was known
)

func (o Outcome) String() string {
	return [...]string{"pending", "committed", "refused", "failed", "unknown"}[o]
}

// ErrDown is the Err of a proposal that was offered to a crashed replica.
var ErrDown = errors.New("replica is down")

// Proposal is one client's request. The caller owns it, and may use it again once Done has been called; between
// Propose and Done it belongs to the cluster.
type Proposal struct {
	Data []byte          // at most raft.Config.MaxEntryBytes
	Due  raft.Time       // when it should have been made: latency counts from here
	Done func(*Proposal) // called once for each Propose
	// Accepted, if not nil, is called when Replica has appended it, before Done; Index and Term are set.
	Accepted func(*Proposal)

	Outcome     Outcome
	Err         error // Refused: raft.ErrNotLeader, raft.ErrBusy, raft.ErrEntryTooLarge or ErrDown
	Replica     raft.ID
	Index, Term uint64
	Stages      Stages
}

// Tell ends a proposal: every engine and driver calls Done by this, and nobody else.
func (p *Proposal) Tell(outcome Outcome, err error) {
	p.Outcome, p.Err = outcome, err
	p.Done(p)
}

// Refuse tells that a replica did not take the proposal.
func (p *Proposal) Refuse(id raft.ID, err error) {
	p.Replica, p.Stages = id, Stages{}
	p.Tell(Refused, err)
}

// Stages are the moments of a proposal's way through its leader. Those in between are 0 if the leader changed on the
// way, or if nobody observes.
type Stages struct {
	Appended  raft.Time // to the leader's log
	Sent      raft.Time // to enough followers for a quorum
	Acked     raft.Time // a quorum holds it durably
	Committed raft.Time // commitIndex has reached it
	Applied   raft.Time // applied, and the client answered
}

// Status is what is known of a replica.
type Status struct {
	raft.Status
	Up     bool   // neither crashed nor closed
	Err    error  // why it stopped by itself: its storage failed
	Digest uint64 // of all entries applied so far, in order: equal for equal logs
}

// Counters count since the start of a group.
type Counters struct {
	Messages      uint64 // sent, of all types
	AppendEntries uint64 // sent, with or without entries
	EntriesSent   uint64 // in AppendEntries, for each follower
	Bytes         uint64 // of whole frames sent
	Elections     uint64 // campaigns begun, polls not counted
	Rejections    uint64 // AppendEntries rejected by followers, as seen by leaders
	Dropped       uint64 // frames that the transport dropped, for any reason
	Writes        uint64 // calls that handed bytes to a connection
}

// NewMember makes a member by the group's engine.
func (c *Config) NewMember(id raft.ID, host Host, store storage.Storage) (Member, error) {
	if c.Engine != nil {
		return c.Engine(id, c, host, store)
	}
	return NewReplica(id, c, host, store)
}

// Save returns the boot state as a replica would have saved it.
func (b *Boot) Save() raft.Save {
	run := raft.Entries{First: 1}
	for _, e := range b.Entries {
		run.Append(e.Term, e.Data)
	}
	s := raft.Save{Seq: 1, Term: b.Term, Vote: b.Vote}
	if run.Count > 0 {
		s.Entries = []raft.Entries{run}
	}
	return s
}

// Add adds other to c.
func (c *Counters) Add(other Counters) {
	c.Messages += other.Messages
	c.AppendEntries += other.AppendEntries
	c.EntriesSent += other.EntriesSent
	c.Bytes += other.Bytes
	c.Elections += other.Elections
	c.Rejections += other.Rejections
	c.Dropped += other.Dropped
	c.Writes += other.Writes
}

// Sub returns c less an earlier reading.
func (c Counters) Sub(earlier Counters) Counters {
	return Counters{
		Messages:      c.Messages - earlier.Messages,
		AppendEntries: c.AppendEntries - earlier.AppendEntries,
		EntriesSent:   c.EntriesSent - earlier.EntriesSent,
		Bytes:         c.Bytes - earlier.Bytes,
		Elections:     c.Elections - earlier.Elections,
		Rejections:    c.Rejections - earlier.Rejections,
		Dropped:       c.Dropped - earlier.Dropped,
		Writes:        c.Writes - earlier.Writes,
	}
}
