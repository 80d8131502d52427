package bench

import (
	"errors"
	"fmt"
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
	bare    bool // counts, and records nothing

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
	last     raft.Time // of the last such answer
	windows  []*window
	err      error

	rate     float64
	interval float64 // nanoseconds between two proposals of an open loop
	start    raft.Time
	offered  uint64
	late     time.Duration // the most that the pacer of an open loop was behind
}

// window is a span of a load in which what was due is recorded.
type window struct {
	from, to raft.Time // to is 0 while the window is open at its end
	counts   results.Counts
	finished uint64 // commits that were answered in the window, whenever they were due
	latency  *results.Histogram

	staged                          bool
	queue, send, ack, commit, apply *results.Histogram
}

func newWindow(from raft.Time, staged bool) *window {
	w := &window{from: from, staged: staged, latency: results.NewHistogram()}
	if staged {
		for _, h := range []**results.Histogram{&w.queue, &w.send, &w.ack, &w.commit, &w.apply} {
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
	loop     bool // makes its next proposal when this one is answered
	retired  bool
}

// retryAfter is how long a client waits before it looks for a leader again.
const retryAfter = time.Millisecond

func newLoad(t *Trial, payloadBytes int) *Load {
	return &Load{c: t.Cluster, ledger: t.ledger, watch: t.watch, payload: payloadBytes, bare: t.Unmeasured, leader: cluster.Leader(t.Cluster)}
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

// Open starts an open loop of perSecond proposals a second, evenly spaced.
func (l *Load) Open(perSecond float64) {
	l.begin(0)
	l.rate, l.interval = perSecond, float64(time.Second)/perSecond
	l.start = l.c.Now()
	l.c.At(l.start, l.pace)
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

// pace makes all proposals that are due, and returns when the next is.
func (l *Load) pace(now raft.Time) raft.Time {
	for {
		l.mu.Lock()
		due := l.start.Add(time.Duration(float64(l.offered) * l.interval))
		if !l.running {
			l.mu.Unlock()
			return 0
		}
		if due > now || l.open >= min(maxOpen, maxOpenBytes/l.payload) {
			l.mu.Unlock()
			return max(due, now.Add(50*time.Microsecond))
		}
		l.late = max(l.late, now.Sub(due))
		l.offered++
		var cl *client
		if n := len(l.idle); n > 0 {
			cl, l.idle = l.idle[n-1], l.idle[:n-1]
		}
		l.mu.Unlock()
		if cl == nil {
			cl = l.newClient(false)
		}
		cl.next(due)
	}
}

// next makes the client's next proposal, unless the load is over.
func (cl *client) next(due raft.Time) {
	l := cl.load
	l.mu.Lock()
	if !l.running || l.limited && l.left == 0 {
		l.mu.Unlock()
		return
	}
	if l.limited {
		l.left--
	}
	l.counts.Proposed++
	for _, w := range l.windows {
		if w.holds(due) {
			w.counts.Proposed++
		}
	}
	l.open++
	leader := l.leader
	l.mu.Unlock()
	l.ledger.issue(cl.proposal.Data)
	cl.proposal.Due = due
	cl.offer(leader)
}

func (cl *client) offer(leader raft.ID) {
	if leader == 0 {
		cl.strand()
		return
	}
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
		if !l.bare {
			l.told.set(numberOf(p.Data))
		}
		l.last = now
	}
	count(&l.counts, p.Outcome)
	for _, w := range l.windows {
		if p.Outcome == cluster.Committed && w.holds(now) {
			w.finished++
		}
		if w.holds(p.Due) {
			count(&w.counts, p.Outcome)
			if !l.bare {
				l.record(w, p)
			}
		}
	}
	if !cl.loop {
		l.idle = append(l.idle, cl)
	}
	l.mu.Unlock()
	if cl.loop {
		cl.next(now)
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

// record puts a committed proposal into a window's histograms. The lock is held.
func (l *Load) record(w *window, p *cluster.Proposal) {
	if p.Outcome != cluster.Committed {
		return
	}
	s := &p.Stages
	l.put(w.latency, p.Due, s.Applied)
	if !w.staged || s.Appended == 0 || s.Sent == 0 || s.Acked == 0 || s.Committed == 0 {
		return
	}
	l.put(w.queue, p.Due, s.Appended)
	l.put(w.send, s.Appended, s.Sent)
	l.put(w.ack, s.Sent, s.Acked)
	l.put(w.commit, s.Acked, s.Committed)
	l.put(w.apply, s.Committed, s.Applied)
	l.watch.finished(p)
}

func (l *Load) put(h *results.Histogram, from, to raft.Time) {
	if err := h.Record(to.Sub(from)); err != nil && l.err == nil {
		l.err = err
	}
}

func (l *Load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.running = false
}

// openWindow begins a span after this moment; staged says that the stages are recorded as well, which one window of a
// trial may be. What is due at this very moment, as happens in virtual time, may have been proposed before: it is
// outside here, and inside when a span ends.
func (l *Load) openWindow(staged bool) *window {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := newWindow(l.c.Now()+1, staged)
	l.windows = append(l.windows, w)
	return w
}

// closeWindow ends a span with this moment.
func (l *Load) closeWindow(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.to = l.c.Now() + 1
}

// lastCommit returns when the last commit was answered.
func (l *Load) lastCommit() raft.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Stop makes no further proposals.
func (l *Load) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
}

// Committed returns how many proposals have been committed so far.
func (l *Load) Committed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.Committed
}

// Settled reports whether every proposal has been answered.
func (l *Load) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open == 0
}

// lateness is how far behind the pacer may be before its trial is marked.
const lateness = 10 * time.Millisecond

// warnings says what a reader of an open loop's numbers must know.
func (l *Load) warnings(w *window) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	if reached := float64(w.finished) / w.span().Seconds(); l.rate > 0 && reached < 0.98*l.rate {
		list = append(list, fmt.Sprintf("the offered rate of %.0f/s was not reached: %.0f/s", l.rate, reached))
	}
	if l.late > lateness {
		list = append(list, fmt.Sprintf("proposals were made up to %v after they were due; their latency counts from when they were due", l.late.Round(time.Microsecond)))
	}
	return list
}
