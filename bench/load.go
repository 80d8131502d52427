package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Load offers proposals to a cluster and records what becomes of them. In a closed loop each of a number of clients
// makes its next proposal when the last was answered; in an open loop proposals are due at fixed moments, whether or
// not earlier ones were answered, and latency counts from those moments.
//
// A client is a function that the cluster calls on the leader's own time, within its lock (load: inside): it has no
// connection of its own, so a latency holds nothing of a real client's way to the leader and back, and what a client
// does is part of the leader's work.
//
// A client that finds no leader goes on looking; the time this takes is part of the proposal's latency. One that gets
// no answer gives its proposal up after its patience, as real ones do: what became of it is unknown, an answer that
// comes later changes no figure, and the client makes its next proposal to whoever leads then.
type Load struct {
	c       cluster.Cluster
	ledger  *ledger
	page    *page
	watch   *watch
	payload int
	bare    bool // records no latencies
	// untilCommitted makes a load of a limited number of proposals replace those that are not committed.
	untilCommitted bool
	patience       time.Duration

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
	clients  []*client // all that have not given up
	silent   int       // proposals that were given up and have no answer yet
	last     raft.Time // when the last commit was answered
	windows  []*window
	run      tally // not in the windows yet
	err      error

	// Of an open loop.
	rate     float64
	schedule schedule
	offered  uint64
	seed     *uint64   // of a Poisson process; nil: evenly spaced
	stopped  raft.Time // when Stop was called
	after    int       // proposals made since then, which were due before
	paced    bool      // the pacer has ended
	grace    time.Duration
}

// window is a span of a load in which what was due is recorded.
type window struct {
	from, to raft.Time // to is 0 while the window is open at its end
	counts   results.Counts
	open     int    // of them, not yet answered
	gaveUp   uint64 // of them, not answered in time
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
	place    uint64    // of its proposal among the load's: see page
	called   uint64    // what the ledger's history said when it was made
	to       raft.ID   // the replica that it was last offered to
	member   uint32    // a bit for each of the load's windows that its proposal belongs to
	loop     bool      // makes its next proposal when this one is answered
	offered  bool      // its proposal is the cluster's
	looks    int       // how often it was seen to be, since it was offered
	gaveUp   bool      // and the proposal may be the cluster's for ever
}

// retryAfter is how long a client waits before it looks for a leader again.
const retryAfter = time.Millisecond

func newLoad(t *Trial, payloadBytes int) *Load {
	l := &Load{c: t.Cluster, ledger: t.ledger, page: t.ledger.newPage(), watch: t.watch, payload: payloadBytes,
		bare: t.Unmeasured, leader: cluster.Leader(t.Cluster), grace: 2*t.beatPerCommit() + lateness,
		patience: max(cmp.Or(t.Patience, t.Timeout/3), time.Millisecond)}
	if t.Arrivals == ArrivalsPoisson {
		l.seed = &t.seed
	}
	return l
}

// newClient adds a client. The lock is held.
func (l *Load) newClient(loop bool) *client {
	cl := &client{load: l, loop: loop}
	cl.proposal.Data = l.ledger.payload()
	cl.proposal.Done = cl.done
	l.clients = append(l.clients, cl)
	return cl
}

// Closed starts a closed loop of n clients. If total is not 0, they make that many proposals together and stop.
func (l *Load) Closed(n int, total uint64) {
	l.begin(total)
	for range n {
		l.mu.Lock()
		cl := l.newClient(true)
		leader, more := cl.more(l.c.Now())
		l.mu.Unlock()
		if more {
			cl.make(leader)
		}
	}
}

// Open starts an open loop of perSecond proposals a second, in the mean; Settings.Arrivals says how they are spaced.
func (l *Load) Open(perSecond float64) {
	l.begin(0)
	l.mu.Lock()
	l.rate = perSecond
	l.schedule, l.page.schedule = newSchedule(l.c.Now(), perSecond, l.seed), new(schedule)
	*l.page.schedule = newSchedule(l.schedule.start, perSecond, l.seed) // the ledger's own
	first := l.schedule.at(0)
	l.mu.Unlock()
	l.c.At(first, l.pace)
}

func (l *Load) begin(total uint64) {
	l.mu.Lock()
	l.running, l.left, l.limited = true, total, total > 0
	l.mu.Unlock()
	l.c.At(l.c.Now().Add(l.patience/patienceLooks), l.lookAfter)
}

// The most that waits for an answer at a time, in proposals of an open loop and in bytes of any load: what is due
// beyond it is made later, its latency counting from when it was due. A leader takes no more bytes either.
const (
	maxOpen      = 65536
	maxOpenBytes = raft.DefaultMaxUncommittedBytes
)

// maxAfter is how many proposals an open loop still makes after Stop because they were due before. A pacer that is
// further behind gives them up: see missed.
const maxAfter = 65536

// nextDue returns when an open loop's next proposal is due. The lock is held.
func (l *Load) nextDue() raft.Time { return l.schedule.at(l.offered) }

// pace makes all proposals that are due, and returns when the next is.
func (l *Load) pace(now raft.Time) raft.Time {
	for {
		l.mu.Lock()
		due := l.nextDue()
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
		l.offered++
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
	from, to := l.offered, l.schedule.before(l.stopped)
	if w != nil {
		from, to = max(from, l.schedule.before(w.from)), min(to, l.schedule.before(w.to))
	}
	return max(to, from) - from
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
	place, err := l.page.issue(due)
	if err != nil {
		l.broken(err)
	}
	l.ledger.issue(cl.proposal.Data)
	l.counts.Proposed++
	cl.due, cl.place, cl.member = due, place, 0
	cl.offered, cl.looks = true, 0
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
	if cl.gaveUp { // it was refused, which the client is no longer told
		l.silent--
		l.mu.Unlock()
		return
	}
	cl.offered = false
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
	for _, cl := range list {
		cl.offered, cl.looks = true, 0
	}
	l.mu.Unlock()
	for _, cl := range list {
		cl.offer(leader)
	}
	return 0
}

// patienceLooks is how often lookAfter finds a proposal without an answer before its client gives it up.
const patienceLooks = 4

// lookAfter makes clients that have waited for too long give up. It counts its own looks, not time that passes: after a
// stall of the whole process, in which nobody could have been answered, everybody's patience is as it was before.
func (l *Load) lookAfter(now raft.Time) raft.Time {
	var again []*client
	var leaders []raft.ID
	l.mu.Lock()
	clients := l.clients
	l.clients = nil
	for _, cl := range clients {
		if cl.offered {
			cl.looks++
		}
		if cl.looks <= patienceLooks {
			l.clients = append(l.clients, cl)
			continue
		}
		cl.giveUp()
		if cl.loop {
			next := l.newClient(true)
			if leader, more := next.more(now); more {
				again, leaders = append(again, next), append(leaders, leader)
			}
		}
	}
	over := l.settled() && len(again) == 0
	l.mu.Unlock()
	for i, cl := range again {
		cl.make(leaders[i])
	}
	if over {
		return 0
	}
	return now.Add(l.patience / patienceLooks)
}

// giveUp counts the client's proposal as unknown, and leaves it and the client's memory to the cluster. The lock is
// held.
func (cl *client) giveUp() {
	l := cl.load
	l.page.giveUp(numberOf(cl.proposal.Data))
	cl.gaveUp = true
	l.silent++
	l.leader = 0 // whoever it was offered to does not serve
	for i, w := range l.windows {
		if cl.member&(1<<i) != 0 {
			w.gaveUp++
		}
	}
	cl.count(cluster.Unknown, l.c.Now())
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
	if cl.gaveUp {
		l.silent--
		l.noteLate(cl, p)
		l.mu.Unlock()
		return
	}
	cl.offered = false
	l.note(cl, p)
	switch p.Outcome {
	case cluster.Committed:
		l.last = now
		if err := l.ledger.history.answered(cl.called, numberOf(p.Data), p.Index, l.c.Now); err != nil {
			l.broken(err)
		}
	case cluster.Unknown, cluster.Failed:
		l.leader = 0 // it crashed, or leads no more
	}
	cl.count(p.Outcome, now)
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

// count counts what became of the client's proposal. The lock is held.
func (cl *client) count(outcome cluster.Outcome, now raft.Time) {
	l := cl.load
	l.open--
	count(&l.counts, outcome)
	if l.limited && l.untilCommitted && outcome != cluster.Committed {
		l.left++
	}
	for i, w := range l.windows {
		if outcome == cluster.Committed && w.holds(now) {
			w.finished++
		}
		if cl.member&(1<<i) == 0 {
			continue
		}
		w.open--
		count(&w.counts, outcome)
		if outcome == cluster.Committed && (w.to == 0 || now < w.to.Add(l.grace)) {
			w.answered++
		}
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

// note tells the ledger of an answer. The lock is held.
func (l *Load) note(cl *client, p *cluster.Proposal) {
	number := numberOf(p.Data)
	if err := l.page.answer(number, cl.place, p.Outcome, p.Stages.Applied); err != nil {
		l.broken(err)
	}
	if p.Outcome != cluster.Committed {
		return
	}
	if p.Stages.Applied < cl.due {
		l.broken(fmt.Errorf("proposal %d was answered at %v, before it was due at %v: %w", number,
			time.Duration(p.Stages.Applied), time.Duration(cl.due), results.ErrOutOfRange))
	}
	if err := l.ledger.acknowledged(cl.to, p.Index, number); err != nil {
		l.broken(err)
	}
}

// noteLate tells the ledger of an answer to a proposal that was given up. It must be true all the same. The lock is
// held.
func (l *Load) noteLate(cl *client, p *cluster.Proposal) {
	number := numberOf(p.Data)
	if err := l.page.answerLate(number, p.Outcome); err != nil {
		l.broken(err)
	}
	if p.Outcome == cluster.Committed {
		if err := l.ledger.acknowledged(cl.to, p.Index, number); err != nil {
			l.broken(err)
		}
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

// openWindow begins a span now; staged says that the stages are recorded as well, which one window of a trial may be.
// In virtual time, a proposal that was due at this very moment is outside if it was made before, and inside otherwise,
// as it is at the span's end the other way round: spans that follow one another neither share nor lose any.
func (l *Load) openWindow(staged bool) *window {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := newWindow(l.c.Now(), staged)
	if staged {
		l.page.measure(w.from)
	}
	l.windows = append(l.windows, w)
	return w
}

// closeWindow ends a span now.
func (l *Load) closeWindow(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.to = l.c.Now()
	if w.staged {
		l.page.endMeasure(w.to)
	}
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
		l.page.stopped = l.stopped
	}
}

// Committed returns how many proposals have been committed so far.
func (l *Load) Committed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.Committed
}

// Settled reports whether the load is over and every proposal has been answered, or given up. The pacer of an open loop
// is not waited for if all it would do is to find that nothing is left: at a low rate it sleeps for long.
func (l *Load) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settled()
}

func (l *Load) settled() bool {
	over := !l.running || l.limited && l.left == 0
	return over && l.open == 0 && (l.rate == 0 || l.paced || !l.running && l.nextDue() >= l.stopped)
}

// unanswered returns how many proposals the cluster has and has told nobody of.
func (l *Load) unanswered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open + l.silent
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

// notReached says that an open loop's rate was not reached, and what was.
func (l *Load) notReached(w *window) string {
	return fmt.Sprintf("the offered rate of %s was not reached: the group committed %s",
		units.PerSecond(l.rate), units.PerSecond(math.Round(float64(w.finished)/w.span().Seconds())))
}

// warnings says what a reader of the numbers must know.
func (l *Load) warnings(w *window) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	if w.gaveUp > 0 {
		list = append(list, fmt.Sprintf("clients gave up what had no answer for %v, a third of --timeout, which is unknown and makes "+
			"percentiles too low: proposals: %d", l.patience.Round(time.Millisecond), w.gaveUp))
	}
	if l.rate == 0 {
		return list
	}
	missed := l.missed(w)
	if due := w.counts.Proposed + missed; float64(w.answered) < 0.98*float64(due) {
		list = append(list, fmt.Sprintf("%s: %d of the %d proposals due in the measured span were answered in it or within %v of "+
			"its end: lower the rate, or percentiles tell how long the span was", l.notReached(w), w.answered, due, l.grace.Round(time.Millisecond)))
	}
	if missed > 0 {
		list = append(list, fmt.Sprintf("%d proposals that were due in the measured span were never made and count as unknown: "+
			"percentiles are too low", missed))
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
