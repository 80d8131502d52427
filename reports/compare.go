package reports

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/results"
)

// metric is a figure by which cells are compared.
type metric struct {
	name  string // in a table
	words string // in a sentence
	isNs  bool
	value func(*Cell) (float64, bool)
	over  func(*Cell) Range // over the trials
}

var (
	p50Metric = metric{"p50", "the p50", true,
		func(c *Cell) (float64, bool) { return c.quantile(0.5) },
		func(c *Cell) Range { return c.P50 }}
	throughputMetric = metric{"commits/s", "the throughput", false,
		func(c *Cell) (float64, bool) { return c.Throughput.Median, c.Throughput.N > 0 },
		func(c *Cell) Range { return c.Throughput }}
	catchUpMetric = metric{"catch-up", "the time to catch up", true,
		func(c *Cell) (float64, bool) { return c.CatchUpTotal.Median, c.CatchUpTotal.N > 0 },
		func(c *Cell) Range { return c.CatchUpTotal }}
	leaderlessMetric = metric{"no leader", "the time without a leader", true,
		func(c *Cell) (float64, bool) { return c.Leaderless.Median, c.Leaderless.N > 0 },
		func(c *Cell) Range { return c.Leaderless }}
)

func (m metric) show(v float64) string {
	if m.isNs {
		return duration(v)
	}
	return figure(v)
}

// mainMetric returns what a scenario is about: the catch-up, the time without a leader, or else the latency.
func mainMetric(cells []*Cell) metric {
	for _, m := range []metric{catchUpMetric, leaderlessMetric, restartMetric} {
		if slices.ContainsFunc(cells, func(c *Cell) bool { _, ok := m.value(c); return ok }) {
			return m
		}
	}
	return p50Metric
}

// metricsOf returns what was measured in a scenario, its main metric first.
func metricsOf(cells []*Cell) []metric {
	main := mainMetric(cells)
	all := []metric{main}
	for _, m := range []metric{p50Metric, throughputMetric} {
		if m.name != main.name && slices.ContainsFunc(cells, func(c *Cell) bool { _, ok := m.value(c); return ok }) {
			all = append(all, m)
		}
	}
	return all
}

// ratio returns b's figure divided by a's; false if either is missing.
func (m metric) ratio(a, b *Cell) (float64, bool) {
	if a == nil || b == nil {
		return 0, false
	}
	x, ok := m.value(a)
	y, ok2 := m.value(b)
	if !ok || !ok2 || x <= 0 {
		return 0, false
	}
	return y / x, true
}

// verdict says whether two cells differ by more than their trials do among themselves.
type verdict string

const (
	apart         verdict = "apart"   // every trial of one is above every trial of the other
	overlap       verdict = "overlap" // the ranges of their trials have a part in common
	tooFewToJudge verdict = "too few" // fewer than leastTrials of either: they may lie apart by chance
)

// leastTrials is how many trials each of two cells needs before a verdict on them is given: with 4 each, trials of
// cells that do not differ lie apart in 2.9% of all cases; with 3 it would be 10%, with 2 a third, with one always. See
// byChance.
const leastTrials = 4

func (m metric) verdict(a, b *Cell) verdict {
	switch {
	case min(m.over(a).N, m.over(b).N) < leastTrials:
		return tooFewToJudge
	case m.overlap(a, b):
		return overlap
	}
	return apart
}

// overlap says whether the ranges of two cells' trials have a part in common, however many trials there are. Cells of
// one trial each overlap only if they are equal.
func (m metric) overlap(a, b *Cell) bool {
	x, y := m.over(a), m.over(b)
	return x.N > 0 && y.N > 0 && x.Max >= y.Min && y.Max >= x.Min
}

// differ returns b's figure divided by a's; false if that would say nothing: a figure is missing, their trials overlap,
// or the ratio would read 1.00x. A ratio describes what was measured; whether it is more than chance is the verdict's
// matter.
func (m metric) differ(a, b *Cell) (float64, bool) {
	r, ok := m.ratio(a, b)
	if !ok || m.overlap(a, b) || times(r) == times(1) {
		return 0, false
	}
	return r, true
}

// pair is two cells that differ in one thing.
type pair struct {
	axis     string // "send", "transport"
	what     string // "send: ride → now", "tcp → quic"
	from, to *Cell
}

// byChance returns how often the trials of two cells that do not differ would lie apart all the same, with n trials
// each: two of all the orders in which 2n trials can come have one cell's above the other's.
func byChance(n int) float64 {
	orders := 1.0
	for i := 1; i <= n; i++ {
		orders = orders * float64(n+i) / float64(i)
	}
	return 2 / orders
}

// choiceNames are those of the five choices that a strategy consists of, the backup first.
var choiceNames = []string{"backup", "send", "commit", "announce", "apply"}

// choicePairs returns, for each of the five choices, the cells that differ in it and in nothing else, each compared
// with the first of its kind.
func (s *Summary) choicePairs(cells []*Cell) []pair {
	names := map[string]bool{}
	for _, c := range cells {
		for name := range c.Choices {
			names[name] = true
		}
	}
	order := slices.Clone(choiceNames)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	var pairs []pair
	for _, name := range order {
		groups := grouped(cells, func(c *Cell) string {
			rest := maps.Clone(c.Choices)
			delete(rest, name)
			return s.without(c, strategyAxis.name) + fmt.Sprint(rest) // fmt sorts a map's keys
		})
		for _, group := range groups {
			from := group[0]
			for _, to := range group[1:] {
				if to.Choices[name] != from.Choices[name] {
					pairs = append(pairs, pair{name, fmt.Sprintf("%s: %s → %s",
						name, from.Choices[name], to.Choices[name]), from, to})
				}
			}
		}
	}
	return pairs
}

// axisPairs returns the cells that differ in one axis only, each compared with the axis's first value.
func (s *Summary) axisPairs(cells []*Cell, a axis) []pair {
	var pairs []pair
	for _, group := range grouped(cells, func(c *Cell) string { return s.without(c, a.name) }) {
		for _, to := range group[1:] {
			pairs = append(pairs, pair{a.name, axisText(a, a.value(&group[0].Cell)) + " → " + axisText(a, a.value(&to.Cell)), group[0], to})
		}
	}
	return pairs
}

// strategyGroups returns the sets of cells that differ in nothing but the strategy.
func (s *Summary) strategyGroups(cells []*Cell) [][]*Cell {
	return grouped(cells, func(c *Cell) string { return s.without(c, strategyAxis.name) })
}

// baseline returns the cell of the baseline strategy that differs from c in nothing else; nil if there is none.
func (s *Summary) baseline(c *Cell) *Cell {
	return s.baselines[s.without(c, strategyAxis.name)]
}

// grouped puts what has the same key together, in order of first appearance.
func grouped[T any, K comparable](of []T, key func(T) K) [][]T {
	at := map[K]int{}
	var groups [][]T
	for _, c := range of {
		k := key(c)
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// extremes returns the cells with the smallest and the largest figure; nil, nil if fewer than two have one.
func (m metric) extremes(cells []*Cell) (low, high *Cell) {
	n, least, most := 0, math.Inf(1), math.Inf(-1)
	for _, c := range cells {
		v, ok := m.value(c)
		if !ok {
			continue
		}
		n++
		if v < least {
			low, least = c, v
		}
		if v > most {
			high, most = c, v
		}
	}
	if n < 2 {
		return nil, nil
	}
	return low, high
}

// who names what runs a cell's group: the strategy, behind this project's engine where there are others, which are
// named by themselves: how they time things is their own.
func (s *Summary) who(c *Cell) string {
	switch {
	case c.EngineKind != "":
		return clean(c.Engine)
	case s.varies(engineAxis):
		return clean(c.Engine + " " + c.Strategy)
	}
	return clean(c.Strategy)
}

// place names a cell's surroundings without its strategy and scenario: "over quic with nodes=5"; around leaves out the
// engine as well, for where who has named it.
func (s *Summary) place(c *Cell) string  { return s.placeBut(c, strategyAxis) }
func (s *Summary) around(c *Cell) string { return s.placeBut(c, strategyAxis, engineAxis) }

func (s *Summary) placeBut(c *Cell, but ...axis) string {
	over, with := "", []string{}
	for _, a := range s.varying {
		v := a.value(&c.Cell)
		switch {
		case v == "" || a.name == scenarioAxis.name || slices.ContainsFunc(but, func(b axis) bool { return a.name == b.name }):
		case a.name == transportAxis.name:
			over = " over " + v
		default:
			with = append(with, axisText(a, v))
		}
	}
	if len(with) > 0 {
		over += " with " + strings.Join(with, ", ")
	}
	return clean(over)
}

// largestStage returns the stage with the largest part in a cell's mean latency, and that part.
func (c *Cell) largestStage() (name string, part float64) {
	if c.Latency == nil || c.Latency.Sum() <= 0 {
		return "", 0
	}
	for _, stage := range results.LatencyStages {
		if h := c.Stages[stage]; h != nil {
			if p := float64(h.Sum()) / float64(c.Latency.Sum()); p > part {
				name, part = stage, p
			}
		}
	}
	return name, part
}
