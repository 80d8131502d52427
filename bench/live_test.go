package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/engines/etcd"
	"github.com/raftbench/raftbench/engines/hashicorp"
	"github.com/raftbench/raftbench/engines/raftbench"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

// freezeByTurn freezes each replica for longer than any election timeout, the leader first, and the last one until the
// trial ends.
func freezeByTurn(t *Trial, leader raft.ID, sleep func()) bool {
	for i := range raft.ID(3) {
		id := (leader-1+i)%3 + 1
		t.Cluster.Pause(id)
		sleep()
		if i < 2 {
			t.Cluster.Resume(id)
		}
	}
	return false
}

// Replicas freeze under load, with every engine that elects, over every transport: every trial has figures.
func TestFrozenReplicas(t *testing.T) {
	for _, kind := range []transports.Kind{mem.Kind(), tcp.Plain(), quic.PerClass()} {
		for _, e := range []engines.Engine{raftbench.Engine(), etcd.Engine(), hashicorp.Engine()} {
			t.Run(fmt.Sprint(e.Name, " over ", kind.Name), func(t *testing.T) {
				t.Parallel()
				p := plan(freezing(freezeByTurn, 400*time.Millisecond), func(s *Settings) {
					s.Engine = e
					s.ElectionTimeout, s.Heartbeat, s.Timeout = 150*time.Millisecond, 15*time.Millisecond, time.Minute
					s.PreVote, s.CheckQuorum, s.PerSecond = true, true, 500
				})
				open := func(_ string, cfg cluster.Config) (cluster.Cluster, error) {
					if e.Open != nil {
						return e.Open(engines.Place{Transport: kind}, cfg)
					}
					return live.New(live.Config{Config: cfg, Transport: kind})
				}
				r := runTrial(context.Background(), p, 1, false, open)
				if r.Status != results.OK || r.Window.Committed == 0 {
					t.Errorf("%s: %s, %+v in the span, %+v in all", r.Status, r.Reason, r.Window, r.Counts)
				}
			})
		}
	}
}
