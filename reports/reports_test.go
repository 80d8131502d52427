package reports

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

var started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// strategy is a named point of the space, with what the made-up run measures for it.
type strategy struct {
	name    string
	choices map[string]string
	sendMs  float64 // mean wait at the Send gate; 0: none
}

func choices(backup, send, commit, announce string) map[string]string {
	return map[string]string{"backup": backup, "send": send, "commit": commit, "announce": announce, "apply": "now"}
}

var strategies = []strategy{
	{"linear-loop", choices("linear", "ride", "barrier", "ride"), 50},
	{"linear-signal", choices("linear", "now", "barrier", "ride"), 0},
	{"fast-loop", choices("fast", "ride", "barrier", "ride"), 50},
	{"fast-signal", choices("fast", "now", "barrier", "ride"), 0},
	{"fast-signal-commit", choices("fast", "now", "now", "ride"), 0},
	{"eager", choices("fast", "now", "now", "now"), 0},
}

// histogram records n values around mean, spread evenly from half of it to one and a half.
func histogram(random *rand.Rand, n int, mean time.Duration) *results.Histogram {
	h := results.NewHistogram()
	for range n {
		record(h, time.Duration(float64(mean)*(0.5+random.Float64())))
	}
	return h
}

func record(h *results.Histogram, d time.Duration) time.Duration {
	if err := h.Record(d); err != nil {
		panic(err)
	}
	return d
}

// load fills in what n commits under load measure: stages that add up to the latency exactly.
func load(random *rand.Rand, t *results.Trial, s strategy, rtt time.Duration, n int) {
	t.Latency = results.NewHistogram()
	t.Stages = map[string]*results.Histogram{}
	for _, name := range slices.Concat(results.LatencyStages, results.BesideStages) {
		t.Stages[name] = results.NewHistogram()
	}
	about := func(mean float64) time.Duration { return time.Duration(mean * (0.5 + random.Float64())) }
	machine := 0.97 + 0.06*random.Float64() // trials differ from each other
	var span time.Duration
	for range n {
		commit := 0.0
		if s.choices["commit"] == "barrier" {
			commit = 30e3
		}
		d := record(t.Stages[results.StageQueue], about(3e3))
		d += record(t.Stages[results.StageSend], about(s.sendMs*1e6+2e3))
		d += record(t.Stages[results.StageAck], about(machine*float64(rtt)))
		d += record(t.Stages[results.StageCommit], about(commit))
		d += record(t.Stages[results.StageApply], about(4e3))
		record(t.Latency, d)
		record(t.Stages[results.StageAnnounce], about(50e6))
		record(t.Stages[results.StageAll], d+about(50e6))
		span += d
	}
	t.Measured = span
	t.ThroughputPerSec = float64(n) / span.Seconds()
	t.Window = results.Counts{Proposed: uint64(n), Committed: uint64(n)}
	t.Counts = results.Counts{Proposed: uint64(n) + 51, Committed: uint64(n) + 50, Unknown: 1}
	t.Cost = &results.Cost{
		Commits: uint64(n), AppendEntries: uint64(2*n + n/8), Messages: uint64(4*n + n/4), EntriesSent: uint64(2 * n), Bytes: uint64(n * 560),
		Writes: uint64(4 * n), Elections: new(uint64), Rejections: new(uint64), CPU: time.Duration(n) * 61 * time.Microsecond, Allocations: uint64(n * 9), AllocatedBytes: uint64(n * 1200),
	}
	if s.choices["announce"] == "now" {
		t.Cost.AppendEntries += uint64(2 * n)
		t.Cost.Messages += uint64(4 * n)
		t.Cost.Bytes += uint64(n * 300)
	}
}

// catchUp fills in what healing a follower measures.
func catchUp(random *rand.Rand, t *results.Trial, s strategy, rtt time.Duration, entries, conflict int) {
	rounds := 1
	if conflict > 0 {
		rounds = 5
		if s.choices["backup"] == "linear" {
			rounds = conflict
		}
	}
	jitter := func(d time.Duration) time.Duration { return time.Duration(float64(d) * (0.95 + 0.1*random.Float64())) }
	c := &results.CatchUp{
		Follower: 2, Entries: uint64(entries), Conflict: uint64(conflict), Rejections: uint64(rounds - 1), ProbeRounds: uint64(rounds),
		Detect: jitter(2 * time.Millisecond), Probe: jitter(time.Duration(rounds) * rtt), Transfer: jitter(time.Duration(entries) * 2 * time.Microsecond),
		Learn: jitter(3 * time.Millisecond), Apply: jitter(400 * time.Microsecond),
		Messages: uint64(2*rounds + 2*entries/500), Bytes: uint64(entries*150 + rounds*90),
	}
	if s.sendMs > 0 {
		c.Detect, c.Learn = jitter(50*time.Millisecond), jitter(100*time.Millisecond)
	}
	c.Total = c.Detect + c.Probe + c.Transfer + c.Learn + c.Apply
	t.CatchUp = c
}

// matrix returns the made-up run of a default matrix, which the caller may change, but for its histograms.
func matrix() *results.Run {
	run := *madeUp()
	run.Trials = slices.Clone(run.Trials)
	run.Header.Cells = slices.Clone(run.Header.Cells)
	end := *run.End
	run.End = &end
	return &run
}

var madeUp = sync.OnceValue(func() *results.Run {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	run := &results.Run{Header: results.Header{
		Format: results.Format, Job: "matrix", Tag: "matrix", Started: started, Seed: seed, Clock: "wall", Repeat: 3, Baseline: "fast-signal",
		Args:     []string{"raftbench", "run", "matrix"},
		Again:    "raftbench run matrix --strategy linear-loop,linear-signal,fast-loop,fast-signal,fast-signal-commit,eager --transport tcp,quic --scenario steady,lag,diverge --nodes 3 --seed 7",
		Settings: map[string]string{"heartbeat": "100ms", "election-timeout": "1s", "warmup": "200ms", "duration": "500ms"},
		Docs: map[string]string{
			"scenario steady": "nothing fails: clients propose, and every commit is timed", "scenario lag": "a follower is cut off and healed",
			"scenario diverge": "a follower's log conflicts with the leader's", "backup linear": "One index back per rejection.",
			"backup fast": "The follower names the term.", "gate now": "Opens at once.", "gate ride": "Opens with the next message.",
		},
		Versions: map[string]string{"raftbench": "v0.1.0", "go": "go1.26.8", "github.com/quic-go/quic-go": "v0.65.0"},
		Machine:  map[string]string{"cpu": "Made-Up CPU", "cores": "2", "GOMAXPROCS": "2", "os": "linux", "kernel": "6.18", "tcp congestion control": "cubic"},
		Floors:   map[string]int64{"tcp": 23_300, "quic": 37_800},
	}}
	rtt := map[string]time.Duration{"tcp": 90 * time.Microsecond, "quic": 160 * time.Microsecond}
	for _, s := range strategies {
		for _, transport := range []string{"tcp", "quic"} {
			for _, scenario := range []string{"steady", "lag", "diverge"} {
				cell := results.Cell{
					ID: len(run.Header.Cells), Engine: "raftbench", Strategy: s.name, Choices: s.choices,
					Transport: transport, Scenario: scenario, Nodes: 3, PayloadBytes: 128,
				}
				switch scenario {
				case "steady":
					cell.Clients = 1
				case "lag":
					cell.RatePerSec, cell.Params = 500, map[string]string{"lag-entries": "10000"}
				case "diverge":
					cell.Params = map[string]string{"diverge-terms": "5", "diverge-entries": "1000"}
				}
				run.Header.Cells = append(run.Header.Cells, cell)
				for repeat := range run.Header.Repeat {
					t := results.Trial{Cell: cell.ID, Repeat: repeat, Order: len(run.Trials), Started: started, Status: results.OK}
					switch scenario {
					case "steady":
						load(random, &t, s, rtt[transport], 600)
					case "lag":
						load(random, &t, s, rtt[transport], 120)
						catchUp(random, &t, s, rtt[transport], 10_000, 0)
						t.CatchUp.Before = histogram(random, 60, t.Latency.Mean())
						t.CatchUp.During = histogram(random, 40, 2*t.Latency.Mean())
					case "diverge":
						t.Counts = results.Counts{Proposed: 1000, Committed: 1000}
						catchUp(random, &t, s, rtt[transport], 1000, 1000)
					}
					run.Trials = append(run.Trials, t)
				}
			}
		}
	}
	run.End = &results.End{Finished: started.Add(90 * time.Second), Trials: len(run.Trials)}
	return run
})

// trial finds one trial of a run that matrix made up.
func trial(run *results.Run, strategy, transport, scenario string, repeat int) *results.Trial {
	for _, c := range run.Header.Cells {
		if c.Strategy == strategy && c.Transport == transport && c.Scenario == scenario {
			for i := range run.Trials {
				if t := &run.Trials[i]; t.Cell == c.ID && t.Repeat == repeat {
					return t
				}
			}
		}
	}
	panic(fmt.Sprint("no trial ", strategy, transport, scenario, repeat))
}

// broken is matrix with cells of every kind of misfortune.
func broken() *results.Run {
	run := matrix()
	t := trial(run, "linear-loop", "tcp", "steady", 1)
	t.Status, t.Reason = results.Invalid, "the logs of two replicas differ"
	t = trial(run, "linear-signal", "quic", "diverge", 2)
	t.Status, t.Reason = results.Failed, "the port is in use"
	t = trial(run, "eager", "tcp", "lag", 0)
	t.Status, t.Reason = results.Inconclusive, "the linearizability check ran out of time"
	t = trial(run, "eager", "quic", "steady", 2)
	t.Status, t.Reason = results.Interrupted, "stopped by the user"
	t = trial(run, "fast-signal", "tcp", "steady", 1)
	t.Warnings = []string{"the target rate of 10,000/s was not reached: 7,120/s"}
	t = trial(run, "fast-loop", "quic", "steady", 0)
	t.Counts.Unknown++ // the sum is wrong, and the trial says ok
	gone := trial(run, "eager", "quic", "diverge", 0).Cell
	run.Trials = slices.DeleteFunc(run.Trials, func(t results.Trial) bool { return t.Cell == gone })
	run.Warnings = []string{"UDP receive buffer: 208 KiB, quic wants 7 MiB"}
	run.End.Interrupted, run.End.Trials = true, len(run.Trials)
	return run
}

// virtual is a small run in virtual time with figures that are known exactly.
func virtual() *results.Run {
	run := &results.Run{Header: results.Header{
		Format: results.Format, Job: "matrix", Tag: "one-way-25ms", Started: started, Seed: 1, Clock: "virtual", Repeat: 1, Baseline: "eager",
		Again: "raftbench run matrix --seed 1", Settings: map[string]string{"one-way delay": "25ms"},
	}}
	for i, name := range []string{"eager", "fast-loop"} {
		run.Header.Cells = append(run.Header.Cells, results.Cell{ID: i, Engine: "raftbench", Strategy: name, Transport: "sim", Scenario: "steady", Nodes: 3, PayloadBytes: 4096, RatePerSec: 100,
			Choices: map[string]string{"send": []string{"now", "ride"}[i]}})
		latency, ack, send := results.NewHistogram(), results.NewHistogram(), results.NewHistogram()
		for range 200 {
			wait := time.Duration(i) * 50 * time.Millisecond
			record(latency, record(ack, 50*time.Millisecond)+record(send, wait))
		}
		run.Trials = append(run.Trials, results.Trial{Cell: i, Status: results.OK, Started: started, Measured: 2 * time.Second, ThroughputPerSec: 100,
			Counts: results.Counts{Proposed: 200, Committed: 200}, Window: results.Counts{Proposed: 200, Committed: 200},
			Latency: latency, Stages: map[string]*results.Histogram{results.StageSend: send, results.StageAck: ack},
			Cost: &results.Cost{Commits: 200, Messages: 800, AppendEntries: 400, EntriesSent: 400, Bytes: 1_700_000, Elections: new(uint64), Rejections: new(uint64)}})
	}
	run.End = &results.End{Finished: started.Add(time.Second), Trials: 2}
	return run
}

// failover is a run of the scenario that the default matrix leaves out; it crashed before its end.
func failover() *results.Run {
	run := &results.Run{Header: results.Header{
		Format: results.Format, Job: "matrix", Started: started, Seed: 3, Clock: "wall", Repeat: 2, Baseline: "fast-signal",
	}}
	for i, nodes := range []int{3, 5} {
		run.Header.Cells = append(run.Header.Cells, results.Cell{ID: i, Strategy: "fast-signal", Transport: "tcp", Scenario: "failover", Nodes: nodes, PayloadBytes: 128, RatePerSec: 1000})
		for repeat := range 2 {
			f := &results.Failover{Detect: time.Duration(i+1) * 200 * time.Millisecond, Elect: time.Duration(repeat+3) * time.Millisecond, Elections: uint64(1 + repeat)}
			f.Leaderless = f.Detect + f.Elect
			f.FirstWrite = f.Leaderless + time.Millisecond
			run.Trials = append(run.Trials, results.Trial{Cell: i, Repeat: repeat, Status: results.OK, Started: started, Failover: f,
				Counts: results.Counts{Proposed: 1000, Committed: 700, Failed: 200, Unknown: 100}})
		}
	}
	return run
}

var goldenRuns = map[string]func() *results.Run{
	"matrix":   matrix,
	"broken":   broken,
	"virtual":  virtual,
	"failover": failover,
	"empty": func() *results.Run {
		return &results.Run{Header: results.Header{Format: results.Format, Job: "matrix"}}
	},
}

// render writes one report.
func render(t testing.TB, f Format, run *results.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// goldenFormats are the formats with golden files. A new one may join them: its files are written with -update.
var goldenFormats = []string{"table", "markdown", "csv", "json"}

// formatOf finds a format by its name, wherever it stands in the table.
func formatOf(t testing.TB, name string) Format {
	t.Helper()
	i := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no format %s", name)
	}
	return Formats[i]
}

func TestGolden(t *testing.T) {
	for name, of := range goldenRuns {
		for _, format := range goldenFormats {
			f := formatOf(t, format)
			if f.Name == "json" && name != "virtual" {
				continue // its numbers are those of csv, and there are many of them
			}
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				got := render(t, f, of())
				if again := render(t, f, of()); !bytes.Equal(got, again) {
					t.Fatal("the same run gave two different reports")
				}
				path := filepath.Join("testdata", name+"."+f.Name)
				if *update {
					if err := os.MkdirAll("testdata", 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, got, 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s differs; see what changed with: go test ./reports -update && git diff reports/testdata\ngot:\n%s", path, got)
				}
			})
		}
	}
}
