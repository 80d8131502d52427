package live_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports/tcp"
)

// BenchmarkCommit is the driver alone: clients that propose again from Done, nobody observing, over tcp.
func BenchmarkCommit(b *testing.B) {
	for _, clients := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			strategy, err := strategies.Parse("eager")
			if err != nil {
				b.Fatal(err)
			}
			c, err := live.New(live.Config{Transport: tcp.Plain(), Config: cluster.Config{Replicas: 3, Strategy: strategy,
				Heartbeat: 100 * time.Millisecond, ElectionTimeout: 10 * time.Second, Seed: 1, SnapshotEntries: 1024, SnapshotBytes: 1 << 20, SnapshotTrailing: 8192}})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			c.Campaign(1)
			if _, err := cluster.WaitLeader(b.Context(), c, time.Minute); err != nil {
				b.Fatal(err)
			}
			var left, open atomic.Int64
			done := make(chan struct{})
			left.Store(int64(b.N))
			open.Store(int64(clients))
			b.ResetTimer()
			for range clients {
				p := &cluster.Proposal{Data: make([]byte, 128)}
				p.Done = func(p *cluster.Proposal) {
					if p.Outcome != cluster.Committed {
						b.Errorf("%v: %v", p.Outcome, p.Err)
					} else if left.Add(-1) >= 0 {
						c.Propose(1, p)
						return
					}
					if open.Add(-1) == 0 {
						close(done)
					}
				}
				c.Propose(raft.ID(1), p)
			}
			<-done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
