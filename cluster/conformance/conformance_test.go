package conformance_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/conformance"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLive(t *testing.T) {
	for _, kind := range []transports.Kind{mem.Kind(), tcp.Plain()} {
		t.Run(kind.Name, func(t *testing.T) {
			conformance.Run(t, func(cfg cluster.Config) (cluster.Cluster, error) {
				return live.New(live.Config{Config: cfg, Transport: kind})
			})
		})
	}
}

func TestSim(t *testing.T) {
	variants := []struct {
		name   string
		change func(*sim.Config)
	}{
		{"plain", func(*sim.Config) {}},
		{"cpu", func(c *sim.Config) { c.CPUPerMessage = 5 * time.Microsecond }},
		{"disk", func(c *sim.Config) {
			c.Disk = sim.Disk{Write: 50 * time.Microsecond, Sync: 500 * time.Microsecond, SyncJitter: 200 * time.Microsecond, Torn: 0.5}
		}},
		{"jitter", func(c *sim.Config) {
			c.Links = func(raft.ID, raft.ID) sim.Link {
				return sim.Link{Delay: time.Millisecond, Jitter: 300 * time.Microsecond, Distribution: netem.Normal, Reorder: 0.1, Duplicate: 0.1}
			}
		}},
	}
	for _, name := range sim.Transports() {
		for _, v := range variants {
			t.Run(name+"/"+v.name, func(t *testing.T) {
				conformance.Run(t, func(cfg cluster.Config) (cluster.Cluster, error) {
					c := sim.Config{Config: cfg, Transport: name}
					v.change(&c)
					return sim.New(c)
				})
			})
		}
	}
}
