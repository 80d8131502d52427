package reports

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// labMade is what a made-up run of the lab's tests measures: agreements of so many periods, or of a look.
type labMade struct {
	name    string
	choices map[string]string
	periods int // of an agreement; 0 is one look
}

var labStrategies = []labMade{
	{"linear-loop", choices("linear", "ride", "barrier", "ride"), 2},
	{"linear-signal", choices("linear", "now", "barrier", "ride"), 1},
	{"fast-loop", choices("fast", "ride", "barrier", "ride"), 2},
	{"fast-signal", choices("fast", "now", "barrier", "ride"), 1},
	{"fast-signal-commit", choices("fast", "now", "now", "ride"), 1},
	{"eager", choices("fast", "now", "now", "now"), 0},
}

// labAgreements is how many agreements the made-up tests have.
var labAgreements = map[string]int{"BasicAgree": 3, "RPCBytes": 11, "FailAgree": 7, "FailNoAgree": 2, "ConcurrentStarts": 0, "Rejoin": 4, "Backup": 102, "Count": 0}

var labTests = []string{"BasicAgree", "RPCBytes", "FailAgree", "FailNoAgree", "ConcurrentStarts", "Rejoin", "Backup", "Count"}

// labRun makes up a run: of each test, a second of its own, some elections, agreements as the law says, and in every
// second repeat a wait for a stale leader in Rejoin.
func labRun(clock string, repeat int, heartbeats ...time.Duration) *results.Run {
	run := &results.Run{Header: results.Header{
		Format: results.Format, Job: results.JobLab, Tag: "lab2b", Started: started, Seed: 7, Clock: clock, Repeat: repeat, Baseline: "linear-loop",
		Args: []string{"run", "lab2b"}, Again: "raftbench run lab2b --seed=7",
		Settings: map[string]string{"edition": "2023", "cut": "silent", "election-timeout": "300ms", "pre-vote": "false", "check-quorum": "false", "jobs": "32"},
		Versions: map[string]string{"raftbench": "v0.1.0", "go": "go1.26.8"},
	}}
	for _, heartbeat := range heartbeats {
		for _, s := range labStrategies {
			for _, test := range labTests {
				id := len(run.Header.Cells)
				run.Header.Cells = append(run.Header.Cells, results.Cell{ID: id, Engine: "raftbench", Strategy: s.name, Choices: s.choices, Transport: "tcp",
					Scenario: test, Nodes: 3, Params: map[string]string{results.ParamSuite: "2B", results.ParamHeartbeat: heartbeat.String()}})
				for i := range repeat {
					run.Trials = append(run.Trials, results.Trial{Cell: id, Repeat: i, Status: results.OK, Started: started, Lab: labMeasured(s, test, heartbeat, i, clock)})
				}
			}
		}
	}
	run.End = &results.End{Finished: started.Add(time.Minute), Trials: len(run.Trials)}
	return run
}

func labMeasured(s labMade, test string, heartbeat time.Duration, repeat int, clock string) *results.Lab {
	each := 20 * time.Millisecond
	if s.periods > 0 {
		each = time.Duration(s.periods) * heartbeat
	}
	n := labAgreements[test]
	l := &results.Lab{Own: time.Second, Elections: time.Duration(300+10*repeat) * time.Millisecond,
		RPCs: uint64(20 + 20*n), RequestBytes: uint64(900 * (n + 1)), ReplyBytes: uint64(400 * (n + 1)), Committed: uint64(max(n, 6)), Elected: 2}
	for range n {
		l.Each = append(l.Each, each)
	}
	l.Agreements = time.Duration(n) * each
	if test == "Backup" {
		l.Rejections = 4
		if s.choices["backup"] == "linear" {
			l.Rejections = 204
			if s.choices["send"] == "ride" {
				l.Agreements += 60 * heartbeat // searches
			}
		}
	}
	if test == "Rejoin" && repeat%2 == 1 {
		l.Stale, l.Vain, l.StaleWaits = 2*time.Second, 1, 1
	}
	if clock == "wall" {
		l.Waits, l.LateSum, l.LateMax, l.Rest = 100, 50*time.Millisecond, 4*time.Millisecond, 3*time.Millisecond
	}
	l.Total = l.Own + l.Elections + l.Agreements + l.Stale + l.Rest
	return l
}

// labTrial returns a trial of a run.
func labTrial(t *testing.T, run *results.Run, strategy, test string, repeat int) *results.Trial {
	t.Helper()
	for i := range run.Trials {
		c := run.Header.Cells[run.Trials[i].Cell]
		if c.Strategy == strategy && c.Scenario == test && run.Trials[i].Repeat == repeat {
			return &run.Trials[i]
		}
	}
	t.Fatalf("no trial %s %s %d", strategy, test, repeat)
	return nil
}

func labBroken(t *testing.T) *results.Run {
	run := labRun("wall", 3, 100*time.Millisecond)
	*labTrial(t, run, "eager", "Count", 1) = results.Trial{Cell: labTrial(t, run, "eager", "Count", 1).Cell, Repeat: 1, Started: started, Status: results.Invalid,
		Reason: "Count: RPCs for twelve proposals in a row: 48, the limit is 42", Lab: &results.Lab{Total: time.Second, Own: time.Second, RPCs: 66}}
	late := labTrial(t, run, "fast-loop", "Backup", 0)
	late.Status, late.Reason = results.Inconclusive, "Backup: the machine was late by 400ms"
	labTrial(t, run, "linear-loop", "Rejoin", 2).Lab.Total++ // the parts do not add up
	labTrial(t, run, "linear-signal", "Rejoin", 2).Status = results.Interrupted
	labTrial(t, run, "fast-signal", "Rejoin", 2).Warnings = []string{"the term went from 1 to 2 although nothing failed"}
	return run
}

func TestLabGolden(t *testing.T) {
	for name, run := range map[string]*results.Run{
		"lab":        labRun("virtual", 3, 100*time.Millisecond),
		"lab-sweep":  labRun("virtual", 2, 50*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond),
		"lab-broken": labBroken(t),
		"lab-empty":  {Header: results.Header{Format: results.Format, Job: results.JobLab}},
	} {
		for _, format := range goldenFormats {
			f := formatOf(t, format)
			if f.Name == "json" && name != "lab-broken" {
				continue
			}
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				got := render(t, f, run)
				if again := render(t, f, run); !bytes.Equal(got, again) {
					t.Fatal("the same run gave two different reports")
				}
				path := filepath.Join("testdata", name+"."+f.Name)
				if *update {
					if err := os.WriteFile(path, got, 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s differs; see what changed with: go test ./reports -update && git diff reports/testdata\ngot:\n%s", path, got)
				}
			})
		}
	}
}

func labText(t *testing.T, run *results.Run) string {
	t.Helper()
	return strings.Join(strings.Fields(strings.Join(newLabReport(run).findings(), "\n")), " ")
}

// The verdict follows the data, not what is known of Raft.
func TestLabVerdictFollowsTheData(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(l *results.Lab, strategy, test string, repeat int)
		want   []string
		not    []string
	}{
		{"as the law says", func(*results.Lab, string, string, int) {},
			[]string{"The write-up's 60 -> 50 is not supported by the Commit gate", "0% belong to the Commit gate and 100% to Announce", "All 144 tests passed",
				"Backup with fast-loop: 21.7 s = 1.3 s + 102 agreements of 200 ms: 2 periods, as the law says", "+ 6.0 s that some took longer"}, []string{"not 2 periods"}},
		{"commit saves two seconds", func(l *results.Lab, s, test string, _ int) {
			if s == "fast-signal-commit" && test == "Backup" {
				l.Agreements, l.Total = l.Agreements-2*time.Second, l.Total-2*time.Second
			}
		}, []string{"fast-signal-commit 22.0 s (-2.0 ±0.0 s in 3 repeats) The write-up's 60 -> 50 is supported in proportion"}, []string{"not supported"}},
		{"commit saves in two repeats of three", func(l *results.Lab, s, test string, repeat int) {
			if s == "fast-signal-commit" && test == "Backup" && repeat > 0 {
				l.Agreements, l.Total = l.Agreements-2*time.Second, l.Total-2*time.Second
			}
		}, []string{"(-1.3 ±2.9 s in 3 repeats)", "The write-up's 60 -> 50 is not supported by the Commit gate"}, nil},
		{"the signal saves nothing", func(l *results.Lab, s, test string, _ int) {
			if strings.HasSuffix(s, "loop") && test == "Backup" {
				l.Agreements, l.Total = l.Agreements-30*time.Second, l.Total-30*time.Second
				l.Agreements, l.Total = max(l.Agreements, 0), l.Own+l.Elections+max(l.Agreements, 0)
			}
		}, []string{"The write-up's 90 -> 60 is not supported: the interval of the difference holds no gain"}, []string{"The write-up's 90 -> 60 is supported"}},
		{"an eager agreement of two looks and more", func(l *results.Lab, s, test string, _ int) {
			if s == "eager" && test == "Backup" {
				l.Each = nil
				for range 102 {
					l.Each = append(l.Each, 60*time.Millisecond)
				}
				l.Agreements += 102 * 40 * time.Millisecond
				l.Total += 102 * 40 * time.Millisecond
			}
		}, []string{"102 agreements of 60 ms: not one look, which the law says"}, []string{"one look, as the law says"}},
	} {
		run := labRun("virtual", 3, 100*time.Millisecond)
		for i := range run.Trials {
			cell := run.Header.Cells[run.Trials[i].Cell]
			c.change(run.Trials[i].Lab, cell.Strategy, cell.Scenario, run.Trials[i].Repeat)
		}
		text := labText(t, run)
		for _, want := range c.want {
			if !strings.Contains(strings.ReplaceAll(text, "). The", ") The"), want) {
				t.Errorf("%s: want %q in\n%s", c.what, want, text)
			}
		}
		for _, not := range c.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: %q must not be in\n%s", c.what, not, text)
			}
		}
	}
}

// A step says its means and their difference with its interval, and judges nothing by one repeat.
func TestLabStepHasAnInterval(t *testing.T) {
	run := labRun("virtual", 3, 100*time.Millisecond)
	for i, longer := range []time.Duration{0, 3 * time.Second, 6 * time.Second} {
		l := labTrial(t, run, "eager", "Count", i).Lab
		l.Own, l.Total = l.Own+longer, l.Total+longer
	}
	r := newLabReport(run)
	s, ok := r.step(r.places[0], "fast-signal-commit", "eager")
	// 102 + 27 agreements of 80 ms less, but 3 s more in the mean; a deviation of 3 s in three repeats.
	want := 3 - 129*0.08
	if !ok || math.Abs(s.difference.mean-want) > 0.2 || math.Abs(s.after-s.before-s.difference.mean) > 1e-9 ||
		math.Abs(s.difference.half-4.303*3/math.Sqrt(3)) > 0.01 {
		t.Errorf("%+v: want a difference of %.2f ±%.2f", s, want, 4.303*3/math.Sqrt(3))
	}
	if s.sure() || s.pays() {
		t.Errorf("%v is taken for a gain", s)
	}
	if text := labText(t, labRun("virtual", 1, 100*time.Millisecond)); !strings.Contains(text, "(-12.9 s in 1 repeat). The write-up's 90 -> 60 is not judged: that needs three repeats") ||
		strings.Contains(text, "supported") {
		t.Errorf("one repeat is judged:\n%s", text)
	}
}

func TestLabEstimate(t *testing.T) {
	for freedom, want := range map[int]float64{1: 12.706, 9: 2.262, 11: 2.201, 19: 2.093, 30: 2.042, 100: 1.984, 100000: 1.960} {
		if got := student(freedom); math.Abs(got-want) > 0.001 {
			t.Errorf("t of %d degrees of freedom is %.4f, want %.3f", freedom, got, want)
		}
	}
	e := estimateOf([]float64{5, 1, 3})
	if e.n != 3 || e.mean != 3 || e.min != 1 || e.max != 5 || math.Abs(e.half-4.303*2/math.Sqrt(3)) > 1e-9 {
		t.Errorf("%+v: want 3 ±4.97 from 1 to 5", e)
	}
	if two := estimateOf([]float64{1, 3}); two.interval() || two.show(oneDecimal) != "2.0" || e.show(oneDecimal) != "3.0±5.0" {
		t.Errorf("%q and %q: want two values without an interval, and 3.0±5.0",
			two.show(oneDecimal), e.show(oneDecimal))
	}
}

// Where repeats differ by whole waits, the modes are shown with how often each came; where they do not, nothing is.
func TestLabModes(t *testing.T) {
	run := labRun("virtual", 5, 100*time.Millisecond)
	r := newLabReport(run)
	g := r.modesGrid(r.places[0])
	if len(g.rows) != len(labStrategies) {
		t.Fatalf("%d rows, want one of Rejoin for each of %d strategies:\n%v", len(g.rows), len(labStrategies), g.rows)
	}
	got := strings.Join(g.rows[len(g.rows)-1], "|")
	if want := "Rejoin|eager|1.4 in 3 of 5|3.4 in 2 of 5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range run.Trials {
		if l := run.Trials[i].Lab; l.StaleWaits == 0 {
			l.Stale, l.Total, l.StaleWaits, l.Vain = 12*time.Second, l.Total+12*time.Second, 6, 6
		}
	}
	g = newLabReport(run).modesGrid(r.places[0])
	if last := len(g.head) - 1; len(g.rows) != len(labStrategies) || g.head[last] != "4 or more" || g.rows[5][last] != "13.4 in 3 of 5" {
		t.Errorf("want 13.4 s with six waits in three repeats of Rejoin with eager, under \"4 or more\": %v\n%v",
			g.head, g.rows)
	}
}

// A total never leaves out a test that failed.
func TestLabNoTotalWithoutItsTests(t *testing.T) {
	run := labBroken(t)
	r := newLabReport(run)
	tests, _ := r.headline()
	for strategy, want := range map[string]int{"eager": 0, "fast-loop": 0, "linear-loop": 0, "linear-signal": 2, "fast-signal": 3} {
		if got := len(r.totals(r.places[0], strategy, tests)); got != want {
			t.Errorf("%s has totals of %d repeats, want %d", strategy, got, want)
		}
	}
	text := labText(t, run)
	if strings.Contains(text, "-> eager") || strings.Contains(text, "eager (") || strings.Contains(text, "-> fast-loop") {
		t.Errorf("a strategy without a total is compared:\n%s", text)
	}
	if !strings.Contains(text, "3 of 143 tests did not pass") {
		t.Errorf("want the number of tests that did not pass in\n%s", text)
	}
	failures := strings.Join(r.failures(), "\n")
	for _, want := range []string{"FAIL 1 of 3: Count eager over tcp, heartbeat 100ms: RPCs for twelve proposals in a row: 48, the limit is 42",
		"INCONCLUSIVE 1 of 3: Backup fast-loop", "the parts add up to"} {
		if !strings.Contains(failures, want) {
			t.Errorf("want %q in\n%s", want, failures)
		}
	}
}

// The parts of a shown total add up to it.
func TestLabPartsAddUp(t *testing.T) {
	r := newLabReport(labRun("wall", 5, 100*time.Millisecond))
	for _, row := range r.partsGrid(r.places[0]).rows {
		var total, sum float64
		if _, err := fmt.Sscan(row[1], &total); err != nil {
			t.Fatal(err)
		}
		for _, text := range row[2:7] {
			var part float64
			if _, err := fmt.Sscan(text, &part); err != nil {
				t.Fatal(err)
			}
			sum += part
		}
		if math.Abs(total-sum) > 0.03 { // five figures are rounded
			t.Errorf("%s: the parts add up to %.2f, the total is %.2f", row[0], sum, total)
		}
	}
}

func TestFit(t *testing.T) {
	if l, ok := fit([]float64{1, 2, 3}, []float64{5, 7, 9}); !ok || math.Abs(l.slope-2) > 1e-9 || math.Abs(l.intercept-3) > 1e-9 {
		t.Errorf("got %v %+v, want 3 + 2x", ok, l)
	}
	if _, ok := fit([]float64{1, 1}, []float64{5, 7}); ok {
		t.Error("a line through points at one x")
	}
	if _, ok := fit(nil, nil); ok {
		t.Error("a line through nothing")
	}
}

// The law is judged only where its cases are further apart than the looks of the test; and there it can be broken.
func TestLabLawIsJudgedWhereItCanBeTold(t *testing.T) {
	for heartbeat, told := range map[time.Duration]bool{10 * time.Millisecond: false, 20 * time.Millisecond: false, 40 * time.Millisecond: false,
		41 * time.Millisecond: true, 100 * time.Millisecond: true} {
		r := newLabReport(labRun("virtual", 1, heartbeat))
		for _, a := range labStrategies {
			w, ok := r.lawOf(r.places[0], a.name)
			if !ok {
				t.Fatal(a.name)
			}
			for _, b := range labStrategies { // what a measures, judged as b
				want := lawHidden
				if told {
					want = map[bool]string{true: lawHolds, false: lawBroken}[a.periods == b.periods]
				}
				if got := w.verdict(r.places[0], b.choices); got != want {
					t.Errorf("heartbeat %v: what %s takes, %.0f ms, is what the law says of %s: %q, want %q",
						heartbeat, a.name, w.usual, b.name, got, want)
				}
			}
		}
		text := labText(t, labRun("virtual", 1, heartbeat, 200*time.Millisecond))
		if hidden := strings.Contains(text, fmt.Sprintf("at %v the law cannot be judged", heartbeat)); hidden == told {
			t.Errorf("heartbeat %v: in\n%s", heartbeat, text)
		}
	}
}

func TestLabSweepFindsTheLaw(t *testing.T) {
	r := newLabReport(labRun("virtual", 2, 50*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond))
	for _, s := range labStrategies {
		l, ok := r.agreementSweep("tcp", s.name)
		want := line{float64(s.periods), 0}
		if s.periods == 0 {
			want.intercept = 0.020
		}
		if !ok || math.Abs(l.slope-want.slope) > 1e-6 || math.Abs(l.intercept-want.intercept) > 1e-6 {
			t.Errorf("%s: an agreement takes %+v, want %+v", s.name, l, want)
		}
	}
}

func TestLabPunctuality(t *testing.T) {
	run := labRun("wall", 2, 100*time.Millisecond)
	if text := labText(t, run); !strings.Contains(text, "With 32 tests at a time their own waits ended 500 µs late in the mean and 4.00 ms at the worst") || !strings.Contains(text, "so many are safe") {
		t.Errorf("want a safe run in\n%s", text)
	}
	for i := range run.Trials {
		run.Trials[i].Lab.LateSum = time.Second
	}
	if text := labText(t, run); !strings.Contains(text, "too many for this machine") {
		t.Errorf("want too many in\n%s", text)
	}
	if text := labText(t, labRun("virtual", 1, 100*time.Millisecond)); strings.Contains(text, "at a time") {
		t.Errorf("virtual time is never late:\n%s", text)
	}
}
