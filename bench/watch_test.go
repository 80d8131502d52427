package bench

import (
	"testing"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// reached tells a watch how far a replica has come.
func reached(w *watch, at raft.Time, id raft.ID, kind raft.EventKind, index uint64) {
	w.Events(at, id, []raft.Event{{Kind: kind, Index: index}})
}

// The news of a commit has arrived when as many others as a quorum takes beside the leader know it, and everywhere when
// the last has applied it, whatever comes first and however late it is reported as finished.
func TestNewsOfACommit(t *testing.T) {
	w := newWatch(newLedger(5, 8), 5)
	w.strict = true
	reached(w, 100, 2, raft.EventCommitted, 10)
	reached(w, 100, 2, raft.EventApplied, 10)
	reached(w, 105, 3, raft.EventCommitted, 9)
	w.finished(&cluster.Proposal{Index: 9, Replica: 2, Stages: cluster.Stages{Committed: 100}}, 50)
	w.finished(&cluster.Proposal{Index: 10, Replica: 2, Stages: cluster.Stages{Committed: 100}}, 60)
	for _, e := range []struct {
		at    raft.Time
		id    raft.ID
		index uint64
	}{{107, 3, 10}, {120, 1, 10}, {130, 4, 12}, {190, 5, 11}} {
		reached(w, e.at, e.id, raft.EventCommitted, e.index)
	}
	if w.announce.Count() != 1 || w.announce.Max() != 20 {
		t.Errorf("%d announced, at most after %v", w.announce.Count(), w.announce.Max())
	}
	reached(w, 200, 1, raft.EventApplied, 10)
	reached(w, 201, 3, raft.EventApplied, 9)
	reached(w, 202, 4, raft.EventApplied, 10)
	reached(w, 210, 5, raft.EventApplied, 9)
	if w.all.Count() != 1 || w.all.Max() != 160 {
		t.Errorf("%d applied everywhere, at most after %v", w.all.Count(), w.all.Max())
	}
	if w.announce.Count() != 2 || w.announce.Min() != 20 {
		t.Errorf("%d announced, the second after %v", w.announce.Count(), w.announce.Min())
	}
	// One that is down is not waited for.
	w.setCrashed(5, true)
	reached(w, 300, 3, raft.EventApplied, 10)
	if w.all.Count() != 2 || w.all.Max() != 240 || w.err != nil {
		t.Errorf("%d applied everywhere, at most after %v, %v", w.all.Count(), w.all.Max(), w.err)
	}
}

// Moments are kept as long as somebody waits for them, and no longer.
func TestMomentsAreForgotten(t *testing.T) {
	w := newWatch(newLedger(3, 8), 3)
	const n = 10 * recent
	for i := uint64(1); i <= n; i++ { // replica 3 is cut off
		for id := raft.ID(1); id <= 2; id++ {
			reached(w, raft.Time(i), id, raft.EventCommitted, i)
			reached(w, raft.Time(i), id, raft.EventApplied, i)
		}
		w.finished(&cluster.Proposal{Index: i, Replica: 1, Stages: cluster.Stages{Committed: raft.Time(i)}}, raft.Time(i))
	}
	if w.all.Count() != 0 {
		t.Error(w.all.Count())
	}
	reached(w, n+5, 3, raft.EventCommitted, n)
	reached(w, n+7, 3, raft.EventApplied, n)
	if w.all.Count() != n || w.all.Max() != n+7-1 || w.all.Min() != 7 || w.announce.Count() != n || w.announce.Max() != 0 {
		t.Errorf("%d, %v to %v; %d, up to %v", w.all.Count(), w.all.Min(), w.all.Max(), w.announce.Count(), w.announce.Max())
	}
	for i := uint64(n + 1); i <= 2*n; i++ {
		for id := raft.ID(1); id <= 3; id++ {
			reached(w, raft.Time(i), id, raft.EventCommitted, i)
			reached(w, raft.Time(i), id, raft.EventApplied, i)
		}
	}
	for id, s := range w.replicas {
		if len(s.commits) > 2*recent || len(s.applies) > 2*recent {
			t.Errorf("of replica %d %d and %d moments are kept", id+1, len(s.commits), len(s.applies))
		}
	}
}

// Under a steady stream, with one replica always far behind, every moment that is waited for is still there.
func TestMomentsAreKept(t *testing.T) {
	w := newWatch(newLedger(3, 8), 3)
	w.strict = true
	const n, behind = 8 * recent, recent + recent/2
	for i := uint64(1); i <= n; i++ {
		for id := raft.ID(1); id <= 3; id++ {
			reach := i
			if id == 3 {
				reach = max(i, behind) - behind
			}
			reached(w, raft.Time(i), id, raft.EventCommitted, reach)
			reached(w, raft.Time(i), id, raft.EventApplied, reach)
		}
		w.finished(&cluster.Proposal{Index: i, Replica: 1, Stages: cluster.Stages{Committed: raft.Time(i)}}, raft.Time(i))
	}
	w.end()
	if h := w.all; h.Count() != n-behind || h.Min() != behind || h.Max() != behind {
		t.Errorf("%d, from %v to %v, want %d of %d ns", h.Count(), h.Min(), h.Max(), n-behind, behind)
	}
	if h := w.announce; h.Max() != 0 {
		t.Errorf("%d announced, up to %v after", h.Count(), h.Max())
	}
	for id, s := range w.replicas {
		if len(s.commits) > 4*recent || len(s.applies) > 4*recent {
			t.Errorf("of replica %d %d and %d moments are kept", id+1, len(s.commits), len(s.applies))
		}
	}
}

// A catch-up step by step: the follower (7) is healed at 1000, has entries up to 3 and is to have those up to 20.
func TestCatchUpPhases(t *testing.T) {
	w := newWatch(newLedger(7, 8), 7)
	u := &catchUp{leader: 1, follower: 7, healed: 1000, target: 20, high: 3}
	w.watchCatchUp(u)
	leader := func(at raft.Time, e raft.Event) {
		e.Peer = 7
		w.Events(at, 1, []raft.Event{e})
	}
	w.Events(1001, 1, []raft.Event{{Kind: raft.EventSent, Peer: 2, Index: 30, Count: 10, Bytes: 1000}}) // to others
	w.Events(1002, 2, []raft.Event{{Kind: raft.EventCommitted, Index: 30}, {Kind: raft.EventApplied, Index: 30}})
	leader(1010, raft.Event{Kind: raft.EventSent, Prev: 20, Index: 20, Probe: true})
	leader(1020, raft.Event{Kind: raft.EventRejected, Prev: 20, Index: 10, Probe: true})
	leader(1020, raft.Event{Kind: raft.EventSent, Prev: 9, Index: 9, Probe: true})
	leader(1030, raft.Event{Kind: raft.EventRejected, Prev: 9, Index: 2, Probe: true})
	leader(1030, raft.Event{Kind: raft.EventSent, Prev: 1, Index: 1, Probe: true})
	leader(1040, raft.Event{Kind: raft.EventAccepted, Index: 1, Probe: true})
	leader(1040, raft.Event{Kind: raft.EventSent, Prev: 1, Index: 11, Count: 10, Bytes: 1000}) // two of them it had
	leader(1050, raft.Event{Kind: raft.EventSent, Prev: 11, Index: 21, Count: 10, Bytes: 1000})
	leader(1060, raft.Event{Kind: raft.EventAccepted, Index: 11})
	leader(1065, raft.Event{Kind: raft.EventSent, Prev: 11, Index: 13, Count: 2, Bytes: 200})   // both again
	leader(1070, raft.Event{Kind: raft.EventSent, Prev: 11, Index: 25, Count: 14, Bytes: 1400}) // ten of them again
	if w.caughtUp() {
		t.Error("too early")
	}
	leader(1080, raft.Event{Kind: raft.EventAccepted, Index: 21})
	w.Events(1085, 7, []raft.Event{{Kind: raft.EventCommitted, Index: 19}, {Kind: raft.EventApplied, Index: 19}})
	w.Events(1095, 7, []raft.Event{{Kind: raft.EventCommitted, Index: 21}})
	if w.caughtUp() {
		t.Error("too early")
	}
	w.Events(1099, 7, []raft.Event{{Kind: raft.EventApplied, Index: 21}})
	leader(1100, raft.Event{Kind: raft.EventSent, Prev: 25, Index: 30, Count: 5, Bytes: 500}) // after it
	if !w.caughtUp() {
		t.Fatal("not yet")
	}
	want := results.CatchUp{Follower: 7, Total: 99, Detect: 10, Probe: 30, Transfer: 40, Learn: 15, Apply: 4,
		Rejections: 2, ProbeRounds: 3, Messages: 7, Bytes: 3600, TwiceBytes: 200 + 200 + 1000}
	if got := w.takeCatchUp(); *got != want {
		t.Errorf("%+v\nwant %+v", *got, want)
	}
}

// What is over before the phase before it took no time, and the phases still add up.
func TestCatchUpOutOfOrder(t *testing.T) {
	for _, u := range []catchUp{
		{sent: 1, found: 1, stored: 9, learned: 5, applied: 6},
		{sent: 3, found: 2, stored: 4, learned: 9, applied: 8},
		{sent: 7, found: 7, stored: 5, learned: 6, applied: 6},
		{sent: 1, found: 0, stored: 2, learned: 3, applied: 4},
	} {
		u.leader, u.follower = 1, 2
		r := u.finish()
		trial := results.Trial{Status: results.OK, CatchUp: r}
		if err := trial.Check(); err != nil || r.Total != max(u.stored, u.learned, u.applied).Sub(0) {
			t.Errorf("%+v: %+v, %v", u, r, err)
		}
	}
}
