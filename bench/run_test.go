package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// planOf returns cells that differ in nothing but their number.
func planOf(cells int) (list []Planned) {
	for i := range cells {
		p := *plan(steady, nil)
		p.Cell.ID = i
		list = append(list, p)
	}
	return list
}

// Each round holds one trial of every cell, in an order of its own that the seed alone decides.
func TestOrder(t *testing.T) {
	r := Run{Plan: planOf(20), Repeat: 5, Seed: 7}
	order := r.order()
	if !slices.Equal(order, r.order()) {
		t.Error("two orders from one seed")
	}
	other := Run{Plan: r.Plan, Repeat: 5, Seed: 8}
	if slices.Equal(order, other.order()) {
		t.Error("one order from two seeds")
	}
	rounds := map[string]bool{}
	for i := range r.Repeat {
		round := order[i*20 : (i+1)*20]
		rounds[fmt.Sprint(slices.Collect(func(yield func(int) bool) {
			for _, at := range round {
				if at.repeat != i || !yield(at.cell) {
					t.Errorf("%+v in round %d", at, i)
				}
			}
		}))] = true
		slices.SortFunc(round, func(a, b position) int { return a.cell - b.cell })
		for cell, at := range round {
			if at.cell != cell {
				t.Fatalf("round %d: %v", i, round)
			}
		}
	}
	if len(rounds) != 5 {
		t.Errorf("%d different rounds of 5", len(rounds))
	}
}

// All cells of one repeat are drawn alike, so that what is compared is paired; repeats differ.
func TestSeedsAreShared(t *testing.T) {
	seeds := map[int]map[uint64]bool{}
	r := Run{Plan: planOf(4), Repeat: 5, Seed: 7, Virtual: true,
		Open: func(_ string, cfg cluster.Config) (cluster.Cluster, error) {
			repeat := len(seeds) - 1
			seeds[repeat][cfg.Seed] = true
			return newFake(cfg), nil
		},
		Starting: func(position, _ int, _ *Planned, repeat int) {
			if position%4 == 0 {
				seeds[repeat] = map[uint64]bool{}
			}
		},
		Done: func(results.Trial) error { return nil },
	}
	if err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := map[uint64]bool{}
	for repeat, of := range seeds {
		if len(of) != 1 {
			t.Errorf("repeat %d: %d seeds for four cells", repeat, len(of))
		}
		maps.Copy(all, of)
	}
	if len(all) != 5 {
		t.Errorf("%d different seeds of 5 repeats", len(all))
	}
}

// On the wall clock a process is warmed up once before the first trial, which nobody is told of.
func TestWarmUp(t *testing.T) {
	for _, virtual := range []bool{false, true} {
		var opened, recorded, started int
		r := Run{Plan: planOf(2), Repeat: 3, Virtual: virtual, Starting: func(int, int, *Planned, int) { started++ },
			Done: func(results.Trial) error { recorded++; return nil }}
		r.Open = func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
			if opened++; opened == 1 && started > 0 != virtual {
				t.Errorf("virtual %v: %d trials had begun before the first group", virtual, started)
			}
			return opener(nil)(transport, cfg)
		}
		if err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := 7
		if virtual {
			want = 6
		}
		if opened != want || recorded != 6 {
			t.Errorf("virtual %v: %d groups for %d trials", virtual, opened, recorded)
		}
	}
}

// A trial that fails, in whatever way, is recorded, and the rest go on; its group is closed.
func TestFailuresAreRecorded(t *testing.T) {
	list := planOf(5)
	failing := steady
	failing.Run = func(context.Context, *Trial) error { return errors.New("two\nlines") }
	list[1].scenario = failing
	panicking := steady
	panicking.Run = func(context.Context, *Trial) error { panic("planted") }
	list[2].scenario = panicking
	list[3].Settings.Transport = "none"
	unmeasured := steady // forgets to measure
	unmeasured.Run = func(ctx context.Context, t *Trial) error { _, err := t.Elect(ctx); return err }
	list[4].scenario = unmeasured
	var fakes []*fake
	got := map[int]results.Trial{}
	r := Run{Plan: list, Repeat: 2, Seed: 1, Virtual: true,
		Open: func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
			if transport == "none" {
				return nil, errors.New("cannot be opened")
			}
			f := newFake(cfg)
			fakes = append(fakes, f)
			return f, nil
		},
		Done: func(t results.Trial) error { got[t.Cell*2+t.Repeat] = t; return nil },
	}
	if err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 10 {
		t.Fatalf("%d trials", len(got))
	}
	for cell, want := range []results.Trial{
		{Status: results.OK}, {Status: results.Failed, Reason: "two lines"}, {Status: results.Invalid, Reason: "broken invariant: planted"},
		{Status: results.Failed, Reason: "cannot be opened"}, {Status: results.OK},
	} {
		for repeat := range 2 {
			if g := got[cell*2+repeat]; g.Status != want.Status || g.Reason != want.Reason {
				t.Errorf("cell %d: %s: %s, want %s: %s", cell, g.Status, g.Reason, want.Status, want.Reason)
			}
		}
	}
	if g := got[8]; g.Latency != nil || g.ThroughputPerSec != 0 {
		t.Errorf("nothing was measured: %+v", g)
	}
	for i, f := range fakes {
		if !f.closed {
			t.Errorf("group %d is not closed", i)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var got []results.Trial
	r := Run{Plan: planOf(3), Repeat: 3, Seed: 1, Virtual: true,
		Open: opener(func(f *fake) {
			f.latency = func(now raft.Time) time.Duration {
				if len(got) == 2 && now > raft.Time(50*time.Millisecond) {
					cancel()
				}
				return time.Millisecond
			}
		}),
		Done: func(t results.Trial) error { got = append(got, t); return nil },
	}
	if err := r.Do(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(got) != 3 || got[1].Status != results.OK || got[2].Status != results.Interrupted || got[2].Reason != "interrupted" {
		t.Errorf("%d trials, the last %s: %s", len(got), got[len(got)-1].Status, got[len(got)-1].Reason)
	}
}

// A fault that was found is not hidden by an interruption.
func TestInvalidBeatsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := (&Trial{}).failed(ctx, fmt.Errorf("at the end: %w", invalid("logs differ")))
	if r.Status != results.Invalid || !strings.Contains(r.Reason, "logs differ") {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

// When results cannot be written, nothing more is run.
func TestDoneFails(t *testing.T) {
	full, trials := errors.New("disk full"), 0
	r := Run{Plan: planOf(3), Repeat: 3, Virtual: true, Open: opener(nil), Done: func(results.Trial) error { trials++; return full }}
	if err := r.Do(t.Context()); !errors.Is(err, full) || trials != 1 {
		t.Errorf("%v after %d trials", err, trials)
	}
}
