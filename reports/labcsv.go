package reports

import (
	"encoding/csv"
	"encoding/json"
	"io"

	"github.com/raftbench/raftbench/results"
)

// labField is one column of the lab's CSV report and one key of a cell in its JSON report.
type labField struct {
	name  string
	value func(*labCell) any
}

// labFields lists every column. New ones go to the end: readers may count on names, not on positions.
func labFields(r *labReport) []labField {
	fs := []labField{
		{"cell", func(c *labCell) any { return c.ID }},
		{"suite", func(c *labCell) any { return c.Params[results.ParamSuite] }},
		{"test", func(c *labCell) any { return c.Scenario }},
		{"transport", func(c *labCell) any { return c.Transport }},
		{"heartbeat_ns", func(c *labCell) any { return int64(c.place.heartbeat) }},
		{"strategy", func(c *labCell) any { return c.Strategy }},
	}
	for _, choice := range []string{"backup", "send", "commit", "announce", "apply"} {
		fs = append(fs, labField{choice, func(c *labCell) any { return c.Choices[choice] }})
	}
	fs = append(fs,
		labField{"nodes", func(c *labCell) any { return c.Nodes }},
		labField{"passed", func(c *labCell) any { return len(c.passed) }},
		labField{"not_passed", func(c *labCell) any { return len(c.failed) }},
		labField{"trials_planned", func(c *labCell) any { return r.run.Header.Repeat }},
		labField{"reason", func(c *labCell) any {
			if len(c.failed) == 0 {
				return ""
			}
			return c.failed[0]
		}},
	)
	// Times are those of the passed trial with the median total, so that the parts add up; the range is over all of them.
	total := func(l *results.Lab) float64 { return float64(l.Total) }
	figures := []struct {
		name  string
		value func(c *labCell, l *results.Lab) any
	}{
		{"total_min_ns", func(c *labCell, _ *results.Lab) any { return int64(c.over(total).Min) }},
		{"total_max_ns", func(c *labCell, _ *results.Lab) any { return int64(c.over(total).Max) }},
		{"total_median_ns", func(_ *labCell, l *results.Lab) any { return int64(l.Total) }},
		{"own_ns", func(_ *labCell, l *results.Lab) any { return int64(l.Own) }},
		{"elections_ns", func(_ *labCell, l *results.Lab) any { return int64(l.Elections) }},
		{"agreements_ns", func(_ *labCell, l *results.Lab) any { return int64(l.Agreements) }},
		{"stale_ns", func(_ *labCell, l *results.Lab) any { return int64(l.Stale) }},
		{"rest_ns", func(_ *labCell, l *results.Lab) any { return int64(l.Rest) }},
		{"agreements", func(_ *labCell, l *results.Lab) any { return len(l.Each) }},
		{"agreement_p50_ns", func(_ *labCell, l *results.Lab) any {
			d, ok := l.Median()
			return orNil(int64(d), ok)
		}},
		{"agreement_mean_ns", func(_ *labCell, l *results.Lab) any {
			d, ok := l.Mean()
			return orNil(int64(d), ok)
		}},
		{"offers_in_vain", func(_ *labCell, l *results.Lab) any { return l.Vain }},
		{"stale_waits", func(_ *labCell, l *results.Lab) any { return l.StaleWaits }},
		{"rpcs", func(_ *labCell, l *results.Lab) any { return l.RPCs }},
		{"request_bytes", func(_ *labCell, l *results.Lab) any { return l.RequestBytes }},
		{"reply_bytes", func(_ *labCell, l *results.Lab) any { return l.ReplyBytes }},
		{"committed", func(_ *labCell, l *results.Lab) any { return l.Committed }},
		{"rejections", func(_ *labCell, l *results.Lab) any { return l.Rejections }},
		{"candidacies", func(_ *labCell, l *results.Lab) any { return l.Elected }},
		{"late_max_ns", func(_ *labCell, l *results.Lab) any { return int64(l.LateMax) }},
	}
	for _, f := range figures {
		fs = append(fs, labField{f.name, func(c *labCell) any {
			l := medianLab(c.passed)
			if l == nil {
				return nil
			}
			return f.value(c, l)
		}})
	}
	return fs
}

// WriteLabCSV writes a row for each test, strategy and place: plain numbers with the unit in the column's name. What a
// cell without a passed trial did not measure is empty.
func WriteLabCSV(w io.Writer, run *results.Run) error {
	r := newLabReport(run)
	out := csv.NewWriter(w)
	all := labFields(r)
	row := make([]string, len(all))
	for i, f := range all {
		row[i] = f.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for _, c := range r.order {
		for j, f := range all {
			row[j] = plain(f.value(c))
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// WriteLabJSON writes the header, every cell with the names and numbers of the CSV report, the tests that did not pass,
// the findings and the warnings.
func WriteLabJSON(w io.Writer, run *results.Run) error {
	r := newLabReport(run)
	doc := struct {
		Format    string           `json:"format"`
		Header    results.Header   `json:"header"`
		End       *results.End     `json:"end"`
		NotPassed []string         `json:"not_passed"`
		Findings  []string         `json:"findings"`
		Warnings  []string         `json:"warnings"`
		Cells     []map[string]any `json:"cells"`
	}{Format: SummaryFormat, Header: run.Header, End: run.End, NotPassed: append([]string{}, r.failures()...), Findings: r.findings(),
		Warnings: append([]string{}, r.warnings...), Cells: []map[string]any{}}
	all := labFields(r)
	for _, c := range r.order {
		cell := map[string]any{}
		for _, f := range all {
			cell[f.name] = f.value(c)
		}
		doc.Cells = append(doc.Cells, cell)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(doc)
}
