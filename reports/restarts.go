package reports

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/raftbench/raftbench/results"
)

// restartMetric is the time from a follower's start until it had applied what the leader had.
var restartMetric = metric{"restart", "the time until a restarted follower is level", true,
	func(c *Cell) (float64, bool) { return c.RestartTotal.Median, c.RestartTotal.N > 0 },
	func(c *Cell) Range { return c.RestartTotal }}

// restartColumns are those of the main table: one follower, then all replicas.
var restartColumns = []column{
	{head: "restart", value: restartMetric.value, unit: "restart"},
	{head: "open", unit: "restart", rank: 3, value: func(c *Cell) (float64, bool) {
		if c.Restart == nil {
			return 0, false
		}
		return float64(c.Restart.Open), true
	}},
	{head: "all serve", unit: "restart", value: func(c *Cell) (float64, bool) {
		if c.Restart == nil {
			return 0, false
		}
		return float64(c.Restart.All + c.Restart.Serve), true
	}},
}

var restartFields = []struct {
	name  string
	value func(*results.Restart) any
}{
	{"restart_entries", func(r *results.Restart) any { return r.Entries }},
	{"restart_open_ns", func(r *results.Restart) any { return int64(r.Open) }},
	{"restart_level_ns", func(r *results.Restart) any { return int64(r.Level) }},
	{"restart_all_ns", func(r *results.Restart) any { return int64(r.All) }},
	{"restart_serve_ns", func(r *results.Restart) any { return int64(r.Serve) }},
}

// crossings are findings of lag cells that were caught up with in two ways: from which lag on the snapshot is the
// cheaper one. Cells are compared whose only difference is the way; between two lags the crossing is found on
// logarithmic scales.
func (s *Summary) crossings() (findings []string) {
	const lag, way = "lag-entries", "catch-up"
	var cells []*Cell
	for i := range s.Cells {
		if c := &s.Cells[i]; c.CatchUpTotal.N > 0 && c.Params[lag] != "" {
			cells = append(cells, c)
		}
	}
	others := func(c *Cell) string {
		key := c.Engine + "\x00" + c.Transport + "\x00" + strconv.Itoa(c.Nodes) + "\x00" + strconv.Itoa(c.PayloadBytes)
		for _, name := range slices.Sorted(maps.Keys(c.Params)) {
			if name != lag {
				key += "\x00" + name + "=" + c.Params[name]
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.Choices)) {
			if name != way {
				key += "\x00" + name + "=" + c.Choices[name]
			}
		}
		return key
	}
	for _, group := range grouped(cells, others) {
		if text := crossing(group, lag, way); text != "" {
			findings = append(findings, text)
		}
	}
	return findings
}

// crossing compares the snapshot with the log over growing lags; "" if they cannot be compared.
func crossing(cells []*Cell, lag, way string) string {
	type point struct{ entries, log, snapshot float64 }
	at := map[float64]*point{}
	for _, c := range cells {
		n, err := strconv.ParseFloat(c.Params[lag], 64)
		if err != nil {
			return ""
		}
		if at[n] == nil {
			at[n] = &point{entries: n}
		}
		switch c.Choices[way] {
		case "log":
			at[n].log = c.CatchUpTotal.Median
		case "snapshot":
			if c.CatchUp.SnapshotBytes > 0 { // or there was none that helped
				at[n].snapshot = c.CatchUpTotal.Median
			}
		}
	}
	var points []*point
	for _, n := range slices.Sorted(maps.Keys(at)) {
		if p := at[n]; p.log > 0 && p.snapshot > 0 {
			points = append(points, p)
		}
	}
	if len(points) < 2 {
		return ""
	}
	where := fmt.Sprintf("lag over %s", cells[0].Transport)
	if state := cells[0].Params[results.ParamState]; state != "" {
		where += ", state " + state
	}
	curve := ""
	for _, p := range points {
		curve += fmt.Sprintf("; %s entries: %v by the log, %v by the snapshot", number(p.entries), rounded(p.log), rounded(p.snapshot))
	}
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if from, to := math.Log(a.log/a.snapshot), math.Log(b.log/b.snapshot); from <= 0 && to > 0 {
			x := math.Exp(math.Log(a.entries) + math.Log(b.entries/a.entries)*(-from)/(to-from))
			return fmt.Sprintf("%s: the snapshot is cheaper from about %s entries on%s.", where, number(twoDigits(x)), curve)
		}
	}
	if points[0].log > points[0].snapshot {
		return fmt.Sprintf("%s: the snapshot is cheaper at every lag that was tried%s.", where, curve)
	}
	return fmt.Sprintf("%s: the log is cheaper at every lag that was tried%s.", where, curve)
}

func rounded(ns float64) time.Duration {
	d := time.Duration(ns)
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// twoDigits rounds to two significant digits.
func twoDigits(x float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/scale) * scale
}
