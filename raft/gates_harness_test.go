package raft_test

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Gates and backups for tests. Those of the program are in strategies/, which builds on this package.

type gate struct {
	name string
	wait func(raft.Waiting) time.Duration
}

func (g gate) Wait(w raft.Waiting) time.Duration { return g.wait(w) }
func (g gate) String() string                    { return g.name }

var (
	now       = gate{"now", func(raft.Waiting) time.Duration { return 0 }}
	ride      = gate{"ride", func(raft.Waiting) time.Duration { return raft.NextMessage }}
	barrier   = gate{"barrier", func(w raft.Waiting) time.Duration { return unlessOwed(w, raft.NextBeat) }}
	confirmed = gate{"confirmed", func(w raft.Waiting) time.Duration { return unlessOwed(w, raft.Shut) }}
	hold3ms   = gate{"hold3ms", func(w raft.Waiting) time.Duration { return w.Since.Add(3 * time.Millisecond).Sub(w.Now) }}
	window1   = gate{"window1", func(w raft.Waiting) time.Duration { return window(w, 1) }}
	window2   = gate{"window2", func(w raft.Waiting) time.Duration { return window(w, 2) }}
)

func unlessOwed(w raft.Waiting, otherwise time.Duration) time.Duration {
	if w.Owed == 0 {
		return 0
	}
	return otherwise
}

func window(w raft.Waiting, size int) time.Duration {
	if w.InFlight < size {
		return 0
	}
	return raft.Shut
}

type backup struct {
	name string
	next func(*raft.Log, raft.Reject) uint64
}

func (b backup) Next(l *raft.Log, r raft.Reject) uint64 { return b.next(l, r) }
func (b backup) String() string                         { return b.name }

var (
	linear = backup{"linear", func(_ *raft.Log, r raft.Reject) uint64 { return r.PrevLogIndex }}
	fast   = backup{"fast", func(l *raft.Log, r raft.Reject) uint64 {
		if r.XTerm == 0 {
			return r.XLen + 1
		}
		if last, ok := l.LastOfTerm(r.XTerm); ok {
			return last + 1
		}
		return r.XIndex
	}}
	hint = backup{"hint", func(l *raft.Log, r raft.Reject) uint64 {
		last, _ := l.LastUpTo(r.HintIndex, r.HintTerm)
		return last + 1
	}}
	wild = backup{"wild", func(*raft.Log, raft.Reject) uint64 { return 1 << 63 }} // the core keeps it within bounds
)

type catchUp struct {
	name   string
	choose func(raft.Behind) bool
}

func (c catchUp) Snapshot(b raft.Behind) bool { return c.choose(b) }
func (c catchUp) String() string              { return c.name }

var catchUps = []raft.CatchUp{
	nil,
	catchUp{"snapshot", func(raft.Behind) bool { return true }},
	catchUp{"cheapest", func(b raft.Behind) bool { return b.SnapshotBytes+b.TailBytes < b.LogBytes }},
}

// plain sends and commits at once; news of a commit rides with the next message, as in the paper.
var plain = raft.Strategy{Name: "plain", Backup: fast, Send: now, Commit: now, Announce: ride, Apply: now}

var (
	allBackups    = []backup{linear, fast, hint, wild}
	sendGates     = []gate{now, ride, hold3ms, window1, window2, barrier}
	commitGates   = []gate{now, ride, hold3ms, barrier}
	announceGates = []gate{now, ride, hold3ms}
	applyGates    = []gate{now, ride, hold3ms, confirmed}
)
