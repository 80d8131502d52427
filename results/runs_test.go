package results_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// Equal durations in a row are counted together. It must not show: whatever is asked for in between, a histogram that
// got its values in runs says the same as one that got them shuffled.
func TestRunsOfEqualDurations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var values []time.Duration
	for range 200 {
		d := time.Duration(random.Int64N(int64(time.Second)))
		for range 1 + random.IntN(50) {
			values = append(values, d)
		}
	}
	inRuns, shuffled := results.NewHistogram(), results.NewHistogram()
	for i, d := range values {
		if err := inRuns.Record(d); err != nil {
			t.Fatal(err)
		}
		if n := inRuns.Count(); n != uint64(i+1) {
			t.Fatalf("%d values after %d", n, i+1)
		}
		if i%97 == 0 {
			inRuns.Quantile(0.9)
		}
	}
	random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	for _, d := range values {
		if err := shuffled.Record(d); err != nil {
			t.Fatal(err)
		}
	}
	a, err := json.Marshal(inRuns)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(shuffled)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("in runs %s\nshuffled %s", a, b)
	}
	merged, err := results.Merged(inRuns, shuffled)
	if err != nil {
		t.Fatal(err)
	}
	if merged.Count() != 2*shuffled.Count() || merged.Quantile(0.5) != shuffled.Quantile(0.5) || merged.Mean() != shuffled.Mean() {
		t.Errorf("merged: %d values, median %v, mean %v", merged.Count(), merged.Quantile(0.5), merged.Mean())
	}
}
