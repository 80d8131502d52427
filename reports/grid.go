package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

const (
	notMeasured = "n/a"
	tooFew      = "few"
	noSamples   = "none"
)

// grid is a table before it is drawn.
type grid struct {
	head  []string
	right []bool // whether a column is aligned to the right
	rank  []int  // which columns go first where there is not room for all: see rankOf
	rows  [][]string
}

// column is a column of figures.
type column struct {
	head  string
	value func(*Cell) (float64, bool) // false: there is no figure
	why   func(*Cell) string          // what stands there then, if not none: tooFew, noSamples or ""; nil for ""
	show  func(float64) string        // unless it is a duration
	unit  string                      // durations: columns with the same unit key are shown in the same unit
	none  string                      // what stands where there is no figure, if not notMeasured
	mark  func(*Cell) string          // what stands behind a figure; nil for nothing
	rank  int                         // 0 is never left out of a narrow table; of the others, the highest goes first
}

func latencyColumn(head string, q float64) column {
	return quantileColumn(head, "latency", func(c *Cell) *results.Histogram { return c.Latency }, q)
}

func (col column) ranked(rank int) column {
	col.rank = rank
	return col
}

// quantileColumn shows a percentile of one of a cell's histograms, or why there is none.
func quantileColumn(head, unit string, of func(*Cell) *results.Histogram, q float64) column {
	return column{head: head, unit: unit,
		value: func(c *Cell) (float64, bool) { return quantileOf(of(c), q) },
		why: func(c *Cell) string {
			h := of(c)
			if h == nil {
				return ""
			}
			if _, ok := quantileOf(h, q); h.Count() > 0 && !ok {
				return tooFew
			}
			return noSamples
		}}
}

// leaderlessP95 is the 95th percentile, over the trials, of the time without a leader.
var leaderlessP95 = column{head: "no leader p95", unit: "failover", rank: 2,
	value: func(c *Cell) (float64, bool) { return c.LeaderlessP95, uint64(c.Leaderless.N) >= samplesFor(0.95) },
	why: func(c *Cell) string {
		if n := uint64(c.Leaderless.N); n > 1 && n < samplesFor(0.95) {
			return tooFew
		}
		return ""
	}}

// spread returns that of a scenario's main figure.
func (s *Summary) spread(c *Cell) (float64, bool) {
	return mainMetric(s.of(c.Scenario)).over(c).Spread()
}

// spreadOfCommits returns that of commits/s where it is the main figure's beside p50 and much larger: p50 alone would
// make such a cell look steadier than it is.
func (s *Summary) spreadOfCommits(c *Cell) (float64, bool) {
	p50, ok := s.spread(c)
	v, _ := c.Throughput.Spread()
	return v, ok && c.RatePerSec == 0 && mainMetric(s.of(c.Scenario)).name == p50Metric.name && v > 2*p50 && v > 0.05
}

// A spread of more than the figure itself says nothing as a ±: it would reach below zero.
const (
	mostSpread = 1.0
	unsteady   = "unsteady"
)

func showSpread(v float64) string {
	if v > mostSpread {
		return unsteady
	}
	return "±" + percent(v)
}

// spreadColumn is the larger of both, marked if it is that of commits/s: the main table has no room for two.
func (s *Summary) spreadColumn() column {
	return column{head: "spread", show: showSpread, rank: 1,
		value: func(c *Cell) (float64, bool) {
			if v, ok := s.spreadOfCommits(c); ok {
				return v, true
			}
			return s.spread(c)
		},
		mark: func(c *Cell) string {
			if _, ok := s.spreadOfCommits(c); ok {
				return spreadMark
			}
			return ""
		}}
}

// spreadColumns are both.
func (s *Summary) spreadColumns() []column {
	return []column{
		{head: "spread", value: s.spread, show: showSpread},
		{head: "spread of commits/s", none: " ", value: s.spreadOfCommits, show: showSpread},
	}
}

const spreadMark = "*"

// mainColumns are the columns of the main table.
func (s *Summary) mainColumns() []column {
	columns := []column{
		latencyColumn("p50", 0.5),
		latencyColumn("p99", 0.99).ranked(2),
		latencyColumn("p99.9", 0.999).ranked(7),
		{head: "commits/s", value: throughputMetric.value, show: figure, rank: 1},
		{head: "RPCs/commit", value: (*Cell).rpcsPerCommit, show: figure, rank: 4},
		{head: "bytes/commit", value: func(c *Cell) (float64, bool) {
			if c.Cost == nil {
				return 0, false
			}
			return c.perCommit(c.Cost.Bytes)
		}, show: number, rank: 6},
		{head: "catch-up", value: catchUpMetric.value, unit: "catch-up"},
		{head: "rounds", value: func(c *Cell) (float64, bool) {
			if c.CatchUp == nil {
				return 0, false
			}
			return float64(c.CatchUp.ProbeRounds), true
		}, show: number, rank: 3},
		{head: "no leader", value: leaderlessMetric.value, unit: "failover"},
		leaderlessP95,
		{head: "no leader max", unit: "failover", value: func(c *Cell) (float64, bool) { return c.Leaderless.Max, c.Leaderless.N > 1 }},
	}
	columns = append(columns, restartColumns...)
	columns = append(append(columns, s.spreadColumn()), s.floorColumns()...)
	if slices.ContainsFunc(s.Cells, func(c Cell) bool { return c.Status == results.OK && c.Trials < c.Planned }) {
		columns = append(columns, column{head: "trials", rank: 3, none: " ", value: func(c *Cell) (float64, bool) { return float64(c.Trials), c.Trials < c.Planned },
			show: func(v float64) string { return fmt.Sprintf("%.0f of %d", v, s.Run.Header.Repeat) }})
	}
	return columns
}

// mainGrid returns the main table.
func (s *Summary) mainGrid() grid { return s.gridOf(s.of(""), s.varying, s.mainColumns()) }

// gridOf returns a row for each cell: its axes, then the columns. Columns without any figure are left out. A cell that
// is not OK has its status in the first column, and nothing in the others.
func (s *Summary) gridOf(cells []*Cell, axes []axis, columns []column) grid {
	var used []column
	for _, col := range columns {
		if slices.ContainsFunc(cells, func(c *Cell) bool {
			_, ok := col.value(c)
			return c.Status == results.OK && (ok || col.why != nil && col.why(c) != "")
		}) {
			used = append(used, col)
		}
	}
	if len(used) == 0 {
		used = columns[:1]
	}
	largest := map[string]float64{}
	for _, col := range used {
		for _, c := range cells {
			if v, ok := col.value(c); ok && col.unit != "" && c.Status == results.OK {
				largest[col.unit] = max(largest[col.unit], v)
			}
		}
	}
	var g grid
	for _, a := range axes {
		g.head, g.right, g.rank = append(g.head, a.name), append(g.right, false), append(g.rank, 0)
	}
	for _, col := range used {
		head := col.head
		if most, ok := largest[col.unit]; ok && col.unit != "" {
			head += " " + unitFor(most).name
		}
		g.head, g.right, g.rank = append(g.head, head), append(g.right, true), append(g.rank, col.rank)
	}
	for _, c := range cells {
		var row []string
		for _, a := range axes {
			row = append(row, clean(a.value(&c.Cell)))
		}
		for i, col := range used {
			v, ok := col.value(c)
			mark := ""
			if col.mark != nil {
				mark = col.mark(c)
			}
			switch {
			case c.Status != results.OK && i == 0:
				row = append(row, statusWord(c.Status))
			case c.Status != results.OK:
				row = append(row, "")
			case ok && col.unit != "":
				row = append(row, unitFor(largest[col.unit]).show(v))
			case ok:
				row = append(row, col.show(v)+mark)
			case col.why != nil && col.why(c) != "":
				row = append(row, col.why(c))
			default:
				row = append(row, cmp.Or(col.none, notMeasured))
			}
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// The header of every table says where the load came from, and the legend what that leaves out.
const (
	loadInside = "load: inside"
	loadLegend = loadInside + ": clients are callbacks in the leader's process; latencies do not include a client's round trip to the leader"
)

// legend explains what the main table's words mean, as far as they occur in it.
func (s *Summary) legend(g grid) []string {
	lines := []string{loadLegend}
	if slices.ContainsFunc(s.Cells, func(c Cell) bool { return c.Latency != nil }) {
		loop := ""
		closed := slices.ContainsFunc(s.Cells, func(c Cell) bool { return c.Clients > 0 })
		open := slices.ContainsFunc(s.Cells, func(c Cell) bool { return c.RatePerSec > 0 })
		switch {
		case open && closed:
			loop = " (open loop where a rate is given, closed loop where clients are)"
		case open:
			loop = " (open loop)"
		case closed:
			loop = " (closed loop)"
		}
		lines = append(lines, "p50, p99, p99.9: from the moment a proposal was due to the leader's answer"+loop+"; the trials' histograms merged")
	}
	switch ok := s.Count(results.OK) > 0; {
	case ok && s.Run.Header.Repeat > 1:
		lines = append(lines, fmt.Sprintf("commits/s and times: medians of %s; RPCs and bytes: of all trials; spread: half the way from the lowest trial to the highest, of %s",
			s.trials(), s.spreadOf()))
	case ok:
		lines = append(lines, "one trial a cell: no spread is known")
	}
	if text := s.deterministicText(); text != "" {
		lines = append(lines, text)
	}
	if slices.ContainsFunc(s.of(""), func(c *Cell) bool { _, ok := s.spreadOfCommits(c); return ok }) {
		lines = append(lines, spreadMark+": the spread of commits/s, where it is over 5% and more than twice that of p50")
	}
	if slices.ContainsFunc(g.rows, func(row []string) bool {
		return slices.Contains(row, unsteady) || slices.Contains(row, unsteady+spreadMark)
	}) {
		lines = append(lines, unsteady+": the spread is larger than the figure itself: see Warnings")
	}
	if slices.Contains(g.head, "RPCs/commit") {
		lines = append(lines, "RPCs: AppendEntries requests, heartbeats among them, replies not counted; bytes: of all frames, both ways, between all replicas"+s.traffic())
	}
	if slices.Contains(g.head, "rounds") {
		lines = append(lines, "rounds: AppendEntries sent to the follower before the leader knew where their logs agree")
	}
	if slices.ContainsFunc(g.head, func(h string) bool { return strings.HasPrefix(h, "all serve") }) {
		lines = append(lines, "restart: from a follower's start until it has applied what the leader has, opening its storage (open) included; all serve: from the start of all replicas until a proposal is committed")
	}
	if slices.ContainsFunc(g.head, func(h string) bool { return strings.HasPrefix(h, "no leader max") }) {
		lines = append(lines, "no leader: from the leader's crash until there is another; median (p50), p95 and the longest of the trials")
	}
	if slices.ContainsFunc(g.head, func(h string) bool { return strings.HasSuffix(h, floorMark) }) {
		lines = append(lines, floorLegend(g))
	}
	return append(lines, s.wordsOf(g)...)
}

// wordsOf explains the words that stand in a table in the place of figures.
func (s *Summary) wordsOf(g grid) []string {
	has := func(word string) bool {
		return slices.ContainsFunc(g.rows, func(row []string) bool { return slices.Contains(row, word) })
	}
	var lines []string
	if has(notMeasured) {
		text := notMeasured + ": not measured by that scenario"
		if slices.ContainsFunc(s.Cells, func(c Cell) bool { return c.Params["measure"] == "off" }) {
			text += " or with measure=off"
		}
		if s.Count(results.NotApplicable) > 0 {
			text += ", or the engine cannot do what it asks for: see Not reported"
		}
		lines = append(lines, text)
	}
	if has(tooFew) {
		lines = append(lines, tooFew+": fewer samples than the percentile needs (p95: 20, p99: 100, p99.9: 1,000)")
	}
	if has(noSamples) {
		lines = append(lines, noSamples+": no proposal was due and answered in that time")
	}
	return lines
}

// traffic says whose messages are counted beside those of the commits that they are divided by.
func (s *Summary) traffic() string {
	var with []string
	for _, scenario := range s.scenarios() {
		if mainMetric(s.of(scenario)).name == catchUpMetric.name {
			with = append(with, clean(scenario))
		}
	}
	if len(with) == 0 {
		return ""
	}
	return fmt.Sprintf("; in %s the catch-up's are among them, divided by the foreground's commits", listed(with))
}

// trials says of how many trials the cells' figures are: fewer than planned if the run was interrupted, or some failed.
func (s *Summary) trials() string {
	least, most := s.Run.Header.Repeat, 0
	for _, c := range s.Cells {
		if c.Status == results.OK {
			least, most = min(least, c.Trials), max(most, c.Trials)
		}
	}
	if least < most {
		return fmt.Sprintf("%d to %d trials", least, most)
	}
	return units.Count(most, "trial")
}

// spreadOf says which figure the spread is of: "p50 (steady), catch-up (lag, diverge)".
func (s *Summary) spreadOf() string {
	var parts []string
	for _, m := range []metric{p50Metric, catchUpMetric, leaderlessMetric, restartMetric} {
		var of []string
		for _, scenario := range s.scenarios() {
			if mainMetric(s.of(scenario)).name == m.name {
				of = append(of, clean(scenario))
			}
		}
		if len(of) > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", m.name, strings.Join(of, ", ")))
		}
	}
	return strings.Join(parts, ", ")
}
