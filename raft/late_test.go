package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

// Where replies are held back for longer than the leader waits for them, each probe is sent anew before it is answered.
// The answers to the earlier ones say the same of the same place: ignoring them makes a search last for ever.
func TestLateRejectionMovesTheSearch(t *testing.T) {
	g := newGroup(t, 2, using(func(cfg *raft.Config) { cfg.Strategy.Backup = linear }),
		holding(1, 10, 1, 9, 9, 9), holding(2, 8, 1, 3, 3, 3))
	g.campaign(1)
	g.deliver(ofType(raft.RequestVote))
	g.deliver(ofType(raft.RequestVoteReply))
	probe := g.find(1, 2)[0]
	late := answer(t, g, probe)
	g.isolate(2)
	g.advance(10 * heartbeat) // the probe is taken for lost, and sent again
	g.drop()
	g.heal()
	g.step(late)
	sent := g.find(1, 2)
	if len(sent) != 1 || sent[0].PrevLogIndex != probe.PrevLogIndex-1 {
		t.Fatalf("after a late rejection of %d the leader sends %+v, want one probe of the index before", probe.PrevLogIndex, sent)
	}
	g.drop()
	g.step(late) // of a place that the search has left
	if sent := g.find(1, 2); len(sent) != 0 {
		t.Errorf("after the same rejection again the leader sends %+v, want nothing", sent)
	}
	g.run(20 * heartbeat)
	wantTerms(t, g, 2, g.terms(1)...)
}

// Where many bytes queue up before a follower, or the machine stands still, an answer comes after its AppendEntries was
// taken for lost. Then the others are late too: sending them again would only make the queue longer.
func TestLateSuccessShowsThatNothingWasLost(t *testing.T) {
	for _, again := range []struct {
		entries        int // that the leader sends again while it waits
		maxAppendBytes int
	}{{10, 1000}, {1, 20}} {
		t.Run(fmt.Sprint(again.entries), func(t *testing.T) { lateSuccess(t, again.entries, again.maxAppendBytes) })
	}
}

func lateSuccess(t *testing.T, sentAgain, maxAppendBytes int) {
	g := newGroup(t, 2, using(func(c *raft.Config) { c.MaxAppendBytes = maxAppendBytes }))
	g.elect(1)
	for range 10 {
		g.mustPropose(1, "x")
	}
	late := g.find(1, 2)
	g.drop()
	g.advance(3 * heartbeat)
	if p := g.node(1).AppendProgress(nil)[0]; !p.Stalled || p.Match != 0 {
		t.Fatalf("after three heartbeats without an answer: %+v, want it stalled", p)
	}
	again := g.find(1, 2)
	if !slices.ContainsFunc(again, func(m raft.Message) bool { return m.Entries.Count == sentAgain }) {
		t.Fatalf("the leader sent %+v, want %d entries to be sent again", again, sentAgain)
	}
	g.drop()
	g.step(answer(t, g, late[0]))
	if p := g.node(1).AppendProgress(nil)[0]; p.Stalled || p.Match != 1 || p.Next != 11 || p.InFlight != 9 {
		t.Errorf("after the first late answer: %+v, want nine messages in flight", p)
	}
	for _, m := range g.find(1, 2) {
		if m.Entries.Count > 0 {
			t.Errorf("after the first late answer it sends %+v", m)
		}
	}
	g.drop()
	g.mustPropose(1, "y")
	if m := g.find(1, 2); len(m) != 1 || m[0].PrevLogIndex != 10 {
		t.Errorf("a proposal sends %+v, want the new entry alone", m)
	}
	g.drop()
	// What was late may be lost after all.
	g.run(4 * heartbeat)
	wantCommit(t, g, 1, 11)
}
