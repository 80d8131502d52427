package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Trial is one run of one cell, as its scenario sees it.
type Trial struct {
	Settings
	Cluster cluster.Cluster
	Result  results.Trial

	virtual bool
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

// OwnOpener makes a group of an engine that opens groups by itself, over this transport.
type OwnOpener func(e *engines.Engine, transport string, cfg cluster.Config) (cluster.Cluster, error)

// runTrial plays one trial to its end and judges it. Whatever goes wrong is told in the result.
func runTrial(ctx context.Context, p *Planned, seed uint64, virtual bool, open Opener) results.Trial {
	s := p.Settings
	group := s.group(seed)
	t := &Trial{Settings: s, virtual: virtual, ledger: newLedger(s.Nodes, s.PayloadBytes)}
	t.watch = newWatch(t.ledger, s.Nodes)
	if !s.Unmeasured {
		group.Observer = t.watch
	}
	if err := p.scenario.Prepare(&s, &group); err != nil {
		return t.failed(ctx, err)
	}
	t.watch.given = given(group.Boot)
	c, err := open(s.Transport, group)
	if err != nil {
		return t.failed(ctx, err)
	}
	t.Cluster = c
	err = p.scenario.Run(ctx, t)
	if err == nil {
		err = t.quiesce(ctx)
	}
	for _, l := range t.loads {
		l.Stop()
	}
	err = errors.Join(err, c.Close())
	t.account()
	if err != nil {
		return t.failed(ctx, err)
	}
	if err := t.judge(); err != nil {
		t.Result.Status, t.Result.Reason = results.Invalid, err.Error()
		return t.Result
	}
	if w, ok := c.(interface{ Warnings() []string }); ok {
		t.Result.Warnings = append(t.Result.Warnings, w.Warnings()...)
	}
	t.Result.Status = results.OK
	return t.Result
}

func (t *Trial) failed(ctx context.Context, err error) results.Trial {
	t.Result.Status, t.Result.Reason = results.Failed, err.Error()
	var invalid invalidError
	if errors.As(err, &invalid) {
		t.Result.Status, t.Result.Reason = results.Invalid, invalid.Error()
	}
	if ctx.Err() != nil {
		t.Result.Status, t.Result.Reason = results.Interrupted, "interrupted"
	}
	return t.Result
}

// invalidError is a broken identity or invariant: no number of the trial can be trusted.
type invalidError struct{ error }

func invalid(format string, args ...any) error { return invalidError{fmt.Errorf(format, args...)} }

// Elect makes a replica stand for election and returns who leads.
func (t *Trial) Elect(ctx context.Context, id raft.ID) (raft.ID, error) {
	t.Cluster.Campaign(id)
	leader, err := cluster.WaitLeader(ctx, t.Cluster, t.Timeout)
	if err != nil {
		return 0, fmt.Errorf("no leader: %w", err)
	}
	return leader, nil
}

// Other returns the follower that scenarios do things to: the last replica that is not the leader.
func (t *Trial) Other(leader raft.ID) raft.ID {
	if id := raft.ID(t.Cluster.Size()); id != leader {
		return id
	}
	return raft.ID(t.Cluster.Size() - 1)
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
	end := readMeter(t.Cluster, t.virtual)
	t.Result.Cost = end.since(t.begin, t.window.finished)
}

// CatchUp heals a follower that was cut off, and the others named, and measures how it gets what the leader has. agree
// is the last index of its log that it shares with the leader, conflict the number of entries that have to go.
func (t *Trial) CatchUp(ctx context.Context, load *Load, leader, follower raft.ID, agree uint64, conflict int, others ...raft.ID) error {
	t.Measure(load)
	before := load.openWindow(false)
	if err := cluster.Sleep(ctx, t.Cluster, foregroundBefore); err != nil {
		return err
	}
	load.closeWindow(before)
	during := load.openWindow(false)
	u := &catchUp{leader: leader, follower: follower, healed: t.Cluster.Now(), target: t.Cluster.Status(leader).Commit}
	u.result.Entries, u.result.Conflict = u.target-min(agree, u.target), uint64(conflict)
	t.watch.watchCatchUp(u)
	cluster.Rejoin(t.Cluster, follower)
	for _, id := range others {
		cluster.Rejoin(t.Cluster, id)
	}
	if err := t.Cluster.Wait(ctx, t.Timeout, t.watch.caughtUp); err != nil {
		if now := cluster.Leader(t.Cluster); now != leader {
			return fmt.Errorf("the leader changed from replica %d to %d while replica %d caught up", leader, now, follower)
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

// quiesce stops the load, heals everything, lets one more proposal commit, which ends what an earlier term may have
// left open, and waits until all replicas have applied the same log.
func (t *Trial) quiesce(ctx context.Context) error {
	for _, l := range t.loads {
		l.Stop()
	}
	for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
		cluster.Rejoin(t.Cluster, id)
	}
	if err := t.Bulk(ctx, 1); err != nil {
		return fmt.Errorf("the group no longer serves at the end: %w", err)
	}
	err := t.Cluster.Wait(ctx, t.Timeout, func() bool {
		for _, l := range t.loads {
			if !l.Settled() {
				return false
			}
		}
		return t.level()
	})
	if errors.Is(err, cluster.ErrTimeout) {
		return invalid("the replicas' logs did not become equal within %v", t.Timeout)
	} else if err != nil {
		return err
	}
	first := t.Cluster.Status(1)
	for id := raft.ID(2); id <= raft.ID(t.Cluster.Size()); id++ {
		if s := t.Cluster.Status(id); s.Applied == first.Applied && s.Digest != first.Digest {
			return invalid("replicas 1 and %d applied different logs up to index %d: digests %016x and %016x", id, s.Applied, first.Digest, s.Digest)
		}
	}
	t.Result.LogDigest = fmt.Sprintf("%016x", first.Digest)
	return nil
}

// level reports whether all replicas are up and have applied everything that any of them has.
func (t *Trial) level() bool {
	first := t.Cluster.Status(1)
	for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
		if s := t.Cluster.Status(id); !s.Up || s.Applied != s.Last || s.Last != first.Last {
			return false
		}
	}
	return true
}

// account adds up the loads, after every proposal has been answered or given up.
func (t *Trial) account() {
	for _, l := range t.loads {
		l.mu.Lock()
		t.Result.Counts.Proposed += l.counts.Proposed
		t.Result.Counts.Committed += l.counts.Committed
		t.Result.Counts.Failed += l.counts.Failed
		t.Result.Counts.Unknown += l.counts.Unknown + uint64(l.open) // the group was closed while it was looked for
		l.mu.Unlock()
	}
	w := t.window
	if w == nil || w.to == 0 {
		return
	}
	t.Result.Window = w.counts
	t.Result.Measured = w.span()
	t.Result.ThroughputPerSec = float64(w.finished) / w.span().Seconds()
	t.Result.Warnings = append(t.Result.Warnings, t.measured.warnings(w)...)
	if t.Unmeasured {
		return
	}
	t.Result.Latency = w.latency
	t.Result.Stages = map[string]*results.Histogram{}
	for name, h := range map[string]*results.Histogram{
		results.StageQueue: w.queue, results.StageSend: w.send, results.StageAck: w.ack, results.StageCommit: w.commit,
		results.StageApply: w.apply, results.StageAnnounce: t.watch.announce, results.StageAll: t.watch.all,
	} {
		if h.Count() > 0 || t.Engine.Strategies { // other engines do not tell of their stages
			t.Result.Stages[name] = h
		}
	}
}

// judge checks the identities that make the trial's numbers worth printing.
// judge checks the identities that make the trial's numbers worth printing.
func (t *Trial) judge() error {
	var told bitmap
	for _, l := range t.loads {
		if l.err != nil {
			return l.err
		}
		told.merge(l.told)
	}
	if t.watch.err != nil {
		return t.watch.err
	}
	c, w := t.Result.Counts, t.Result.Window
	if c.Proposed != c.Committed+c.Failed+c.Unknown {
		return fmt.Errorf("%d proposed, but %d committed + %d failed + %d unknown", c.Proposed, c.Committed, c.Failed, c.Unknown)
	}
	if w.Proposed != w.Committed+w.Failed+w.Unknown {
		return fmt.Errorf("%d proposed in the measured span, but %d committed + %d failed + %d unknown", w.Proposed, w.Committed, w.Failed, w.Unknown)
	}
	if t.Unmeasured {
		return nil // nobody has looked further
	}
	if n := t.Result.Latency.Count(); n != w.Committed {
		return fmt.Errorf("%d latencies recorded for %d commits", n, w.Committed)
	}
	return t.ledger.check(told)
}

// defaultTimeout bounds whatever a trial waits for.
const defaultTimeout = 30 * time.Second
