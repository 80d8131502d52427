package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

var failover = Scenario{
	Name:     "failover",
	Doc:      "the leader crashes under load: how long until there is another, and until it commits?",
	Prepare:  func(*Settings, *cluster.Config) error { return nil },
	Needs:    func(*Settings) engines.Use { return engines.Use{Elections: true, Crashes: true} },
	Estimate: func(s *Settings) time.Duration { return s.Warmup + 3*s.ElectionTimeout },
	Run: func(ctx context.Context, t *Trial) error {
		old, err := t.Elect(ctx)
		if err != nil {
			return err
		}
		load := t.Foreground()
		if err := cluster.Sleep(ctx, t.Cluster, t.Warmup); err != nil {
			return err
		}
		if now := cluster.Leader(t.Cluster); now != old {
			return fmt.Errorf("the leader changed from replica %d to %d before it was to crash", old, now)
		}
		t.Measure(load)
		e := t.watch.watchElection(t.Cluster.Now(), old)
		t.watch.setCrashed(old, true)
		t.Cluster.Crash(old)
		// The first proposal made after the crash: it looks for a leader like any client does.
		first := newLoad(t, t.PayloadBytes)
		first.untilCommitted = true
		t.loads = append(t.loads, first)
		first.Closed(1, 1)
		if err := t.Cluster.Wait(ctx, t.Timeout, func() bool { return first.Committed() == 1 }); err != nil {
			return fmt.Errorf("no commit after the leader's crash: %w", err)
		}
		f, err := e.finish(t.watch, first.lastCommit())
		if err != nil {
			return err
		}
		t.Result.Failover = f
		// What had piled up meanwhile belongs to what the crash cost.
		if err := cluster.Sleep(ctx, t.Cluster, load.grace); err != nil {
			return err
		}
		t.EndMeasure()
		t.watch.setCrashed(old, false)
		return t.Cluster.Restart(old)
	},
}

// election follows the way from a leader's crash to its successor.
type election struct {
	old       raft.ID
	crashed   raft.Time
	candidate raft.Time // first that stood or asked around
	leader    raft.Time
	terms     map[uint64]bool
}

func (w *watch) watchElection(now raft.Time, old raft.ID) *election {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.elected = &election{old: old, crashed: now, terms: map[uint64]bool{}}
	return w.elected
}

func (e *election) observe(now raft.Time, id raft.ID, ev *raft.Event) {
	if id == e.old || e.leader != 0 {
		return
	}
	switch ev.Role {
	case raft.PreCandidate:
		setOnce(&e.candidate, now)
	case raft.Candidate:
		setOnce(&e.candidate, now)
		e.terms[ev.Term] = true
	case raft.Leader:
		e.leader = now
	}
}

func (e *election) finish(w *watch, firstCommit raft.Time) (*results.Failover, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.elected = nil
	if e.candidate == 0 || e.leader <= e.crashed {
		return nil, fmt.Errorf("replica %d was no longer the leader when it crashed: a successor had been elected",
			e.old)
	}
	candidate := max(e.candidate, e.crashed) // somebody may have stood at that very moment
	return &results.Failover{
		Detect: candidate.Sub(e.crashed), Elect: e.leader.Sub(candidate), Leaderless: e.leader.Sub(e.crashed),
		FirstWrite: firstCommit.Sub(e.crashed), Elections: uint64(len(e.terms)),
	}, nil
}
