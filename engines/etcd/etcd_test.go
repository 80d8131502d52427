package etcd_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/engines/conformance"
	"github.com/raftbench/raftbench/engines/etcd"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conformance.Run(t, etcd.Engine(), engines.Place{Transport: mem.Kind()}, engines.Place{Transport: tcp.Plain()},
		engines.Place{Transport: quic.PerClass()}, engines.Place{Transport: mem.Kind(), Data: t.TempDir()})
}

// Where messages get lost, followers need entries that the log no longer holds, again and again. Snapshots get lost too.
func TestSnapshotsOverLossyLinks(t *testing.T) {
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(10) {
		cfg := cluster.Config{Replicas: 3, Strategy: strategy, Heartbeat: 100 * time.Millisecond, ElectionTimeout: time.Second,
			PreVote: true, CheckQuorum: true, Seed: seed, SnapshotEntries: 1024, SnapshotTrailing: 1, MaxAppendBytes: 1 << 10}
		etcd.Engine().Configure(&cfg)
		c, err := sim.New(sim.Config{Config: cfg, Transport: "datagram", Links: func(raft.ID, raft.ID) sim.Link {
			return sim.Link{Delay: 250 * time.Microsecond, Jitter: 400 * time.Microsecond, Loss: 0.04}
		}})
		if err != nil {
			t.Fatal(err)
		}
		c.Campaign(1)
		leader, err := cluster.WaitLeader(t.Context(), c, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		const want = 20_000
		left, open := want, 16
		for range open {
			p := &cluster.Proposal{Data: make([]byte, 128)}
			p.Done = func(p *cluster.Proposal) {
				if left--; left > 0 && p.Outcome == cluster.Committed {
					c.Propose(leader, p)
				} else {
					open--
				}
			}
			c.Propose(leader, p)
		}
		if err := c.Wait(t.Context(), time.Minute, func() bool { return open == 0 }); err != nil || left > 0 {
			t.Errorf("seed %d: %d of %d proposals left: %v", seed, left, want, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	conformance.Benchmark(b, etcd.Engine(), engines.Place{Transport: tcp.Plain()})
}
