package raft_test

import (
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
