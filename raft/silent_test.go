package raft_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// What a leader does about a follower that is silent: after a single loss it sends again, after another it sends nothing
// but heartbeats, and with the first answer it goes on. No Send gate changes that.

// forEachSendGate runs a test with logs that agree and with logs between which the leader has to search.
func forEachSendGate(t *testing.T, test func(t *testing.T, g *group, gate gate)) {
	for _, send := range sendGates {
		for _, search := range []bool{false, true} {
			name := send.name + "/logs agree"
			with := []func(*group){using(func(c *raft.Config) { c.Strategy.Send, c.PreVote = send, true })}
			if search {
				name = send.name + "/search"
				with = append(with, holding(1, 10, 1, 9, 9, 9), holding(2, 10, 1, 9, 9, 9), holding(3, 10, 1, 3, 3, 7))
			}
			t.Run(name, func(t *testing.T) {
				g := newGroup(t, 3, with...)
				if search {
					g.isolate(3) // before the first probe
				}
				g.elect(1)
				if !search {
					g.mustPropose(1, "a")
					g.run(3 * heartbeat)
					g.isolate(3)
				}
				test(t, g, send)
			})
		}
	}
}

// serve makes entries commit without the follower for so many heartbeat intervals, four each.
func serve(g *group, beats int) {
	for range 4 * beats {
		g.mustPropose(1, strings.Repeat("x", 1000))
		g.run(heartbeat / 4)
	}
}

func TestADeadFollowerCostsOneSmallMessageAHeartbeat(t *testing.T) {
	forEachSendGate(t, func(t *testing.T, g *group, _ gate) {
		serve(g, 4)
		messages, entries := 0, 0
		g.lost = func(m raft.Message) {
			if m.From == 1 && m.To == 3 {
				messages++
				entries += m.Entries.Count
			}
		}
		before := g.status(1).Commit
		const beats = 100
		serve(g, beats)
		if messages != beats || entries != 0 {
			t.Errorf("%d messages with %d entries to a dead follower in %d heartbeats, want one each without entries", messages, entries, beats)
		}
		if now := g.status(1).Commit; now < before+4*beats-20 {
			t.Errorf("meanwhile %d of %d entries were committed", now-before, 4*beats)
		}
	})
}

// A follower that has left a message unanswered owes a gate no answer, also while that is on its way once more: with a
// Commit gate that waits for all a proposal commits as soon as the others have it.
func TestADeadFollowerOwesTheCommitGateNothing(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Commit = barrier }))
	g.elect(1)
	g.mustPropose(1, "a")
	g.run(3 * heartbeat)
	g.isolate(3)
	again := 0
	for range 40 {
		g.mustPropose(1, "b")
		g.deliverAll()
		p, s := g.node(1).AppendProgress(nil)[1], g.status(1)
		if p.Stalled && p.InFlight > 0 {
			again++
		}
		if p.Stalled && s.Commit != s.Last {
			t.Fatalf("the live follower has %d entries, %d are committed; the other: %+v", s.Last, s.Commit, p)
		}
		g.run(heartbeat / 8)
	}
	if again == 0 {
		t.Error("nothing was sent again")
	}
}

// What the beginning of a silence costs is what was in flight, and one message more.
func TestASilenceBeginsWithOneMessageSentAgain(t *testing.T) {
	g := newGroup(t, 2)
	g.elect(1)
	g.isolate(2)
	g.mustPropose(1, "a")
	var sent []string
	g.lost = func(m raft.Message) { sent = append(sent, fmt.Sprint(m.Entries.Count)) }
	g.run(5 * heartbeat)
	if got := strings.Join(sent, " "); got != "1 1 0 0 0 0" && got != "1 0 1 0 0 0" {
		t.Errorf("the numbers of entries in what was sent are %s, want the first once more and then none", got)
	}
}

// The harness delivers at once, so what is waited for is the heartbeat, and then the Send gate.
func TestCatchUpBeginsWithTheFirstHeartbeatAnswered(t *testing.T) {
	forEachSendGate(t, func(t *testing.T, g *group, send gate) {
		serve(g, 30)
		for range 8 { // wherever in the heartbeat interval the healing lies
			before := g.node(1).AppendProgress(nil)[1]
			g.heal()
			g.run(heartbeat)
			if send.name == ride.name {
				g.run(heartbeat) // it waits for one itself
			}
			if send.name == hold3ms.name {
				g.run(3 * time.Millisecond)
			}
			if p := g.node(1).AppendProgress(nil)[1]; p.Stalled || p.Match == before.Match && p.Next == before.Next && p.InFlight == 0 {
				t.Fatalf("one heartbeat after the healing: %+v of %d entries", p, g.status(1).Last)
			}
			g.run(6 * heartbeat)
			if p := g.node(1).AppendProgress(nil)[1]; p.Match != g.status(1).Last {
				t.Fatalf("some heartbeats after the healing the follower has %d of %d entries", p.Match, g.status(1).Last)
			}
			g.isolate(3)
			serve(g, 5)
			g.run(heartbeat/8 + 100*time.Microsecond)
		}
	})
}

// A search goes on with the answer to a heartbeat, whichever of its probes was lost, and a second silence is like the first.
func TestASearchSurvivesSilences(t *testing.T) {
	for lose := range 6 {
		g := newGroup(t, 2, using(func(c *raft.Config) { c.Strategy.Backup, c.PreVote = linear, true }),
			holding(1, 10, 1, 9, 9, 9, 9, 9), holding(2, 10, 1, 3, 3, 3, 7, 7))
		g.campaign(1)
		g.deliver(ofType(raft.RequestVote))
		g.deliver(ofType(raft.RequestVoteReply))
		for range lose {
			g.deliver(on(1, 2))
			g.deliver(on(2, 1))
		}
		for range 2 {
			g.isolate(2)
			g.run(20 * heartbeat)
			probes := 0
			g.lost = func(m raft.Message) {
				if m.PrevLogIndex > 1 {
					probes++
				}
			}
			g.run(20 * heartbeat)
			if probes > 0 {
				t.Errorf("after %d rounds, %d probes into the silence", lose, probes)
			}
			g.lost = func(raft.Message) {}
			g.heal()
			g.advance(heartbeat)
			g.deliver(on(1, 2)) // the heartbeat
			g.deliver(on(2, 1))
			if sent := g.find(1, 2); len(sent) != 1 || sent[0].PrevLogIndex < 1 {
				t.Errorf("after %d rounds, the answer to a heartbeat lets the leader send %+v, want one probe", lose, sent)
			}
		}
		g.run(heartbeat)
		wantTerms(t, g, 2, g.terms(1)...)
	}
}

// A probe that is lost while heartbeats are answered is sent again with the first of those answers, not earlier and only once.
func TestALostProbeIsSentAgainWithTheNextAnswer(t *testing.T) {
	g := newGroup(t, 2, holding(1, 10, 1, 9, 9, 9), holding(2, 10, 1, 3, 3, 3))
	g.campaign(1)
	g.deliver(ofType(raft.RequestVote))
	g.deliver(ofType(raft.RequestVoteReply))
	g.drop() // the probe
	for g.advance(heartbeat); len(g.find(1, 2)) == 0 || g.find(1, 2)[0].PrevLogIndex == 0; g.advance(heartbeat) {
		g.drop()
	}
	g.drop() // the probe that was sent again
	g.advance(heartbeat)
	g.deliver(on(1, 2))
	g.deliver(on(2, 1))
	if sent := g.find(1, 2); len(sent) != 1 || sent[0].PrevLogIndex == 0 {
		t.Fatalf("it sends %+v, want the probe", sent)
	}
	g.run(heartbeat)
	wantTerms(t, g, 2, g.terms(1)...)
}

// Any answer ends a silence, even one that fits nothing the leader waits for.
func TestAStaleAnswerEndsASilence(t *testing.T) {
	g := newGroup(t, 2, using(func(c *raft.Config) { c.PreVote = true }))
	g.elect(1)
	g.mustPropose(1, "a", "b")
	g.deliver(on(1, 2))
	old := g.find(2, 1)[0]
	g.run(heartbeat)
	g.isolate(2)
	g.mustPropose(1, "c")
	g.run(10 * heartbeat)
	g.heal()
	old.Success, old.PrevLogIndex = false, 7
	g.step(old)
	if sent := g.find(1, 2); len(sent) != 1 || sent[0].Entries.Count != 1 {
		t.Errorf("it sends %+v, want the entry", sent)
	}
}

// A candidate that nobody hears needs no connection to be told of: its next campaign asks again.
func TestACandidateAsksAgainByItself(t *testing.T) {
	for _, preVote := range []bool{false, true} {
		g := newGroup(t, 3, using(func(c *raft.Config) { c.PreVote = preVote }))
		for id := raft.ID(1); id <= 3; id++ {
			g.isolate(id)
		}
		g.run(10 * electionTimeout)
		g.heal()
		g.run(10 * electionTimeout)
		if g.leader() == 0 {
			t.Errorf("pre-vote %v: nobody leads ten election timeouts after the healing", preVote)
		}
	}
}
