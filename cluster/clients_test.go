package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

const patience = 100 * time.Millisecond

// waiting is a member's clients, and what they were told.
type waiting struct {
	Clients
	told []string
}

func (w *waiting) await(indexes []uint64, term uint64) {
	for _, i := range indexes {
		p := &Proposal{Index: i, Term: term}
		p.Done = func(p *Proposal) {
			w.told = append(w.told, fmt.Sprintf("%d of %d %v at %d", p.Index, p.Term, p.Outcome, p.Stages.Applied))
		}
		w.Await(p)
	}
}

// apply applies entries of these terms, from an index on.
func (w *waiting) apply(now raft.Time, first uint64, terms ...uint64) {
	e := raft.Entries{First: first}
	for _, term := range terms {
		e.Append(term, []byte("x"))
	}
	w.Answer(now, e)
}

func (w *waiting) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.told, want) {
		t.Errorf("told %q, want %q", w.told, want)
	}
	w.told = nil
}

func TestClientsOfALeader(t *testing.T) {
	var w waiting
	w.Lead(0, true, 3, patience)
	w.await([]uint64{5, 6, 8}, 3)
	w.apply(10, 4, 2)
	w.expect(t)
	w.apply(20, 5, 3)
	w.apply(30, 6, 3, 3, 3)
	w.expect(t, "5 of 3 committed at 20", "6 of 3 committed at 30", "8 of 3 committed at 30")
	if at := w.Deadline(); at != Never {
		t.Errorf("a deadline at %v", at)
	}
}

// A leader that was deposed learns what has become of what it had appended: by the entry in its place, or by one of a
// later term before it, with which its own can be in no log that is committed.
func TestClientsOfADeposedLeader(t *testing.T) {
	var w waiting
	w.Lead(0, true, 3, patience)
	w.await([]uint64{5, 6, 7, 9}, 3)
	w.Lead(50, false, 4, patience)
	w.Lead(60, false, 4, patience) // nothing new
	w.apply(70, 5, 3)
	w.expect(t, "5 of 3 committed at 70")
	w.Tick(70)
	w.apply(80, 6, 4)
	w.expect(t, "6 of 3 failed at 80", "7 of 3 failed at 80", "9 of 3 failed at 80")
	w.Tick(raft.Time(50).Add(patience))
	w.expect(t)
}

// An entry of the leader's own term says nothing of those after it: another leader may still commit them.
func TestClientsOfADeposedLeaderWait(t *testing.T) {
	var w waiting
	w.Lead(0, true, 3, patience)
	w.await([]uint64{5, 6}, 3)
	w.Lead(50, false, 3, patience)
	w.apply(70, 5, 3)
	w.expect(t, "5 of 3 committed at 70")
	at := raft.Time(50).Add(patience)
	if w.Deadline() != at {
		t.Errorf("the deadline is %v, want %v", w.Deadline(), at)
	}
	w.Tick(at - 1)
	w.expect(t)
	w.Tick(at)
	w.expect(t, "6 of 3 unknown at 0")
	if w.Deadline() != Never {
		t.Errorf("another deadline at %v", w.Deadline())
	}
}

// Two leaderships of one member, the second of which began below what the first had appended.
func TestClientsOfTwoLeaderships(t *testing.T) {
	var w waiting
	w.Lead(0, true, 3, patience)
	w.await([]uint64{5, 6, 7}, 3)
	w.Lead(50, true, 5, patience)
	w.await([]uint64{6, 7}, 5)
	w.apply(60, 5, 3, 5)
	w.expect(t, "5 of 3 committed at 60", "6 of 3 failed at 60", "7 of 3 failed at 60", "6 of 5 committed at 60")
	w.Abandon()
	w.expect(t, "7 of 5 unknown at 0")
}
