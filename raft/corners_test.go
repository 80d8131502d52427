package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

// compactionCorner is a new leader whose log begins near the place where a follower's log parts from it.
type compactionCorner struct {
	shared   int  // entries that all have applied
	left     int  // of them, those that the leader has not compacted away
	follower int  // the same of the follower
	own      int  // entries that the follower alone has, after the shared ones
	leaders  int  // entries that the leader has after the shared ones, without a no-op
	noOp     bool // and one of these before
	when     int  // the leader compacts after twice so many messages of its term; or see elected
	lost     int  // the follower's first answers to it that are lost
	backup   backup
}

// elected is the corner's when of a leader that has compacted before its election: later it keeps what a follower that
// answers still needs.
const elected = 3

// TestCompactionCorners: wherever a log begins, near nextIndex, matchIndex and the place where the logs part, and whenever
// it comes to begin there, the search ends, and takes no more messages than its length allows.
func TestCompactionCorners(t *testing.T) {
	for c := range compactionCorners() {
		if !c.converges(t) {
			t.Fatalf("with %+v", c)
		}
	}
}

func compactionCorners() func(yield func(compactionCorner) bool) {
	return func(yield func(compactionCorner) bool) {
		var c compactionCorner
		dims := []struct {
			to  *int
			max int
		}{{&c.shared, 3}, {&c.left, 2}, {&c.follower, 1}, {&c.own, 2}, {&c.leaders, 2}, {&c.when, elected}, {&c.lost, 1}}
		var choose func(dim int) bool
		choose = func(dim int) bool {
			if dim == len(dims) {
				for _, b := range allBackups[:3] {
					for _, c.noOp = range []bool{false, true} {
						c.backup = b
						if c.left <= c.shared && !yield(c) {
							return false
						}
					}
				}
				return true
			}
			for v := range dims[dim].max + 1 {
				if *dims[dim].to = v; !choose(dim + 1) {
					return false
				}
			}
			return true
		}
		choose(0)
	}
}

// converges plays the corner: replica 1 leads and all apply the shared entries; then it is cut off with entries of its own,
// and 2 is elected by 3; then 1 is the follower.
func (c compactionCorner) converges(t *testing.T) bool {
	g := newGroup(t, 3, using(func(cfg *raft.Config) { cfg.Strategy.Backup = c.backup; cfg.Strategy.Announce = now }))
	g.elect(1)
	propose(g, 1, c.shared)
	g.deliverAll()
	g.isolate(1)
	propose(g, 1, c.own)
	g.compact(1, uint64(c.shared*c.follower))
	g.drop()
	g.restartWith(2, func(cfg *raft.Config) { cfg.NoOp = c.noOp })
	g.campaign(2)
	g.deliverAll()
	propose(g, 2, c.leaders)
	g.deliver(on(2, 3))
	g.drop()
	g.heal()
	if c.when == elected {
		g.compact(2, uint64(c.shared-c.left))
	}
	g.restartWith(2, func(cfg *raft.Config) { cfg.NoOp = c.noOp })
	g.campaign(2)
	before := g.sent[raft.AppendEntries]
	for n, lost := 0, 0; len(g.net) > 0 && n < 100; n++ {
		if n == 2*c.when {
			g.compact(2, uint64(c.shared-c.left))
		}
		m := g.take(0)
		if m.From == 1 && m.Type == raft.AppendEntriesReply && lost < c.lost {
			lost++
			continue
		}
		g.step(m)
	}
	g.compact(2, uint64(c.shared-c.left))
	g.run(6 * heartbeat)
	g.mustPropose(2, "last")
	g.run(2 * heartbeat)
	most := 2*8 + 2*(c.own+c.leaders+c.shared+3+c.lost)
	if sent := g.sent[raft.AppendEntries] - before; sent > 2*most {
		t.Errorf("%d AppendEntries in 8 heartbeats, want at most %d", sent, 2*most)
	}
	if n := g.sent[raft.InstallSnapshot]; n > 0 {
		t.Errorf("%d chunks of a snapshot for a follower that has all that comes before the leader's log", n)
	}
	lead, s := g.status(2), g.status(1)
	if s.Last != lead.Last || s.Commit != lead.Commit || g.node(2).Match(1) != lead.Last {
		t.Errorf("the leader %+v takes 1 for having up to %d, which is %+v: %+v", lead, g.node(2).Match(1), s, g.node(2).AppendProgress(nil))
	}
	return !t.Failed()
}

func propose(g *group, id raft.ID, n int) {
	for i := range n {
		g.mustPropose(id, fmt.Sprint(id, i))
	}
}

// restartWith starts a replica again with another configuration.
func (g *group) restartWith(id raft.ID, change func(*raft.Config)) {
	was := g.cfg
	g.cfg.Voters = slices.Clone(was.Voters)
	change(&g.cfg)
	g.crash(id)
	g.restart(id)
	g.cfg = was
}
