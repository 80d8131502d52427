package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Trial is one run of one cell, as its scenario sees it.
type Trial struct {
	Settings
	Cluster cluster.Cluster
	Result  results.Trial

	virtual bool
	seed    uint64
	ledger  *ledger
	watch   *watch
	loads   []*Load

	// The measured span.
	measured *Load
	window   *window
	begin    meter
}

// Opener makes a group with this transport.
type Opener func(transport string, cfg cluster.Config) (cluster.Cluster, error)

// OwnOpener makes a group of an engine that opens groups by itself, over this transport. data is the folder for what it
// stores, "" for memory.
type OwnOpener func(e *engines.Engine, transport, data string, cfg cluster.Config) (cluster.Cluster, error)

// runTrial plays one trial to its end and judges it. Whatever goes wrong is told in the result. A panic goes on, after
// the group is closed.
func runTrial(ctx context.Context, p *Planned, seed uint64, virtual bool, open Opener) results.Trial {
	s := p.Settings
	group := s.group(seed)
	if err := p.scenario.Prepare(&s, &group); err != nil {
		return (&Trial{}).failed(ctx, err)
	}
	t := &Trial{Settings: s, virtual: virtual, seed: seed, ledger: newLedger(s.Nodes, s.PayloadBytes)}
	t.watch = newWatch(t.ledger, s.Nodes)
	t.watch.given, t.watch.strict = given(group.Boot), s.Engine.Strategies
	group.Observer, group.AppliedOnly = t.watch, s.Unmeasured
	c, err := open(s.Transport, group)
	if err != nil {
		return t.failed(ctx, err)
	}
	t.Cluster = c
	closed := false
	defer func() {
		if !closed {
			c.Close()
		}
	}()
	err = p.scenario.Run(ctx, t)
	if err == nil {
		err = t.quiesce(ctx)
	}
	if stopped := t.stopped(); err != nil && stopped != nil {
		err = stopped // it is why
	}
	for _, l := range t.loads {
		l.Stop()
	}
	if w, ok := c.(interface{ Warnings() []string }); ok {
		t.Result.Warnings = append(t.Result.Warnings, w.Warnings()...)
	}
	if n, ok := c.(interface{ NetworkFigures() map[string]uint64 }); ok {
		t.Result.Network = n.NetworkFigures()
	}
	closed = true
	if e := c.Close(); err == nil {
		err = e // of two, the first tells more
	}
	t.account()
	if err != nil {
		return t.failed(ctx, err)
	}
	t.Result.Status = results.OK
	if err = t.judge(); err == nil {
		err = t.Result.Check()
	}
	var unknown error
	if err == nil {
		unknown, err = t.ledger.history.linearizable()
	}
	if unknown != nil {
		return t.failed(ctx, unknown)
	}
	if err != nil {
		t.Result.Status, t.Result.Reason = results.Invalid, oneLine(err)
	} else if t.empty() {
		t.Result.Status, t.Result.Reason = results.Inconclusive, t.emptyReason()
	}
	return t.Result
}

// stopped returns why a replica has stopped by itself, nil if none has.
func (t *Trial) stopped() error {
	for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
		if err := t.Cluster.Status(id).Err; err != nil {
			return fmt.Errorf("replica %d has stopped: %w", id, err)
		}
	}
	return nil
}

// empty reports whether a trial that is about its load has measured nothing of it. Where a catch-up or a failover was
// timed, the load is a bystander.
func (t *Trial) empty() bool {
	w := t.window
	return w != nil && w.to != 0 && t.Result.CatchUp == nil && t.Result.Failover == nil && t.Result.Restart == nil && (w.finished == 0 || t.Result.Window.Committed == 0)
}

// emptyReason says why a trial is empty. It is the rate that was too high if some of what was due was never answered;
// else the span was too short.
func (t *Trial) emptyReason() string {
	l, w := t.measured, t.window
	if due := t.Result.Window; l.rate > 0 && due.Committed < due.Proposed {
		span := w.span().Round(time.Millisecond)
		if w.finished == 0 {
			return fmt.Sprintf("the offered rate of %s was not reached: nothing was committed in the measured %v: lower the rate, or raise --duration",
				units.PerSecond(l.rate), span)
		}
		return fmt.Sprintf("%s, and none of what was due in the measured %v was answered before the trial's end: lower the rate below that",
			l.notReached(w), span)
	}
	span, raise := t.Duration, "--duration"
	if t.Count > 0 {
		span, raise = t.Result.Measured, "--count"
	}
	return fmt.Sprintf("no proposal was due and answered in the measured %v: raise %s", span, raise)
}

func (t *Trial) failed(ctx context.Context, err error) results.Trial {
	var invalid invalidError
	switch {
	case errors.As(err, &invalid):
		t.Result.Status, t.Result.Reason = results.Invalid, oneLine(invalid)
	case ctx.Err() != nil:
		t.Result.Status, t.Result.Reason = results.Interrupted, "interrupted"
	default:
		t.Result.Status, t.Result.Reason = results.Failed, oneLine(err)
	}
	return t.Result
}

// oneLine is how a reason is written.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// invalidError is a broken identity or invariant: no number of the trial can be trusted.
type invalidError struct{ error }

func invalid(format string, args ...any) error { return invalidError{fmt.Errorf(format, args...)} }

// Elect makes the replica that is to lead stand for election and returns who leads.
func (t *Trial) Elect(ctx context.Context) (raft.ID, error) {
	id := t.first()
	t.Cluster.Campaign(id)
	leader, err := cluster.WaitLeader(ctx, t.Cluster, t.Timeout)
	if err != nil {
		return 0, fmt.Errorf("no leader: %w", err)
	}
	t.Result.Leader = int(leader)
	return leader, nil
}

// Foreground starts the load that the cell asks for.
func (t *Trial) Foreground() *Load {
	l := newLoad(t, t.PayloadBytes)
	t.loads = append(t.loads, l)
	switch {
	case t.PerSecond > 0:
		l.Open(t.PerSecond)
	case t.Clients > 0:
		l.Closed(t.Clients, 0)
	}
	return l
}

// Bulk commits a number of entries as fast as the strategy allows, and waits for them.
func (t *Trial) Bulk(ctx context.Context, n uint64) error {
	l := newLoad(t, t.PayloadBytes)
	l.untilCommitted = true
	t.loads = append(t.loads, l)
	l.Closed(int(min(n, bulkClients)), n)
	if err := t.Cluster.Wait(ctx, t.Timeout, func() bool { return l.Committed() == n }); err != nil {
		return fmt.Errorf("%d of %d entries committed: %w", l.Committed(), n, err)
	}
	return nil
}

// Measure begins the span that latency, throughput and costs refer to; EndMeasure ends it.
func (t *Trial) Measure(l *Load) {
	t.measured, t.begin = l, readMeter(t.Cluster, t.virtual)
	t.window = l.openWindow(true)
}

// EndMeasure ends the measured span.
func (t *Trial) EndMeasure() {
	t.measured.closeWindow(t.window)
	t.Result.Cost = readMeter(t.Cluster, t.virtual).since(t.begin, t.Unmeasured)
}

// CatchUp heals a follower that was cut off, and the others named, and measures how it gets what the leader has. agree
// is the last index of its log that it shares with the leader, conflict the number of entries that have to go.
func (t *Trial) CatchUp(ctx context.Context, load *Load, leader, follower raft.ID, agree uint64, conflict int, others ...raft.ID) error {
	// A leader knows how far its log is committed once it has committed an entry of its own term.
	err := t.Cluster.Wait(ctx, t.Timeout, func() bool { return t.Cluster.Status(leader).Commit > agree })
	if err != nil {
		return fmt.Errorf("nothing for replica %d to catch up with was committed: %w", follower, err)
	}
	t.Measure(load)
	before := load.openWindow(false)
	if err := cluster.Sleep(ctx, t.Cluster, foregroundBefore+t.healingPhase()); err != nil {
		return err
	}
	load.closeWindow(before)
	during := load.openWindow(false)
	u := &catchUp{leader: leader, follower: follower, healed: t.Cluster.Now(), target: t.Cluster.Status(leader).Commit}
	u.high = min(agree, u.target)
	u.result.Entries, u.result.Conflict = u.target-u.high, uint64(conflict)
	t.watch.watchCatchUp(u)
	cluster.Rejoin(t.Cluster, follower)
	for _, id := range others {
		cluster.Rejoin(t.Cluster, id)
	}
	if err := t.Cluster.Wait(ctx, t.Timeout, t.watch.caughtUp); err != nil {
		if now := cluster.Leader(t.Cluster); now != leader {
			return fmt.Errorf("the leader changed from replica %d to %d while replica %d caught up",
				leader, now, follower)
		}
		return fmt.Errorf("replica %d did not catch up: %w", follower, err)
	}
	load.closeWindow(during)
	t.EndMeasure()
	r := t.watch.takeCatchUp()
	r.Before, r.During = before.latency, during.latency
	t.Result.CatchUp = r
	return nil
}

// healingPhase draws where in the heartbeat interval a follower is healed. Scenarios last whole intervals for some
// strategies, and all of their trials would find the leader equally far from its next heartbeat.
func (t *Trial) healingPhase() time.Duration {
	return time.Duration(rand.New(rand.NewPCG(t.seed, 0x6865616c)).Int64N(int64(t.Heartbeat)))
}

// quiesce stops the load, heals everything, and waits until every proposal has been answered and all replicas have
// applied the same log. One proposal that commits ends what an earlier term may have left open. A leader that is
// elected after it may have found entries of earlier terms, which only another proposal commits: now and then one is
// made.
func (t *Trial) quiesce(ctx context.Context) error {
	for _, l := range t.loads {
		l.Stop()
	}
	t.Cluster.SetConditions(cluster.Conditions{})
	for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
		t.Cluster.Resume(id)
		cluster.Rejoin(t.Cluster, id)
	}
	var seen []cluster.Status
	atRest := func() (rest bool) {
		if seen, rest = t.statuses(); !rest {
			return false
		}
		for _, l := range t.loads {
			if !l.Settled() || l.unanswered() > 0 {
				return false
			}
		}
		return true
	}
	for until := t.Cluster.Now().Add(t.Timeout); ; {
		if err := t.Bulk(ctx, 1); err != nil {
			return fmt.Errorf("the group no longer serves at the end: %w: %s", err, t.describe())
		}
		left := max(0, until.Sub(t.Cluster.Now()))
		err := t.Cluster.Wait(ctx, min(left, max(t.Timeout/4, 4*t.ElectionTimeout)), atRest)
		if err == nil {
			break
		}
		if !errors.Is(err, cluster.ErrTimeout) {
			return err
		}
		if t.Cluster.Now() >= until {
			return invalid("%s", t.restless())
		}
	}
	for _, s := range seen[1:] {
		if first := seen[0]; s.Digest != first.Digest {
			return invalid("replicas 1 and %d applied different logs up to index %d: digests %016x and %016x",
				s.ID, s.Applied, first.Digest, s.Digest)
		}
	}
	t.Result.LogDigest = fmt.Sprintf("%016x", seen[0].Digest)
	return nil
}

// restless says why a trial does not come to rest.
func (t *Trial) restless() string {
	var open int
	for _, l := range t.loads {
		open += l.unanswered()
	}
	dropped := t.Cluster.Counters()
	hint := ""
	if dropped.Dropped > 0 {
		hint = fmt.Sprintf("; the transport dropped %d frames of %d messages, which are lost for good if they are too large for it or links lose much",
			dropped.Dropped, dropped.Messages)
	}
	if _, level := t.statuses(); level {
		return fmt.Sprintf("not all clients were answered within %v: %d were not, though all replicas have applied the same log: %s%s",
			t.Timeout, open, t.describe(), hint)
	}
	return fmt.Sprintf("the replicas' logs did not become equal within %v: %s%s", t.Timeout, t.describe(), hint)
}

// describe says in what state the replicas are.
func (t *Trial) describe() string {
	var list []string
	for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
		s := t.Cluster.Status(id)
		role := s.Role.String()
		if !s.Up {
			role = "down"
		}
		list = append(list, fmt.Sprintf("replica %d (%s, term %d) has applied %d of %d entries",
			id, role, s.Term, s.Applied, s.Last))
	}
	return strings.Join(list, ", ")
}

// statuses returns those of all replicas, and whether all are up and have applied everything that any of them has.
func (t *Trial) statuses() (seen []cluster.Status, level bool) {
	level = true
	for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
		s := t.Cluster.Status(id)
		seen = append(seen, s)
		level = level && s.Up && s.Applied == s.Last && s.Last == seen[0].Last
	}
	return seen, level
}

// level reports whether all replicas are up and have applied everything that any of them has.
func (t *Trial) level() bool {
	_, level := t.statuses()
	return level
}

// account adds up the loads, after every proposal has been answered or given up.
func (t *Trial) account() {
	w := t.window
	if w != nil && w.to == 0 {
		w = nil // it was never closed
	}
	for _, l := range t.loads {
		of := w
		if l != t.measured {
			of = nil
		}
		all, window := l.account(of)
		addCounts(&t.Result.Counts, all)
		addCounts(&t.Result.Window, window)
	}
	t.watch.end()
	if w == nil {
		return
	}
	t.Result.Measured = w.span()
	if w.span() > 0 {
		t.Result.ThroughputPerSec = float64(w.finished) / w.span().Seconds()
	}
	t.Result.Warnings = append(t.Result.Warnings, t.measured.warnings(w)...)
	t.Result.Cost.Commits = w.finished // some of the answers of the span's last moment come after it
	if t.Unmeasured {
		return
	}
	t.Result.Latency = w.latency
	t.Result.Stages = map[string]*results.Histogram{}
	for name, h := range map[string]*results.Histogram{
		results.StageQueue: w.queue, results.StageSend: w.send, results.StageAck: w.ack, results.StageCommit: w.commit,
		results.StageApply: w.apply, results.StageAnnounce: t.watch.announce, results.StageAll: t.watch.all,
		results.StagePacer: w.late,
	} {
		if h.Count() > 0 || t.Engine.Strategies && name != results.StagePacer { // other engines do not tell of their stages
			t.Result.Stages[name] = h
		}
	}
}

func addCounts(sum *results.Counts, c results.Counts) {
	sum.Proposed += c.Proposed
	sum.Committed += c.Committed
	sum.Failed += c.Failed
	sum.Unknown += c.Unknown
}

// judge checks what makes the trial's numbers worth printing, as far as its result alone does not tell: Trial.Check is
// for that.
func (t *Trial) judge() error {
	for _, l := range t.loads {
		if l.err != nil {
			return l.err
		}
	}
	if t.watch.err != nil {
		return t.watch.err
	}
	if w := t.window; w != nil && w.to != 0 {
		if err := t.measured.page.checkSpan(t.Result.Window, t.Result.Latency); err != nil {
			return err
		}
		if t.Unmeasured {
			return t.ledger.check(t.Result.Counts)
		}
		if err := t.judgeStages(w); err != nil {
			return err
		}
	}
	return t.ledger.check(t.Result.Counts)
}

// judgeStages checks that every proposal whose stages are known is in all of their histograms, and that the stages of a
// latency add up to it, exactly if they are known of all proposals.
func (t *Trial) judgeStages(w *window) error {
	var sum time.Duration
	for _, h := range []*results.Histogram{w.queue, w.send, w.ack, w.commit, w.apply} {
		if h.Count() != w.queue.Count() {
			return fmt.Errorf("one stage was recorded of %d proposals, another of %d", w.queue.Count(), h.Count())
		}
		sum += h.Sum()
	}
	if all := w.latency.Sum(); sum > all || w.queue.Count() == w.latency.Count() && sum != all {
		return fmt.Errorf("the stages of %d proposals take %v, the latencies of %d take %v",
			w.queue.Count(), sum, w.latency.Count(), all)
	}
	for _, h := range []*results.Histogram{t.watch.announce, t.watch.all} {
		if t.Engine.Strategies && h.Count() != w.queue.Count() {
			return fmt.Errorf("news of %d commits arrived everywhere, of %d", h.Count(), w.queue.Count())
		}
	}
	return nil
}

// defaultTimeout bounds whatever a trial waits for.
const defaultTimeout = 30 * time.Second
