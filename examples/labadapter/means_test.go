package labadapter

import (
	"flag"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/lab"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

var means = flag.Int("means", 0, "print the means of so many runs of each test of part 2B: some minutes, mostly asleep")

// TestMeans prints what each test of part 2B takes on a network of calls: the mean of many runs, its standard error, and
// how often a stale leader was waited for. It is the independent check of what lab's tests take on a network of messages.
//
//	go test ./examples/labadapter -run Means -means 18 -v -parallel 16
func TestMeans(t *testing.T) {
	defer goleak.VerifyNone(t)
	if *means == 0 {
		t.Skip("played with -means only")
	}
	type key struct{ test, strategy string }
	var mu sync.Mutex
	played := map[key][]*results.Lab{}
	names := []string{"eager", "fast-signal", "fast-loop"}
	t.Run("runs", func(t *testing.T) {
		for seed := range uint64(*means) {
			for _, test := range lab.TestsOf("2B") {
				for _, name := range names {
					t.Run(fmt.Sprint(test.Name, "/", name, "/", seed), func(t *testing.T) {
						t.Parallel()
						strategy, err := strategies.Parse(name)
						if err != nil {
							t.Fatal(err)
						}
						r := lab.Play(t.Context(), test, lab.Settings{Strategy: strategy, Heartbeat: 100 * time.Millisecond,
							ElectionTimeout: lab.DefaultElectionTimeout, Seed: seed, Open: open})
						switch r.Status {
						case results.OK:
						case results.Inconclusive:
							t.Log(r.Reason) // the machine was too late: one run less
							return
						default:
							t.Fatalf("%s: %s", r.Status, r.Reason)
						}
						mu.Lock()
						defer mu.Unlock()
						played[key{test.Name, name}] = append(played[key{test.Name, name}], r.Lab)
					})
				}
			}
		}
	})
	for _, test := range lab.TestsOf("2B") {
		for _, name := range names {
			var sum, squares, rpcs float64
			stale := 0
			list := played[key{test.Name, name}]
			if len(list) == 0 {
				continue
			}
			for _, l := range list {
				s := l.Total.Seconds()
				sum, squares, rpcs = sum+s, squares+s*s, rpcs+float64(l.RPCs)
				if l.StaleWaits > 0 {
					stale++
				}
			}
			n := float64(len(list))
			t.Logf("%-16s %-12s %6.2f s +- %.2f, %4.0f RPCs, a stale leader in %d of %d", test.Name, name, sum/n,
				math.Sqrt((squares/n-sum*sum/n/n)/(n-1)), rpcs/n, stale, len(list))
		}
	}
}
