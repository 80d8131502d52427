package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Settings are what a test leaves open.
type Settings struct {
	Strategy        raft.Strategy
	Heartbeat       time.Duration // the leader's period
	ElectionTimeout time.Duration // a follower waits this long to twice as long; see DefaultElectionTimeout
	PreVote         bool
	CheckQuorum     bool
	Seed            uint64 // of the test's and the replicas' random choices
	Edition         Edition
	Cut             cluster.CutKind

	// Open makes a group. Its Engine counts into the meter by itself; a group that has no use for engines counts its
	// messages there. The caller closes the group.
	Open func(cfg cluster.Config, m *Meter) (cluster.Cluster, error)
}

// DefaultElectionTimeout is an election timeout that keeps to the lab's limits with heartbeats of up to 100 ms: three
// of them may be late, and two rounds of elections fit into the second in which the course expects a new leader.
const DefaultElectionTimeout = 300 * time.Millisecond

// Play plays one test. What became of it is told in the result: OK if it passed; Invalid if it failed, with the figure
// and the limit in the Reason; Failed if it could not be played; Interrupted; and Inconclusive if it broke a limit
// while the machine was so late that followers may have taken a live leader for dead.
func Play(ctx context.Context, t Test, s Settings) (result results.Trial) {
	g := &group{
		ctx: ctx, n: t.Replicas, edition: s.Edition, cutKind: s.Cut, meter: &Meter{}, watch: newWatch(t.Replicas),
		random: rand.New(rand.NewPCG(s.Seed, 0x6c6162)), connected: make([]bool, t.Replicas),
		lab: &results.Lab{},
	}
	for i := range g.connected {
		g.connected[i] = true
	}
	cfg := cluster.Config{
		Replicas: t.Replicas, Engine: g.meter.tap(nil), Strategy: s.Strategy, Heartbeat: s.Heartbeat,
		ElectionTimeout: s.ElectionTimeout, PreVote: s.PreVote, CheckQuorum: s.CheckQuorum, Seed: s.Seed, Observer: g.watch,
	}
	if t.SnapshotEntries > 0 {
		// As on the course's network, where a snapshot takes the log with it, nothing is kept for followers that lag.
		cfg.SnapshotEntries, cfg.MaxLagBytes = t.SnapshotEntries, 1
	}
	c, err := s.Open(cfg, g.meter)
	if err != nil {
		return results.Trial{Status: results.Failed, Reason: err.Error()}
	}
	g.c = c
	err = g.play(t)
	g.stopProcesses()
	if w, ok := c.(interface{ Warnings() []string }); ok {
		g.warnings = append(g.warnings, w.Warnings()...)
	}
	closing := c.Close()
	if unsafe := g.watch.check(); unsafe != nil { // perhaps it came to light at the very end
		err = failure{text: unsafe.Error(), unsafe: true}
	}

	result = results.Trial{Status: results.OK, Lab: g.lab, Measured: g.lab.Total, Warnings: g.warnings}
	var stopped broken
	var failed failure
	slack := s.ElectionTimeout - s.Heartbeat
	switch {
	case errors.As(err, &stopped) && ctx.Err() != nil:
		result.Status, result.Reason = results.Interrupted, "interrupted"
	case errors.As(err, &stopped):
		result.Status, result.Reason = results.Failed, err.Error()
	case errors.As(err, &failed) && !failed.unsafe && g.lab.LateMax >= slack:
		result.Status, result.Reason = results.Inconclusive, fmt.Sprintf("%s: the machine was late by %v, and heartbeats may be by %v; then: %v: use fewer --jobs",
			t.Name, g.lab.LateMax.Round(time.Millisecond), slack, err)
	case err != nil:
		result.Status, result.Reason = results.Invalid, fmt.Sprintf("%s: %v", t.Name, err)
	case closing != nil:
		result.Status, result.Reason = results.Failed, closing.Error()
	default:
		if err := result.Check(); err != nil {
			result.Status, result.Reason = results.Invalid, err.Error()
		}
	}
	return result
}

// play runs the test's text and fills in what it measured. The error is a failure, or broken.
func (g *group) play(t Test) (err error) {
	begin := g.c.Now()
	defer func() {
		g.measure(begin)
		switch cause := recover().(type) {
		case nil:
		case failure:
			err = cause
		case broken:
			err = cause
		default:
			panic(cause)
		}
	}()
	g.c.SetConditions(t.Network)
	t.play(g)
	return nil
}

// measure fills in what is known at the end.
func (g *group) measure(begin raft.Time) {
	l, counters := g.lab, g.c.Counters()
	l.Total = g.c.Now().Sub(begin)
	l.Rest = l.Total - l.Own - l.Elections - l.Agreements - l.Stale
	l.RPCs, l.RequestBytes, l.ReplyBytes = g.meter.requests.Load(), g.meter.requestBytes.Load(), g.meter.replyBytes.Load()
	l.Committed, l.Rejections, l.Elected = g.watch.highest(), counters.Rejections, counters.Elections
}
