package bench

import (
	"context"
	"testing"
	"time"

	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// engineMatrix has two strategies, and three engines of which one is timed by them.
func engineMatrix(scenarios ...string) *Matrix {
	p := plan(steady, nil)
	first, other := p.Settings.Strategy, p.Settings.Strategy
	first.Name, other.Name = "first", "other"
	return &Matrix{
		Engines: []engines.Engine{
			{Name: "core", Strategies: true},
			{Name: "peer", Refuse: func(u engines.Use) string {
				if u.GivenLogs {
					return "it cannot be given logs"
				}
				return ""
			}},
			{Name: "floor", Floor: true, Refuse: func(u engines.Use) string {
				if u.Elections || u.GivenLogs {
					return "it has no elections"
				}
				return ""
			}},
		},
		Strategies: []raft.Strategy{first, other}, Transports: []string{"mem"}, Scenarios: scenarios,
		Nodes: []int{3}, Payloads: []int{64}, Clients: []int{1, 2}, Repeat: 2, Common: p.Settings,
		Name: func(s raft.Strategy) string { return s.Name }, Choices: func(raft.Strategy) map[string]string { return nil },
	}
}

func planned(t *testing.T, m *Matrix) []Planned {
	t.Helper()
	m.Common.Foreground, m.Common.MaxAppendBytes, m.Common.Duration = 100, 1<<16, 10*time.Millisecond
	if m.Common.Heartbeat == 0 {
		m.Common.Heartbeat, m.Common.ElectionTimeout = 100*time.Millisecond, time.Second
	}
	cells, err := m.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if len(cells) != m.cells() {
		t.Errorf("%d cells were announced, %d planned", m.cells(), len(cells))
	}
	return cells
}

// An engine that no strategy times has one cell where others have one for each strategy.
func TestEnginesAreAnAxis(t *testing.T) {
	count := map[string]int{}
	for _, p := range planned(t, engineMatrix("steady")) {
		count[p.Cell.Engine+" "+p.Cell.Strategy+" "+string(p.Cell.EngineKind)]++
		if (p.Cell.Strategy == OwnWay) != (p.Cell.Engine != "core") {
			t.Errorf("engine %s has strategy %s", p.Cell.Engine, p.Cell.Strategy)
		}
	}
	for _, want := range []string{"core first ", "core other ", "peer own peer", "floor own floor"} {
		if count[want] != 2 {
			t.Errorf("%d cells of %q, want one for each number of clients: %v", count[want], want, count)
		}
	}
}

// What an engine refuses is planned and told once, with its reason, and never run.
func TestRefusedCellsAreNotRun(t *testing.T) {
	cells := planned(t, engineMatrix("diverge", "failover"))
	refused := map[int]string{}
	for _, p := range cells {
		if p.Refused != "" {
			refused[p.Cell.ID] = p.Refused
			if p.Estimate != 0 {
				t.Errorf("a refused cell takes %v", p.Estimate)
			}
		}
	}
	if len(refused) != 3 { // peer: given logs; floor: given logs, and elections
		t.Errorf("%d cells are refused: %v", len(refused), refused)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := map[int]string{}
	run := Run{Plan: cells, Repeat: 2, Seed: 1, Done: func(r results.Trial) error {
		if r.Status != results.NotApplicable {
			t.Errorf("cell %d: %s", r.Cell, r.Status)
		}
		if _, twice := told[r.Cell]; twice {
			t.Errorf("cell %d was told twice", r.Cell)
		}
		if told[r.Cell] = r.Reason; len(told) == len(refused) {
			cancel() // the others need a group
		}
		return nil
	}}
	_ = run.Do(ctx) // the error is the context's
	for id, why := range refused {
		if told[id] != why {
			t.Errorf("cell %d was told as %q, want %q", id, told[id], why)
		}
	}
	for _, at := range run.order() {
		if refused[at.cell] != "" {
			t.Errorf("cell %d is in the order", at.cell)
		}
	}
}

// Without measuring there are no latencies, and the ledger is still compared.
func TestUnmeasured(t *testing.T) {
	off := func(s *Settings) { s.Unmeasured = true }
	r := trialOf(steady, off, nil)
	if r.Status != results.OK || r.Latency != nil || r.Stages != nil || r.ThroughputPerSec <= 0 {
		t.Errorf("%s %s: latency %v, stages %v, %v/s", r.Status, r.Reason, r.Latency, r.Stages, r.ThroughputPerSec)
	}
	if r.Cost.Elections != nil || r.Cost.Rejections != nil {
		t.Error("elections and rejections are there, though no event was looked at")
	}
	if r := trialOf(steady, nil, nil); r.Cost.Elections == nil || r.Cost.Rejections == nil {
		t.Error("a measured trial has no elections or no rejections")
	}
	r = trialOf(steady, off, func(f *fake) { f.loseEvery = 10 })
	if r.Status != results.Invalid {
		t.Errorf("acknowledged proposals were lost, and the trial is %s", r.Status)
	}
}
