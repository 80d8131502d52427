package check

import (
	"math/bits"

	"github.com/raftbench/raftbench/raft"
)

// searchLimits is what a backup promises: how many rejections a search for the last shared entry takes at the most, and
// whether it ends at that entry exactly, so that nothing is sent again.
type searchLimits struct {
	rejections func(d divergence) int // nil for a backup that is not known: no promise
	exact      bool
}

// divergence is how a follower's log differs from its leader's, up to the index that was probed first.
type divergence struct {
	entries       uint64 // of the leader's, after the last shared
	leader        uint64 // the first probe
	followerTerms int    // stretches of one term in the part of the follower's log that is not shared
	leaderTerms   int    // in the part of the leader's
	short         bool   // the follower's log ends before the first probe
}

// limitsOf returns what a backup of that name promises: see their docs in strategies.
func limitsOf(name string) searchLimits {
	most := func(ok bool) int {
		if ok {
			return 1
		}
		return 0
	}
	switch name {
	case "linear":
		return searchLimits{func(d divergence) int { return int(d.entries) }, true}
	case "fast":
		return searchLimits{func(d divergence) int { return d.followerTerms + most(d.short) }, true}
	case "hint":
		return searchLimits{func(d divergence) int { return min(d.followerTerms+1, d.leaderTerms) }, true}
	case "bisect":
		return searchLimits{func(d divergence) int { return bits.Len64(d.leader) }, false}
	case "exponential":
		return searchLimits{func(d divergence) int { return bits.Len64(d.entries) }, false}
	case "sendall":
		return searchLimits{func(divergence) int { return 1 }, false}
	}
	return searchLimits{}
}

// search is a leader's search for the place where a follower's log agrees with its own.
type search struct {
	rounds int
	limit  int
	shared uint64
	life   int    // the follower's
	first  uint64 // the leader's log began there when the search did
	lost   bool   // the follower's log has changed meanwhile: no promise holds

	rejects map[uint64]bool // numbers of the requests whose rejection has arrived, in this leadership
	fresh   int             // rejections that have arrived in this turn for the first time
	heard   raft.Time       // when it last answered, in this leadership
	send    gateWatch
	news    gateWatch
	told    uint64 // highest commitIndex sent that the follower could use; 0 again after a loss
	// announced is the same whatever was lost: nobody announces twice.
	announced uint64
	flights   flights
	highest   uint64 // index of the last entry that was sent, in this leadership
	again     bool   // entries have been sent again in this turn
	chunks    int    // parts of a snapshot sent in this turn
	beats     int    // AppendEntries that carried neither entries nor news, since the first of them
	since     raft.Time
}

// rejectedBefore reports whether this rejection has arrived before, and notes it.
func (v *Invariants) rejectedBefore(w *watched, m *raft.Message) bool {
	if w.was.Role != raft.Leader || m.Term != w.was.Term || len(w.searches) == 0 {
		return false
	}
	s := &w.searches[placeOf(w.id, m.From)]
	if s.rejects[m.Seq] || m.PrevLogIndex == 0 { // or it was of an earlier term: every log agrees at 0
		return true
	}
	if s.rejects == nil {
		s.rejects = map[uint64]bool{}
	}
	s.rejects[m.Seq] = true
	s.fresh++
	return false
}

// placeOf returns the place of a peer among the others, in order of ID.
func placeOf(self, peer raft.ID) int {
	if peer < self {
		return int(peer) - 1
	}
	return int(peer) - 2
}

// events follows searches.
func (v *Invariants) events(w *watched, events []raft.Event) {
	if v.err != nil {
		return
	}
	for i := range events {
		switch e := &events[i]; e.Kind {
		case raft.EventRejected:
			v.rejected(w, e)
		case raft.EventAccepted:
			if e.Probe {
				v.found(w, e)
			}
		case raft.EventChunk:
			w.turn.chunks++
		case raft.EventSent:
			v.sentAlone(w, e)
		}
	}
}

func (v *Invariants) rejected(w *watched, e *raft.Event) {
	if w.was.Role != raft.Leader || len(w.searches) == 0 {
		return
	}
	s, peer := &w.searches[placeOf(w.id, e.Peer)], v.replica(e.Peer)
	if s.fresh--; s.fresh < 0 {
		v.fail(Cost, w, "a rejection of %d that had arrived before counts once more", e.Peer)
		return
	}
	if !e.Probe || v.searches.rejections == nil {
		return
	}
	if s.rounds == 0 {
		d := v.diverged(w, peer, e.Prev, &s.shared)
		s.limit, s.life, s.lost, s.first = v.searches.rejections(d), peer.life, false, w.was.First
	}
	s.rounds++
	if peer.life != s.life || peer.node == nil || peer.was.Term != w.was.Term {
		s.lost = true
	}
	if s.lost {
		return
	}
	if first := w.was.First; s.shared+1 < first {
		if first != s.first { // it was compacted meanwhile, and the search goes on at its beginning
			s.lost = true
			return
		}
		if s.rounds == s.limit+1 { // at the log's beginning: the follower needs a snapshot
			return
		}
	}
	if s.rounds > s.limit {
		v.fail(Cost, w, "the search for where the log of %d agrees takes %d rejections or more, %s promises at most %d",
			e.Peer, s.rounds, v.cfg.Strategy.Backup, s.limit)
	}
}

// found ends a search.
func (v *Invariants) found(w *watched, e *raft.Event) {
	if len(w.searches) == 0 {
		return
	}
	s, peer := &w.searches[placeOf(w.id, e.Peer)], v.replica(e.Peer)
	if s.rounds > 0 && !s.lost && v.searches.exact && peer.life == s.life && peer.was.Term == w.was.Term && e.Index < s.shared {
		v.fail(Cost, w, "the search for where the log of %d agrees ends at %d, but %s finds the last shared entry, %d",
			e.Peer, e.Index, v.cfg.Strategy.Backup, s.shared)
	}
	s.rounds = 0
}

// sentAlone: an AppendEntries without entries that leaves between two heartbeats is a probe, or has news of a commit that
// the follower can use.
func (v *Invariants) sentAlone(w *watched, e *raft.Event) {
	if e.Count > 0 || e.Probe || w.turn.tick || w.turn.reachable || len(w.searches) == 0 {
		return
	}
	place := placeOf(w.id, e.Peer)
	if usable(&w.was, &w.progress[place]) <= w.searches[place].told {
		v.fail(Cost, w, "an AppendEntries to %d between two heartbeats has no entries and no news", e.Peer)
	}
}

// usable returns the commitIndex that a follower can use: up to what it is known to have, and nothing if that was
// compacted away here, since no message can prove it any more.
func usable(leader *raft.Status, p *raft.Progress) uint64 {
	if p.Match+1 < leader.First {
		return 0
	}
	return min(leader.Commit, p.Match)
}

// diverged compares two logs up to the first probe.
func (v *Invariants) diverged(leader, follower *watched, probe uint64, shared *uint64) divergence {
	l, f := leader.log, follower.log
	same := min(probe, uint64(len(f)))
	for same > 0 && l[same-1] != f[same-1] {
		same--
	}
	*shared = same
	stretches := func(log []uint64, to uint64) (n int) {
		for i := same; i < min(to, uint64(len(log))); i++ {
			if i == same || log[i] != log[i-1] {
				n++
			}
		}
		return n
	}
	return divergence{entries: probe - same, leader: probe, followerTerms: stretches(f, probe),
		leaderTerms: stretches(l, probe), short: uint64(len(f)) < probe}
}

// rewound: nextIndex goes back for a reason only.
func (v *Invariants) rewound(w *watched, p, was *raft.Progress) {
	in := &w.turn.last
	if !(w.turn.tick && (p.Stalled || p.Snapshot != was.Snapshot)) && !w.turn.reachable && !(in.handling && in.message.From == p.Peer && !in.again) {
		v.fail(Cost, w, "nextIndex of %d goes back from %d to %d without an answer that asks for it", p.Peer, was.Next, p.Next)
	}
}

// sendsCost: an AppendEntries without entries is a probe, a heartbeat or news of a commit.
func (v *Invariants) sendsCost(w *watched, m *raft.Message) {
	if len(w.searches) == 0 {
		return
	}
	place := placeOf(w.id, m.To)
	s := &w.searches[place]
	if s.beats == 0 {
		s.since = w.now
	}
	news := min(m.Commit, m.PrevLogIndex+uint64(m.Entries.Count))
	if news > s.announced {
		s.news.passed(w.now)
		if m.Entries.Count == 0 && !w.turn.tick && !w.turn.reachable && !w.progress[place].Probing {
			v.announcesEarly(w, s, m, int(news-s.announced))
		}
		s.announced = news
	}
	switch {
	case m.Entries.Count > 0 || news > s.told:
		s.told = max(s.told, news)
	case w.progress[place].Probing || w.turn.reachable:
		// A probe is paid for by a rejection, or by a timer.
	default:
		s.beats++
		if most := 3 + w.now.Sub(s.since)/v.cfg.Heartbeat; int64(s.beats) > int64(most) {
			v.fail(Cost, w, "%d AppendEntries to %d carried nothing new in %v, heartbeats are %v apart",
				s.beats, m.To, w.now.Sub(s.since), v.cfg.Heartbeat)
		}
	}
}
