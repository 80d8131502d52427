package bench

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// watch is a trial's observer: it follows what happens inside the replicas, for the stages that no single replica sees,
// for catching up, and for elections.
type watch struct {
	ledger *ledger
	given  uint64 // entries up to this term were there at the start

	mu       sync.Mutex
	replicas []sight

	// Beside the latency: when a quorum's followers knew of a commit, and when all replicas had applied it.
	queue    []finished
	head     int
	announce *results.Histogram
	all      *results.Histogram
	strict   bool // nothing may seem to happen before its cause
	err      error

	times []raft.Time // scratch

	catchUp *catchUp
	elected *election
}

// sight is what is known of one replica.
type sight struct {
	crashed          bool
	commits, applies []reach // since the oldest proposal that is waited for
}

// reach says when an index was reached.
type reach struct {
	index uint64
	at    raft.Time
}

// finished is a run of recorded proposals, up to an index, whose news still travels.
type finished struct {
	last           uint64
	by             raft.ID // who answered
	due, committed raft.Time
	known, all     uint64 // the first indexes whose announcement, and application everywhere, is not recorded yet
}

func newWatch(l *ledger, replicas int) *watch {
	return &watch{ledger: l, replicas: make([]sight, replicas), announce: results.NewHistogram(), all: results.NewHistogram()}
}

// Applied passes entries on to the ledger: cluster.Observer.
func (w *watch) Applied(now raft.Time, id raft.ID, e raft.Entries) { w.ledger.apply(id, e, w.given) }

// Restored tells the ledger, and notes that everything up to the snapshot has arrived: cluster.Observer.
func (w *watch) Restored(now raft.Time, id raft.ID, s raft.Snapshot) {
	w.ledger.restore(id, s.Index)
	w.Events(now, id, []raft.Event{{Kind: raft.EventCommitted, Index: s.Index, Term: s.Term},
		{Kind: raft.EventApplied, Index: s.Index, Term: s.Term}})
}

// Events follows a replica: cluster.Observer.
func (w *watch) Events(now raft.Time, id raft.ID, events []raft.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.replicas[id-1]
	moved := false
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case raft.EventRole:
			if w.elected != nil {
				w.elected.observe(now, id, e)
			}
		case raft.EventCommitted:
			s.commits = append(s.commits, reach{e.Index, now})
			moved = true
		case raft.EventApplied:
			s.applies = append(s.applies, reach{e.Index, now})
			moved = true
		}
		if w.catchUp != nil {
			w.catchUp.observe(now, id, e)
		}
	}
	if moved {
		w.drain()
	}
}

// finished begins to wait for the news of a recorded proposal to travel.
func (w *watch) finished(p *cluster.Proposal, due raft.Time) {
	w.finishedRun(&tally{first: p.Index, last: p.Index, by: p.Replica, due: due, stages: p.Stages})
}

// finishedRun does so for a run of them.
func (w *watch) finishedRun(t *tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, finished{last: t.last, by: t.by, due: t.due, committed: t.stages.Committed, known: t.first, all: t.first})
}

// drain records what has arrived everywhere. The lock is held.
func (w *watch) drain() {
	for w.head < len(w.queue) {
		f := &w.queue[w.head]
		f.known = w.drainRun(f.known, f.last, w.announce, f.committed, func(index uint64) (raft.Time, bool) { return w.quorumKnew(f.by, index) })
		f.all = w.drainRun(f.all, f.known-1, w.all, f.due, w.allApplied)
		if f.all <= f.last {
			break
		}
		w.head++
	}
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
		for i := range w.replicas {
			s := &w.replicas[i]
			s.commits, s.applies = keepLast(s.commits), keepLast(s.applies)
		}
		return
	}
	// What is waited for now decides which moments are still needed.
	oldest := w.queue[w.head].all
	for i := range w.replicas {
		s := &w.replicas[i]
		s.commits, s.applies = dropBefore(s.commits, oldest), dropBefore(s.applies, oldest)
	}
	if w.head > 4096 && w.head > len(w.queue)/2 {
		w.queue, w.head = w.queue[:copy(w.queue, w.queue[w.head:])], 0
	}
}

// drainRun records, for the indexes from next to last, how long after a moment each was reached, as far as it was, and
// returns the first that was not. Nearly always all were reached at once.
func (w *watch) drainRun(next, last uint64, h *results.Histogram, since raft.Time, reached func(uint64) (raft.Time, bool)) uint64 {
	for next <= last {
		at, ok := reached(next)
		if !ok {
			return next
		}
		upTo := next
		if end, ok := reached(last); ok && end == at {
			upTo = last
		}
		w.put(h, at.Sub(since), upTo-next+1)
		next = upTo + 1
	}
	return next
}

// end records what has arrived since something last moved.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
}

// recent is how many moments are kept of a replica when nothing is waited for: a proposal is reported as finished a
// little after the moments that concern it.
const recent = 4096

func keepLast(list []reach) []reach {
	if len(list) > 2*recent {
		list = list[:copy(list, list[len(list)-recent:])]
	}
	return list
}

// dropBefore forgets moments that only concern indexes before oldest, once they are half of many.
func dropBefore(list []reach, oldest uint64) []reach {
	if n := len(list); n < 2*recent || list[n/2].index >= oldest {
		return list
	}
	drop, _ := slices.BinarySearchFunc(list, oldest, func(r reach, index uint64) int { return cmp.Compare(r.index, index) })
	return list[:copy(list, list[drop:])]
}

// firstReach returns when an index was reached, by steps that double from the end, where it nearly always is, and then
// by halving: indexes only grow.
func firstReach(list []reach, index uint64) (raft.Time, bool) {
	hi := len(list) - 1
	if hi < 0 || list[hi].index < index {
		return 0, false
	}
	lo := 0
	for step := 1; step <= hi; step *= 2 {
		if list[hi-step].index < index {
			lo = hi - step + 1
			break
		}
		hi -= step
	}
	for lo < hi {
		if mid := (lo + hi) / 2; list[mid].index >= index {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return list[lo].at, true
}

// quorumKnew returns when as many others as a quorum takes beside the leader that answered knew of its commit.
func (w *watch) quorumKnew(by raft.ID, index uint64) (raft.Time, bool) {
	w.times = w.times[:0]
	for i := range w.replicas {
		if raft.ID(i+1) != by {
			if at, ok := firstReach(w.replicas[i].commits, index); ok {
				w.times = append(w.times, at)
			}
		}
	}
	need := len(w.replicas) / 2
	if len(w.times) < need {
		return 0, false
	}
	slices.Sort(w.times)
	return w.times[need-1], true
}

// allApplied returns when all replicas that are up had applied an index.
func (w *watch) allApplied(index uint64) (raft.Time, bool) {
	var last raft.Time
	for i := range w.replicas {
		s := &w.replicas[i]
		if s.crashed {
			continue
		}
		at, ok := firstReach(s.applies, index)
		if !ok {
			return 0, false
		}
		last = max(last, at)
	}
	return last, true
}

func (w *watch) put(h *results.Histogram, d time.Duration, n uint64) {
	if !w.strict {
		d = max(0, d) // an engine whose followers need not be told, or that stamps what it can
	}
	if err := h.RecordMany(d, n); err != nil && w.err == nil {
		w.err = err
	}
}

// setCrashed tells that a replica is down, and not waited for.
func (w *watch) setCrashed(id raft.ID, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas[id-1] = sight{crashed: down}
}
