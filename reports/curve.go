package reports

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// This file makes curves of cells that differ in how much load is offered: what each engine reaches, at what latency,
// and where its knee is.

// curve is the cells of one engine and strategy in one place, from the least load to the most.
type curve struct {
	cells []*Cell
	best  *Cell   // with the most power
	alike []*Cell // those whose trials overlap the best's in power, and the best itself
}

// knee returns the cell at the curve's knee; nil if there is none to be seen: the highest load has the most power, so
// that more may have more, the trials do not tell where it is, or they are too few for a verdict.
func (c *curve) knee() *Cell {
	if len(c.alike) > 1 || c.best == c.cells[len(c.cells)-1] || !c.judged() {
		return nil
	}
	return c.best
}

// judged says whether each cell has enough trials for a verdict.
func (c *curve) judged() bool {
	return !slices.ContainsFunc(c.cells, func(c *Cell) bool { return c.Power.N < leastTrials })
}

// leastPoints is how many loads make a curve.
const leastPoints = 3

// curves returns those of the scenario steady, closed loops and open ones apart, and names those that have too few
// points with figures to be one.
func (s *Summary) curves() (list []curve, tooShort []string) {
	var loaded []*Cell
	for _, c := range s.of("") {
		if c.Clients > 0 || c.RatePerSec > 0 && mainMetric(s.of(c.Scenario)).name == p50Metric.name {
			loaded = append(loaded, c)
		}
	}
	for _, offered := range grouped(loaded, func(c *Cell) string {
		key := fmt.Sprint(c.Clients > 0)
		for _, a := range s.axes {
			if a.name != "clients" && a.name != "rate/s" {
				key += fmt.Sprintf("%q", a.value(&c.Cell))
			}
		}
		return key
	}) {
		if len(offered) < leastPoints {
			continue
		}
		cells := slices.DeleteFunc(slices.Clone(offered), func(c *Cell) bool {
			return c.Status != results.OK || c.Latency == nil || c.Latency.Count() == 0 || c.Throughput.N == 0
		})
		if len(cells) < leastPoints {
			tooShort = append(tooShort, fmt.Sprintf("%s: no curve: %d of its %d loads have figures, and a curve takes %d",
				cmp.Or(s.curveName(offered[0]), clean(offered[0].Strategy)), len(cells), len(offered), leastPoints))
			continue
		}
		slices.SortStableFunc(cells, func(a, b *Cell) int {
			if a.Clients != b.Clients {
				return a.Clients - b.Clients
			}
			return int(min(max(a.RatePerSec-b.RatePerSec, -1), 1))
		})
		list = append(list, curveOf(cells))
	}
	return list, tooShort
}

// power is throughput divided by mean latency, both of all trials together. Where it is largest is the knee of a
// throughput-latency curve: before it, more load costs little latency; after it, latency grows faster than what is
// gained (Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications",
// 1979).
func power(c *Cell) float64 {
	return c.Reached / c.mean()
}

func curveOf(cells []*Cell) curve {
	best := cells[0]
	for _, c := range cells {
		if power(c) > power(best) {
			best = c
		}
	}
	found := curve{cells: cells, best: best}
	for _, c := range cells {
		if c == best || powerMetric.overlap(c, best) {
			found.alike = append(found.alike, c)
		}
	}
	return found
}

var powerMetric = metric{name: "power", over: func(c *Cell) Range { return c.Power }}

// curveGrid has a row for each point of each curve. It has no rows if there is no curve.
func (s *Summary) curveGrid(curves []curve) grid {
	if len(curves) == 0 {
		return grid{}
	}
	var cells []*Cell
	knees := map[*Cell]bool{}
	for _, c := range curves {
		cells = append(cells, c.cells...)
		knees[c.knee()] = true
	}
	axes := slices.DeleteFunc(slices.Clone(s.varying), func(a axis) bool { return a.name == "clients" || a.name == "rate/s" })
	g := s.gridOf(cells, axes, []column{
		{head: "clients", none: " ", show: number, value: func(c *Cell) (float64, bool) { return float64(c.Clients), c.Clients > 0 }},
		{head: "offered/s", none: " ", show: number, value: func(c *Cell) (float64, bool) { return c.RatePerSec, c.RatePerSec > 0 }},
		{head: "reached/s", value: func(c *Cell) (float64, bool) { return c.Reached, true }, show: figure},
		{head: "mean", unit: "latency", value: func(c *Cell) (float64, bool) { return c.mean(), true }, rank: 3},
		latencyColumn("p50", 0.5),
		latencyColumn("p99", 0.99).ranked(2),
		{head: "power", none: " ", show: percent, rank: 1, value: func(c *Cell) (float64, bool) { return power(c) / power(bestOf(curves, c)), true }},
	})
	g.head, g.right, g.rank = append(g.head, " "), append(g.right, false), append(g.rank, 0)
	for i, c := range cells {
		mark := ""
		if knees[c] {
			mark = "knee"
		}
		g.rows[i] = append(g.rows[i], mark)
	}
	return g
}

func bestOf(curves []curve, c *Cell) *Cell {
	for _, other := range curves {
		if slices.Contains(other.cells, c) {
			return other.best
		}
	}
	return c
}

// kneeText says where the knees are.
func (s *Summary) kneeText(curves []curve) []string {
	var lines []string
	for _, c := range curves {
		name, last := s.curveName(c.best), c.cells[len(c.cells)-1]
		best := fmt.Sprintf("%s: %s/s at a p50 of %s", loadText(c.best), number(c.best.Reached), p50Text(c.best))
		switch {
		case len(c.alike) > 1:
			lines = append(lines, fmt.Sprintf("%s: the trials do not tell where the knee is: those at %s and at %s overlap in power.",
				name, loadText(c.alike[0]), loadText(c.alike[len(c.alike)-1])))
		case c.best == last:
			lines = append(lines, fmt.Sprintf("%s: no knee was reached: power is highest at the highest load offered, %s.", name, best))
		default:
			verb := "the knee is at"
			if !c.judged() {
				verb = fmt.Sprintf("power is highest (a knee takes %d trials) at", leastTrials)
			}
			lines = append(lines, fmt.Sprintf("%s: %s %s; %s give %s of that throughput at %s of that p50.",
				name, verb, best, loadText(last),
				times(last.Reached/c.best.Reached), times(p50Of(last)/max(1, p50Of(c.best)))))
		}
	}
	return lines
}

// curveNotes are the lines below the curves.
func (s *Summary) curveNotes(curves []curve, tooShort []string) []string {
	if len(curves) == 0 {
		return tooShort
	}
	return slices.Concat([]string{curveLegend}, s.kneeText(curves), tooShort)
}

// loadText says what load a cell is under.
func loadText(c *Cell) string {
	if c.Clients > 0 {
		return units.Count(c.Clients, "client")
	}
	return number(c.RatePerSec) + "/s offered"
}

func p50Of(c *Cell) float64 {
	v, _ := p50Metric.value(c)
	return v
}

func p50Text(c *Cell) string { return duration(p50Of(c)) }

// curveName names a curve by what distinguishes it from the others.
func (s *Summary) curveName(c *Cell) string {
	text := ""
	for _, a := range s.varying {
		if v := a.value(&c.Cell); v != "" && a.name != "clients" && a.name != "rate/s" && a.name != scenarioAxis.name {
			text += " " + axisText(a, v)
		}
	}
	return clean(text[min(1, len(text)):])
}

const (
	curveTitle  = "Load and latency"
	curveLegend = "reached/s, mean: of all trials together; power: reached/s divided by mean, as a part of the curve's best, which is its knee if the trials tell it from the others and more load was offered: beyond it latency grows faster than throughput"
)
