package reports

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// pointsRun is a run of closed loops: each engine's latency and throughput at each number of clients.
func pointsRun(points map[string][]struct {
	clients int
	p50     time.Duration
	perSec  float64
}, kinds map[string]results.EngineKind, order ...string) *results.Run {
	run := &results.Run{Header: results.Header{Format: results.Format, Job: "matrix", Clock: "wall", Repeat: leastTrials, Baseline: "eager"}, End: &results.End{}}
	for _, engine := range order {
		for _, p := range points[engine] {
			c := results.Cell{ID: len(run.Header.Cells), Engine: engine, EngineKind: kinds[engine], Strategy: "own", Transport: "tcp",
				Scenario: "steady", Nodes: 3, PayloadBytes: 128, Clients: p.clients}
			if kinds[engine] == "" {
				c.Strategy = "eager"
			}
			run.Header.Cells = append(run.Header.Cells, c)
			h := results.NewHistogram()
			if err := h.RecordMany(p.p50, 2000); err != nil {
				panic(err)
			}
			n := results.Counts{Proposed: 2000, Committed: 2000}
			for repeat := range leastTrials {
				run.Trials = append(run.Trials, results.Trial{Cell: c.ID, Repeat: repeat, Status: results.OK, Measured: time.Second,
					Counts: n, Window: n, Latency: h, ThroughputPerSec: p.perSec})
			}
		}
	}
	return run
}

type point = struct {
	clients int
	p50     time.Duration
	perSec  float64
}

var peersRun = pointsRun(map[string][]point{
	"raftbench": {{1, 10 * time.Microsecond, 100_000}, {16, 20 * time.Microsecond, 800_000}, {256, 320 * time.Microsecond, 800_000}},
	"quick":     {{1, 20 * time.Microsecond, 50_000}, {16, 70 * time.Microsecond, 200_000}, {256, 1280 * time.Microsecond, 200_000}},
	"broad":     {{1, 40 * time.Microsecond, 25_000}, {16, 160 * time.Microsecond, 400_000}, {256, 640 * time.Microsecond, 400_000}},
	"floor":     {{1, 8 * time.Microsecond, 125_000}, {16, 16 * time.Microsecond, 1_000_000}, {256, 160 * time.Microsecond, 1_600_000}},
}, map[string]results.EngineKind{"quick": results.Peer, "broad": results.Peer, "floor": results.Floor}, "raftbench", "quick", "broad", "floor")

// For each figure the best of all peers counts, whichever that is.
func TestBesideTheBestPeer(t *testing.T) {
	s := Summarize(peersRun)
	g := s.peerGrid()
	if len(g.rows) != 3 {
		t.Fatalf("%d rows, want one for each number of clients: %v", len(g.rows), g.rows)
	}
	at := func(row int, head string) string {
		for i, h := range g.head {
			if h == head {
				return g.rows[row][i]
			}
		}
		t.Fatalf("no column %q in %q", head, g.head)
		return ""
	}
	for row, want := range []struct{ p50, commits, best string }{
		{"0.50x", "2.0x", "quick"}, {"0.29x", "2.0x", "broad, quick"}, {"0.50x", "2.0x", "broad"},
	} {
		if at(row, "p50") != want.p50 || at(row, "commits/s") != want.commits || at(row, "best peer") != want.best {
			t.Errorf("row %d: p50 %s, commits/s %s, best %s: want %v",
				row, at(row, "p50"), at(row, "commits/s"), at(row, "best peer"), want)
		}
	}
}

func TestBesideTheFloor(t *testing.T) {
	s := Summarize(peersRun)
	for i := range s.Cells {
		c := &s.Cells[i]
		v, ok := s.ratioColumn(p50Comparison, results.Floor, "").value(c)
		if c.EngineKind == results.Floor {
			if ok {
				t.Errorf("the floor is compared with itself: %v", v)
			}
			continue
		}
		var floor float64
		for j := range s.Cells {
			if f := &s.Cells[j]; f.EngineKind == results.Floor && f.Clients == c.Clients {
				floor, _ = f.quantile(0.5)
			}
		}
		own, _ := c.quantile(0.5)
		if !ok || math.Abs(v-own/floor) > 0.01 {
			t.Errorf("%s with %d clients: %v, want %v", c.Engine, c.Clients, v, own/floor)
		}
	}
	if g := s.mainGrid(); !strings.Contains(strings.Join(g.head, " "), "xfloor") {
		t.Errorf("no ratio to the floor in %q", g.head)
	}
}

// Without others, nothing is said about them.
func TestNoPeersNoGrid(t *testing.T) {
	run := pointsRun(map[string][]point{"raftbench": {{1, time.Millisecond, 1000}, {2, time.Millisecond, 2000}}}, nil, "raftbench")
	s := Summarize(run)
	if curves, tooShort := s.curves(); len(s.peerGrid().rows)+len(curves)+len(tooShort) != 0 {
		t.Errorf("rows %v, curves %v, too short %q", s.peerGrid().rows, curves, tooShort)
	}
	if g := s.mainGrid(); strings.Contains(strings.Join(g.head, " "), "xfloor") {
		t.Errorf("a ratio to a floor that is not there: %q", g.head)
	}
}

// The knee is where throughput divided by mean latency is largest.
func TestKnee(t *testing.T) {
	s := Summarize(peersRun)
	curves, _ := s.curves()
	if len(curves) != 4 {
		t.Fatalf("%d curves", len(curves))
	}
	for _, c := range curves {
		if k := c.knee(); k == nil || k.Clients != 16 {
			t.Errorf("%s: the knee is at %+v", c.best.Engine, k)
		}
	}
	text := strings.Join(s.kneeText(curves), "\n")
	if want := "raftbench eager: the knee is at 16 clients: 800,000/s at a p50 of 20.0 µs; 256 clients give 1.00x of that throughput at 16x of that p50."; !strings.Contains(text, want) {
		t.Errorf("%s\nwant %s", text, want)
	}
}
