package reports

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// The numbers that lie: each test here is about one way in which a report could print a wrong figure.

// all renders a run in every format, under the format's name.
func all(t *testing.T, run *results.Run) map[string]string {
	t.Helper()
	reports := map[string]string{}
	for _, f := range Formats {
		reports[f.Name] = string(render(t, f, run))
	}
	return reports
}

// csvRows returns the CSV report as a map for each row.
func csvRows(t *testing.T, run *results.Run) []map[string]string {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(all(t, run)["csv"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, name := range records[0] {
			row[name] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// one returns a run of one cell with the given trials.
func one(trials ...results.Trial) *results.Run {
	run := &results.Run{Header: results.Header{
		Format: results.Format, Job: "matrix", Clock: "wall", Repeat: len(trials), Baseline: "fast-signal",
		Cells: []results.Cell{{ID: 4, Strategy: "fast-signal", Transport: "tcp", Scenario: "steady", Nodes: 3, Clients: 1}},
	}, End: &results.End{Trials: len(trials)}}
	for i, t := range trials {
		t.Cell, t.Repeat = 4, i
		run.Trials = append(run.Trials, t)
	}
	return run
}

// steady returns a sound trial in which n proposals took d each.
func steady(d time.Duration, n int) results.Trial {
	h := results.NewHistogram()
	for range n {
		record(h, d)
	}
	counts := results.Counts{Proposed: uint64(n), Committed: uint64(n)}
	span := time.Duration(n) * d
	return results.Trial{Status: results.OK, Counts: counts, Window: counts, Latency: h, Measured: span, ThroughputPerSec: float64(n) / span.Seconds()}
}

func TestPercentilesAreMergedNotAveraged(t *testing.T) {
	// Of 1,200 proposals 1,000 took 1 ms, so p50 is that, and the slowest 100 took 20 ms, so p99 is that. The p50s of
	// the three trials have the mean 10.3 ms and the median 10 ms.
	row := csvRows(t, one(steady(time.Millisecond, 1000), steady(10*time.Millisecond, 100), steady(20*time.Millisecond, 100)))[0]
	p50, _ := strconv.ParseFloat(row["p50_ns"], 64)
	p99, _ := strconv.ParseFloat(row["p99_ns"], 64)
	if p50 < 1e6 || p50 > 1.001e6 || p99 < 20e6 || p99 > 20.02e6 {
		t.Errorf("p50 %v ns, p99 %v ns", p50, p99)
	}
	if row["samples"] != "1200" {
		t.Errorf("samples %s", row["samples"])
	}
}

func TestSummarizeLeavesTrialsAlone(t *testing.T) {
	run := one(steady(time.Millisecond, 10), steady(time.Second, 10))
	Summarize(run)
	if n := run.Trials[0].Latency.Count(); n != 10 {
		t.Errorf("the first trial's histogram holds %d values after merging", n)
	}
}

// fingerprints is a trial whose every figure is one of a kind, and how those figures would look in a report.
func fingerprints() (results.Trial, []string) {
	t := steady(7_654_321, 500)
	t.ThroughputPerSec = 31_337
	t.Counts = results.Counts{Proposed: 27_182, Committed: 27_180, Failed: 1, Unknown: 1}
	t.Stages = map[string]*results.Histogram{results.StageSend: t.Latency}
	t.Cost = &results.Cost{Commits: 1000, AppendEntries: 86_420, Messages: 97_531, EntriesSent: 64_646, Bytes: 4_545_454, CPU: 5_656_565, Dropped: 6_767}
	t.CatchUp = &results.CatchUp{Total: 83_838_383, Detect: 83_838_383, ProbeRounds: 1_717, Bytes: 2_929_292, Before: t.Latency}
	t.Failover = &results.Failover{Detect: 94_949_494, Leaderless: 94_949_494, FirstWrite: 95_959_595}
	t.Warnings = []string{"7,272 of something"}
	return t, []string{"7.65", "7654321", "31,337", "31337", "27,18", "2718", "86.4", "97.5", "0.748", "4,545", "4545", "5.66", "5656",
		"13,534", "13534", "83.8", "838383", "1,717", "1717", "2,929", "2929", "94.9", "949494", "96.0", "959595", "7,272"}
}

func TestFingerprintsShowInACellThatIsOK(t *testing.T) {
	trial, prints := fingerprints()
	run := one(trial, trial)
	text := fmt.Sprint(all(t, run))
	for _, p := range prints {
		switch p {
		case "27,18", "2718": // two trials are summed
			continue
		}
		if !strings.Contains(text, p) {
			t.Errorf("%s is nowhere, so that the next test would not see it leak", p)
		}
	}
}

func TestNoFigureOfABadCell(t *testing.T) {
	for _, status := range []results.Status{results.Invalid, results.Failed, results.Inconclusive, results.Interrupted, "made up"} {
		for name, first := range map[string]results.Status{"alone": status, "beside a good trial": results.OK} {
			trial, prints := fingerprints()
			run := one(trial, trial)
			run.Trials[0].Status, run.Trials[0].Reason = first, ""
			run.Trials[1].Status, run.Trials[1].Reason = status, "the reason why"
			if status == results.Interrupted && first == results.OK {
				continue // the good trial counts: see the golden run "broken"
			}
			for format, text := range all(t, run) {
				for _, p := range prints {
					if strings.Contains(text, p) {
						t.Errorf("%s, %s: the %s report shows %s:\n%s", status, name, format, p, text)
					}
				}
				if status != "made up" && !strings.Contains(text, "the reason why") {
					if first == results.OK || format == "csv" && !strings.Contains(text, "no reason was recorded") {
						t.Errorf("%s, %s: the %s report does not say why", status, name, format)
					}
				}
				word := strings.ToUpper(string(status))
				if status == "made up" {
					word = "INVALID"
				}
				if !strings.Contains(strings.ToUpper(text), word) {
					t.Errorf("%s, %s: the %s report does not say %s", status, name, format, word)
				}
			}
		}
	}
}

func TestAClippedHistogramIsInvalid(t *testing.T) {
	trial := steady(time.Millisecond, 100)
	trial.Window.Proposed, trial.Window.Committed = 101, 101 // the slowest one was not recorded
	trial.Counts = trial.Window
	s := Summarize(one(trial))
	if c := s.Cells[0]; c.Status != results.Invalid || !strings.Contains(c.Reason, "histogram holds 100") || c.Latency != nil {
		t.Errorf("%s: %s", c.Status, c.Reason)
	}
}

func TestUnitsAreRight(t *testing.T) {
	rows := csvRows(t, virtual())
	for name, want := range map[string]string{"p50_ns": "50000000", "p99_ns": "50000000", "max_ns": "50000000", "mean_ns": "50000000", "throughput_median_per_sec": "100",
		"append_entries_per_commit": "2", "bytes_per_commit": "8500", "stage_ack_mean_ns": "50000000", "stage_send_mean_ns": "0", "payload_bytes": "4096"} {
		if got := rows[0][name]; got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	g := Summarize(virtual()).mainGrid()
	for _, name := range []string{"p50 ms", "p99 ms"} {
		if i := slices.Index(g.head, name); i < 0 || g.rows[0][i] != "50.0" || g.rows[1][i] != "100" {
			t.Errorf("%s in %q: %q", name, g.head, g.rows)
		}
	}
}

func TestAWrongUnitOfThroughputIsTold(t *testing.T) {
	trial := steady(time.Millisecond, 1000)
	trial.Cost = &results.Cost{Commits: 1000, AppendEntries: 2000}
	if s := Summarize(one(trial)); len(s.Warnings) != 0 {
		t.Errorf("warnings of a sound trial: %q", s.Warnings)
	}
	trial.ThroughputPerSec /= 1000 // per millisecond
	if s := Summarize(one(trial)); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "1,000 commits in 1,000 ms are 1,000/s") {
		t.Errorf("warnings %q", s.Warnings)
	}
}

func TestStagesThatDoNotAddUpAreTold(t *testing.T) {
	trial := steady(time.Millisecond, 100)
	half := results.NewHistogram()
	for range 100 {
		record(half, time.Millisecond/2)
	}
	trial.Stages = map[string]*results.Histogram{results.StageSend: half}
	if s := Summarize(one(trial)); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "add up to 50%") {
		t.Errorf("warnings %q", s.Warnings)
	}
}

func TestATrialReadTwiceIsInvalid(t *testing.T) {
	run := one(steady(time.Millisecond, 10), steady(time.Millisecond, 10))
	run.Trials[1].Repeat = 0
	if c := Summarize(run).Cells[0]; c.Status != results.Invalid || !strings.Contains(c.Reason, "twice") {
		t.Errorf("%s: %s", c.Status, c.Reason)
	}
}

func TestFewSamplesShowNoPercentile(t *testing.T) {
	for n, want := range map[int][3]string{99: {"1.00", "few", "few"}, 100: {"1.00", "1.00", "few"}, 999: {"1.00", "1.00", "few"}, 1000: {"1.00", "1.00", "1.00"}} {
		s := Summarize(one(steady(time.Millisecond, n)))
		row := s.mainGrid().rows[0]
		if got := [3]string(row[1:4]); got != want {
			t.Errorf("%d samples: %q, want %q", n, got, want)
		}
	}
}

func TestTheFirstTrialIsCheckedAgainstTheRest(t *testing.T) {
	for first, warned := range map[time.Duration]bool{time.Millisecond: false, 2100 * time.Microsecond: false, 2300 * time.Microsecond: true, 400 * time.Microsecond: true} {
		s := Summarize(one(steady(first, 100), steady(time.Millisecond, 100), steady(1100*time.Microsecond, 100)))
		if got := strings.Contains(strings.Join(s.Warnings, "\n"), "the first trial's p50"); got != warned {
			t.Errorf("a first trial of %v beside 1 ms and 1.1 ms: warned %v, want %v: %q",
				first, got, warned, s.Warnings)
		}
	}
}

func TestOverlappingTrialsAreNoFinding(t *testing.T) {
	run := one(steady(time.Millisecond, 100), steady(3*time.Millisecond, 100))
	run.Header.Cells = append(run.Header.Cells, results.Cell{ID: 5, Strategy: "eager", Transport: "tcp", Scenario: "steady", Nodes: 3, Clients: 1})
	for repeat, d := range []time.Duration{2 * time.Millisecond, 4 * time.Millisecond} {
		trial := steady(d, 100)
		trial.Cell, trial.Repeat = 5, repeat
		run.Trials = append(run.Trials, trial)
	}
	if found := Summarize(run).Findings(); len(found) != 2 || !strings.Contains(found[0], "trials overlap in p50") {
		t.Errorf("findings %q", found)
	}
}

func TestMedianOfTrials(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Range
	}{
		{nil, Range{}},
		{[]float64{3}, Range{1, 3, 3, 3}},
		{[]float64{4, 1}, Range{2, 2.5, 1, 4}},
		{[]float64{9, 1, 2}, Range{3, 2, 1, 9}},
	} {
		if got := rangeOf(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestTextFromARunFileCannotBreakAReport(t *testing.T) {
	run := one(results.Trial{Status: results.Invalid, Reason: "a | b\n\n# c \x1b[31m"})
	run.Header.Cells[0].Strategy = "x|y\n|z"
	run.Header.Again = "raftbench\n```\n# oops"
	for format, text := range all(t, run) {
		if strings.Contains(text, "\x1b") || strings.Contains(text, "\n# c") || strings.Contains(text, "\n|z") || strings.Contains(text, "\n# oops") {
			t.Errorf("%s:\n%s", format, text)
		}
	}
}

func TestCSVColumnsAreTheSameForEveryRun(t *testing.T) {
	var first string
	for _, of := range goldenRuns {
		head, _, _ := strings.Cut(string(render(t, formatOf(t, "csv"), of())), "\n")
		if first == "" {
			first = head
		}
		if head != first {
			t.Errorf("columns %s, elsewhere %s", head, first)
		}
	}
	names := strings.Split(first, ",")
	if sorted := slices.Compact(slices.Sorted(slices.Values(names))); len(sorted) != len(names) {
		t.Errorf("a column is there twice: %s", first)
	}
}

func TestJSONIsJSON(t *testing.T) {
	for name, of := range goldenRuns {
		var doc struct {
			Cells []map[string]any `json:"cells"`
		}
		if err := json.Unmarshal(render(t, formatOf(t, "json"), of()), &doc); err != nil || len(doc.Cells) != len(of().Header.Cells) {
			t.Errorf("%s: %d cells, %v", name, len(doc.Cells), err)
		}
	}
}

// TestThroughTheRunFile writes a run as a file and reads it: the reports must be those of the run in memory.
func TestThroughTheRunFile(t *testing.T) {
	for _, name := range []string{"broken", "failover"} {
		run := goldenRuns[name]()
		w, err := results.Create(t.TempDir(), run.Header.Tag, started)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Header(run.Header)
		for _, trial := range run.Trials {
			err = errors.Join(err, w.Trial(trial))
		}
		for _, text := range run.Warnings {
			err = errors.Join(err, w.Warn(text))
		}
		if run.End != nil {
			err = errors.Join(err, w.End(*run.End))
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		back, err := results.Read(w.Dir())
		if err != nil {
			t.Fatal(err)
		}
		want, got := all(t, run), all(t, back)
		for _, f := range Formats {
			if f.Name != "json" && got[f.Name] != want[f.Name] {
				t.Errorf("%s: the %s report is another after writing and reading", name, f.Name)
			}
		}
	}
}
