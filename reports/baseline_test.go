package reports

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// manyAxes returns a run over the product of some values of three to seven axes, strategies among them, with a latency
// of its own for every cell, in a random order, and some cells without figures.
func manyAxes(random *rand.Rand) *results.Run {
	axes := []struct {
		values []string
		set    func(*results.Cell, string)
	}{
		{[]string{"tcp", "quic", "mem"}, func(c *results.Cell, v string) { c.Transport = v }},
		{[]string{"3", "5", "7"}, func(c *results.Cell, v string) { fmt.Sscan(v, &c.Nodes) }},
		{[]string{"128", "4096"}, func(c *results.Cell, v string) { fmt.Sscan(v, &c.PayloadBytes) }},
		{[]string{"1", "16", "256"}, func(c *results.Cell, v string) { fmt.Sscan(v, &c.Clients) }},
		{[]string{"0ms", "5ms"}, func(c *results.Cell, v string) { c.Params["delay"] = v }},
		{[]string{"on", "off"}, func(c *results.Cell, v string) { c.Params["measure"] = v }},
		{[]string{"raftbench", "stopwait"}, func(c *results.Cell, v string) { c.Engine = v }},
	}
	cells := []results.Cell{{}}
	vary := 0
	for _, i := range random.Perm(len(axes)) {
		values := axes[i].values[:1]
		if vary < 2 || random.IntN(3) == 0 && len(cells) < 50 {
			values, vary = axes[i].values[:2+random.IntN(len(axes[i].values)-1)], vary+1
		}
		var product []results.Cell
		for _, c := range cells {
			for _, v := range values {
				next := c
				next.Params = map[string]string{}
				for name, value := range c.Params {
					next.Params[name] = value
				}
				axes[i].set(&next, v)
				product = append(product, next)
			}
		}
		cells = product
	}
	run := &results.Run{Header: results.Header{Format: results.Format, Job: "matrix", Clock: "wall", Repeat: 1, Baseline: "fast-signal"}, End: &results.End{}}
	for _, c := range cells {
		for _, s := range strategies[:2+random.IntN(len(strategies)-1)] {
			c.ID, c.Scenario, c.Strategy, c.Choices = len(run.Header.Cells), "steady", s.name, s.choices
			run.Header.Cells = append(run.Header.Cells, c)
			trial := closed(max(1, c.Clients), time.Duration(1+random.IntN(1000))*time.Microsecond)
			trial.Cell = c.ID
			if random.IntN(20) == 0 {
				trial.Status, trial.Reason = results.Failed, "the port is in use"
			}
			run.Trials = append(run.Trials, trial)
		}
	}
	random.Shuffle(len(run.Header.Cells), func(i, j int) {
		run.Header.Cells[i], run.Header.Cells[j] = run.Header.Cells[j], run.Header.Cells[i]
	})
	return run
}

// differences names the axes in which two cells differ.
func differences(a, b *results.Cell) (names []string) {
	for name, differ := range map[string]bool{
		"transport": a.Transport != b.Transport, "nodes": a.Nodes != b.Nodes, "payload": a.PayloadBytes != b.PayloadBytes,
		"clients": a.Clients != b.Clients, "delay": a.Params["delay"] != b.Params["delay"],
		"measure": a.Params["measure"] != b.Params["measure"], "engine": a.Engine != b.Engine, "strategy": a.Strategy != b.Strategy,
	} {
		if differ {
			names = append(names, name)
		}
	}
	return names
}

// However many axes vary, a cell is compared with the baseline in its own place: the baseline's ratio to itself is
// 1.00x in every row, each other's is its own figure divided by that row's, and pairs differ in the axis that they are
// about alone.
func TestRatiosAreToTheBaselineInTheSamePlace(t *testing.T) {
	baselines, others := 0, 0
	for seed := range uint64(100) {
		s := Summarize(manyAxes(rand.New(rand.NewPCG(seed, 8))))
		m := markdown{s: s}
		var ok []*Cell
		for _, c := range s.of("") {
			if c.Status == results.OK {
				ok = append(ok, c)
			}
		}
		g := m.againstBaseline(ok, s.varying)
		ratio := slices.Index(g.head, "ratio")
		if ratio < 0 {
			t.Fatalf("seed %d: no column of ratios in %q", seed, g.head)
		}
		for i, c := range ok {
			want := notMeasured
			for _, base := range ok {
				if base.Strategy != "fast-signal" {
					continue
				}
				if d := differences(&c.Cell, &base.Cell); len(d) == 0 || len(d) == 1 && d[0] == "strategy" {
					want = times(float64(c.Latency.Quantile(0.5)) / float64(base.Latency.Quantile(0.5)))
				}
			}
			if c.Strategy == "fast-signal" {
				baselines++
				if want != "1.00x" {
					t.Fatalf("seed %d: the test finds %s for the baseline itself", seed, want)
				}
			} else if want != notMeasured {
				others++
			}
			for at := ratio; at < len(g.head); at += 2 {
				if g.head[at] != "ratio" {
					break
				}
				if got := g.rows[i][at]; at == ratio && got != want || c.Strategy == "fast-signal" && got != "1.00x" {
					t.Errorf("seed %d, %s: %s is %s, want %s", seed, s.label(c), g.head[at-1], got, want)
				}
			}
		}
		for _, a := range s.varying {
			for _, p := range s.axisPairs(ok, a) {
				if d := differences(&p.from.Cell, &p.to.Cell); len(d) != 1 || d[0] != a.name {
					t.Errorf("seed %d: a pair by %s differs in %v", seed, a.name, d)
				}
			}
		}
		for _, p := range s.choicePairs(ok) {
			if d := differences(&p.from.Cell, &p.to.Cell); len(d) != 1 || d[0] != "strategy" {
				t.Errorf("seed %d: a pair by %s differs in %v", seed, p.axis, d)
			}
			for name, choice := range p.from.Choices {
				if same := p.to.Choices[name] == choice; same != (name != p.axis) {
					t.Errorf("seed %d: in a pair by %s, %s is the same: %v", seed, p.axis, name, same)
				}
			}
		}
	}
	if baselines < 300 || others < 1000 {
		t.Errorf("only %d rows of the baseline and %d others were looked at", baselines, others)
	}
}
