package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/strategies"
)

// What would take longer than can be measured is refused, also if no time.Duration holds how long it would take.
func TestEstimatesDoNotOverflow(t *testing.T) {
	m := estimated(t, "linear-loop", "diverge")
	m.Payloads = []int{MinPayloadBytes}
	m.Common.Heartbeat, m.Common.ElectionTimeout = 23*time.Hour, 24*time.Hour
	// 222,787 probes, a heartbeat each, take a little more than a multiple of 2^64 ns.
	m.Common.Params = map[string]string{"diverge-terms": "1", "diverge-common": "0", "diverge-entries": "222786"}
	if _, err := m.Plan(); err == nil || !strings.Contains(err.Error(), "would take more than") {
		t.Error(err)
	}
	run := Run{Repeat: MaxTrials, Plan: []Planned{{Estimate: longestTrial}}}
	if got := run.Estimate(); got != longestEstimate {
		t.Errorf("%d trials of %v are estimated at %v, want %v", run.Repeat, longestTrial, got, longestEstimate)
	}
	s := Settings{Nodes: MaxVirtualNodes, PayloadBytes: MaxPayloadBytes, PerSecond: MaxPerSecond, Strategy: ownWay}
	if got := s.simulating(steady, longestTrial); got < longestEstimate || got > longestEstimate+time.Second {
		t.Errorf("simulating more than can be is estimated at %v, want %v", got, longestEstimate)
	}
}

// A trial that measures a number of commits takes as long as those do, and is waited for.
func TestCountIsEstimated(t *testing.T) {
	for _, c := range []struct {
		strategy string
		clients  int
		rate     float64
		count    uint64
		want     time.Duration
	}{
		{"fast-loop", 1, 0, 6000, 10 * time.Minute}, // a heartbeat of 100 ms for each, or more
		{"eager", 1, 100, 60_000, 10 * time.Minute},
		{"eager", 1000, 0, 200_000_000, 10 * time.Minute},
	} {
		m := estimated(t, c.strategy, "steady")
		m.Clients, m.Common.Count = []int{c.clients}, c.count
		if c.rate > 0 {
			m.Rates = []float64{c.rate}
		}
		for _, p := range planned(t, m) {
			if p.Estimate < c.want || p.Estimate > 4*c.want || p.Settings.Timeout < 10*p.Estimate {
				t.Errorf("%+v: estimated at %v, waited for %v", c, p.Estimate, p.Settings.Timeout)
			}
		}
	}
}

func estimated(t *testing.T, strategy, scenario string) *Matrix {
	t.Helper()
	s, err := strategies.Parse(strategy)
	if err != nil {
		t.Fatal(err)
	}
	m := engineMatrix(scenario)
	m.Engines = m.Engines[:1]
	m.Strategies = append(m.Strategies[:0], s)
	m.Clients = []int{1}
	m.Common.Heartbeat, m.Common.ElectionTimeout = 100*time.Millisecond, time.Second
	m.Common.Count = 0
	return m
}
