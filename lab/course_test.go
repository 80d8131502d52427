package lab

import (
	"math"
	"slices"
	"testing"
)

// courseMeans are the means of the course's own suite over this project's core, through an adapter on a network of
// calls, with heartbeats of 100 ms: seconds of eager, fast-signal and fast-loop.
var courseMeans = map[string][3]float64{
	"BasicAgree":       {0.47, 0.69, 0.90},
	"RPCBytes":         {0.66, 1.46, 2.57},
	"FailAgree":        {3.5, 4.2, 5.8},
	"ConcurrentStarts": {0.59, 0.64, 0.71},
	"Rejoin":           {5.2, 5.3, 5.6},
	"Backup":           {8.0, 15.7, 27.0},
	"Count":            {2.1, 2.0, 2.3},
}

func TestMeansAreTheCourses(t *testing.T) {
	const seeds, tolerance = 20, 0.10
	for _, test := range TestsOf("2B") {
		want, ok := courseMeans[test.Name]
		if !ok {
			continue
		}
		for i, name := range []string{"eager", "fast-signal", "fast-loop"} {
			sum, stale := 0.0, 0
			var rpcs, vain uint64
			var all []float64
			for seed := range uint64(seeds) {
				r := Play(t.Context(), test, settings(t, name, seed))
				if r.Lab == nil || r.Reason != "" {
					t.Fatal(r.Reason)
				}
				sum += r.Lab.Total.Seconds()
				all = append(all, math.Round(r.Lab.Total.Seconds()*100)/100)
				stale += int(r.Lab.StaleWaits)
				vain += r.Lab.Vain
				rpcs += r.Lab.RPCs
			}
			slices.Sort(all)
			mean := sum / seeds
			mark := ""
			if math.Abs(mean-want[i]) > tolerance*want[i] {
				mark = "  <<<<"
			}
			t.Logf("%-18s %-12s %6.2f want %6.2f %+4.0f%% stale %d/%d vain %d rpcs %.0f %v%s", test.Name, name, mean, want[i], 100*(mean/want[i]-1), stale, seeds, vain, float64(rpcs)/seeds, all[:3], mark)
		}
	}
}
