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

var restart = Scenario{
	Name: "restart",
	Doc:  "a follower crashes and comes back, then all do, from what their storages hold: how long until they serve?",
	Params: []Param{
		{Name: "restart-entries", Default: "20000", Doc: "entries that are committed before"},
	},
	Prepare: func(s *Settings, _ *cluster.Config) error {
		_, err := s.count("restart-entries", 1)
		return err
	},
	Entries: func(s *Settings) int {
		n, _ := s.count("restart-entries", 1)
		return n
	},
	Needs: func(*Settings) engines.Use { return engines.Use{Elections: true, Crashes: true} },
	Estimate: func(s *Settings) time.Duration {
		n, _ := s.count("restart-entries", 1)
		return time.Duration(n/bulkClients+1)*s.beatPerCommit() + 4*s.ElectionTimeout
	},
	Run: func(ctx context.Context, t *Trial) error {
		leader, err := t.Elect(ctx)
		if err != nil {
			return err
		}
		entries, _ := t.count("restart-entries", 1)
		if err := t.Bulk(ctx, uint64(entries)); err != nil {
			return err
		}
		t.Result.Restart = &results.Restart{Entries: uint64(entries)}
		if err := t.restartOne(ctx, t.Other(leader), leader); err != nil {
			return err
		}
		return t.restartAll(ctx)
	},
}

// restartOne crashes a follower and measures its way back.
func (t *Trial) restartOne(ctx context.Context, follower, leader raft.ID) error {
	r := t.Result.Restart
	t.watch.setCrashed(follower, true)
	t.Cluster.Crash(follower)
	begin := t.Cluster.Now()
	if err := t.Cluster.Restart(follower); err != nil {
		return fmt.Errorf("replica %d does not start again: %w", follower, err)
	}
	r.Open = t.Cluster.Now().Sub(begin)
	level := func() bool {
		s := t.Cluster.Status(follower)
		return s.Up && s.Applied >= t.Cluster.Status(leader).Commit
	}
	if err := t.Cluster.Wait(ctx, t.Timeout, level); err != nil {
		return fmt.Errorf("replica %d is not level again: %w", follower, err)
	}
	t.watch.setCrashed(follower, false)
	r.Level = t.Cluster.Now().Sub(begin) - r.Open
	return nil
}

// restartAll crashes all replicas at once and measures until a proposal commits again.
func (t *Trial) restartAll(ctx context.Context) error {
	r, n := t.Result.Restart, raft.ID(t.Cluster.Size())
	for id := raft.ID(1); id <= n; id++ {
		t.Cluster.Crash(id)
	}
	begin := t.Cluster.Now()
	for id := raft.ID(1); id <= n; id++ {
		if err := t.Cluster.Restart(id); err != nil {
			return fmt.Errorf("replica %d does not start again: %w", id, err)
		}
	}
	r.All = t.Cluster.Now().Sub(begin)
	if err := t.Bulk(ctx, 1); err != nil {
		return fmt.Errorf("no commit after all replicas were restarted: %w", err)
	}
	r.Serve = t.Cluster.Now().Sub(begin) - r.All
	return nil
}
