package reports

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// twoCells returns a run of two transports, the second ten times as slow, with n trials each.
func twoCells(n int) *results.Run {
	return crossed([]results.Cell{{Clients: 1}, {Transport: "quic", Clients: 1}}, func(i int) []results.Trial {
		var list []results.Trial
		for repeat := range n {
			list = append(list, closed(1, time.Duration(100+900*i)*us+time.Duration(repeat)))
		}
		return list
	})
}

// A verdict takes as many trials as make chance unlikely; with fewer, reports say in words that there is none.
func TestNoVerdictOnFewTrials(t *testing.T) {
	if p, before := byChance(leastTrials), byChance(leastTrials-1); p > 0.05 || before <= 0.05 {
		t.Errorf("%d trials lie apart by chance in %v of all cases, one fewer in %v: want the fewest below 5%%",
			leastTrials, p, before)
	}
	for n := 1; n <= leastTrials+1; n++ {
		run := twoCells(n)
		s := Summarize(run)
		want := tooFewToJudge
		if n >= leastTrials {
			want = apart
		}
		if got := p50Metric.verdict(&s.Cells[0], &s.Cells[1]); got != want {
			t.Errorf("%d trials: %s, want %s", n, got, want)
		}
		text := all(t, run)
		for _, format := range []string{"table", "markdown"} {
			if said := strings.Contains(text[format], "are no verdict"); said != (n < leastTrials) {
				t.Errorf("%d trials: %s says that there is no verdict: %v", n, format, said)
			}
		}
		if strings.Contains(text["markdown"], "| apart ") != (n >= leastTrials) || !strings.Contains(text["markdown"], " 10x |") {
			t.Errorf("%d trials:\n%s", n, text["markdown"])
		}
	}
}

// Trials further apart than their median are not given as a ±, and a warning names the cell.
func TestUnsteadyTrials(t *testing.T) {
	for _, c := range []struct {
		perSec []float64
		shown  string
	}{
		{[]float64{100, 100, 290}, "±95%*"},
		{[]float64{100, 100, 2086}, "unsteady*"},
	} {
		run := crossed([]results.Cell{{Clients: 1}, {Strategy: "hint", Clients: 1}}, func(i int) []results.Trial {
			var list []results.Trial
			for _, v := range c.perSec {
				trial := closed(1, time.Millisecond)
				if i == 1 {
					trial.ThroughputPerSec = v
				}
				list = append(list, trial)
			}
			return list
		})
		s := Summarize(run)
		g := s.mainGrid()
		if got := g.rows[1][slices.Index(g.head, "spread")]; got != c.shown {
			t.Errorf("%v: %q, want %q", c.perSec, got, c.shown)
		}
		warned := strings.Contains(strings.Join(s.Warnings, "\n"), "hint: the throughput is unsteady: from 100 to 2,086 in 3 trials")
		if warned != strings.HasPrefix(c.shown, unsteady) {
			t.Errorf("%v: warnings %q", c.perSec, s.Warnings)
		}
		if text := all(t, run); strings.Contains(text["table"]+text["markdown"], "±993%") {
			t.Error(text["table"])
		}
	}
}

// Warnings stand in the CSV report, in the row of their cell.
func TestWarningsInTheCSV(t *testing.T) {
	run := twoCells(1)
	run.Trials[1].Warnings = []string{"the rate of 10,000/s was not reached: 7,120/s", "it was hot"}
	rows := csvRows(t, run)
	if got := rows[0]["warnings"]; got != "" {
		t.Errorf("a cell without warnings has %q", got)
	}
	if got, want := rows[1]["warnings"], "the rate of 10,000/s was not reached: 7,120/s; it was hot"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What only some trials count is absent where they did not, in every report.
func TestAbsentIsNotZero(t *testing.T) {
	seven := uint64(7)
	run := crossed([]results.Cell{{Params: map[string]string{"measure": "on"}}, {Params: map[string]string{"measure": "off"}}}, func(i int) []results.Trial {
		trial := closed(1, time.Millisecond)
		trial.Cost = &results.Cost{Commits: 1000, AppendEntries: 2000}
		if i == 0 {
			trial.Cost.Elections, trial.Cost.Rejections = &seven, &seven
		} else {
			trial.Latency, trial.Stages = nil, nil
		}
		return []results.Trial{trial, trial}
	})
	rows := csvRows(t, run)
	for _, name := range []string{"elections", "rejections"} {
		if on, off := rows[0][name], rows[1][name]; on != "14" || off != "" {
			t.Errorf("%s: %q counted, %q not counted; want 14 and nothing", name, on, off)
		}
	}
	if table := all(t, run)["table"]; !strings.Contains(table, "n/a: not measured by that scenario or with measure=off") {
		t.Errorf("the table does not say why there is nothing with measure=off:\n%s", table)
	}
	if seven != 7 {
		t.Error("summing up changed the run")
	}
}

// The highest load offered is no knee: nobody has seen what more would do.
func TestNoKneeAtTheHighestLoad(t *testing.T) {
	run := pointsRun(map[string][]point{"raftbench": {{1, 100 * us, 10_000}, {2, 100 * us, 20_000}, {4, 100 * us, 40_000}}}, nil, "raftbench")
	s := Summarize(run)
	curves, _ := s.curves()
	if len(curves) != 1 || curves[0].knee() != nil {
		t.Fatalf("%+v", curves)
	}
	text := strings.Join(s.kneeText(curves), "\n")
	if want := "eager: no knee was reached: power is highest at the highest load offered, 4 clients: 40,000/s at a p50 of 100 µs."; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if table := all(t, run)["table"]; strings.Contains(strings.ReplaceAll(table, "its knee", ""), "  knee") {
		t.Error(table)
	}
}

// One trial at each load is no verdict either.
func TestNoKneeOnFewTrials(t *testing.T) {
	took := []time.Duration{10 * us, 11 * us, 400 * us}
	cells := []results.Cell{{Clients: 1}, {Clients: 4}, {Clients: 16}}
	s := Summarize(crossed(cells, func(i int) []results.Trial { return []results.Trial{closed(cells[i].Clients, took[i])} }))
	curves, _ := s.curves()
	if text := strings.Join(s.kneeText(curves), "\n"); curves[0].knee() != nil || !strings.Contains(text, "power is highest (a knee takes 4 trials) at 4 clients") {
		t.Error(text)
	}
}

// An engine with too few good points for a curve is named.
func TestTooFewPointsAreTold(t *testing.T) {
	points := []point{{1, 100 * us, 10_000}, {2, 100 * us, 20_000}, {4, 400 * us, 10_000}}
	for _, good := range []int{3, 2, 0} {
		run := pointsRun(map[string][]point{"raftbench": points, "etcd": points}, map[string]results.EngineKind{"etcd": results.Peer}, "raftbench", "etcd")
		for i := range run.Trials {
			if cell := run.Header.Cells[run.Trials[i].Cell]; cell.Engine == "etcd" && cell.Clients > good {
				run.Trials[i].Status, run.Trials[i].Reason = results.Inconclusive, "not all were answered"
			}
		}
		text := all(t, run)
		want := fmt.Sprintf("etcd own: no curve: %d of its 3 loads have figures, and a curve takes 3", good)
		for _, format := range []string{"table", "markdown"} {
			if said := strings.Contains(text[format], want); said != (good < 3) {
				t.Errorf("%d good points, %s: said %v, want %q:\n%s", good, format, said, want, text[format])
			}
		}
	}
}

// One of a kind is not several of it.
func TestPlurals(t *testing.T) {
	run := one(steady(time.Millisecond, 200))
	run.Header.Cells[0].Nodes, run.Header.Cells[0].PayloadBytes = 1, 8<<20
	for format, text := range all(t, run) {
		for _, bad := range []string{"1 cells", "1 trials", "1 nodes", "1 clients", "1 commits", "1 Raft strategies"} {
			if strings.Contains(text, " "+bad) || strings.Contains(text, "\n"+bad) {
				t.Errorf("%s: %q in\n%s", format, bad, text)
			}
		}
		if (format == "table" || format == "markdown") && (strings.Contains(text, "8388608") || !strings.Contains(text, "8 MiB")) {
			t.Errorf("%s: a payload of 8 MiB is not called that", format)
		}
	}
}

// Tables say that the load came from inside, and what that leaves out.
func TestWhereTheLoadCameFrom(t *testing.T) {
	text := all(t, matrix())
	head, _, _ := strings.Cut(text["table"], "\n")
	if !strings.Contains(head, "load: inside") || strings.Count(strings.Join(strings.Fields(text["table"]), " "), loadLegend) != 1 {
		t.Error(text["table"])
	}
	if !strings.Contains(text["markdown"], "| load") || strings.Count(text["markdown"], loadLegend) != 1 {
		t.Error("the report does not tell")
	}
	lab, _, _ := strings.Cut(all(t, labRun("virtual", 1, 100*time.Millisecond))["table"], "\n")
	if !strings.Contains(lab, "load: inside") {
		t.Error(lab)
	}
}

// A run without trials says so.
func TestNoTrials(t *testing.T) {
	run := twoCells(1)
	run.Trials = nil
	text := all(t, run)
	for _, format := range []string{"table", "markdown", "json"} {
		if !strings.Contains(text[format], "the run file has no trials: nothing was measured") {
			t.Errorf("the %s report does not say it:\n%s", format, text[format])
		}
		if strings.Contains(text[format], "medians of") || strings.Contains(text[format], "no spread is known") {
			t.Errorf("the %s report explains figures that it has not:\n%s", format, text[format])
		}
	}
}
