package results

import (
	"strings"
	"testing"
	"time"
)

func sound(t testing.TB) Trial {
	return Trial{
		Status:   OK,
		Counts:   Counts{Proposed: 6, Committed: 4, Failed: 1, Unknown: 1},
		Window:   Counts{Proposed: 3, Committed: 2, Failed: 1},
		Latency:  filled(t, time.Millisecond, time.Second),
		CatchUp:  &CatchUp{Total: 15, Detect: 1, Probe: 2, Transfer: 3, Learn: 4, Apply: 5},
		Failover: &Failover{Detect: 1, Elect: 2, Leaderless: 3, FirstWrite: 4},
	}
}

func TestCheckFindsEachBrokenIdentity(t *testing.T) {
	good := sound(t)
	if err := good.Check(); err != nil {
		t.Fatalf("a sound trial: %v", err)
	}
	for want, breakIt := range map[string]func(*Trial){
		"accounting of the trial":  func(t *Trial) { t.Counts.Proposed++ },
		"accounting of the window": func(t *Trial) { t.Window.Unknown++ },
		"holds more than":          func(t *Trial) { t.Window = Counts{Proposed: 5, Committed: 5}; t.Latency = nil },
		"histogram holds 2 values": func(t *Trial) { t.Window = Counts{Proposed: 3, Committed: 3} }, // one was clipped away
		"throughput":               func(t *Trial) { t.ThroughputPerSec = -1 },
		"add up":                   func(t *Trial) { t.CatchUp.Total++ },
		"a phase is negative":      func(t *Trial) { t.CatchUp.Probe, t.CatchUp.Apply = -1, 8 },
		"leaderless":               func(t *Trial) { t.Failover.Leaderless++ },
		"failover: negative":       func(t *Trial) { t.Failover.FirstWrite = -1 },
	} {
		trial := sound(t)
		breakIt(&trial)
		err := trial.Check()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Check() = %v", want, err)
		}
		trial.Status = Invalid
		if err := trial.Check(); err != nil {
			t.Errorf("%s: a trial that is invalid already: %v", want, err)
		}
	}
}
