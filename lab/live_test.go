package lab

import (
	"errors"
	"flag"
	"sync/atomic"
	"testing"
	"time"

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
	for _, kind := range []transports.Kind{mem.Kind(), tcp.Plain(), quic.PerClass()} {
		var seen outcomes
		t.Run(kind.Name, func(t *testing.T) {
			for _, name := range []string{"BasicAgree", "ConcurrentStarts", "Persist3"} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					playLive(t, kind, "eager", name, &seen)
				})
			}
		})
		seen.judge(t, kind)
	}
}

// TestLiveAll is the longer suite:
//
//	go test ./lab -run LiveAll -live -parallel 16 -timeout 30m
func TestLiveAll(t *testing.T) {
	if !*long {
		t.Skip("played with -live only")
	}
	for _, kind := range []transports.Kind{tcp.Plain(), quic.PerClass()} {
		var seen outcomes
		t.Run(kind.Name, func(t *testing.T) {
			for _, s := range strategies.List() {
				for _, test := range Tests {
					if tooSlow(s.Name, test.Name) {
						continue
					}
					t.Run(s.Name+"/"+test.Name, func(t *testing.T) {
						t.Parallel()
						playLive(t, kind, s.Name, test.Name, &seen)
					})
				}
			}
		})
		seen.judge(t, kind)
	}
}

// outcomes counts what became of tests on one kind of group. One that the machine was too late for is skipped; but if all
// are, then perhaps not the machine is late, but the driver, and nothing has been seen of it.
type outcomes struct{ passed, late atomic.Int32 }

func (o *outcomes) err() error {
	if o.late.Load() > 0 && o.passed.Load() == 0 {
		return errors.New("every test was too late to say anything: is it the machine, or the driver?")
	}
	return nil
}

func (o *outcomes) judge(t *testing.T, kind transports.Kind) {
	t.Helper()
	if err := o.err(); err != nil {
		t.Errorf("%s: %v", kind.Name, err)
	}
}

func playLive(t *testing.T, kind transports.Kind, strategy, name string, seen *outcomes) {
	test, ok := FindTest(name)
	if !ok {
		t.Fatalf("no test is called %s", name)
	}
	s := settings(t, strategy, 1)
	s.Open = over(kind)
	playInTime(t, test, s, seen)
}

// playInTime plays a test again where the machine was too late for it to say anything.
func playInTime(t *testing.T, test Test, s Settings, seen *outcomes) results.Trial {
	for range 5 {
		r := Play(t.Context(), test, s)
		switch r.Status {
		case results.OK:
			seen.passed.Add(1)
			return r
		case results.Inconclusive:
			t.Log(r.Reason)
		default:
			t.Fatalf("%s: %s", r.Status, r.Reason)
		}
	}
	seen.late.Add(1)
	t.Skip("the machine is too busy for heartbeats")
	return results.Trial{}
}

// A driver that is always late is not taken for one that passes.
func TestAlwaysLateIsNoPass(t *testing.T) {
	test, _ := FindTest("BasicAgree")
	s := settings(t, "fast-loop", 1)
	s.Heartbeat, s.ElectionTimeout = 1900*time.Millisecond, 2*time.Second
	s.Open = func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
		c, err := onLoopback(cfg, m)
		return &lateCluster{Cluster: c}, err
	}
	var seen outcomes
	t.Run("late", func(t *testing.T) { playInTime(t, test, s, &seen) })
	if seen.err() == nil {
		t.Error("nothing but late tests is taken for a pass")
	}
	seen.passed.Add(1)
	if err := seen.err(); err != nil {
		t.Errorf("one late test beside one that passed: %v", err)
	}
}
