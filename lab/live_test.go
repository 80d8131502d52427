package lab

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

var long = flag.Bool("live", false, "play all tests with all strategies over tcp and quic: some minutes, on a machine that does nothing else")

func over(kind transports.Kind) func(cluster.Config, *Meter) (cluster.Cluster, error) {
	return func(cfg cluster.Config, _ *Meter) (cluster.Cluster, error) {
		return live.New(live.Config{Config: cfg, Transport: kind})
	}
}

// The same text runs over sockets: a taste, with every way to use a group that the tests have.
func TestLive(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("tests", func(t *testing.T) {
		for _, name := range []string{"BasicAgree", "ConcurrentStarts", "Persist3"} {
			for _, kind := range []transports.Kind{mem.Kind(), tcp.Plain(), quic.PerClass()} {
				t.Run(name+"/"+kind.Name, func(t *testing.T) {
					t.Parallel()
					playLive(t, kind, "eager", name)
				})
			}
		}
	})
}

// TestLiveAll is the longer suite:
//
//	go test ./lab -run LiveAll -live -parallel 16 -timeout 30m
func TestLiveAll(t *testing.T) {
	if !*long {
		t.Skip("played with -live only")
	}
	for _, kind := range []transports.Kind{tcp.Plain(), quic.PerClass()} {
		for _, s := range strategies.List() {
			for _, test := range Tests {
				if tooSlow(s.Name, test.Name) {
					continue
				}
				t.Run(kind.Name+"/"+s.Name+"/"+test.Name, func(t *testing.T) {
					t.Parallel()
					playLive(t, kind, s.Name, test.Name)
				})
			}
		}
	}
}

// playLive plays a test again where the machine was too late for it to say anything.
func playLive(t *testing.T, kind transports.Kind, strategy, name string) {
	test, ok := FindTest(name)
	if !ok {
		t.Fatalf("no test is called %s", name)
	}
	s := settings(t, strategy, 1)
	s.Open = over(kind)
	for range 5 {
		r := Play(t.Context(), test, s)
		switch r.Status {
		case results.OK:
			return
		case results.Inconclusive:
			t.Log(r.Reason)
		default:
			t.Fatalf("%s: %s", r.Status, r.Reason)
		}
	}
	t.Skip("the machine is too busy for heartbeats")
}
