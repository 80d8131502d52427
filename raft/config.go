package raft

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Config describes one replica. The zero value of a limit means its default.
type Config struct {
	ID       ID
	Voters   []ID // the whole group, this replica among them; at most MaxVoters
	Strategy Strategy

	Heartbeat       time.Duration // the leader's period, above 0
	ElectionTimeout time.Duration // a follower waits this long to twice as long, drawn anew each time; above Heartbeat, at most MaxElectionTimeout
	Seed            uint64        // of this replica's timeouts and phase; mixed with ID, so a group may share one

	PreVote     bool // ask before raising the term; who hears a leader refuses (thesis, section 9.6)
	CheckQuorum bool // a leader that a quorum does not answer steps down, and followers of a live leader refuse votes (thesis, section 6.2 and 4.2.3)
	NoOp        bool // a new leader appends an empty entry, so that entries of earlier terms commit at once (paper, section 8)

	Events bool // fill Output.Events

	MaxAppendBytes      int // of the data of the entries in one AppendEntries, see Log.AppendRuns (one entry is always sent); default 256 KiB, at most 256 MiB
	MaxInFlight         int // unanswered AppendEntries with entries per follower, or the data of as many full ones; default 128
	MaxEntryBytes       int // of one entry's data; default 8 MiB, at most 1 GiB
	MaxUncommittedBytes int // of a leader's entries of its term that are not committed: more are refused with ErrBusy; default 256 MiB
	SnapshotEntries     int // a snapshot is due when this many entries were applied since the last; 0: not for their number
	SnapshotBytes       int // or this many bytes of entries; 0: not for their size
	SnapshotTrailing    int // entries that are kept before the newest snapshot
	MaxLagBytes         int // a leader keeps the log for a follower that answers and is this far behind, at most; default 64 MiB
	ChunkBytes          int // of a snapshot in one message; default 256 KiB, at most 1 GiB
	MaxChunks           int // unanswered chunks per follower; default 8

	MaxHeld int // messages that wait for the disk: beyond it the oldest are dropped, as a network may; and saves that are told apart while they are under way; at least one a voter, default 4096
}

// Limits and defaults of Config.
const (
	MaxVoters                  = 127
	MaxElectionTimeout         = 365 * 24 * time.Hour // deadlines must not overflow
	MaxMaxAppendBytes          = 1 << 28              // twice as much, with the encoding, still fits into a frame of transports
	MaxMaxInFlight             = 1 << 30              // as many full ones must have a number of bytes
	MaxMaxEntryBytes           = 1 << 30              // an entry's length has 32 bits
	DefaultMaxAppendBytes      = 256 << 10
	DefaultMaxInFlight         = 128
	DefaultMaxEntryBytes       = 8 << 20
	DefaultMaxUncommittedBytes = 256 << 20
	DefaultMaxHeld             = 4096
	DefaultMaxLagBytes         = 64 << 20
	DefaultChunkBytes          = 256 << 10
	DefaultMaxChunks           = 8
)

// Saved is what a replica's storage held when it was started: the zero value for a fresh replica.
type Saved struct {
	Term uint64
	Vote ID
	// Log is what was saved of the log. The core copies it. nil means an empty log that begins at 1.
	Log *Log
	// Snapshot is the newest complete one; the zero value if there is none. A log that begins after 1 needs one.
	Snapshot Snapshot
	// Applied is the last index that the state machine already has, if that survives by itself. Application goes on
	// after it, or after the log's beginning if that is later.
	Applied uint64
}

// ErrConfig is wrapped by the errors of New.
var ErrConfig = errors.New("raft: configuration")

func (c *Config) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	s := c.Strategy
	switch {
	case c.ID == 0:
		return bad("ID is 0, want 1 or more")
	case !slices.Contains(c.Voters, c.ID):
		return bad("ID %d is not among Voters %v", c.ID, c.Voters)
	case len(c.Voters) > MaxVoters:
		return bad("%d Voters, at most %d", len(c.Voters), MaxVoters)
	case s.Backup == nil || s.Send == nil || s.Commit == nil || s.Announce == nil || s.Apply == nil:
		return bad("Strategy %q lacks a choice: Backup, Send, Commit, Announce and Apply are all needed", s.Name)
	case c.Heartbeat <= 0:
		return bad("Heartbeat is %v, want above 0", c.Heartbeat)
	case c.ElectionTimeout <= c.Heartbeat:
		return bad("ElectionTimeout is %v, want above the Heartbeat of %v", c.ElectionTimeout, c.Heartbeat)
	case c.ElectionTimeout > MaxElectionTimeout:
		return bad("ElectionTimeout is %v, at most %v", c.ElectionTimeout, MaxElectionTimeout)
	}
	for i, id := range c.Voters {
		if id == 0 || slices.Contains(c.Voters[:i], id) {
			return bad("Voters %v: ID %d is 0 or there twice", c.Voters, id)
		}
	}
	for _, limit := range []struct {
		name    string
		value   *int
		initial int
		most    int
	}{
		{"MaxAppendBytes", &c.MaxAppendBytes, DefaultMaxAppendBytes, MaxMaxAppendBytes},
		{"MaxInFlight", &c.MaxInFlight, DefaultMaxInFlight, MaxMaxInFlight},
		{"MaxEntryBytes", &c.MaxEntryBytes, DefaultMaxEntryBytes, MaxMaxEntryBytes},
		{"MaxUncommittedBytes", &c.MaxUncommittedBytes, DefaultMaxUncommittedBytes, math.MaxInt},
		{"MaxHeld", &c.MaxHeld, DefaultMaxHeld, math.MaxInt},
		{"SnapshotEntries", &c.SnapshotEntries, 0, math.MaxInt},
		{"SnapshotBytes", &c.SnapshotBytes, 0, math.MaxInt},
		{"SnapshotTrailing", &c.SnapshotTrailing, 0, math.MaxInt},
		{"MaxLagBytes", &c.MaxLagBytes, DefaultMaxLagBytes, math.MaxInt},
		{"ChunkBytes", &c.ChunkBytes, DefaultChunkBytes, MaxMaxAppendBytes},
		{"MaxChunks", &c.MaxChunks, DefaultMaxChunks, MaxMaxInFlight},
	} {
		if *limit.value < 0 {
			return bad("%s is %d, want 1 or more, or 0 for %d", limit.name, *limit.value, limit.initial)
		}
		if *limit.value == 0 {
			*limit.value = limit.initial
		}
		if *limit.value > limit.most {
			return bad("%s is %d, at most %d", limit.name, *limit.value, limit.most)
		}
	}
	if c.MaxHeld < len(c.Voters) {
		return bad("MaxHeld is %d, want at least %d, or a campaign's RequestVotes push each other out", c.MaxHeld, len(c.Voters))
	}
	return nil
}
