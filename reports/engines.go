package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/results"
)

// This file sets engines side by side: each cell beside the floor, and this project's own core beside the best of the
// others, under the same load over the same transport.

// engineAxis is the engine; cells are listed by it right before the strategy.
var engineAxis = axis{"engine", func(c *results.Cell) string { return c.Engine }}

// beside returns the cells of one kind of engine that differ from c in nothing but engine and strategy.
func (s *Summary) beside(c *Cell, kind results.EngineKind) []*Cell {
	var cells []*Cell
	for _, other := range s.of(c.Scenario) {
		if other.EngineKind == kind && other != c && other.Status == results.OK && s.setting(other) == s.setting(c) {
			cells = append(cells, other)
		}
	}
	return cells
}

// setting is the key of a cell within the axes other than engine and strategy.
func (s *Summary) setting(c *Cell) string {
	var b strings.Builder
	for _, a := range s.axes {
		if a.name != engineAxis.name && a.name != strategyAxis.name {
			fmt.Fprintf(&b, "%q", a.value(&c.Cell))
		}
	}
	return b.String()
}

// comparison is a figure by which engines are compared.
type comparison struct {
	name  string
	high  bool // more is better
	value func(*Cell) (float64, bool)
}

var (
	p50Comparison        = comparison{"p50", false, p50Metric.value}
	p99Comparison        = comparison{"p99", false, func(c *Cell) (float64, bool) { return c.quantile(0.99) }}
	p999Comparison       = comparison{"p99.9", false, func(c *Cell) (float64, bool) { return c.quantile(0.999) }}
	throughputComparison = comparison{"commits/s", true, throughputMetric.value}
	// From the first AppendEntries on: how long a leader takes to notice that a follower is back is its timers', not
	// the network's.
	transferComparison = comparison{"transfer", false, func(c *Cell) (float64, bool) {
		if c.CatchUp == nil {
			return 0, false
		}
		return float64(c.CatchUp.Total - c.CatchUp.Detect), true
	}}
	catchUpComparison    = comparison{"catch-up", false, catchUpMetric.value}
	leaderlessComparison = comparison{"no leader", false, leaderlessMetric.value}
	cpuComparison        = comparison{"CPU", false, func(c *Cell) (float64, bool) {
		if c.Cost == nil || c.Cost.CPU == 0 {
			return 0, false
		}
		return c.perCommit(uint64(c.Cost.CPU))
	}}
)

// best returns the cell with the best figure; nil if none has one.
func (k comparison) best(cells []*Cell) *Cell {
	var best *Cell
	at := math.Inf(1)
	for _, c := range cells {
		v, ok := k.value(c)
		if k.high {
			v = -v
		}
		if ok && v < at {
			best, at = c, v
		}
	}
	return best
}

// ratio returns c's figure divided by the best of others.
func (k comparison) ratio(c *Cell, others []*Cell) (float64, bool) {
	b := k.best(others)
	if b == nil || c.Status != results.OK {
		return 0, false
	}
	v, ok := k.value(c)
	base, _ := k.value(b)
	if !ok || base <= 0 {
		return 0, false
	}
	return v / base, true
}

// floorColumns are the main table's ratios to the floor.
func (s *Summary) floorColumns() []column {
	var columns []column
	for _, k := range []comparison{p50Comparison, throughputComparison, transferComparison} {
		columns = append(columns, s.ratioColumn(k, results.Floor, k.name+floorMark).ranked(5))
	}
	return columns
}

func (s *Summary) ratioColumn(k comparison, kind results.EngineKind, head string) column {
	return column{head: head, none: " ", show: times, value: func(c *Cell) (float64, bool) {
		if (k.name == p50Comparison.name && kind == results.Floor || k.high) && mainMetric(s.of(c.Scenario)).name != p50Metric.name {
			return 0, false // the foreground load is not what the scenario is about
		}
		if k.high && c.RatePerSec > 0 {
			return 0, false // all reach what is offered, or are told not to
		}
		if c.EngineKind == kind {
			return 0, false
		}
		return k.ratio(c, s.beside(c, kind))
	}}
}

// peerGrid has a row for each cell of this project's own core that peers stand beside: its figures divided by the best
// peer's. It has no rows if there are no peers.
func (s *Summary) peerGrid() grid {
	var cells []*Cell
	for _, c := range s.of("") {
		if c.EngineKind == "" && c.Status == results.OK && len(s.beside(c, results.Peer)) > 0 {
			cells = append(cells, c)
		}
	}
	if len(cells) == 0 {
		return grid{}
	}
	var columns []column
	for _, of := range []struct {
		comparison
		rank int
	}{{p50Comparison, 1}, {p99Comparison, 4}, {p999Comparison, 6}, {throughputComparison, 1}, {catchUpComparison, 1},
		{transferComparison, 3}, {leaderlessComparison, 1}, {cpuComparison, 5}} {
		columns = append(columns, s.ratioColumn(of.comparison, results.Peer, of.name).ranked(of.rank))
	}
	var axes []axis
	for _, a := range s.varying {
		if a.name != engineAxis.name {
			axes = append(axes, a)
		}
	}
	g := s.gridOf(cells, axes, columns)
	g.head, g.right, g.rank = append(g.head, "best peer"), append(g.right, false), append(g.rank, 2)
	for i, c := range cells {
		g.rows[i] = append(g.rows[i], clean(s.bestPeers(c)))
	}
	return g
}

// bestPeers names the engines that were best: by throughput and by latency, or by what else the scenario is about.
func (s *Summary) bestPeers(c *Cell) string {
	var names []string
	peers := s.beside(c, results.Peer)
	compared := []comparison{throughputComparison, p50Comparison}
	switch mainMetric(s.of(c.Scenario)).name {
	case catchUpMetric.name:
		compared = []comparison{catchUpComparison}
	case leaderlessMetric.name:
		compared = []comparison{leaderlessComparison}
	}
	for _, k := range compared {
		if b := k.best(peers); b != nil && !slices.Contains(names, b.Engine) {
			names = append(names, b.Engine)
		}
	}
	return strings.Join(names, ", ")
}

const peerTitle = "Beside the best peer"

// ratioLegend explains a table of ratios, as far as its columns need it.
func ratioLegend(g grid, text string) string {
	for _, of := range []struct{ column, doc string }{
		{cpuComparison.name, "CPU: processor time for each commit"},
		{transferComparison.name, "transfer: catching up from the first AppendEntries on"},
	} {
		if slices.ContainsFunc(g.head, func(h string) bool { return strings.TrimSuffix(h, floorMark) == of.column }) {
			text += "; " + of.doc
		}
	}
	return text
}

func peerLegend(g grid) string {
	return ratioLegend(g, "this project's own core divided by the best peer in the same place, for each figure by itself: below 1x is "+
		"better for times, above 1x for commits/s")
}

// floorMark is the end of the heads of columns of ratios to the floor.
const floorMark = " xfloor"

func floorLegend(g grid) string {
	return ratioLegend(g, "xfloor: divided by the floor's figure in the same place")
}

// engineFindings compares this project's own core with each of its peers, transport by transport, over all cells that
// stand beside each other; without the own core, the peers among themselves. The floor is nobody's choice.
func (s *Summary) engineFindings(scenario string, cells []*Cell) []string {
	var own, peers []*Cell
	for _, c := range cells {
		switch c.EngineKind {
		case "":
			own = append(own, c)
		case results.Peer:
			peers = append(peers, c)
		}
	}
	if len(own) == 0 {
		return s.axisFindings(scenario, peers, engineAxis)
	}
	metrics := []metric{mainMetric(cells)}
	if metrics[0].name == p50Metric.name && slices.ContainsFunc(own, func(c *Cell) bool { return c.Clients > 0 }) {
		metrics = append(metrics, throughputMetric) // an open loop's is what was offered
	}
	var found []string
	for _, transport := range values(transportAxis, own) {
		for _, name := range values(engineAxis, peers) {
			var pairs []pair // from the peer to the own core
			for _, to := range own {
				for _, from := range peers {
					if to.Transport == transport && from.Engine == name && s.setting(from) == s.setting(to) {
						pairs = append(pairs, pair{engineAxis.name, "", from, to})
					}
				}
			}
			var parts []string
			for _, m := range metrics {
				of := ""
				if len(parts) == 0 {
					of = " that of " + clean(name)
				}
				if text := s.ratios(m, pairs, of); text != "" {
					parts = append(parts, strings.TrimPrefix(m.words, "the ")+" "+text)
				}
			}
			if len(parts) == 0 {
				continue
			}
			over := ""
			if s.varies(transportAxis) {
				over = " over " + clean(transport)
			}
			found = append(found, fmt.Sprintf("%s%s: %s's %s.",
				clean(scenario), over, clean(own[0].Engine), strings.Join(parts, ", its ")))
		}
	}
	return found
}

// ratios says how far apart pairs are in one figure: "is 0.31x that of etcd (11.3 µs against 36.5 µs)", or, of several,
// from where to where: "is 0.31x (eager) to 2,900x (linear-loop) that of etcd". It returns "" if no pair has figures.
func (s *Summary) ratios(m metric, pairs []pair, of string) string {
	var low, high pair
	least, most := math.Inf(1), math.Inf(-1)
	n, alike := 0, 0
	for _, p := range pairs {
		r, ok := m.ratio(p.from, p.to)
		if !ok {
			continue
		}
		n++
		if _, ok := m.differ(p.from, p.to); !ok {
			alike++
		}
		if r < least {
			low, least = p, r
		}
		if r > most {
			high, most = p, r
		}
	}
	switch {
	case n == 0:
		return ""
	case n == alike:
		return "overlaps" + of
	case n == 1 || times(least) == times(most):
		x, _ := m.value(low.from)
		y, _ := m.value(low.to)
		unit := ""
		if !m.isNs {
			unit = "/s"
		}
		return fmt.Sprintf("is %s%s (%s against %s)", times(least), of, m.show(y)+unit, m.show(x)+unit)
	}
	text := fmt.Sprintf("is %s (%s) to %s (%s)%s", times(least), s.own(low.to), times(most), s.own(high.to), of)
	if alike > 0 {
		text += fmt.Sprintf("; the trials overlap in %d of %d pairs", alike, n)
	}
	return text
}

// own names a cell by what distinguishes it from others of its engine in one scenario over one transport.
func (s *Summary) own(c *Cell) string {
	var parts []string
	for _, a := range s.varying {
		switch a.name {
		case scenarioAxis.name, transportAxis.name, engineAxis.name:
		default:
			if v := a.value(&c.Cell); v != "" {
				parts = append(parts, axisText(a, v))
			}
		}
	}
	return clean(strings.Join(parts, " "))
}
