package conformance_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/conformance"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/netem/emulate"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
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

// The same over real sockets on hosts of their own.
func TestEmulated(t *testing.T) {
	links := func(int, int) netem.Link { return netem.Link{Delay: 100 * time.Microsecond} }
	n, err := emulate.New(emulate.Config{Hosts: 2})
	if errors.Is(err, emulate.ErrUnavailable) {
		t.Skip(err)
	}
	if err == nil {
		err = n.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []transports.Kind{tcp.Plain(), quic.PerClass()} {
		t.Run(kind.Name, func(t *testing.T) {
			conformance.RunOnPackets(t, func(cfg cluster.Config) (cluster.Cluster, error) {
				n, err := emulate.New(emulate.Config{Hosts: cfg.Replicas, Links: links})
				if err != nil {
					return nil, err
				}
				return live.New(live.Config{Config: cfg, Transport: kind, Network: n})
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
