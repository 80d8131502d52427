package bench

import (
	"fmt"
	"math"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// page is what the ledger knows of one load's proposals: what became of each, and, in an open loop, when each was due
// by the schedule, which is known beforehand. It shares nothing with the load's counters, windows and histograms, which
// are checked against it. The load's lock guards it.
type page struct {
	inTime fates // unknown: answered so, or given up
	late   fates // of those that were given up, what was answered after all

	schedule *schedule // nil in a closed loop
	made     uint64    // proposals
	stopped  raft.Time // nothing is due from then on; 0 while that is not known

	// The measured span of an open loop, as places in the schedule.
	first, end uint64        // from first on, before end
	answered   uint64        // of them, in time, as committed
	latencies  time.Duration // of those, all together
}

// fates are numbers of proposals, by what their clients were told.
type fates struct{ committed, failed, unknown bitmap }

// newPage returns a load's page.
func (l *ledger) newPage() *page {
	p := &page{}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages = append(l.pages, p)
	return p
}

// issue notes that a proposal is made, and returns its place among the load's. The error says that it is not due when
// the schedule says.
func (p *page) issue(due raft.Time) (place uint64, err error) {
	place = p.made
	p.made++
	if p.schedule != nil && due != p.schedule.at(place) {
		err = fmt.Errorf("proposal %d of an open loop was due at %v, and was made as if at %v", place,
			time.Duration(p.schedule.at(place)), time.Duration(due))
	}
	return place, err
}

// answer notes what a client was told of a proposal. The error says that it had been told before.
func (p *page) answer(number, place uint64, outcome cluster.Outcome, applied raft.Time) error {
	if !p.inTime.add(number, outcome) {
		return fmt.Errorf("proposal %d was answered twice", number)
	}
	if outcome == cluster.Committed && place >= p.first && place < p.end {
		p.answered++
		p.latencies += applied.Sub(p.schedule.at(place))
	}
	return nil
}

// giveUp notes that a client does not wait any longer.
func (p *page) giveUp(number uint64) { p.inTime.unknown.set(number) }

// answerLate notes what was told of a proposal that had been given up.
func (p *page) answerLate(number uint64, outcome cluster.Outcome) error {
	if !p.late.add(number, outcome) {
		return fmt.Errorf("proposal %d was answered twice, after its client had given it up", number)
	}
	return nil
}

// add reports whether nothing was known of the proposal.
func (f *fates) add(number uint64, outcome cluster.Outcome) bool {
	var fresh bool
	switch outcome {
	case cluster.Committed:
		fresh = f.committed.set(number)
	case cluster.Failed:
		fresh = f.failed.set(number)
	default:
		fresh = f.unknown.set(number)
	}
	known := 0
	for _, b := range []bitmap{f.committed, f.failed, f.unknown} {
		if b.has(number) {
			known++
		}
	}
	return fresh && known == 1
}

func (f *fates) merge(other *fates) {
	f.committed.merge(other.committed)
	f.failed.merge(other.failed)
	f.unknown.merge(other.unknown)
}

// measure notes that the measured span begins, and endMeasure that it ends. A proposal that is due at such a moment is
// before it if it was made before.
func (p *page) measure(now raft.Time) {
	if p.schedule != nil {
		p.first, p.end = max(p.made, p.schedule.before(now)), math.MaxUint64
	}
}

func (p *page) endMeasure(now raft.Time) {
	if p.schedule != nil {
		p.end = max(p.made, p.schedule.before(now))
	}
}

// missed returns how many proposals were due and never made, once nothing is made any more.
func (p *page) missed() uint64 {
	if p.schedule == nil {
		return 0
	}
	return max(p.schedule.before(p.stopped), p.made) - p.made
}

// checkSpan compares what was measured of an open loop with the schedule. latency is nil if latencies were not
// recorded.
func (p *page) checkSpan(span results.Counts, latency *results.Histogram) error {
	switch due := p.end - p.first; {
	case p.schedule == nil:
		return nil
	case span.Proposed != due:
		return fmt.Errorf("%d proposals of the open loop were due in the measured span, and %d were counted", due,
			span.Proposed)
	case span.Committed != p.answered:
		return fmt.Errorf("%d of the proposals due in the measured span were answered as committed, and %d were counted",
			p.answered, span.Committed)
	case latency != nil && latency.Sum() != p.latencies:
		return fmt.Errorf("from when they were due until they were answered, %d proposals took %v together, and their "+
			"latencies are %v", p.answered, p.latencies, latency.Sum())
	}
	return nil
}

// checkCounts compares what the loads have counted with what was issued and answered, of all loads together. What was
// issued and has no answer is unknown.
func (f *fates) checkCounts(counted results.Counts, issued, missed uint64) error {
	committed, failed, unknown := f.committed.count(), f.failed.count(), f.unknown.count()
	if committed+failed+unknown > issued {
		return fmt.Errorf("%d proposals were made, and %d answered", issued, committed+failed+unknown)
	}
	want := results.Counts{Proposed: issued + missed, Committed: committed, Failed: failed}
	want.Unknown = want.Proposed - committed - failed
	if counted != want {
		return fmt.Errorf("the load counted %+v, the ledger %+v", counted, want)
	}
	return nil
}
