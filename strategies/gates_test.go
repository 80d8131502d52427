package strategies

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

const ms = time.Millisecond

// at is the moment d after the clock's origin.
func at(d time.Duration) raft.Time { return raft.Time(0).Add(d) }

func TestGates(t *testing.T) {
	for _, c := range []struct {
		about string
		gate  raft.Gate
		w     raft.Waiting
		want  time.Duration
	}{
		{"now never waits", Now{}, raft.Waiting{Now: at(5 * ms), Since: at(5 * ms), Owed: 3, InFlight: 100}, 0},
		{"ride waits for a message", Ride{}, raft.Waiting{Now: at(900 * ms), Since: at(5 * ms), Count: 9}, raft.NextMessage},

		{"batch is short of entries", Batch{8, 2 * ms}, raft.Waiting{Now: at(5 * ms), Since: at(5 * ms), Count: 7}, 2 * ms},
		{"batch has held for a while", Batch{8, 2 * ms}, raft.Waiting{Now: at(6 * ms), Since: at(5 * ms), Count: 7}, 1 * ms},
		{"batch has held for long enough", Batch{8, 2 * ms}, raft.Waiting{Now: at(7 * ms), Since: at(5 * ms), Count: 1}, 0},
		{"batch is full", Batch{8, 2 * ms}, raft.Waiting{Now: at(5 * ms), Since: at(5 * ms), Count: 8}, 0},
		{"batch is more than full", Batch{8, 2 * ms}, raft.Waiting{Now: at(5 * ms), Since: at(5 * ms), Count: 800}, 0},
		{"batch holds a probe", Batch{8, 2 * ms}, raft.Waiting{Now: at(5 * ms), Since: at(5 * ms)}, 2 * ms},

		{"window has room", Window(2), raft.Waiting{InFlight: 1, Owed: 4}, 0},
		{"window is full", Window(2), raft.Waiting{InFlight: 2}, raft.Shut},
		{"stop-and-wait goes", Window(1), raft.Waiting{}, 0},
		{"stop-and-wait waits", Window(1), raft.Waiting{InFlight: 1}, raft.Shut},

		{"barrier with all answers", Barrier{}, raft.Waiting{InFlight: 3, Count: 1}, 0},
		{"barrier with one owed", Barrier{}, raft.Waiting{Owed: 1}, raft.NextBeat},

		{"confirmed", Confirmed{}, raft.Waiting{Count: 3}, 0},
		{"not yet confirmed", Confirmed{}, raft.Waiting{Owed: 1}, raft.Shut},

		{"every: between two ticks", Every(10 * ms), raft.Waiting{Now: at(13 * ms), Since: at(12 * ms)}, 7 * ms},
		{"every: on a tick", Every(10 * ms), raft.Waiting{Now: at(20 * ms), Since: at(20 * ms)}, 0},
		{"every: just after a tick", Every(10 * ms), raft.Waiting{Now: at(20*ms + 1), Since: at(20*ms + 1)}, 10*ms - 1},
		{"every: with a phase", Every(10 * ms), raft.Waiting{Now: at(12 * ms), Since: at(12 * ms), Phase: 3 * ms}, 1 * ms},
		{"every: the phase is after now", Every(10 * ms), raft.Waiting{Now: at(12 * ms), Since: at(12 * ms), Phase: 47 * ms}, 5 * ms},
		{"every: work from before the clock's origin", Every(10 * ms), raft.Waiting{Now: at(-12 * ms), Since: at(-12 * ms)}, 2 * ms},
		{"every: work from just before it", Every(10 * ms), raft.Waiting{Now: at(-1), Since: at(-1)}, 1},
	} {
		if got := c.gate.Wait(c.w); got != c.want {
			t.Errorf("%s: %s waits %v, want %v", c.about, c.gate, got, c.want)
		}
	}

	// Asked late, a gate with a timer is open, whatever it says exactly.
	for _, g := range []raft.Gate{Every(10 * ms), Batch{8, 2 * ms}} {
		if got := g.Wait(raft.Waiting{Now: at(500 * ms), Since: at(12 * ms)}); got > 0 {
			t.Errorf("%s waits another %v, 488 ms after the work came", g, got)
		}
	}
}

// Every opens at the first moment of its grid that is not before the work, whenever it is asked.
func TestEveryKeepsToItsGrid(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		period := time.Duration(1 + random.Int64N(int64(time.Minute)))
		w := raft.Waiting{
			Since: raft.Time(random.Int64N(int64(2*time.Hour)) - int64(time.Hour)),
			Phase: time.Duration(random.Int64N(int64(time.Hour))),
		}
		w.Now = w.Since.Add(time.Duration(random.Int64N(int64(period))))
		opens := w.Now.Add(Every(period).Wait(w))
		if wait := opens.Sub(w.Since); wait < 0 || wait >= period || (time.Duration(opens)-w.Phase)%period != 0 {
			t.Fatalf("every(%v) opens %v after the work at %d came, with phase %v", period, wait, w.Since, w.Phase)
		}
	}
}

// A gate may stand at Send, Commit, Announce and Apply only where its table says so.
func TestGatesStandWhereTheyMakeSense(t *testing.T) {
	texts := map[string]string{"now": "now", "ride": "ride", "every": "every(10ms)", "batch": "batch(8,1ms)",
		"window": "window(4)", "barrier": "barrier", "confirmed": "confirmed"}
	allowed := map[string]string{
		"now": "send commit announce apply", "ride": "send commit announce apply", "every": "send commit announce apply",
		"batch": "send commit announce apply", "window": "send", "barrier": "send commit", "confirmed": "apply",
	}
	for _, k := range Gates() {
		text, known := texts[k.Name]
		if !known {
			continue // a gate that came later brings tests of its own
		}
		delete(texts, k.Name)
		for _, axis := range everyGate {
			g, err := parseGate(axis, text)
			if want := contains(allowed[k.Name], axis); want != (err == nil) {
				t.Errorf("%s at %s: %v, want it allowed: %v", text, axis, err, want)
			}
			if err == nil && g.String() != text {
				t.Errorf("%s at %s prints as %s", text, axis, g)
			}
		}
	}
	if len(texts) > 0 {
		t.Errorf("not in the table of gates: %v", texts)
	}
}

func TestPrintPeriod(t *testing.T) {
	for d, want := range map[time.Duration]string{
		ms: "1ms", 10 * ms: "10ms", 1500 * time.Microsecond: "1.5ms", time.Microsecond: "1µs", time.Second: "1s",
		time.Minute: "1m", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h", 70 * time.Minute: "1h10m",
		time.Hour + time.Second: "1h0m1s", 0: "0s", 10 * time.Second: "10s",
	} {
		got := printPeriod(d)
		if got != want {
			t.Errorf("printPeriod(%v) = %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(got); err != nil || back != d {
			t.Errorf("%s reads as %v, %v, want %v", got, back, err, d)
		}
	}
}
