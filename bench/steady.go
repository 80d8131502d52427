package bench

import (
	"context"
	"time"

	"github.com/raftbench/raftbench/cluster"
)

var steady = Scenario{
	Name:    "steady",
	Doc:     "nothing fails: clients propose, in a closed loop or at a rate, and every commit is timed",
	Prepare: func(*Settings, *cluster.Config) error { return nil },
	Estimate: func(s *Settings) time.Duration {
		if s.Count > 0 {
			return s.Warmup + s.countTakes()
		}
		return s.Warmup + s.Duration
	},
	Run: func(ctx context.Context, t *Trial) error {
		if _, err := t.Elect(ctx); err != nil {
			return err
		}
		load := t.Foreground()
		if err := cluster.Sleep(ctx, t.Cluster, t.Warmup); err != nil {
			return err
		}
		t.Measure(load)
		if t.Count > 0 {
			from := load.Committed()
			err := t.Cluster.Wait(ctx, t.Timeout, func() bool { return load.Committed() >= from+t.Count })
			if err != nil {
				return err
			}
		} else if err := cluster.Sleep(ctx, t.Cluster, t.Duration); err != nil {
			return err
		}
		t.EndMeasure()
		return nil
	},
}
