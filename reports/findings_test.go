package reports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// crossed returns a run with a cell for each of some variants of one cell, of which trials makes the trials.
func crossed(cells []results.Cell, trials func(i int) []results.Trial) *results.Run {
	run := &results.Run{Header: results.Header{Format: results.Format, Job: "matrix", Clock: "wall", Baseline: "eager"}, End: &results.End{}}
	for i, c := range cells {
		c.ID, c.Scenario, c.Nodes = i, "steady", 3
		if c.Strategy == "" {
			c.Strategy = "eager"
		}
		if c.Transport == "" {
			c.Transport = "tcp"
		}
		run.Header.Cells = append(run.Header.Cells, c)
		for repeat, t := range trials(i) {
			t.Cell, t.Repeat = i, repeat
			run.Trials = append(run.Trials, t)
			run.Header.Repeat = max(run.Header.Repeat, repeat+1)
		}
	}
	return run
}

// closed returns a sound trial of a closed loop of n clients, each of whose proposals took d.
func closed(n int, d time.Duration) results.Trial {
	t := steady(d, 1000)
	t.Measured = 1000 * d / time.Duration(n)
	t.ThroughputPerSec = 1000 / t.Measured.Seconds()
	return t
}

const us = time.Microsecond

// What does not differ is not called different, least of all from itself.
func TestNoDifferenceIsNoFinding(t *testing.T) {
	cells := []results.Cell{{Strategy: "eager"}, {Strategy: "hint"}, {Strategy: "eager", Transport: "quic"}, {Strategy: "hint", Transport: "quic"}}
	same := func(int) []results.Trial { return []results.Trial{closed(1, 500*us)} }
	found := strings.Join(Summarize(crossed(cells, same)).Findings(), "\n")
	for _, bad := range []string{"1.00x", "furthest apart"} {
		if strings.Contains(found, bad) {
			t.Errorf("findings speak of %q where all is equal:\n%s", bad, found)
		}
	}
	for _, want := range []string{"steady: the strategies' p50 is the same within 1%.", "steady: over quic the p50 is the same within 1% as that over tcp."} {
		if !strings.Contains(found, want) {
			t.Errorf("want %q in:\n%s", want, found)
		}
	}
}

// A range of ratios is that of the pairs whose trials lie apart: tables call the others alike.
func TestOverlappingPairsAreNotInARange(t *testing.T) {
	cells := []results.Cell{{Strategy: "eager"}, {Strategy: "hint"}, {Strategy: "eager", Transport: "quic"}, {Strategy: "hint", Transport: "quic"}}
	trials := func(i int) []results.Trial {
		switch i {
		case 0, 1:
			return []results.Trial{closed(1, 100*us), closed(1, 110*us)}
		case 2:
			return []results.Trial{closed(1, 90*us), closed(1, 105*us)} // overlaps, and lower
		}
		return []results.Trial{closed(1, 200*us), closed(1, 210*us)}
	}
	found := strings.Join(Summarize(crossed(cells, trials)).Findings(), "\n")
	if want := "steady: over quic the p50 is 2.0x that over tcp; furthest apart with hint (200 µs against 100 µs); the trials overlap in 1 of 2 pairs."; !strings.Contains(found, want) {
		t.Errorf("want %q in:\n%s", want, found)
	}
}

// Engines that time things in their own way are named as what they are, and this project's core is compared with each.
func TestEnginesAreNamed(t *testing.T) {
	cells := []results.Cell{{Engine: "raftbench", Clients: 4}, {Engine: "raftbench", Strategy: "loop", Clients: 4},
		{Engine: "etcd", Strategy: "own", EngineKind: results.Peer, Clients: 4}, {Engine: "floor", Strategy: "own", EngineKind: results.Floor, Clients: 4}}
	for i := range cells[:4] {
		c := cells[i]
		c.Transport = "quic"
		cells = append(cells, c)
	}
	took := []time.Duration{10 * us, 400 * us, 40 * us, 5 * us, 20 * us, 500 * us, 60 * us, 8 * us}
	s := Summarize(crossed(cells, func(i int) []results.Trial {
		trial := closed(4, took[i])
		trial.Cost = &results.Cost{Commits: 1000, AppendEntries: uint64(1000 * (i + 1))}
		return []results.Trial{trial}
	}))
	found := strings.Join(s.Findings(), "\n")
	for _, want := range []string{
		"steady over tcp: raftbench's p50 is 0.25x (eager) to 10x (loop) that of etcd, its throughput is 0.10x (loop) to 4.0x (eager).",
		"steady over quic: raftbench's p50 is 0.33x (eager) to 8.3x (loop) that of etcd,",
		"furthest apart with raftbench eager (20.0 µs against 10.0 µs)",
		"(floor over quic)",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("want %q in:\n%s", want, found)
		}
	}
	run := crossed(cells[1:3], func(i int) []results.Trial { return []results.Trial{closed(4, took[1+i])} })
	want := "steady: raftbench's p50 is 10x that of etcd (400 µs against 40.0 µs), its throughput is 0.10x (10,000/s against 100,000/s)."
	if pair := Summarize(run).Findings(); !slices.Contains(pair, want) {
		t.Errorf("want %q in %q", want, pair)
	}
	if strings.Contains(found, "own") {
		t.Errorf("an engine is called own:\n%s", found)
	}
	legend := strings.Join(s.legend(s.mainGrid()), "\n") + peerLegend(s.peerGrid())
	if !strings.Contains(legend, "xfloor:") || strings.Contains(legend, "transfer") || strings.Contains(legend, "CPU") {
		t.Errorf("the legends explain columns that are not there:\n%s", legend)
	}
}

// An engine that does not tell of its stages is not warned of, though the pacer's lateness is known.
func TestNoStagesNoWarning(t *testing.T) {
	trial := closed(1, time.Millisecond)
	trial.Stages = map[string]*results.Histogram{results.StagePacer: trial.Latency}
	run := one(trial)
	if s := Summarize(run); len(s.Warnings) != 0 {
		t.Errorf("%q", s.Warnings)
	}
	if text := all(t, run)["markdown"]; strings.Contains(text, "Where the time goes") {
		t.Error("a table of stages without any")
	}
}

// A terminal gets a handful of warnings, one line a cell; the report has them all.
func TestWarningsOnATerminal(t *testing.T) {
	var cells []results.Cell
	for i := range 20 {
		cells = append(cells, results.Cell{Strategy: fmt.Sprintf("s%d", i)})
	}
	run := crossed(cells, func(int) []results.Trial {
		trial := closed(1, time.Millisecond)
		trial.Warnings = []string{"one thing", "another"}
		return []results.Trial{trial}
	})
	text := all(t, run)
	_, shown, _ := strings.Cut(text["table"], "\nWarnings")
	if want := ": 40, listed in full in the report\n- s0: one thing; and 1 more\n"; !strings.HasPrefix(shown, want) || strings.Count(shown, "\n") != 1+terminalWarnings {
		t.Errorf("the terminal gets %q", shown)
	}
	if n := strings.Count(text["markdown"], "one thing") + strings.Count(text["markdown"], "another"); n != 40 {
		t.Errorf("%d warnings in the report", n)
	}
}

// Cells that were not run, or not to their end, are counted on a terminal and listed in the report.
func TestNotReportedIsCounted(t *testing.T) {
	cells := make([]results.Cell, 12)
	for i := range cells {
		cells[i].Strategy = fmt.Sprintf("s%d", i)
	}
	run := crossed(cells, func(i int) []results.Trial {
		switch i {
		case 0:
			return []results.Trial{closed(1, time.Millisecond)}
		case 1:
			return []results.Trial{{Status: results.Invalid, Reason: "two logs differ"}}
		}
		return nil
	})
	text := all(t, run)
	_, shown, _ := strings.Cut(text["table"], "\nNot reported\n")
	if want := "- INVALID s1: two logs differ\n- NOT RUN 10 cells: no trial of it was run\n\n"; !strings.HasPrefix(shown, want) {
		t.Errorf("%s\nwant %s", shown, want)
	}
	if !strings.Contains(text["markdown"], "- NOT RUN s11: no trial of it was run") {
		t.Error("the report does not list them")
	}
}

// The figures of a row of "Load and latency" are of one kind: they obey Little's law although trials differ.
func TestLittlesLawHoldsInARow(t *testing.T) {
	clients := []int{1, 2, 4}
	var cells []results.Cell
	for _, n := range clients {
		cells = append(cells, results.Cell{Clients: n})
	}
	s := Summarize(crossed(cells, func(i int) []results.Trial {
		d := time.Duration(10+i) * us
		return []results.Trial{closed(clients[i], d), closed(clients[i], d), closed(clients[i], 30*d)}
	}))
	curves, _ := s.curves()
	if len(curves) != 1 {
		t.Fatalf("%d curves", len(curves))
	}
	g := s.curveGrid(curves)
	at := func(row []string, head string) float64 {
		v, err := strconv.ParseFloat(strings.ReplaceAll(row[slices.Index(g.head, head)], ",", ""), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for i, row := range g.rows {
		if got := at(row, "reached/s") * at(row, "mean µs") / 1e6 / float64(clients[i]); got < 0.98 || got > 1.02 {
			t.Errorf("%d clients: throughput x latency is %.2f times that: %q", clients[i], got, row)
		}
	}
}

// No knee is called where trials differ by more than the step to it.
func TestNoKneeInNoise(t *testing.T) {
	cells := []results.Cell{{Clients: 1}, {Clients: 4}, {Clients: 16}}
	run := crossed(cells, func(i int) []results.Trial {
		d := []time.Duration{10 * us, 22 * us, 400 * us}[i]
		return []results.Trial{closed(cells[i].Clients, d), closed(cells[i].Clients, d*13/10)}
	})
	s := Summarize(run)
	curves, _ := s.curves()
	if c := curves[0]; c.knee() != nil || c.best.Clients != 1 {
		t.Fatalf("knee %v, best %d", c.knee(), c.best.Clients)
	}
	if text := s.kneeText(curves); len(text) != 1 || text[0] != "eager: the trials do not tell where the knee is: those at 1 client and at 4 clients overlap in power." {
		t.Errorf("%q", text)
	}
	for _, row := range s.curveGrid(curves).rows {
		if row[len(row)-1] != "" {
			t.Errorf("a knee in %q", row)
		}
	}
}

// Commits per second of a span that holds few round trips are those of a whole number of them, and that is told.
func TestFewRoundTrips(t *testing.T) {
	trial := func(perSec float64, span time.Duration) results.Trial {
		t := steady(80*time.Millisecond, 100)
		t.Measured, t.ThroughputPerSec = span, perSec
		return t
	}
	for _, c := range []struct {
		clock  string
		perSec float64
		span   time.Duration
		warned string
	}{
		{"virtual", 192, 500 * time.Millisecond, "commits/s is 192, but 16 clients at a mean latency of 80.0 ms make 200: the measured time holds only 6.25 round trips: raise --duration"},
		{"wall", 192, 500 * time.Millisecond, "only 6.25 round trips"},
		{"virtual", 192, 5 * time.Second, "holds 62.5 round trips"},
		{"wall", 192, 5 * time.Second, ""}, // noise
		{"wall", 200, 500 * time.Millisecond, ""},
		{"virtual", 197, 500 * time.Millisecond, ""},
	} {
		run := one(trial(c.perSec, c.span))
		run.Header.Clock, run.Header.Cells[0].Clients = c.clock, 16
		got := strings.Join(Summarize(run).Warnings, "\n")
		if c.warned == "" && got != "" || !strings.Contains(got, c.warned) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// The spread of commits/s shows where that of p50 hides it, in a table that still fits a terminal.
func TestSpreadOfThroughput(t *testing.T) {
	cells := []results.Cell{{Engine: "raftbench", Strategy: "eager", Clients: 16}, {Engine: "raftbench", Strategy: "fast-signal-commit", Clients: 16}}
	run := crossed(cells, func(i int) []results.Trial {
		var list []results.Trial
		for repeat := range 3 {
			trial := closed(16, 40*us)
			if i == 0 {
				trial.ThroughputPerSec *= float64(1 + repeat)
			}
			list = append(list, trial)
		}
		return list
	})
	s := Summarize(run)
	g := s.mainGrid()
	last := len(g.head) - 1
	if g.head[last] != "spread" || g.rows[0][last] != "±50%*" || g.rows[1][last] != "±0%" {
		t.Errorf("%q\n%q", g.head, g.rows)
	}
	if text := all(t, run)["markdown"]; !strings.Contains(text, "spread of commits/s |") {
		t.Error("the report does not show both spreads")
	}
	if !strings.Contains(strings.Join(s.legend(g), "\n"), "*: the spread of commits/s") {
		t.Error("the legend does not say what that is")
	}
}

// A span without a sample is not one that was not measured.
func TestNoSamples(t *testing.T) {
	trial := steady(time.Millisecond, 200)
	trial.CatchUp = &results.CatchUp{Total: 5, Transfer: 5, Before: trial.Latency, During: results.NewHistogram()}
	text := all(t, one(trial))["markdown"]
	_, text, _ = strings.Cut(text, "### Foreground latency around the catch-up")
	text, _, _ = strings.Cut(text, "###")
	if !strings.Contains(text, " none |") || strings.Contains(text, "n/a") || !strings.Contains(text, "- none: no proposal was due") {
		t.Error(text)
	}
}

// The catch-up's messages are divided by commits that are not its own: the legend says so.
func TestTrafficOfTheCatchUp(t *testing.T) {
	const words = "divided by the foreground's commits"
	if text := all(t, matrix())["table"]; !strings.Contains(strings.Join(strings.Fields(text), " "), "in lag and diverge the catch-up's are among them, "+words) {
		t.Error("the legend does not tell")
	}
	if text := all(t, one(closed(1, time.Millisecond))); strings.Contains(text["table"]+text["markdown"], words) {
		t.Error("the legend tells of a catch-up that is not there")
	}
}

// A report says what its scenarios and strategies are, from the run file alone.
func TestTheReportExplainsItsWords(t *testing.T) {
	text := all(t, matrix())["markdown"]
	before, _, _ := strings.Cut(text, "## Findings")
	for _, want := range []string{"- steady: nothing fails", "| linear-loop        | linear | ride | barrier | ride     | now   |", "- ride: opens with"} {
		if !strings.Contains(before, want) {
			t.Errorf("%q does not stand before the findings", want)
		}
	}
	if text := all(t, peersRun)["markdown"]; !strings.Contains(text, "- own: the engine times things in its own way") {
		t.Error("nothing says what own is")
	}
}
