package sim_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"testing"
	"time"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

// matrix runs every scenario under some strategies and returns the trials as a run file has them.
func matrix(t *testing.T, seed uint64) []byte {
	t.Helper()
	list, err := strategies.ParseList("linear-loop, fast-signal, eager, bisect")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range bench.Scenarios {
		names = append(names, s.Name)
	}
	m := bench.Matrix{Strategies: list, Transports: []string{"tcp", "quic"}, Scenarios: names, Nodes: []int{5}, Payloads: []int{100},
		Clients: []int{8}, Repeat: 2, Virtual: true, Name: strategies.String, Choices: strategies.Choices,
		Common: bench.Settings{Warmup: 100 * time.Millisecond, Duration: 300 * time.Millisecond, Foreground: 300, Heartbeat: 50 * time.Millisecond,
			ElectionTimeout: 500 * time.Millisecond, PreVote: true, CheckQuorum: true, MaxAppendBytes: raft.DefaultMaxAppendBytes,
			SnapshotTrailing: 1000, RoundTrip: 10 * time.Millisecond}}
	plan, err := m.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	run := bench.Run{Plan: plan, Repeat: m.Repeat, Seed: seed, Virtual: true,
		Open: func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
			return sim.New(sim.Config{Config: cfg, Transport: transport, CPUPerMessage: 2 * time.Microsecond,
				Links: all(sim.Link{Delay: 3 * time.Millisecond, Jitter: time.Millisecond, Distribution: netem.Normal, Loss: 0.005}),
				Disk:  sim.Disk{Sync: 500 * time.Microsecond, SyncJitter: 100 * time.Microsecond}})
		},
		Done: func(r results.Trial) error {
			if r.Status != results.OK && r.Status != results.NotApplicable {
				t.Errorf("%+v: %s: %s", plan[r.Cell].Cell, r.Status, r.Reason)
			}
			return json.NewEncoder(&file).Encode(r)
		},
	}
	if err := run.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// Every scenario runs as it is, and one seed gives the same run file to the last byte, on any number of processors.
func TestMatrixTwice(t *testing.T) {
	first := matrix(t, 7)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if again := matrix(t, 7); !bytes.Equal(first, again) {
		t.Error("two runs of one seed differ")
	}
	if other := matrix(t, 8); bytes.Equal(first, other) {
		t.Error("two seeds give the same run")
	}
}
