package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/raftbench/raftbench/results"
)

// labFigure is a figure that every test has.
type labFigure struct {
	name  string
	value func(*results.Lab) (float64, bool)
	show  func(float64) string
	sum   bool                       // it can be added over tests
	known func(labReference) float64 // on the references; nil if they lack it

	interval bool // it is shown with the interval of its mean
}

var labFigures = []labFigure{
	{"seconds", func(l *results.Lab) (float64, bool) { return l.Total.Seconds(), true }, oneDecimal, true,
		func(r labReference) float64 { return r.seconds }, true},
	{"RPCs", func(l *results.Lab) (float64, bool) { return float64(l.RPCs), true }, number, true,
		func(r labReference) float64 { return float64(r.rpcs) }, false},
	{"kilobytes", func(l *results.Lab) (float64, bool) { return float64(l.Bytes()) / 1000, true }, number, true,
		func(r labReference) float64 { return float64(r.bytes) / 1000 }, false},
	{"rejections", func(l *results.Lab) (float64, bool) { return float64(l.Rejections), true }, number, true, nil, false},
	{"commits", func(l *results.Lab) (float64, bool) { return float64(l.Committed), true }, number, true,
		func(r labReference) float64 { return float64(r.commits) }, false},
	{"milliseconds per agreement", agreementMs, number, false, nil, false},
}

func oneDecimal(v float64) string { return decimals(v, 1) }

// decimals rounds a figure; nothing has no sign.
func decimals(v float64, n int) string {
	text := strconv.FormatFloat(v, 'f', n, 64)
	if strings.Trim(text, "-0.") == "" {
		return strings.TrimPrefix(text, "-")
	}
	return text
}

// agreementMs is the median time of an agreement: searches after a rejoin are few and long.
func agreementMs(l *results.Lab) (float64, bool) {
	d, ok := l.Median()
	return float64(d) / 1e6, ok
}

// of returns a figure of a cell, the mean over its trials.
func (f *labFigure) of(c *labCell) (string, bool) {
	var values []float64
	for _, l := range c.passed {
		if v, ok := f.value(l); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return "", false
	}
	return f.estimate(estimateOf(values)), true
}

// estimate writes the mean of a figure; with its interval if that is what the tables are read for.
func (f *labFigure) estimate(e estimate) string {
	switch {
	case !f.interval:
		return f.show(e.mean)
	case e.mean < shortTest:
		return e.show(func(v float64) string { return decimals(v, 2) })
	}
	return e.show(f.show)
}

// shortTest is a mean, in seconds, below which a tenth of a second is too coarse.
const shortTest = 1

// testGrid has tests down and strategies across, for one figure in one place.
func (r *labReport) testGrid(p labPlace, f *labFigure) grid {
	g := grid{head: []string{f.name}, right: []bool{false}}
	column := func(head string) { g.head, g.right = append(g.head, head), append(g.right, true) }
	for _, s := range r.strategies {
		column(clean(s))
	}
	references := f.known != nil && r.refersTo()
	if references {
		column("course page")
		column("eager elsewhere")
	}
	for _, test := range r.tests {
		row := []string{clean(test)}
		for _, s := range r.strategies {
			row = append(row, r.show(r.cell(p, s, test), f))
		}
		if references {
			for _, of := range []map[string]labReference{coursePage, eagerElsewhere} {
				text := ""
				if known, ok := of[test]; ok {
					text = f.show(f.known(known))
				}
				row = append(row, text)
			}
		}
		g.rows = append(g.rows, row)
	}
	if f.sum {
		g.rows = append(g.rows, make([]string, len(g.head)))
		g.rows = append(g.rows, r.totalRows(p, f, references)...)
	}
	return g
}

// refersTo reports whether any test is on the course's page.
func (r *labReport) refersTo() bool {
	for _, test := range r.tests {
		if _, ok := coursePage[test]; ok {
			return true
		}
	}
	return false
}

// show writes a cell's figure, or why it has none.
func (r *labReport) show(c *labCell, f *labFigure) string {
	switch {
	case c == nil:
		return ""
	case c.failing == results.Invalid:
		return fmt.Sprintf("FAIL %d/%d", len(c.failed), len(c.failed)+len(c.passed))
	case c.failing == results.Inconclusive:
		return fmt.Sprintf("LATE %d/%d", len(c.failed), len(c.failed)+len(c.passed)) // the machine was
	case len(c.failed) > 0:
		return statusWord(c.failing)
	case len(c.passed) == 0:
		return "not run"
	}
	if text, ok := f.of(c); ok {
		return text
	}
	return "-"
}

// totalRows are the sums over tests: of the course's eight, and of all.
func (r *labReport) totalRows(p labPlace, f *labFigure, references bool) [][]string {
	var rows [][]string
	add := func(name string, tests []string, show func(estimate) string, known ...string) {
		row := []string{name}
		for _, s := range r.strategies {
			over := estimateOver(r.totals(p, s, tests), func(l *results.Lab) float64 { v, _ := f.value(l); return v })
			if over.n == 0 {
				row = append(row, "-")
			} else {
				row = append(row, show(over))
			}
		}
		if references {
			row = append(append(row, known...), make([]string, 2-len(known))...)
		}
		rows = append(rows, row)
	}
	least := func(e estimate) string { return f.show(e.min) }
	page := r.pageTests()
	if page != nil {
		var known []string
		if f.known != nil {
			for _, of := range []map[string]labReference{coursePage, eagerElsewhere} {
				sum := 0.0
				for _, test := range page {
					sum += f.known(of[test])
				}
				known = append(known, f.show(sum))
			}
		}
		if !references {
			known = nil
		}
		add("page's 8, mean", page, f.estimate, known...)
		if r.run.Header.Repeat > 1 {
			add("page's 8, lowest", page, least, known...)
		}
	}
	if len(page) != len(r.tests) {
		add(fmt.Sprintf("all %d, mean", len(r.tests)), r.tests, f.estimate)
		if r.run.Header.Repeat > 1 && page == nil {
			add(fmt.Sprintf("all %d, lowest", len(r.tests)), r.tests, least)
		}
	}
	if page != nil && f.name == "seconds" {
		rows = append(rows, make([]string, 1+len(r.strategies)+2))
		rows = append(rows, r.claimRows()...)
	}
	return rows
}

// claimRows are the totals that others give for implementations of the same kind.
func (r *labReport) claimRows() [][]string {
	writeUp, before := []string{"write-up claims"}, []string{"elsewhere"}
	for _, s := range r.strategies {
		claim, ok := claims[variant(r.choices[s])]
		text, measured := "", ""
		if ok {
			text, measured = fmt.Sprintf("%.0f+", claim.writeUp), claim.fast
			if r.choices[s]["backup"] == "linear" {
				measured = claim.linear
			}
		}
		writeUp, before = append(writeUp, text), append(before, measured)
	}
	return [][]string{append(writeUp, "", ""), append(before, "", "")}
}

// partsGrid says where the seconds of each strategy's total went: means over the repeats, which add up.
func (r *labReport) partsGrid(p labPlace) grid {
	tests, _ := r.headline()
	g := grid{
		head:  []string{"strategy", "total s", "own sleeps and looks", "elections", "agreements", "stale leaders", "rest", "agreements made", "offers in vain", "stale waits"},
		right: []bool{false, true, true, true, true, true, true, true, true, true},
	}
	for _, s := range r.strategies {
		sums := r.totals(p, s, tests)
		if len(sums) == 0 {
			g.rows = append(g.rows, append([]string{clean(s), "-"}, make([]string, 8)...))
			continue
		}
		row := []string{clean(s)}
		for _, part := range labParts {
			row = append(row, decimals(estimateOver(sums, func(l *results.Lab) float64 { return part(l).Seconds() }).mean, 2))
		}
		for _, n := range []func(*results.Lab) float64{agreementsMade, proposalsInVain, staleWaits} {
			row = append(row, number(estimateOver(sums, n).mean))
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// labParts are a total and what it is made of.
var labParts = []func(*results.Lab) time.Duration{
	func(l *results.Lab) time.Duration { return l.Total },
	func(l *results.Lab) time.Duration { return l.Own },
	func(l *results.Lab) time.Duration { return l.Elections },
	func(l *results.Lab) time.Duration { return l.Agreements },
	func(l *results.Lab) time.Duration { return l.Stale },
	func(l *results.Lab) time.Duration { return l.Rest },
}

func agreementsMade(l *results.Lab) float64  { return float64(len(l.Each)) }
func proposalsInVain(l *results.Lab) float64 { return float64(l.Vain) }
func staleWaits(l *results.Lab) float64      { return float64(l.StaleWaits) }

// lawTest is the test that the law of agreements is shown by.
const lawTest = "Backup"

// law is how the time of one test splits: what is constant, and its agreements at their usual length, and what some of
// them took longer.
type law struct {
	total, constant, agreements, longer float64 // s
	count                               float64
	usual                               float64 // ms: usualMs
}

// lawOf returns the law of the test Backup for a strategy, in the mean of its trials.
func (r *labReport) lawOf(p labPlace, strategy string) (law, bool) {
	c := r.cell(p, strategy, lawTest)
	if !r.whole(c) {
		return law{}, false
	}
	for _, l := range c.passed {
		if len(l.Each) == 0 {
			return law{}, false
		}
	}
	mean := func(figure func(*results.Lab) float64) float64 { return c.over(figure).mean }
	w := law{
		total:    mean(seconds),
		constant: mean(func(l *results.Lab) float64 { return (l.Total - l.Agreements).Seconds() }),
		count:    mean(agreementsMade),
		usual:    mean(func(l *results.Lab) float64 { ms, _ := usualMs(l); return ms }),
	}
	w.agreements = w.count * w.usual / 1000
	w.longer = w.total - w.constant - w.agreements
	return w, true
}

// usualMs is the mean of the agreements that took as long as the median one, give or take a look of the test. The
// median alone would be a whole number of looks; the mean of all would have the searches after a rejoin in it.
func usualMs(l *results.Lab) (float64, bool) {
	median, ok := l.Median()
	if !ok {
		return 0, false
	}
	var sum time.Duration
	n := 0
	for _, d := range l.Each {
		if math.Abs(float64(d-median)) <= lookMs*1e6 {
			sum, n = sum+d, n+1
		}
	}
	return float64(sum) / 1e6 / float64(n), true
}

// expected is what the law says of an agreement: so many heartbeat periods, or 0 for one look of the test.
func expected(choices map[string]string) (periods int, words string, known bool) {
	switch {
	case choices["send"] == "ride" && choices["announce"] == "ride":
		return 2, "2 periods", true
	case choices["send"] == "now" && choices["announce"] == "ride":
		return 1, "1 period", true
	case choices["send"] == "now" && choices["announce"] == "now":
		return 0, "one look", true
	}
	return 0, "", false
}

// lookMs is the span between two looks of a test, in ms.
const lookMs = 20

// The verdicts on the law.
const (
	lawHolds  = "yes"
	lawBroken = "no"
	lawHidden = "cannot tell" // 2 periods, 1 period and one look are too close together
)

// verdict says whether an agreement takes what the law says, within one look; nothing where the law says nothing. With
// short heartbeats every strategy's agreement is within a look of what the law says of another.
func (w law) verdict(p labPlace, choices map[string]string) string {
	periods, _, known := expected(choices)
	if !known {
		return ""
	}
	period := p.heartbeat.Seconds() * 1000
	want := float64(periods) * period
	if periods == 0 {
		want = lookMs
	}
	switch {
	case period-lookMs <= lookMs: // and so much the more 2 periods from 1
		return lawHidden
	case math.Abs(w.usual-want) > lookMs:
		return lawBroken
	}
	return lawHolds
}

func (r *labReport) lawGrid() grid {
	g := grid{head: []string{"strategy"}, right: []bool{false}}
	if len(r.places) > 1 {
		g.head, g.right = append([]string{"transport", "heartbeat"}, g.head...), append([]bool{false, true}, g.right...)
	}
	for _, head := range []string{lawTest + " s", "constant s", "agreements", "usual ms", "periods", "longer s", "the law says", "holds"} {
		g.head, g.right = append(g.head, head), append(g.right, true)
	}
	for _, p := range r.places {
		for _, s := range r.strategies {
			w, ok := r.lawOf(p, s)
			if !ok {
				continue
			}
			var row []string
			if len(r.places) > 1 {
				row = []string{clean(p.transport), p.heartbeat.String()}
			}
			_, says, _ := expected(r.choices[s])
			row = append(row, clean(s), oneDecimal(w.total), oneDecimal(w.constant), number(w.count), number(w.usual),
				fmt.Sprintf("%.2f",
					w.usual/1000/p.heartbeat.Seconds()), oneDecimal(w.longer), says, w.verdict(p, r.choices[s]))
			g.rows = append(g.rows, row)
		}
	}
	return g
}

// line is a straight line of a total, in s, over a period, in s.
type line struct{ slope, intercept float64 }

func (l line) String() string {
	sign := "+"
	if l.slope < 0 {
		sign = "-"
	}
	return fmt.Sprintf("%.1f s %s %.0f periods", l.intercept, sign, math.Abs(l.slope))
}

// fit returns the line through points that least squares give.
func fit(x, y []float64) (line, bool) {
	n := float64(len(x))
	var sx, sy, sxx, sxy float64
	for i := range x {
		sx, sy, sxx, sxy = sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	d := n*sxx - sx*sx
	if d == 0 {
		return line{}, false
	}
	slope := (n*sxy - sx*sy) / d
	return line{slope, (sy - slope*sx) / n}, true
}

// heartbeats returns those that were run over a transport.
func (r *labReport) heartbeats(transport string) []labPlace {
	var list []labPlace
	for _, p := range r.places {
		if p.transport == transport {
			list = append(list, p)
		}
	}
	return list
}

func (r *labReport) transports() []string {
	var list []string
	for _, p := range r.places {
		list = addNew(list, p.transport)
	}
	return list
}

// sweep fits a strategy's totals against the heartbeat's period, over all trials, without the waits for stale leaders,
// which come in steps of two seconds.
func (r *labReport) sweep(transport, strategy string, tests []string) (line, bool) {
	return r.fitOver(transport, strategy, tests, func(l *results.Lab) float64 { return (l.Total - l.Stale).Seconds() })
}

// agreementSweep fits the usual time of an agreement in the test that the law is shown by: so many periods and so long.
func (r *labReport) agreementSweep(transport, strategy string) (line, bool) {
	return r.fitOver(transport, strategy, []string{lawTest}, func(l *results.Lab) float64 {
		ms, _ := usualMs(l) // that test has agreements
		return ms / 1000
	})
}

func (r *labReport) fitOver(transport, strategy string, tests []string, figure func(*results.Lab) float64) (line, bool) {
	var x, y []float64
	for _, p := range r.heartbeats(transport) {
		sums := r.totals(p, strategy, tests)
		for repeat := range maxKey(sums) + 1 {
			if l := sums[repeat]; l != nil {
				x, y = append(x, p.heartbeat.Seconds()), append(y, figure(l))
			}
		}
	}
	return fit(x, y)
}

// sweepGrid shows totals against the period, for one transport.
func (r *labReport) sweepGrid(transport string) grid {
	tests, _ := r.headline()
	g := grid{head: []string{"strategy"}, right: []bool{false}}
	places := r.heartbeats(transport)
	for _, p := range places {
		g.head, g.right = append(g.head, "total s at "+p.heartbeat.String()), append(g.right, true)
	}
	for _, head := range []string{"slope periods", "intercept s", "an agreement, periods", "and ms"} {
		g.head, g.right = append(g.head, head), append(g.right, true)
	}
	for _, s := range r.strategies {
		row := []string{clean(s)}
		for _, p := range places {
			if over := estimateOver(r.totals(p, s, tests), seconds); over.n > 0 {
				row = append(row, over.show(oneDecimal))
			} else {
				row = append(row, "-")
			}
		}
		if l, ok := r.sweep(transport, s, tests); ok {
			row = append(row, oneDecimal(l.slope), oneDecimal(l.intercept))
		} else {
			row = append(row, "-", "-")
		}
		if l, ok := r.agreementSweep(transport, s); ok {
			row = append(row, decimals(l.slope, 2), fmt.Sprintf("%+d", int(math.Round(1000*l.intercept))))
		} else {
			row = append(row, "-", "-")
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// placeName says what a table is of, where there are several.
func (r *labReport) placeName(p labPlace) string {
	return fmt.Sprintf("%s, heartbeat %v", clean(p.transport), p.heartbeat)
}

// failures lists the tests that did not pass, with figure and limit.
func (r *labReport) failures() []string {
	var lines []string
	for _, c := range r.order {
		if len(c.failed) == 0 {
			continue
		}
		text := fmt.Sprintf("%s %s over %s, heartbeat %v", c.Scenario, c.Strategy, c.Transport, c.place.heartbeat)
		word := "FAIL"
		if c.failing != results.Invalid {
			word = statusWord(c.failing)
		}
		reasons := map[string]int{}
		var distinct []string
		for _, reason := range c.failed {
			reason = strings.TrimPrefix(reason, c.Scenario+": ")
			if reasons[reason]++; reasons[reason] == 1 {
				distinct = append(distinct, reason)
			}
		}
		if len(distinct) > 2 {
			distinct = append(distinct[:2], fmt.Sprintf("and %d more", len(distinct)-2))
		}
		lines = append(lines, clean(fmt.Sprintf("%s %d of %d: %s: %s",
			word, len(c.failed), len(c.failed)+len(c.passed), text, strings.Join(distinct, "; "))))
	}
	return lines
}
