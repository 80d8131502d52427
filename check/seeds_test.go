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
