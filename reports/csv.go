package reports

import (
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/raftbench/raftbench/results"
)

// field is one column of the CSV report and one key of a cell in the JSON report. Its value is a string, a number, or
// nil where a cell has none.
type field struct {
	name  string
	value func(*Cell) any
}

// WriteCSV writes a row for each cell: its axes, its status, and plain numbers. The columns are the same for every run,
// in the same order; the unit is in the name; what was not measured, or must not be shown, is empty.
func WriteCSV(w io.Writer, run *results.Run) error {
	s := Summarize(run)
	out := csv.NewWriter(w)
	all := fields()
	row := make([]string, len(all))
	for i, f := range all {
		row[i] = f.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for i := range s.Cells {
		for j, f := range all {
			row[j] = plain(f.value(&s.Cells[i]))
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// plain writes a value as a machine reads it: no unit, no separator, as many digits as it has.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return clean(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case uint64:
		return strconv.FormatUint(v, 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case int:
		return strconv.Itoa(v)
	}
	panic("reports: a field of a kind that plain does not know")
}

// fields lists every column. New ones go to the end of their part: readers may count on names, not on positions.
func fields() []field {
	fs := []field{
		{"cell", func(c *Cell) any { return c.ID }},
		{"scenario", func(c *Cell) any { return c.Scenario }},
		{"transport", func(c *Cell) any { return c.Transport }},
		{"engine", func(c *Cell) any { return c.Engine }},
		{"strategy", func(c *Cell) any { return c.Strategy }},
	}
	for _, choice := range choiceNames {
		fs = append(fs, field{choice, func(c *Cell) any { return c.Choices[choice] }})
	}
	fs = append(fs,
		field{"nodes", func(c *Cell) any { return c.Nodes }},
		field{"payload_bytes", func(c *Cell) any { return c.PayloadBytes }},
		field{"clients", func(c *Cell) any { return orNil(c.Clients, c.Clients > 0) }},
		field{"rate_per_sec", func(c *Cell) any { return orNil(c.RatePerSec, c.RatePerSec > 0) }},
		field{"params", func(c *Cell) any {
			var parts []string
			for _, name := range slices.Sorted(maps.Keys(c.Params)) {
				parts = append(parts, name+"="+c.Params[name])
			}
			return strings.Join(parts, " ")
		}},
		field{"status", func(c *Cell) any { return string(c.Status) }},
		field{"reason", func(c *Cell) any { return c.Reason }},
		field{"warnings", func(c *Cell) any { return strings.Join(c.Warnings, "; ") }},
		field{"trials", func(c *Cell) any { return c.Trials }},
		field{"trials_planned", func(c *Cell) any { return c.Planned }},
	)
	figures := []field{
		{"samples", func(c *Cell) any {
			if c.Latency == nil {
				return nil
			}
			return c.Latency.Count()
		}},
		{"mean_ns", meanOf(func(c *Cell) *results.Histogram { return c.Latency })},
		{"p50_ns", func(c *Cell) any { return orNil(c.quantile(0.5)) }},
		{"p90_ns", func(c *Cell) any { return orNil(c.quantile(0.9)) }},
		{"p99_ns", func(c *Cell) any { return orNil(c.quantile(0.99)) }},
		{"p99_9_ns", func(c *Cell) any { return orNil(c.quantile(0.999)) }},
		{"max_ns", func(c *Cell) any {
			if c.Latency == nil || c.Latency.Count() == 0 {
				return nil
			}
			return int64(c.Latency.Max())
		}},
	}
	figures = append(figures, rangeFields("p50_trial", "_ns", func(c *Cell) Range { return c.P50 })...)
	figures = append(figures, rangeFields("throughput", "_per_sec", func(c *Cell) Range { return c.Throughput })...)
	for _, stage := range slices.Concat(results.LatencyStages, results.BesideStages, []string{results.StagePacer}) {
		figures = append(figures, field{"stage_" + stage + "_mean_ns", meanOf(func(c *Cell) *results.Histogram { return c.Stages[stage] })})
	}
	for _, cost := range costs {
		figures = append(figures, field{cost.field, func(c *Cell) any {
			if c.Cost == nil {
				return nil
			}
			return orNil(cost.value(c))
		}})
	}
	figures = append(figures, rangeFields("catch_up_total", "_ns", func(c *Cell) Range { return c.CatchUpTotal })...)
	for _, f := range catchUpFields {
		figures = append(figures, field{f.name, func(c *Cell) any {
			if c.CatchUp == nil {
				return nil
			}
			return f.value(c.CatchUp)
		}})
	}
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		figures = append(figures,
			field{"before_" + q.name + "_ns", func(c *Cell) any { return orNil(quantileOf(c.Before, q.of)) }},
			field{"during_" + q.name + "_ns", func(c *Cell) any { return orNil(quantileOf(c.During, q.of)) }})
	}
	figures = append(figures, rangeFields("leaderless", "_ns", func(c *Cell) Range { return c.Leaderless })...)
	figures = append(figures,
		field{"leaderless_p50_ns", func(c *Cell) any { return orNil(c.Leaderless.Median, c.Leaderless.N > 0) }},
		field{"leaderless_p95_ns", func(c *Cell) any { return orNil(leaderlessP95.value(c)) }},
		field{"deterministic", func(c *Cell) any { return orNil("yes", c.Deterministic) }},
		field{"leader", func(c *Cell) any { return orNil(c.Leader, c.Leader != "") }})
	for _, f := range failoverFields {
		figures = append(figures, field{f.name, func(c *Cell) any {
			if c.Failover == nil {
				return nil
			}
			return f.value(c.Failover)
		}})
	}
	for _, f := range restartFields {
		figures = append(figures, field{f.name, func(c *Cell) any {
			if c.Restart == nil {
				return nil
			}
			return f.value(c.Restart)
		}})
	}
	for _, part := range []struct {
		name   string
		counts func(*Cell) results.Counts
	}{{"", func(c *Cell) results.Counts { return c.Counts }}, {"window_", func(c *Cell) results.Counts { return c.Window }}} {
		figures = append(figures,
			field{part.name + "proposed", func(c *Cell) any { return part.counts(c).Proposed }},
			field{part.name + "committed", func(c *Cell) any { return part.counts(c).Committed }},
			field{part.name + "failed", func(c *Cell) any { return part.counts(c).Failed }},
			field{part.name + "unknown", func(c *Cell) any { return part.counts(c).Unknown }})
	}
	for _, f := range figures {
		fs = append(fs, field{f.name, func(c *Cell) any {
			if c.Status != results.OK {
				return nil
			}
			return f.value(c)
		}})
	}
	return fs
}

var catchUpFields = []struct {
	name  string
	value func(*results.CatchUp) any
}{
	{"catch_up_detect_ns", func(u *results.CatchUp) any { return int64(u.Detect) }},
	{"catch_up_probe_ns", func(u *results.CatchUp) any { return int64(u.Probe) }},
	{"catch_up_transfer_ns", func(u *results.CatchUp) any { return int64(u.Transfer) }},
	{"catch_up_learn_ns", func(u *results.CatchUp) any { return int64(u.Learn) }},
	{"catch_up_apply_ns", func(u *results.CatchUp) any { return int64(u.Apply) }},
	{"catch_up_entries", func(u *results.CatchUp) any { return u.Entries }},
	{"catch_up_conflict_entries", func(u *results.CatchUp) any { return u.Conflict }},
	{"catch_up_rejections", func(u *results.CatchUp) any { return u.Rejections }},
	{"catch_up_probe_rounds", func(u *results.CatchUp) any { return u.ProbeRounds }},
	{"catch_up_messages", func(u *results.CatchUp) any { return u.Messages }},
	{"catch_up_bytes", func(u *results.CatchUp) any { return u.Bytes }},
	{"catch_up_twice_bytes", func(u *results.CatchUp) any { return u.TwiceBytes }},
}

var failoverFields = []struct {
	name  string
	value func(*results.Failover) any
}{
	{"failover_detect_ns", func(f *results.Failover) any { return int64(f.Detect) }},
	{"failover_elect_ns", func(f *results.Failover) any { return int64(f.Elect) }},
	{"failover_first_write_ns", func(f *results.Failover) any { return int64(f.FirstWrite) }},
	{"failover_elections", func(f *results.Failover) any { return f.Elections }},
}

func rangeFields(name, unit string, of func(*Cell) Range) []field {
	part := func(get func(Range) float64) func(*Cell) any {
		return func(c *Cell) any {
			r := of(c)
			return orNil(get(r), r.N > 0)
		}
	}
	return []field{
		{name + "_median" + unit, part(func(r Range) float64 { return r.Median })},
		{name + "_min" + unit, part(func(r Range) float64 { return r.Min })},
		{name + "_max" + unit, part(func(r Range) float64 { return r.Max })},
	}
}

func orNil[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

func meanOf(of func(*Cell) *results.Histogram) func(*Cell) any {
	return func(c *Cell) any {
		h := of(c)
		if h == nil || h.Count() == 0 {
			return nil
		}
		return int64(h.Mean())
	}
}

func quantileOf(h *results.Histogram, q float64) (float64, bool) {
	if h == nil || h.Count() == 0 || q > 0.5 && h.Count() < samplesFor(q) {
		return 0, false
	}
	return float64(h.Quantile(q)), true
}

// cost is one figure of what a cell's trials took together.
type cost struct {
	head  string // in a table
	field string
	unit  string // in a table, if it is a duration
	value func(*Cell) (float64, bool)
}

// counted returns a count that not every trial takes.
func counted(n *uint64) (float64, bool) {
	if n == nil {
		return 0, false
	}
	return float64(*n), true
}

// costs lists the costs. Their values are asked for only if a cell has a Cost.
var costs = []cost{
	{head: "messages/commit", field: "messages_per_commit", value: func(c *Cell) (float64, bool) { return c.perCommit(c.Cost.Messages) }},
	{head: "RPCs/commit", field: "append_entries_per_commit", value: func(c *Cell) (float64, bool) { return c.perCommit(c.Cost.AppendEntries) }},
	{head: "entries/RPC", field: "entries_per_append_entries", value: func(c *Cell) (float64, bool) {
		if c.Cost.AppendEntries == 0 {
			return 0, false
		}
		return float64(c.Cost.EntriesSent) / float64(c.Cost.AppendEntries), true
	}},
	{head: "bytes/commit", field: "bytes_per_commit", value: func(c *Cell) (float64, bool) { return c.perCommit(c.Cost.Bytes) }},
	{head: "writes/commit", field: "writes_per_commit", value: func(c *Cell) (float64, bool) { return c.perCommit(c.Cost.Writes) }},
	{head: "CPU/commit", field: "cpu_ns_per_commit", unit: "cpu", value: func(c *Cell) (float64, bool) {
		v, ok := c.perCommit(uint64(max(c.Cost.CPU, 0)))
		return v, ok && c.Cost.CPU > 0
	}},
	{head: "allocs/commit", field: "allocations_per_commit", value: func(c *Cell) (float64, bool) {
		v, ok := c.perCommit(c.Cost.Allocations)
		return v, ok && c.Cost.CPU > 0
	}},
	{head: "alloc bytes/commit", field: "allocated_bytes_per_commit", value: func(c *Cell) (float64, bool) {
		v, ok := c.perCommit(c.Cost.AllocatedBytes)
		return v, ok && c.Cost.CPU > 0
	}},
	{head: "dropped", field: "dropped_frames", value: func(c *Cell) (float64, bool) { return float64(c.Cost.Dropped), true }},
	{head: "rejections", field: "rejections", value: func(c *Cell) (float64, bool) { return counted(c.Cost.Rejections) }},
	{head: "elections", field: "elections", value: func(c *Cell) (float64, bool) { return counted(c.Cost.Elections) }},
}
