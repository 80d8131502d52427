package bench

import (
	"testing"
	"time"
)

// The estimate for virtual time follows what there is to simulate, not the time that is simulated.
func TestSimulatingIsAboutWork(t *testing.T) {
	small := Settings{Nodes: 3, PayloadBytes: 128, Clients: 1, Heartbeat: 100 * time.Millisecond, Strategy: ownWay,
		RoundTrip: 500 * time.Microsecond}
	base := small.simulating(steady, 2*time.Second)
	if base > time.Second {
		t.Errorf("some thousand commits of 128 B are estimated at %v", base)
	}
	for name, change := range map[string]func(*Settings) time.Duration{
		"a payload of 8 MiB":   func(s *Settings) time.Duration { s.PayloadBytes = 8 << 20; return 2 * time.Second },
		"a thousand clients":   func(s *Settings) time.Duration { s.Clients = 1000; return 2 * time.Second },
		"a hundred replicas":   func(s *Settings) time.Duration { s.Nodes = 101; return 2 * time.Second },
		"a rate of a million":  func(s *Settings) time.Duration { s.Clients, s.PerSecond = 0, 1e6; return 2 * time.Second },
		"a count of a million": func(s *Settings) time.Duration { s.Count = 1e6; return 2 * time.Second },
		"an hour":              func(s *Settings) time.Duration { return time.Hour },
	} {
		s := small
		if got := s.simulating(steady, change(&s)); got < 10*base {
			t.Errorf("%s: %v, with less to do it is %v", name, got, base)
		}
	}
	s := small
	s.Clients, s.PerSecond, s.Params = 0, 20, map[string]string{"lag-entries": "1000000"}
	if got := s.simulating(lag, 2*time.Second); got < time.Second {
		t.Errorf("a lag of a million entries: %v", got)
	}
	// Simulated time in which next to nothing happens costs next to nothing.
	s.Params["lag-entries"], s.PerSecond, s.Heartbeat = "1", 0.01, time.Minute
	if got := s.simulating(lag, time.Hour); got > time.Second {
		t.Errorf("an idle hour: %v", got)
	}
}
