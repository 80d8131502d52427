package check_test

import (
	"context"
	"flag"
	"testing"

	"github.com/raftbench/raftbench/check"
)

var (
	seeds     = flag.Int("seeds", 200, "plans that TestSeeds plays")
	firstSeed = flag.Uint64("seed", 1, "the first of them")
)

// TestSeeds plays random plans.
func TestSeeds(t *testing.T) {
	events := uint64(0)
	for seed := *firstSeed; seed < *firstSeed+uint64(*seeds); seed++ {
		p, err := check.Draw(seed, check.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Play(context.Background(), 0)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if out.Violation != nil {
			again, _ := p.Play(context.Background(), 25)
			for _, l := range again.Log {
				t.Log(l)
			}
			t.Fatalf("seed %d: %v\n%v", seed, out.Violation, p)
		}
		events += out.Events
	}
	t.Log(events, "events")
}

// TestScenarios plays the fixed ones.
func TestScenarios(t *testing.T) {
	for _, s := range check.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			if v := s.Play(context.Background()); v != nil {
				t.Fatal(v)
			}
		})
	}
}

// TestSeedsOnceWrong plays plans that broke a rule when the rule was at fault.
func TestSeedsOnceWrong(t *testing.T) {
	for _, c := range []struct {
		about  string
		seed   uint64
		limits check.Limits
	}{
		{"a heartbeat that is late by what the CPU is busy with", 100990, check.Limits{Replicas: 5}},
	} {
		p, err := check.Draw(c.seed, c.limits)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := p.Play(context.Background(), 0); err != nil || out.Violation != nil {
			t.Errorf("%s: seed %d: %v, %v", c.about, c.seed, err, out.Violation)
		}
	}
}
