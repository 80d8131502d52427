package reports

import (
	"fmt"
	"slices"
	"time"

	"github.com/raftbench/raftbench/results"
)

// labReport is a run of the MIT lab's tests, put together by test, strategy and place.
type labReport struct {
	run        *results.Run
	places     []labPlace
	tests      []string
	strategies []string
	choices    map[string]map[string]string // by strategy
	cells      map[labKey]*labCell
	order      []*labCell // as in the header
	warnings   []string
	late       lateness
}

// labPlace is what stays the same within a table: transport and heartbeat.
type labPlace struct {
	transport string
	heartbeat time.Duration
}

type labKey struct {
	labPlace
	strategy, test string
}

// labCell is one test with one strategy in one place.
type labCell struct {
	results.Cell
	place   labPlace
	passed  map[int]*results.Lab // by repeat
	failed  []string             // why, of those that did not pass
	failing results.Status       // of the worst of them
}

// lateness is how punctual the tests' own waits were: what running many tests at once did to them.
type lateness struct {
	waits        uint64
	sum, longest time.Duration
	total        time.Duration // of the tests
}

// newLabReport puts the trials together. It never fails: a trial that contradicts itself counts as failed.
func newLabReport(run *results.Run) *labReport {
	r := &labReport{run: run, choices: map[string]map[string]string{}, cells: map[labKey]*labCell{}, warnings: slices.Clone(run.Warnings)}
	byID := map[int]*labCell{}
	for _, c := range run.Header.Cells {
		heartbeat, err := time.ParseDuration(c.Params[results.ParamHeartbeat])
		if err != nil || heartbeat <= 0 {
			r.warnings = append(r.warnings, fmt.Sprintf("cell %d has no heartbeat that can be read, and is left out",
				c.ID))
			continue
		}
		cell := &labCell{Cell: c, place: labPlace{c.Transport, heartbeat}, passed: map[int]*results.Lab{}}
		byID[c.ID] = cell
		r.order = append(r.order, cell)
		r.cells[labKey{cell.place, c.Strategy, c.Scenario}] = cell
		r.choices[c.Strategy] = c.Choices
		r.places = addNew(r.places, cell.place)
		r.tests = addNew(r.tests, c.Scenario)
		r.strategies = addNew(r.strategies, c.Strategy)
	}
	for i := range run.Trials {
		if cell := byID[run.Trials[i].Cell]; cell != nil {
			r.add(cell, &run.Trials[i])
		}
	}
	return r
}

func addNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func (r *labReport) add(cell *labCell, t *results.Trial) {
	status, reason := t.Status, t.Reason
	if err := t.Check(); err != nil {
		status, reason = results.Invalid, err.Error()
	} else if status == results.OK && t.Lab == nil {
		status, reason = results.Failed, "nothing was measured"
	}
	for _, w := range t.Warnings {
		r.warnings = addNew(r.warnings, fmt.Sprintf("%s %s: %s", cell.Scenario, cell.Strategy, w))
	}
	if l := t.Lab; l != nil {
		r.late.waits += l.Waits
		r.late.sum += l.LateSum
		r.late.total += l.Total
		r.late.longest = max(r.late.longest, l.LateMax)
	}
	switch status {
	case results.OK:
		cell.passed[t.Repeat] = t.Lab
	case results.Interrupted:
	default:
		cell.failed = append(cell.failed, reason)
		if cell.failing != results.Invalid {
			cell.failing = status
		}
	}
}

func (r *labReport) virtual() bool { return r.run.Header.Clock == "virtual" }

// cell returns a test's cell, nil if there is none.
func (r *labReport) cell(p labPlace, strategy, test string) *labCell {
	return r.cells[labKey{p, strategy, test}]
}

// whole reports whether every planned trial passed: only then may a total hold the test, or it would be a selection.
func (r *labReport) whole(c *labCell) bool {
	return c != nil && len(c.failed) == 0 && len(c.passed) > 0
}

// totals returns, by repeat, the sums over some tests. It is empty if a test failed; a repeat that lacks a test is left
// out.
func (r *labReport) totals(p labPlace, strategy string, tests []string) map[int]*results.Lab {
	sums := map[int]*results.Lab{}
	for repeat := range r.run.Header.Repeat {
		sum := &results.Lab{}
		complete := len(tests) > 0
		for _, test := range tests {
			c := r.cell(p, strategy, test)
			if !r.whole(c) {
				return nil
			}
			l := c.passed[repeat]
			if complete = complete && l != nil; !complete {
				break
			}
			addLab(sum, l)
		}
		if complete {
			sums[repeat] = sum
		}
	}
	return sums
}

func addLab(sum, l *results.Lab) {
	sum.Total += l.Total
	sum.Own += l.Own
	sum.Elections += l.Elections
	sum.Agreements += l.Agreements
	sum.Stale += l.Stale
	sum.Rest += l.Rest
	sum.Vain += l.Vain
	sum.StaleWaits += l.StaleWaits
	sum.RPCs += l.RPCs
	sum.RequestBytes += l.RequestBytes
	sum.ReplyBytes += l.ReplyBytes
	sum.Committed += l.Committed
	sum.Rejections += l.Rejections
	sum.Elected += l.Elected
	sum.Each = append(sum.Each, l.Each...)
}

func maxKey(sums map[int]*results.Lab) int {
	most := -1
	for k := range sums {
		most = max(most, k)
	}
	return most
}

// seconds is a total's figure.
func seconds(l *results.Lab) float64 { return l.Total.Seconds() }

// What the course's page shows for each test of its eight, and what an eager implementation with heartbeats of 50 ms
// took (see the project's notes on the lab): seconds, RPCs, bytes, commits.
type labReference struct {
	seconds     float64
	rpcs, bytes uint64
	commits     uint64
}

var coursePage = map[string]labReference{
	"BasicAgree":       {0.9, 16, 4572, 3},
	"RPCBytes":         {1.7, 48, 114536, 11},
	"FailAgree":        {3.6, 78, 22131, 7},
	"FailNoAgree":      {3.8, 172, 40935, 3},
	"ConcurrentStarts": {1.1, 24, 7379, 6},
	"Rejoin":           {5.1, 152, 37021, 4},
	"Backup":           {17.2, 2080, 1587388, 102},
	"Count":            {2.2, 60, 20119, 12},
}

// coursePageSeconds is the sum of the page's seconds.
const coursePageSeconds = 35.6

var eagerElsewhere = map[string]labReference{
	"BasicAgree":       {0.5, 16, 4344, 3},
	"RPCBytes":         {0.9, 48, 113764, 11},
	"FailAgree":        {3.3, 139, 36226, 7},
	"FailNoAgree":      {3.5, 336, 74554, 4},
	"ConcurrentStarts": {0.5, 24, 6696, 6},
	"Rejoin":           {3.9, 254, 58157, 4},
	"Backup":           {9.8, 2307, 1967163, 102},
	"Count":            {2.0, 90, 25761, 12},
}

// pageTests returns the tests of the course's page if all of them were run: totals refer to them, since that is what
// totals elsewhere are of.
func (r *labReport) pageTests() []string {
	var tests []string
	for _, test := range r.tests {
		if _, ok := coursePage[test]; ok {
			tests = append(tests, test)
		}
	}
	if len(tests) < len(coursePage) {
		return nil
	}
	return tests
}

// headline returns the tests that the findings' totals are of, and what they are called.
func (r *labReport) headline() (tests []string, name string) {
	if tests = r.pageTests(); tests != nil {
		return tests, "the page's eight tests"
	}
	return r.tests, "all tests"
}

// variant is which of the write-up's three implementations a strategy is, as far as it is one of them: when the leader
// sends, and when it moves commitIndex.
func variant(choices map[string]string) string {
	switch {
	case choices["send"] == "ride":
		return "loop"
	case choices["send"] == "now" && choices["commit"] == "now":
		return "commit"
	case choices["send"] == "now":
		return "signal"
	}
	return ""
}

// claims are the totals that others give for a variant: a write-up of the lab, and what was measured before on one
// implementation, with fast and with linear backup.
var claims = map[string]struct {
	writeUp      float64
	fast, linear string
}{
	"loop":   {90, "48-50", "56"},
	"signal": {60, "32-36", "41"},
	"commit": {50, "24-25", "23"},
}
