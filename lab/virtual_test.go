package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

// onLoopback makes groups in virtual time on links like loopback.
func onLoopback(cfg cluster.Config, _ *Meter) (cluster.Cluster, error) {
	return sim.New(sim.Config{Config: cfg, CPUPerMessage: 5 * time.Microsecond,
		Links: func(raft.ID, raft.ID) sim.Link { return sim.Link{Delay: 20 * time.Microsecond} }})
}

func strategy(t testing.TB, text string) raft.Strategy {
	t.Helper()
	s, err := strategies.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settings are those of the command, in virtual time.
func settings(t testing.TB, text string, seed uint64) Settings {
	return Settings{Strategy: strategy(t, text), Heartbeat: 100 * time.Millisecond, ElectionTimeout: DefaultElectionTimeout, Seed: seed, Open: onLoopback}
}

// tooSlow reports whether a strategy may break the limit of ten seconds in a test. Where replies are held back for 0.7
// s in the mean, a search may take no more than a handful of rejections; a loop that goes one index back per rejection,
// and so per heartbeat, is too slow wherever logs have parted by a hundred entries. The course says as much.
func tooSlow(strategy, test string) bool {
	switch test {
	case "Figure8Unreliable":
		return strategy == "linear-loop" || strategy == "linear-signal"
	case "ReliableChurn", "UnreliableChurn":
		return strategy == "linear-loop"
	}
	return false
}

// All tests pass with all named strategies, except where a slow search must break the limit of ten seconds. What is
// unsafe fails there too: Play tells it instead of the limit, see TestUnsafeComesBeforeALimit.
func TestAllStrategiesInVirtualTime(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for _, s := range strategies.List() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for _, test := range Tests {
				for seed := range seeds {
					r := Play(t.Context(), test, settings(t, s.Name, seed))
					switch {
					case r.Status == results.OK:
					case tooSlow(s.Name, test.Name) && strings.Contains(r.Reason, "the limit is 10s"):
						t.Logf("seed %d: as expected: %s", seed, r.Reason)
					default:
						t.Errorf("seed %d: %s: %s", seed, r.Status, r.Reason)
					}
				}
			}
		})
	}
}

// Part 2D passes as well where a snapshot travels in several chunks and takes its time; and replicas that were away do get
// snapshots, nearly once a round, while the others' logs stay as short as the course's.
func TestSnapshotsInChunks(t *testing.T) {
	for _, name := range []string{"linear-loop", "fast-signal", "eager"} {
		for _, delay := range []time.Duration{20 * time.Microsecond, 10 * time.Millisecond} {
			for _, test := range TestsOf("2D") {
				for seed := range uint64(3) {
					var seen *installs
					s := settings(t, name, seed)
					s.Open = func(cfg cluster.Config, _ *Meter) (cluster.Cluster, error) {
						seen = &installs{Observer: cfg.Observer}
						cfg.Observer, cfg.ChunkBytes = seen, 20
						return sim.New(sim.Config{Config: cfg, CPUPerMessage: 5 * time.Microsecond,
							Links: func(raft.ID, raft.ID) sim.Link { return sim.Link{Delay: delay} }})
					}
					r := Play(t.Context(), test, s)
					if r.Status != results.OK {
						t.Errorf("%s, seed %d, delay %v: %s: %s", name, seed, delay, r.Status, r.Reason)
					}
					if strings.HasPrefix(test.Name, "SnapshotInstall") && seen.n < snapshotRounds/3 {
						t.Errorf("%s, seed %d, delay %v: %s installed %d snapshots in %d rounds", name, seed, delay, test.Name,
							seen.n, snapshotRounds)
					}
					if lost := strings.Contains(test.Name, "Un"); seen.n > 0 && !lost && seen.chunks < 3*seen.n {
						t.Errorf("%s: %d chunks for %d snapshots, want several for each", test.Name, seen.chunks, seen.n)
					}
				}
			}
		}
	}
}

// installs counts the snapshots that replaced a log, and the chunks sent.
type installs struct {
	cluster.Observer
	n, chunks int
}

func (i *installs) Events(now raft.Time, id raft.ID, events []raft.Event) {
	for e := range events {
		switch events[e].Kind {
		case raft.EventInstalled:
			i.n++
		case raft.EventChunk:
			i.chunks++
		}
	}
	i.Observer.Events(now, id, events)
}

// So do groups with pre-vote and check-quorum, and they save what stale leaders cost.
func TestPreVoteAndCheckQuorumSaveStaleLeaders(t *testing.T) {
	var with, without time.Duration
	for _, test := range TestsOf("2B") {
		for seed := range uint64(5) {
			s := settings(t, "fast-signal", seed)
			plain := Play(t.Context(), test, s)
			s.PreVote, s.CheckQuorum = true, true
			guarded := Play(t.Context(), test, s)
			for _, r := range []results.Trial{plain, guarded} {
				if r.Status != results.OK {
					t.Fatalf("seed %d: %s: %s", seed, r.Status, r.Reason)
				}
			}
			without += plain.Lab.Total / 5
			with += guarded.Lab.Total / 5
		}
	}
	if saved := without - with; saved < 3*time.Second {
		t.Errorf("2B takes %v without and %v with pre-vote and check-quorum, want to save some seconds", without, with)
	}
}

// The totals order as the choices say, and nothing is gained by moving commitIndex early while followers hear of it by
// the next heartbeat.
func TestTotalsFallFromLoopToSignalToEager(t *testing.T) {
	total := func(name string) (sum time.Duration) {
		for _, test := range TestsOf("2B") {
			r := Play(t.Context(), test, settings(t, name, 1))
			if r.Status != results.OK {
				t.Fatalf("%s: %s", r.Status, r.Reason)
			}
			sum += r.Lab.Total
		}
		return sum
	}
	loop, signal, commit, eager := total("fast-loop"), total("fast-signal"), total("fast-signal-commit"), total("eager")
	if !(loop > signal+5*time.Second && signal > eager+5*time.Second) {
		t.Errorf("loop %v, signal %v, eager %v: want each some seconds below the one before", loop, signal, eager)
	}
	if d := signal - commit; d < -100*time.Millisecond || d > 100*time.Millisecond {
		t.Errorf("signal %v, commitIndex moved at once %v: want the same", signal, commit)
	}
	if linear := total("linear-loop"); linear < loop+3*time.Second {
		t.Errorf("linear-loop %v, fast-loop %v: want 100 rejections of a heartbeat between them, less what overlaps",
			linear, loop)
	}
}

// An agreement takes two periods, one, or one look.
func TestLawOfAgreements(t *testing.T) {
	backup, _ := FindTest("Backup")
	for _, period := range []time.Duration{60 * time.Millisecond, 100 * time.Millisecond, 140 * time.Millisecond} {
		for name, want := range map[string]time.Duration{"fast-loop": 2 * period, "fast-signal": period, "eager": agreeLook} {
			s := settings(t, name, 1)
			s.Heartbeat = period
			r := Play(t.Context(), backup, s)
			if r.Status != results.OK {
				t.Fatalf("%s: %s", r.Status, r.Reason)
			}
			if n := len(r.Lab.Each); n != 102 {
				t.Errorf("%s: %d agreements, want 102", name, n)
			}
			if mean, _ := r.Lab.Mean(); mean < want-5*time.Millisecond || mean > want+5*time.Millisecond {
				t.Errorf("%s, period %v: an agreement takes %v in the mean, want %v", name, period, mean, want)
			}
		}
	}
}

func TestSameSeedSameResult(t *testing.T) {
	for _, test := range Tests {
		var before string
		for range 2 {
			r := Play(t.Context(), test, settings(t, "eager", 7))
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if before != "" && string(text) != before {
				t.Errorf("%s: the same seed gave\n%s\nand then\n%s", test.Name, before, text)
			}
			before = string(text)
		}
	}
}

// The order in which jobs take the tests must not matter.
func TestSameTableForAnyNumberOfJobs(t *testing.T) {
	m := Matrix{Tests: TestsOf("2B"), Strategies: []raft.Strategy{strategy(t, "fast-signal"), strategy(t, "eager")}, Name: strategies.String, Choices: strategies.Choices,
		Transports: []string{"tcp"}, Heartbeats: []time.Duration{100 * time.Millisecond}, ElectionTimeout: DefaultElectionTimeout}
	plan, err := m.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var before map[string]string
	for _, jobs := range []int{1, 7} {
		got := map[string]string{}
		run := Run{Plan: plan, Repeat: 2, Jobs: jobs, Seed: 3,
			Open: func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
				return sim.New(sim.Config{Config: cfg, Transport: transport})
			},
			Done: func(r results.Trial) error {
				text, err := json.Marshal(r.Lab)
				got[fmt.Sprint(r.Cell, "/", r.Repeat)] = string(r.Status) + string(text)
				return err
			}}
		if err := run.Do(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2*len(plan) {
			t.Fatalf("%d trials, want %d", len(got), 2*len(plan))
		}
		for key, text := range before {
			if got[key] != text {
				t.Errorf("trial %s: with 1 job\n%s\nwith 7\n%s", key, text, got[key])
			}
		}
		before = got
	}
}

// Figure 8 of the paper needs a leader that crashes while its entries are on the way. On loopback few are; where
// messages take as long as the test waits, many are. (A leader that commits by counting entries of earlier terms fails
// this for every third seed.)
func TestFigure8WhereMessagesTakeTime(t *testing.T) {
	figure8, _ := FindTest("Figure8")
	for _, name := range []string{"fast-loop", "fast-signal", "eager"} {
		for seed := range uint64(3) {
			s := settings(t, name, seed)
			s.Open = func(cfg cluster.Config, _ *Meter) (cluster.Cluster, error) {
				return sim.New(sim.Config{Config: cfg, Links: func(raft.ID, raft.ID) sim.Link { return sim.Link{Delay: 10 * time.Millisecond} }})
			}
			if r := Play(t.Context(), figure8, s); r.Status != results.OK {
				t.Errorf("%s, seed %d: %s: %s", name, seed, r.Status, r.Reason)
			}
		}
	}
}
