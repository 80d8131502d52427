package conformance

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/strategies"
)

// Benchmark measures how long an engine takes for a commit of 128 bytes, on a group of three, with clients in closed
// loops and nobody watching. One operation is one commit.
func Benchmark(b *testing.B, e engines.Engine, at engines.Place) {
	for _, clients := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("%s/clients=%d", at.Transport.Name, clients), func(b *testing.B) { benchmark(b, e, at, clients) })
	}
}

func benchmark(b *testing.B, e engines.Engine, at engines.Place, clients int) {
	strategy, err := strategies.Parse("eager")
	if err != nil {
		b.Fatal(err)
	}
	c, err := Open(e, at, cluster.Config{Replicas: 3, Strategy: strategy, Heartbeat: 100 * time.Millisecond,
		ElectionTimeout: time.Second, PreVote: true, CheckQuorum: true, Seed: 1, SnapshotEntries: 8192, SnapshotTrailing: 8192})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	c.Campaign(1)
	leader, err := cluster.WaitLeader(b.Context(), c, patience)
	if err != nil {
		b.Fatal(err)
	}
	var left, failed atomic.Int64
	done := make(chan struct{}, clients)
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for range clients {
		p := &cluster.Proposal{Data: make([]byte, 128)}
		next := func() {
			if left.Add(-1) < 0 {
				done <- struct{}{}
				return
			}
			c.Propose(leader, p)
		}
		p.Done = func(p *cluster.Proposal) {
			if p.Outcome != cluster.Committed {
				failed.Add(1)
			}
			next()
		}
		next()
	}
	for range clients {
		<-done
	}
	b.StopTimer()
	if n := failed.Load(); n > 0 {
		b.Errorf("%d of %d proposals were not committed", n, b.N)
	}
}
