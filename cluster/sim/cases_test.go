package sim_test

import (
	"math"
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

// Cases that were reported as wrong, with the values that follow from arithmetic.

// play runs one trial of one scenario and returns it. The settings are the command's defaults, changed by change.
func play(t *testing.T, scenario, transport, strategy string, link sim.Link, change func(*bench.Matrix)) results.Trial {
	t.Helper()
	list, err := strategies.ParseList(strategy)
	if err != nil {
		t.Fatal(err)
	}
	m := bench.Matrix{Strategies: list, Transports: []string{transport}, Scenarios: []string{scenario}, Nodes: []int{3},
		Payloads: []int{100}, Clients: []int{64}, Repeat: 1, Virtual: true, Name: strategies.String, Choices: strategies.Choices,
		Common: bench.Settings{Warmup: 100 * time.Millisecond, Duration: time.Second, Foreground: 1, Heartbeat: 50 * time.Millisecond,
			ElectionTimeout: 500 * time.Millisecond, PreVote: true, CheckQuorum: true, MaxAppendBytes: raft.DefaultMaxAppendBytes,
			SnapshotTrailing: 1000, RoundTrip: 2 * link.Delay, Timeout: 10 * time.Minute}}
	change(&m)
	plan, err := m.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var trial results.Trial
	run := bench.Run{Plan: plan, Repeat: 1, Seed: 1, Virtual: true,
		Open: func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
			return sim.New(sim.Config{Config: cfg, Transport: transport, Links: all(link), CPUPerMessage: 5 * time.Microsecond})
		},
		Done: func(r results.Trial) error {
			trial = r
			return nil
		},
	}
	if err := run.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if trial.Status != results.OK {
		t.Fatalf("%s: %s", trial.Status, trial.Reason)
	}
	return trial
}

// With one AppendEntries in flight, each batch costs a round trip: 2000 entries of 64 KiB at 100 ms, in full batches of
// 4, 8, 16 and 128.
func TestFullBatchesCostARoundTripEach(t *testing.T) {
	for maxAppend, perBatch := range map[int]int{256 << 10: 4, 512 << 10: 8, 1 << 20: 16, 8 << 20: 128} {
		trial := play(t, "lag", "tcp", "fast,send=window(1),announce=now", sim.Link{Delay: 50 * time.Millisecond, Rate: 10e9},
			func(m *bench.Matrix) {
				m.Payloads = []int{64 << 10}
				m.Common.MaxAppendBytes = maxAppend
				m.Common.Params = map[string]string{"lag-entries": "2000"}
			})
		batches := math.Ceil(float64(trial.CatchUp.Entries) / float64(perBatch))
		onWire := float64(trial.CatchUp.Entries) * (64 << 10) * 8 / 10e9 // seconds, of what travels while nothing else does
		want := batches*0.1 + onWire
		got := (trial.CatchUp.Total - trial.CatchUp.Detect).Seconds() // the leader finds out by its heartbeat first
		if math.Abs(got-want) > 0.15 {
			t.Errorf("catching up with %d entries in batches of %d takes %.2f s, want %.2f s", trial.CatchUp.Entries, perBatch, got, want)
		}
	}
}

// One index is tried for each heartbeat of 2 s: 1801 conflicting entries take 3602 s, and the proposals that wait meanwhile
// are measured as what they are.
func TestMoreThanAnHourIsMeasured(t *testing.T) {
	trial := play(t, "diverge", "tcp", "linear-loop", netem.LAN(), func(m *bench.Matrix) {
		m.Common.Params = map[string]string{"diverge-entries": "1801", "diverge-terms": "1"}
		m.Common.Heartbeat, m.Common.ElectionTimeout, m.Common.Timeout = 2*time.Second, 10*time.Second, 5*time.Hour
	})
	if got := trial.CatchUp.Total.Seconds(); got < 3600 || got > 3610 {
		t.Errorf("catching up takes %.1f s, want about 3602 s", got)
	}
	if max := trial.Stages[results.StageAll].Max(); max < time.Hour {
		t.Errorf("until all replicas have applied a proposal takes %v at the most, want more than an hour", max)
	}
}

// A datagram has at most 64 KiB. With a loss of 5% a larger one would never arrive; what is sent after a loss fits into one
// although thousands of entries wait.
func TestDatagramsAreNoLargerThanUDPAllows(t *testing.T) {
	trial := play(t, "steady", "datagram", "eager", sim.Link{Delay: 250 * time.Microsecond, Loss: 0.05}, func(m *bench.Matrix) {
		m.Payloads, m.Clients = []int{128}, []int{16}
		m.Common.Duration = 5 * time.Second
	})
	if trial.ThroughputPerSec < 1000 {
		t.Errorf("%.0f commits/s, want more than 1000", trial.ThroughputPerSec)
	}
}

// An entry of 8 MiB is copied eight times on its way: into three logs and onto three disks, and from one log into two
// frames. None of that needs new memory once the first few have passed: getting it, and clearing it, took most of the time.
func TestLargeEntriesUseMemoryAgain(t *testing.T) {
	const size = 8 << 20
	commits := func(d time.Duration) (n, allocated uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		trial := play(t, "steady", "tcp", "eager", netem.LAN(), func(m *bench.Matrix) {
			m.Payloads, m.Clients = []int{size}, []int{1}
			m.Common.Warmup, m.Common.Duration = 5*time.Millisecond, d
		})
		runtime.ReadMemStats(&after)
		return trial.Counts.Committed, after.TotalAlloc - before.TotalAlloc
	}
	few, once := commits(5 * time.Millisecond)
	many, often := commits(25 * time.Millisecond)
	if many < few+30 {
		t.Fatalf("%d and %d commits, want at least 30 more", few, many)
	}
	if more := often - min(often, once); more > (many-few)*size/8 {
		t.Errorf("%d more commits of 8 MiB need %d MiB of new memory, want less than 1 MiB each", many-few, more>>20)
	}
}
