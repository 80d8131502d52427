package check

import (
	"strings"
	"time"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// What the gates of a strategy promise, from outside: work waits no longer than its gate says, and no less. The rules are
// read from how a gate is written, not from its code.

// gateRule is one gate.
type gateRule struct {
	name string
	n    int           // of batch and window
	d    time.Duration // of every and batch
}

// ruleOf reads a gate such as batch(8,1ms); the name is empty for one that is not known: no promise.
func ruleOf(g raft.Gate) (r gateRule) {
	name, args, _ := strings.Cut(strings.TrimSuffix(g.String(), ")"), "(")
	r.name = name
	for arg := range strings.SplitSeq(args, ",") {
		if d, err := time.ParseDuration(arg); err == nil && strings.ContainsAny(arg, "smh") {
			r.d = d
		} else {
			n := 0
			for _, c := range arg {
				n = 10*n + int(c-'0')
			}
			r.n = n
		}
	}
	return r
}

// longest returns how long so many entries may wait; known is false if there is no limit.
func (r gateRule) longest(count, inFlight int, beat time.Duration, leads bool) (limit time.Duration, known bool) {
	switch r.name {
	case "now":
		return 0, true
	case "every":
		return r.d, true
	case "batch":
		if count >= r.n {
			return 0, true
		}
		return r.d, true
	case "window":
		return 0, inFlight < r.n
	case "ride", "barrier":
		return beat, leads
	}
	return 0, false
}

// gateWatch is what is known of the work at one gate.
type gateWatch struct {
	since   raft.Time // when it arrived, 0 if there is none
	arrived raft.Time // the same of what has just been let through
	free    raft.Time // when something else last kept it from passing
	held    bool      // something else has, since the gate was passed last
	late    bool      // the same of what has just been let through
	grid    time.Duration
	gridded bool // grid is known: where the openings of every(d) lie
}

// waits follows whether there is work at a gate.
func (g *gateWatch) waits(work bool, now raft.Time) {
	switch {
	case !work:
		g.since = 0
	case g.since == 0:
		g.since, g.free = now, now
	}
}

// passed notes that some of the work was let through.
func (g *gateWatch) passed(now raft.Time) {
	g.arrived = g.since
	if g.arrived == 0 {
		g.arrived = now
	}
	g.since, g.late, g.held = 0, g.held, false
}

// overdue reports whether what waits should have been let through by now.
func (v *Invariants) overdue(w *watched, axis string, r gateRule, g *gateWatch, count, inFlight int) {
	if g.since == 0 {
		return
	}
	if !v.exact && !w.turn.tick && w.node.Deadline() <= w.now {
		return // the heartbeat is due, and whoever drives it is busy with what came before
	}
	limit, known := r.longest(count, inFlight, v.cfg.Heartbeat, w.was.Role == raft.Leader)
	if waited := w.now.Sub(max(g.since, g.free)); known && waited > limit {
		v.fail(WakeUp, w, "%d entries have waited for %v at the %s gate, which is %s", count, waited, axis, v.gateAt(axis))
	}
}

// hasty reports whether what was let through should have waited longer.
func (v *Invariants) hasty(w *watched, axis string, r gateRule, g *gateWatch, count int) {
	waited := w.now.Sub(g.arrived)
	switch r.name {
	case "batch":
		if count < r.n && waited < r.d {
			v.fail(WakeUp, w, "%d entries passed the %s gate after %v, which is %s", count, axis, waited, v.gateAt(axis))
		}
	case "every":
		if !v.exact || g.late {
			return // something else decided when
		}
		at := time.Duration(w.now) % r.d
		if g.gridded && at != g.grid {
			v.fail(WakeUp, w, "the %s gate, which is %s, opened %v after an earlier opening's place", axis, v.gateAt(axis), (at-g.grid+r.d)%r.d)
		}
		g.grid, g.gridded = at, true
	}
}

// gateAt returns the gate of an axis as it is written.
func (v *Invariants) gateAt(axis string) string { return strategies.Choices(v.cfg.Strategy)[axis] }

// sendGate follows one follower's work at the Send gate. It is called with what is new before it becomes what was.
func (v *Invariants) sendGate(w *watched, s *raft.Status, st *search, p, was *raft.Progress) {
	g := &st.send
	if p.Next > was.Next {
		since := g.since
		g.passed(w.now)
		g.since = since // what is left has waited as long
	}
	if p.Next < was.Next || p.Stalled && !was.Stalled || p.Probing != was.Probing || p.Snapshot != was.Snapshot {
		g.since = 0 // it begins again; but what waited for a follower to answer has waited
	}
	g.waits(!p.Probing && p.Next <= s.Last, w.now)
	if p.Snapshot != 0 || p.Stalled || was.Stalled || p.InFlight >= v.limit() && v.rules.send.name != "window" || p.InFlight >= v.maxInFlight() ||
		p.InFlightBytes >= v.maxInFlightBytes() {
		g.free, g.held = w.now, true
	}
}

// sendsEarly looks at entries that leave.
func (v *Invariants) sendsEarly(w *watched, place int, m *raft.Message) {
	st, r := &w.searches[place], v.rules.send
	count := int(w.was.Last - m.PrevLogIndex)
	v.hasty(w, strategies.AxisSend, r, &st.send, count)
	switch {
	case w.turn.tick:
	case r.name == "ride" && v.rules.announce.name == "ride":
		v.fail(WakeUp, w, "%d entries leave for %d without a heartbeat, though Send is ride", m.Entries.Count, m.To)
	case r.name == "barrier" && w.owed > 0:
		v.fail(WakeUp, w, "%d entries leave for %d while %d followers owe an answer, though Send is barrier", m.Entries.Count, m.To, w.owed)
	}
}

// announcesEarly looks at news of a commit that leave by themselves.
func (v *Invariants) announcesEarly(w *watched, st *search, m *raft.Message, count int) {
	if v.rules.announce.name == "ride" {
		v.fail(WakeUp, w, "commitIndex %d leaves for %d by itself, though Announce is ride", m.Commit, m.To)
	}
	v.hasty(w, strategies.AxisAnnounce, v.rules.announce, &st.news, count)
}

// commitGate follows the Commit gate of a leader: quorum is what a quorum holds.
func (v *Invariants) commitGate(w *watched, s *raft.Status, quorum uint64) {
	g := &w.commitGate
	if quorum > s.Commit && w.log[quorum-1] == s.Term {
		g.waits(true, w.now)
		v.overdue(w, strategies.AxisCommit, v.rules.commit, g, int(quorum-s.Commit), 0)
	} else {
		g.since = 0
	}
}

// committedEarly looks at a leader's commitIndex that has moved.
func (v *Invariants) committedEarly(w *watched, s *raft.Status) {
	g := &w.commitGate
	g.passed(w.now)
	v.hasty(w, strategies.AxisCommit, v.rules.commit, g, int(s.Commit-w.was.Commit))
	w.turn.committed = true
}

// applyGate follows the Apply gate, after the core was asked what it wants.
func (v *Invariants) applyGate(w *watched, s *raft.Status) {
	g := &w.applyGate
	if installed := s.First > w.was.Applied+1; installed {
		g.since = 0 // what waited is in the snapshot
	} else if s.Applied > w.was.Applied {
		g.passed(w.now)
		v.hasty(w, strategies.AxisApply, v.rules.apply, g, int(s.Commit-w.was.Applied))
		if v.rules.apply.name == "ride" && s.Role != raft.Leader && !w.turn.append {
			v.fail(WakeUp, w, "entries up to %d are applied and no AppendEntries came in, though Apply is ride", s.Applied)
		}
		if v.rules.apply.name == "confirmed" && s.Role == raft.Leader {
			v.confirmed(w, s)
		}
	}
	g.waits(s.Commit > s.Applied, w.now)
}

// confirmed: a quorum has said that it knows of the commit.
func (v *Invariants) confirmed(w *watched, s *raft.Status) {
	know := 0
	for _, r := range v.replicas {
		if r == w || r.knew >= s.Applied {
			know++
		}
	}
	if know < v.quorum {
		v.fail(WakeUp, w, "entries up to %d are applied when %d replicas know that they are committed, though Apply is confirmed", s.Applied, know)
	}
}

// gatesAtRest looks at what waits once a replica has done everything it wanted to.
func (v *Invariants) gatesAtRest(w *watched) {
	s := &w.was
	v.overdue(w, strategies.AxisApply, v.rules.apply, &w.applyGate, int(s.Commit-s.Applied), 0)
	if s.Role != raft.Leader {
		return
	}
	if w.turn.committed && v.rules.commit.name == "ride" && !w.turn.tick && w.turn.appends == 0 {
		v.fail(WakeUp, w, "commitIndex moved to %d and nothing was sent, though Commit is ride", s.Commit)
	}
	for i := range w.searches {
		p, st := &w.progress[i], &w.searches[i]
		v.overdue(w, strategies.AxisSend, v.rules.send, &st.send, int(s.Last+1-p.Next), p.InFlight)
		known := usable(s, p)
		if st.news.waits(known > st.announced, w.now); known > st.announced {
			v.overdue(w, strategies.AxisAnnounce, v.rules.announce, &st.news, int(known-st.announced), p.InFlight)
		}
	}
}

func (v *Invariants) maxInFlight() int {
	if v.cfg.MaxInFlight > 0 {
		return v.cfg.MaxInFlight
	}
	return raft.DefaultMaxInFlight
}

func (v *Invariants) maxInFlightBytes() uint64 { return uint64(v.maxInFlight()) * v.maxAppendBytes() }

func (v *Invariants) maxAppendBytes() uint64 {
	if v.cfg.MaxAppendBytes > 0 {
		return uint64(v.cfg.MaxAppendBytes)
	}
	return raft.DefaultMaxAppendBytes
}

// limit is the most that may be in flight to one follower.
func (v *Invariants) limit() int {
	if v.window > 0 {
		return min(v.maxInFlight(), v.window)
	}
	return v.maxInFlight()
}
