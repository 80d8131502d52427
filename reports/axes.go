package reports

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// axis is one of the matrix's dimensions.
type axis struct {
	name  string
	value func(*results.Cell) string // "" where it does not apply
}

// The axes that each cell has. Those of scenarios' own parameters are found in the cells.
var (
	scenarioAxis  = axis{"scenario", func(c *results.Cell) string { return c.Scenario }}
	transportAxis = axis{"transport", func(c *results.Cell) string { return c.Transport }}
	strategyAxis  = axis{"strategy", func(c *results.Cell) string { return c.Strategy }}
	sideAxes      = []axis{
		{"nodes", func(c *results.Cell) string { return positive(c.Nodes) }},
		{"payload", func(c *results.Cell) string { return units.Bytes(c.PayloadBytes) }},
		{"clients", func(c *results.Cell) string { return positive(c.Clients) }},
		{"rate/s", func(c *results.Cell) string {
			if c.RatePerSec == 0 {
				return ""
			}
			return number(c.RatePerSec)
		}},
	}
)

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return number(float64(n))
}

// allAxes returns every axis of the given cells: scenario, transport, the side axes, the parameters by name, engine,
// strategy.
func allAxes(cells []Cell) []axis {
	names := map[string]bool{}
	for _, c := range cells {
		for name := range c.Params {
			names[name] = true
		}
	}
	axes := append([]axis{scenarioAxis, transportAxis}, sideAxes...)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		axes = append(axes, axis{name, func(c *results.Cell) string { return c.Params[name] }})
	}
	return append(axes, engineAxis, strategyAxis)
}

// varyingAxes returns the axes that distinguish cells: all but scenario must do so within one scenario.
func varyingAxes(axes []axis, cells []Cell) []axis {
	var varying []axis
	for _, a := range axes {
		seen := map[string]string{} // scenario -> value
		varies := false
		for i := range cells {
			key := cells[i].Scenario
			if a.name == scenarioAxis.name {
				key = ""
			}
			v := a.value(&cells[i].Cell)
			if before, ok := seen[key]; ok && before != v {
				varies = true
			}
			seen[key] = v
		}
		// A table of one cell still needs a name for its row.
		if varies || a.name == strategyAxis.name {
			varying = append(varying, a)
		}
	}
	return varying
}

// fixed returns what all cells have in common, and then, scenario by scenario, what all cells of it have.
func (s *Summary) fixed() []string {
	var common []string
	own := map[string][]string{}
	scenarios := s.scenarios()
	for _, a := range s.axes {
		if s.varies(a) {
			continue
		}
		var values []string // one a scenario
		for _, name := range scenarios {
			values = append(values, a.value(&s.of(name)[0].Cell))
		}
		if distinct := slices.Compact(slices.Sorted(slices.Values(values))); len(distinct) == 1 {
			if distinct[0] != "" {
				common = append(common, phrase(a.name, distinct[0]))
			}
			continue
		}
		for i, name := range scenarios {
			if values[i] != "" {
				own[name] = append(own[name], phrase(a.name, values[i]))
			}
		}
	}
	lines := []string{strings.Join(common, ", ")}
	for _, name := range scenarios {
		if len(own[name]) > 0 {
			lines = append(lines, name+": "+strings.Join(own[name], ", "))
		}
	}
	return lines
}

// phrase names an axis and its value as one would say it.
func phrase(name, value string) string {
	switch name {
	case "nodes":
		if value == "1" {
			return "1 node"
		}
		return value + " nodes"
	case "payload":
		return value + " payload"
	case "clients":
		if value == "1" {
			return "closed loop with 1 client"
		}
		return "closed loop with " + value + " clients"
	case "rate/s":
		return "open loop at " + value + "/s"
	}
	return name + " " + value
}

func (s *Summary) varies(a axis) bool {
	return slices.ContainsFunc(s.varying, func(b axis) bool { return a.name == b.name })
}

// label names a cell by what distinguishes it: "steady tcp fast-signal".
func (s *Summary) label(c *Cell) string {
	var parts []string
	for _, a := range s.varying {
		if v := a.value(&c.Cell); v != "" {
			parts = append(parts, axisText(a, v))
		}
	}
	return strings.Join(parts, " ")
}

// axisText is a value that says by itself which axis it is of.
func axisText(a axis, value string) string {
	switch a.name {
	case "scenario", "transport", "strategy", "engine", "payload":
		return value
	}
	return a.name + "=" + value
}

// without returns the key of a cell within the axes other than the one named.
func (s *Summary) without(c *Cell, name string) string {
	var b strings.Builder
	for _, a := range s.axes {
		if a.name != name {
			b.WriteString(strconv.Quote(a.value(&c.Cell)))
		}
	}
	return b.String()
}

// sort orders cells by axis in the order in which values first appear in the header.
func (s *Summary) sort() {
	position := make([]map[string]int, len(s.axes))
	for i, a := range s.axes {
		position[i] = map[string]int{}
		for j := range s.Cells {
			v := a.value(&s.Cells[j].Cell)
			if _, ok := position[i][v]; !ok {
				position[i][v] = len(position[i])
			}
		}
	}
	slices.SortStableFunc(s.Cells, func(x, y Cell) int {
		for i, a := range s.axes {
			if d := cmp.Compare(position[i][a.value(&x.Cell)], position[i][a.value(&y.Cell)]); d != 0 {
				return d
			}
		}
		return 0
	})
}

// values returns the values of an axis, in the order of the given cells.
func values(a axis, cells []*Cell) []string {
	var all []string
	for _, c := range cells {
		if v := a.value(&c.Cell); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// scenarios returns the scenarios' names in order.
func (s *Summary) scenarios() []string { return values(scenarioAxis, s.of("")) }

// of returns the cells of one scenario, or all of them for "".
func (s *Summary) of(scenario string) []*Cell {
	var cells []*Cell
	for i := range s.Cells {
		if scenario == "" || s.Cells[i].Scenario == scenario {
			cells = append(cells, &s.Cells[i])
		}
	}
	return cells
}
