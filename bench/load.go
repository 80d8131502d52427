package bench

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Load offers proposals to a cluster and records what becomes of them. In a closed loop each of a number of clients
// makes its next proposal when the last was answered; in an open loop proposals are due at fixed moments, whether or
// not earlier ones were answered, and latency counts from those moments.
//
// A client that finds no leader goes on looking; the time this takes is part of the proposal's latency.
type Load struct {
	c       cluster.Cluster
	ledger  *ledger
	watch   *watch
	payload int
	bare    bool // records no latencies

	mu       sync.Mutex
	leader   raft.ID
	running  bool
	left     uint64 // proposals still to be made, if limited
	limited  bool
	counts   results.Counts
	open     int // proposals not yet answered
	stranded []*client
	looking  bool
	idle     []*client // of an open loop
	told     bitmap    // numbers of the proposals that were answered as committed
	lost     bitmap    // of those that were answered as failed: surely not in the log
	last     raft.Time // of the last such answer
	windows  []*window
	run      tally // not in the windows yet
	err      error

	// Of an open loop.
	rate    float64
	arrive  arrivals
	seed    *uint64   // of a Poisson process; nil: evenly spaced
	stopped raft.Time // when Stop was called
	after   int       // proposals made since then, which were due before
	paced   bool      // the pacer has ended
	grace   time.Duration
}

// window is a span of a load in which what was due is recorded.
type window struct {
	from, to raft.Time // to is 0 while the window is open at its end
	counts   results.Counts
	open     int    // of them, not yet answered
	finished uint64 // commits that were answered in the window, whenever they were due
	answered uint64 // commits of proposals due in the window, answered before it ended or within the load's grace
	latency  *results.Histogram

	staged                          bool
	queue, send, ack, commit, apply *results.Histogram
	late                            *results.Histogram // how long after they were due the pacer made proposals
}

func newWindow(from raft.Time, staged bool) *window {
	w := &window{from: from, staged: staged, latency: results.NewHistogram()}
	if staged {
		for _, h := range []**results.Histogram{&w.queue, &w.send, &w.ack, &w.commit, &w.apply, &w.late} {
			*h = results.NewHistogram()
		}
	}
	return w
}

func (w *window) holds(t raft.Time) bool { return t >= w.from && (w.to == 0 || t < w.to) }

func (w *window) span() time.Duration { return w.to.Sub(w.from) }

// client has at most one proposal under way.
type client struct {
	load     *Load
	proposal cluster.Proposal
	due      raft.Time // of its proposal: what the cluster makes of Proposal.Due does not matter
	called   uint64    // what the ledger's history said when it was made
	to       raft.ID   // the replica that it was last offered to
	member   uint32    // a bit for each of the load's windows that its proposal belongs to
	loop     bool      // makes its next proposal when this one is answered
}

// retryAfter is how long a client waits before it looks for a leader again.
const retryAfter = time.Millisecond

func newLoad(t *Trial, payloadBytes int) *Load {
	l := &Load{c: t.Cluster, ledger: t.ledger, watch: t.watch, payload: payloadBytes, bare: t.Unmeasured,
		leader: cluster.Leader(t.Cluster), grace: 2*t.beatPerCommit() + lateness}
	if t.Arrivals == ArrivalsPoisson {
		l.seed = &t.seed
	}
	return l
}

func (l *Load) newClient(loop bool) *client {
	cl := &client{load: l, loop: loop}
	cl.proposal.Data = l.ledger.payload()
	cl.proposal.Done = cl.done
	return cl
}

// Closed starts a closed loop of n clients. If total is not 0, they make that many proposals together and stop.
func (l *Load) Closed(n int, total uint64) {
	l.begin(total)
	for range n {
		l.newClient(true).next(l.c.Now())
	}
}

// Open starts an open loop of perSecond proposals a second, in the mean; Settings.Arrivals says how they are spaced.
func (l *Load) Open(perSecond float64) {
	l.begin(0)
	l.rate, l.arrive = perSecond, newArrivals(perSecond, l.c.Now(), l.seed)
	l.c.At(l.arrive.next(), l.pace)
}

func (l *Load) begin(total uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.left, l.limited = true, total, total > 0
}

// The most that waits for an answer at a time, in proposals of an open loop and in bytes of any load: what is due beyond
// it is made later, its latency counting from when it was due. A leader takes no more bytes either.
const (
	maxOpen      = 65536
	maxOpenBytes = raft.DefaultMaxUncommittedBytes
)

// maxAfter is how many proposals an open loop still makes after Stop because they were due before. A pacer that is
// further behind gives them up: see missed.
const maxAfter = 65536

// pace makes all proposals that are due, and returns when the next is.
func (l *Load) pace(now raft.Time) raft.Time {
	for {
		l.mu.Lock()
		due := l.arrive.next()
		full := l.open >= min(maxOpen, maxOpenBytes/l.payload)
		if !l.running && (due >= l.stopped || full || l.after == maxAfter) {
			l.paced = true
			l.mu.Unlock()
			return 0
		}
		if due > now || full {
			l.mu.Unlock()
			return max(due, now.Add(50*time.Microsecond))
		}
		l.arrive.take()
		if !l.running {
			l.after++
		}
		var cl *client
		if n := len(l.idle); n > 0 {
			cl, l.idle = l.idle[n-1], l.idle[:n-1]
		} else {
			cl = l.newClient(false)
		}
		leader := cl.begin(due, now.Sub(due))
		l.mu.Unlock()
		cl.make(leader)
	}
}

// missed returns how many proposals of an open loop were due before the load was stopped and were never made: in a
// window, in the whole if it is nil.
func (l *Load) missed(w *window) uint64 {
	if l.rate == 0 || l.stopped == 0 {
		return 0
	}
	from, to := l.arrive.taken, l.arrive.before(l.stopped)
	if w != nil {
		from, to = max(from, l.arrive.before(w.from)), min(to, l.arrive.before(w.to))
	}
	return max(to, from) - from
}

// next makes the client's next proposal of a closed loop, unless the load is over.
func (cl *client) next(due raft.Time) {
	cl.load.mu.Lock()
	leader, more := cl.more(due)
	cl.load.mu.Unlock()
	if more {
		cl.make(leader)
	}
}

// more counts the client's next proposal of a closed loop, unless the load is over. The lock is held.
func (cl *client) more(due raft.Time) (leader raft.ID, more bool) {
	l := cl.load
	if !l.running || l.limited && l.left == 0 {
		return 0, false
	}
	if l.limited {
		l.left--
	}
	return cl.begin(due, 0), true
}

// begin counts the client's next proposal, which was due a while ago, and returns whom to offer it. The lock is held.
func (cl *client) begin(due raft.Time, late time.Duration) (leader raft.ID) {
	l := cl.load
	l.counts.Proposed++
	cl.due, cl.member = due, 0
	for i, w := range l.windows {
		if !w.holds(due) {
			continue
		}
		cl.member |= 1 << i
		w.counts.Proposed++
		w.open++
		if w.staged && l.rate > 0 {
			l.put(w.late, 0, raft.Time(late))
		}
	}
	l.open++
	return l.leader
}

// make makes the proposal that was begun.
func (cl *client) make(leader raft.ID) {
	l := cl.load
	l.ledger.issue(cl.proposal.Data)
	cl.called = l.ledger.history.called(numberOf(cl.proposal.Data), l.c.Now)
	cl.proposal.Due = cl.due
	cl.offer(leader)
}

func (cl *client) offer(leader raft.ID) {
	if leader == 0 {
		cl.strand()
		return
	}
	cl.to = leader
	cl.load.c.Propose(leader, &cl.proposal)
}

// strand puts the client among those that look for a leader.
func (cl *client) strand() {
	l := cl.load
	l.mu.Lock()
	l.stranded = append(l.stranded, cl)
	start := !l.looking
	l.looking = true
	l.mu.Unlock()
	if start {
		l.c.At(l.c.Now().Add(retryAfter), l.look)
	}
}

// look offers what is stranded to whoever leads now.
func (l *Load) look(now raft.Time) raft.Time {
	leader := cluster.Leader(l.c)
	l.mu.Lock()
	if l.leader = leader; leader == 0 {
		l.mu.Unlock()
		return now.Add(retryAfter)
	}
	list := l.stranded
	l.stranded, l.looking = nil, false
	l.mu.Unlock()
	for _, cl := range list {
		cl.offer(leader)
	}
	return 0
}

// done records what became of a proposal and goes on.
func (cl *client) done(p *cluster.Proposal) {
	l := cl.load
	if p.Outcome == cluster.Refused {
		switch {
		case errors.Is(p.Err, raft.ErrEntryTooLarge):
			l.fail(p.Err)
			p.Outcome = cluster.Failed
		default:
			cl.strand()
			return
		}
	}
	now := p.Stages.Applied
	if p.Outcome != cluster.Committed {
		now = l.c.Now()
	}
	l.mu.Lock()
	l.open--
	if p.Outcome == cluster.Unknown {
		l.leader = 0 // it crashed
	}
	if p.Outcome == cluster.Committed {
		l.last = now
	}
	l.note(cl.to, cl.due, p)
	if p.Outcome == cluster.Committed {
		if err := l.ledger.history.answered(cl.called, numberOf(p.Data), p.Index, l.c.Now); err != nil {
			l.broken(err)
		}
	}
	count(&l.counts, p.Outcome)
	for i, w := range l.windows {
		if p.Outcome == cluster.Committed && w.holds(now) {
			w.finished++
		}
		if cl.member&(1<<i) == 0 {
			continue
		}
		w.open--
		count(&w.counts, p.Outcome)
		if p.Outcome != cluster.Committed {
			continue
		}
		if w.to == 0 || now < w.to.Add(l.grace) {
			w.answered++
		}
	}
	if p.Outcome == cluster.Committed && cl.member != 0 && !l.bare {
		l.tallyUp(cl.member, cl.due, p)
	}
	var leader raft.ID
	more := false
	if cl.loop {
		leader, more = cl.more(now) // under the lock that is held already: this is done for every commit
	} else {
		l.idle = append(l.idle, cl)
	}
	l.mu.Unlock()
	if more {
		cl.make(leader)
	}
}

func count(c *results.Counts, o cluster.Outcome) {
	switch o {
	case cluster.Committed:
		c.Committed++
	case cluster.Failed:
		c.Failed++
	case cluster.Unknown:
		c.Unknown++
	}
}

// note keeps what the ledger is compared with. The lock is held.
func (l *Load) note(to raft.ID, due raft.Time, p *cluster.Proposal) {
	number := numberOf(p.Data)
	switch p.Outcome {
	case cluster.Committed:
		if !l.told.set(number) {
			l.broken(fmt.Errorf("proposal %d was answered twice", number))
		}
		if p.Stages.Applied < due {
			l.broken(fmt.Errorf("proposal %d was answered at %v, before it was due at %v: %w", number,
				time.Duration(p.Stages.Applied), time.Duration(due), results.ErrOutOfRange))
		}
		if err := l.ledger.acknowledged(to, p.Index, number); err != nil {
			l.broken(err)
		}
	case cluster.Failed:
		l.lost.set(number)
	}
}

// broken keeps the first thing that is wrong. The lock is held.
func (l *Load) broken(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *Load) put(h *results.Histogram, from, to raft.Time) {
	if err := h.Record(to.Sub(from)); err != nil {
		l.broken(err)
	}
}

func (l *Load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken(err)
	l.stop()
}

// openWindow begins a span now; staged says that the stages are recorded as well, which one window of a trial may be. In
// virtual time, a proposal that was due at this very moment is outside if it was made before, and inside otherwise, as
// it is at the span's end the other way round: spans that follow one another neither share nor lose any.
func (l *Load) openWindow(staged bool) *window {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := newWindow(l.c.Now(), staged)
	l.windows = append(l.windows, w)
	return w
}

// closeWindow ends a span now.
func (l *Load) closeWindow(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.to = l.c.Now()
}

// lastCommit returns when the last commit was answered.
func (l *Load) lastCommit() raft.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Stop makes no further proposals, but those of an open loop that were due before.
func (l *Load) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
}

func (l *Load) stop() {
	if l.running {
		l.running, l.stopped = false, l.c.Now()
	}
}

// Committed returns how many proposals have been committed so far.
func (l *Load) Committed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.Committed
}

// Settled reports whether the load is over and every proposal has been answered. The pacer of an open loop is not waited
// for if all it would do is to find that nothing is left: at a low rate it sleeps for long.
func (l *Load) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open == 0 && (l.rate == 0 || l.paced || !l.running && l.arrive.next() >= l.stopped)
}

// account returns what became of all proposals, and of those of a window unless it is nil, once nothing is answered any
// more. Those that have no answer, or were never made although they were due, are unknown.
func (l *Load) account(w *window) (all, window results.Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	all = withUnknown(l.counts, l.open, l.missed(nil))
	if w != nil {
		window = withUnknown(w.counts, w.open, l.missed(w))
	}
	return all, window
}

func withUnknown(c results.Counts, open int, missed uint64) results.Counts {
	c.Proposed += missed
	c.Unknown += uint64(open) + missed
	return c
}

// lateness is how far behind the pacer may be before its trial is marked.
const lateness = 10 * time.Millisecond

// warnings says what a reader of an open loop's numbers must know.
func (l *Load) warnings(w *window) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return nil
	}
	var list []string
	missed := l.missed(w)
	if due := w.counts.Proposed + missed; float64(w.answered) < 0.98*float64(due) {
		list = append(list, fmt.Sprintf("the offered rate of %s/s was not reached: %d of the %d proposals due in the measured span were answered in it or within %v of its end: %.0f/s",
			strconv.FormatFloat(l.rate, 'f', -1, 64), w.answered, due, l.grace.Round(time.Millisecond), float64(w.answered)/w.span().Seconds()))
	}
	if missed > 0 {
		list = append(list, fmt.Sprintf("%d proposals that were due in the measured span were never made and count as unknown: percentiles are too low", missed))
	}
	// What the harness itself adds to a latency: when it matters, it is told.
	h := w.late
	for _, at := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		late, latency := h.Quantile(at.q), w.latency.Quantile(at.q)
		if late > lateness || late > latency/4 && late > 200*time.Microsecond {
			list = append(list, fmt.Sprintf("proposals were made %v after they were due at %s (at most %v), which is part of the latency of %v at %s",
				late.Round(time.Microsecond), at.name, h.Max().Round(time.Microsecond), latency.Round(time.Microsecond), at.name))
			break
		}
	}
	return list
}
