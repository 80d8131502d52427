package reports

import (
	"fmt"
	"slices"

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

// knee returns the cell at the curve's knee; nil if the trials do not tell where it is.
func (c *curve) knee() *Cell {
	if len(c.alike) > 1 {
		return nil
	}
	return c.best
}

// leastPoints is how many loads make a curve.
const leastPoints = 3

// curves returns those of the scenario steady, closed loops and open ones apart.
func (s *Summary) curves() []curve {
	var measured []*Cell
	for _, c := range s.of("") {
		if c.Status == results.OK && c.Latency != nil && c.Latency.Count() > 0 && c.Throughput.N > 0 && (c.Clients > 0 || mainMetric(s.of(c.Scenario)).name == p50Metric.name) {
			measured = append(measured, c)
		}
	}
	var list []curve
	for _, cells := range grouped(measured, func(c *Cell) string {
		key := fmt.Sprint(c.Clients > 0)
		for _, a := range s.axes {
			if a.name != "clients" && a.name != "rate/s" {
				key += fmt.Sprintf("%q", a.value(&c.Cell))
			}
		}
		return key
	}) {
		if len(cells) < leastPoints {
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
	return list
}

// power is throughput divided by mean latency, both of all trials together. Where it is largest is the knee of a throughput-latency curve: before it,
// more load costs little latency; after it, latency grows faster than what is gained (Kleinrock, "Power and
// deterministic rules of thumb for probabilistic problems in computer communications", 1979).
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
		if c == best || powerMetric.verdict(c, best) == overlap {
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
		{head: "mean", unit: "latency", value: func(c *Cell) (float64, bool) { return c.mean(), true }},
		latencyColumn("p50", 0.5),
		latencyColumn("p99", 0.99),
		{head: "power", none: " ", show: percent, value: func(c *Cell) (float64, bool) { return power(c) / power(bestOf(curves, c)), true }},
	})
	g.head, g.right = append(g.head, " "), append(g.right, false)
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
		k, last := c.knee(), c.cells[len(c.cells)-1]
		if k == nil {
			first, end := c.alike[0], c.alike[len(c.alike)-1]
			lines = append(lines, fmt.Sprintf("%s: the trials do not tell where the knee is: those at %s and at %s overlap in power.",
				s.curveName(c.best), loadText(first), loadText(end)))
			continue
		}
		line := fmt.Sprintf("%s: the knee is at %s: %s/s at a p50 of %s", s.curveName(k), loadText(k), number(k.Reached), p50Text(k))
		if k != last {
			line += fmt.Sprintf("; %s give %s of that throughput at %s of that p50", loadText(last),
				times(last.Reached/k.Reached), times(p50Of(last)/max(1, p50Of(k))))
		} else {
			line += ", the most that was offered: more may do better"
		}
		lines = append(lines, line+".")
	}
	return lines
}

// loadText says what load a cell is under.
func loadText(c *Cell) string {
	if c.Clients > 0 {
		return count(uint64(c.Clients), "client")
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
	curveLegend = "reached/s, mean: of all trials together; power: reached/s divided by mean, as a part of the curve's best, which is its knee if the trials tell it from the others: beyond it latency grows faster than throughput"
)
