package raft_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

// What the package's documentation says to drivers over calls and replies.

// callee is a replica that has never heard anything.
func callee(t *testing.T) *raft.Node {
	return newNode(t, raft.Config{ID: 2, Voters: []raft.ID{1, 2, 3}, Strategy: eager, Heartbeat: heartbeat,
		ElectionTimeout: electionTimeout})
}

// A reply has the number of its request and goes back to whom it came from; it comes at once or after Saved, and not at all
// to what was overtaken by a new term.
func TestRepliesBelongToRequests(t *testing.T) {
	n := callee(t)
	appends := func(m raft.Message) {
		m.Type, m.From, m.To, m.Term = raft.AppendEntries, 1, 2, 1
		n.Step(1, &m)
	}
	one, other := raft.Entries{First: 1}, raft.Entries{First: 99} // whatever First is where there are no entries
	one.Append(1, []byte("x"))
	appends(raft.Message{Seq: 7, Entries: one})
	out := n.Take()
	if len(out.Messages) != 0 || out.Save.Seq == 0 {
		t.Fatalf("before the entry is durable: %+v, want no reply", out)
	}
	n.Saved(1, out.Save.Seq)
	wantReply(t, n, raft.AppendEntriesReply, 1, 7)
	appends(raft.Message{Seq: 8, PrevLogIndex: 1, PrevLogTerm: 1, Entries: other})
	wantReply(t, n, raft.AppendEntriesReply, 1, 8)
	appends(raft.Message{Seq: 9, PrevLogIndex: 9, PrevLogTerm: 1, Entries: other})
	if m := wantReply(t, n, raft.AppendEntriesReply, 1, 9); m.Success {
		t.Error("what is not there was accepted")
	}

	two := raft.Entries{First: 2}
	two.Append(1, []byte("y"))
	appends(raft.Message{Seq: 10, PrevLogIndex: 1, PrevLogTerm: 1, Entries: two})
	first := n.Take()
	n.Step(1, &raft.Message{Type: raft.RequestVote, From: 3, To: 2, Term: 2, Seq: 1, LastLogIndex: 5, LastLogTerm: 1})
	second := n.Take()
	n.Saved(1, first.Save.Seq)
	n.Saved(1, second.Save.Seq)
	if m := wantReply(t, n, raft.RequestVoteReply, 3, 1); !m.VoteGranted {
		t.Error("the vote was refused")
	}
}

// wantReply wants the next output to hold one message, this reply.
func wantReply(t *testing.T, n *raft.Node, kind raft.MessageType, to raft.ID, seq uint64) raft.Message {
	t.Helper()
	out := n.Take()
	if len(out.Messages) != 1 {
		t.Fatalf("%d messages, want one reply", len(out.Messages))
	}
	m := out.Messages[0]
	if m.Type != kind || m.To != to || m.From != 2 || m.Seq != seq {
		t.Fatalf("%+v, want a %v to %d with number %d", m, kind, to, seq)
	}
	return m
}

// Each AppendEntries has a number of its own; a campaign's requests share one that no other campaign has.
func TestNumbersOfRequests(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.MaxAppendBytes = 1 }))
	campaigns := map[uint64]uint64{} // by term
	for range 3 {
		g.campaign(1)
		requests := g.find(1, 2)
		requests = append(requests, g.find(1, 3)...)
		for _, m := range requests {
			if seq, known := campaigns[m.Term]; known && seq != m.Seq {
				t.Errorf("requests of term %d have the numbers %d and %d", m.Term, seq, m.Seq)
			}
			for term, seq := range campaigns {
				if term != m.Term && seq >= m.Seq {
					t.Errorf("the campaign of term %d has number %d, that of term %d had %d", m.Term, m.Seq, term, seq)
				}
			}
			campaigns[m.Term] = m.Seq
		}
		g.drop()
	}
	if len(campaigns) != 3 {
		t.Fatalf("campaigns %v, want three", campaigns)
	}
	g.elect(1)
	seen := map[uint64]bool{}
	for range 5 {
		g.mustPropose(1, "a", "b")
		for _, to := range []raft.ID{2, 3} {
			for _, m := range g.find(1, to) {
				if m.Type == raft.AppendEntries && seen[m.Seq] {
					t.Errorf("two AppendEntries have the number %d", m.Seq)
				}
				seen[m.Seq] = true
			}
		}
		g.deliverAll()
	}
	if len(seen) < 20 {
		t.Errorf("%d AppendEntries seen, want 20 or more", len(seen))
	}
}

// A leader whose calls fail, and which nobody tells of it or of anything else, brings its followers up to date with its
// heartbeats alone.
func TestFailedCallsNeedNotBeTold(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.mustPropose(1, "a")
	g.deliverAll()
	g.isolate(3) // silently
	for range 10 {
		g.mustPropose(1, "b")
		g.run(heartbeat)
	}
	g.heal()
	g.run(2 * heartbeat)
	if last := g.status(3).Last; last != g.status(1).Last || last < 11 {
		t.Errorf("two heartbeats after calls succeed again the follower has %d of %d entries", last, g.status(1).Last)
	}
}

// At a Save, Node.Log is what the storage has to hold once it is durable: all saves up to this one, one after the other.
func TestLogServesAtASave(t *testing.T) {
	n := callee(t)
	saved, saves, truncated := raft.NewLog(1, 0), 0, 0
	deliver := func(m raft.Message) {
		t.Helper()
		m.Type, m.To = raft.AppendEntries, 2
		n.Step(1, &m)
		out := n.Take()
		if out.Save.Seq == 0 {
			return
		}
		saves++
		if out.Save.TruncateFrom != 0 {
			truncated++
			saved.TruncateFrom(out.Save.TruncateFrom)
		}
		for _, e := range out.Save.Entries {
			saved.AppendEntries(e)
		}
		if got, want := written(n.Log()), written(saved); got != want {
			t.Fatalf("at save %d the log is %s, the saves add up to %s", out.Save.Seq, got, want)
		}
	}
	run := func(first, term uint64, data ...string) raft.Entries {
		e := raft.Entries{First: first}
		for _, d := range data {
			e.Append(term, []byte(d))
		}
		return e
	}
	deliver(raft.Message{From: 1, Term: 1, Seq: 1, Entries: run(1, 1, "a", "b", "c")})
	deliver(raft.Message{From: 1, Term: 1, Seq: 2, PrevLogIndex: 3, PrevLogTerm: 1, Entries: run(4, 1, "d", "e")})
	deliver(raft.Message{From: 3, Term: 2, Seq: 1, PrevLogIndex: 2, PrevLogTerm: 1, Entries: run(3, 2, "C")})
	deliver(raft.Message{From: 3, Term: 2, Seq: 2, PrevLogIndex: 3, PrevLogTerm: 2, Entries: run(4, 2, "D", "E", "F")})
	deliver(raft.Message{From: 1, Term: 3, Seq: 9, PrevLogIndex: 5, PrevLogTerm: 2})
	if saves != 5 || truncated != 1 {
		t.Errorf("%d saves, %d of which truncate, want 5 and 1", saves, truncated)
	}
}

// written writes a log out.
func written(l *raft.Log) string {
	var b strings.Builder
	for i := l.First(); i <= l.Last(); i++ {
		e := l.Entry(i)
		fmt.Fprintf(&b, "%d:%d:%s ", i, e.Term, e.Data)
	}
	return b.String()
}
