package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// estimate is what repeats say of a figure.
type estimate struct {
	n        int // repeats
	mean     float64
	half     float64 // half the width of the mean's 95% interval; see interval
	min, max float64
}

// estimateOf estimates the mean that a figure would have over endless repeats. It sorts values, so that the same ones
// give the same sum in any order.
func estimateOf(values []float64) estimate {
	if len(values) == 0 {
		return estimate{}
	}
	slices.Sort(values)
	n := float64(len(values))
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	e := estimate{n: len(values), mean: sum / n, min: values[0], max: values[len(values)-1]}
	if !e.interval() {
		return e
	}
	for _, v := range values {
		squares += (v - e.mean) * (v - e.mean)
	}
	e.half = student(len(values)-1) * math.Sqrt(squares/(n-1)/n)
	return e
}

// student is the 97.5% quantile of Student's t distribution for so many degrees of freedom, 1 or more: from a table up
// to 10, then by its expansion about the normal quantile (Abramowitz and Stegun, 26.7.5), which is right to 0.001
// there.
func student(freedom int) float64 {
	table := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228}
	if freedom <= len(table) {
		return table[freedom-1]
	}
	const z = 1.959964
	z3, z5, z7 := math.Pow(z, 3), math.Pow(z, 5), math.Pow(z, 7)
	f := float64(freedom)
	return z + (z3+z)/(4*f) + (5*z5+16*z3+3*z)/(96*f*f) + (3*z7+19*z5+17*z3-15*z)/(384*f*f*f)
}

// interval reports whether there are enough repeats for one: that of two is 13 standard errors wide and says nothing.
func (e estimate) interval() bool { return e.n >= 3 }

// show writes the mean, and the interval where there is one.
func (e estimate) show(format func(float64) string) string {
	if !e.interval() {
		return format(e.mean)
	}
	return format(e.mean) + "±" + format(e.half)
}

// over estimates a figure from the trials that passed.
func (c *labCell) over(figure func(*results.Lab) float64) estimate {
	return estimateOver(c.passed, figure)
}

func estimateOver(labs map[int]*results.Lab, figure func(*results.Lab) float64) estimate {
	var values []float64
	for _, l := range labs {
		values = append(values, figure(l))
	}
	return estimateOf(values)
}

// modesTitle is what modesGrid shows.
const modesTitle = "Seconds by the number of waits for a stale leader, 2 s each: mean, and in how many repeats"

// mostModes is how many waits have a column of their own; more share the last one.
const mostModes = 4

// modesGrid shows the tests whose repeats differ by whole waits for stale leaders: their mean lies between modes that
// are 2 s apart, and how often each comes says more than an interval.
func (r *labReport) modesGrid(p labPlace) grid {
	type row struct {
		cell  *labCell
		modes [mostModes + 1]map[int]*results.Lab
	}
	var rows []row
	most := 0
	for _, c := range r.order {
		if c.place != p || !r.whole(c) {
			continue
		}
		of := row{cell: c}
		modes := 0
		for repeat, l := range c.passed {
			n := min(int(l.StaleWaits), mostModes)
			if of.modes[n] == nil {
				of.modes[n] = map[int]*results.Lab{}
				modes++
			}
			of.modes[n][repeat] = l
			most = max(most, n)
		}
		if modes > 1 {
			rows = append(rows, of)
		}
	}
	g := grid{head: []string{"test", "strategy"}, right: []bool{false, false}}
	for n := range most + 1 {
		head := strings.Replace(units.Count(n, "wait"), "0 waits", "no wait", 1)
		if n == mostModes {
			head = fmt.Sprintf("%d or more", n)
		}
		g.head, g.right = append(g.head, head), append(g.right, true)
	}
	for _, of := range rows {
		line := []string{clean(of.cell.Scenario), clean(of.cell.Strategy)}
		for n := range most + 1 {
			text := ""
			if labs := of.modes[n]; len(labs) > 0 {
				text = fmt.Sprintf("%.1f in %d of %d", estimateOver(labs, seconds).mean, len(labs), len(of.cell.passed))
			}
			line = append(line, text)
		}
		g.rows = append(g.rows, line)
	}
	return g
}
