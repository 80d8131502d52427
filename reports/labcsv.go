package reports

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"time"

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
	// Of the passed trials: means, so that the parts of the time add up, unless the name says otherwise.
	figures := []struct {
		name  string
		value func(l *results.Lab) float64
		pick  func(estimate) any
	}{
		{"total_min_ns", labTotalNs, func(e estimate) any { return int64(e.min) }},
		{"total_max_ns", labTotalNs, func(e estimate) any { return int64(e.max) }},
		{"total_mean_ns", labTotalNs, meanNs},
		{"total_interval_ns", labTotalNs, func(e estimate) any { return orNil(int64(math.Round(e.half)), e.interval()) }},
		{"own_ns", func(l *results.Lab) float64 { return float64(l.Own) }, meanNs},
		{"elections_ns", func(l *results.Lab) float64 { return float64(l.Elections) }, meanNs},
		{"agreements_ns", func(l *results.Lab) float64 { return float64(l.Agreements) }, meanNs},
		{"stale_ns", func(l *results.Lab) float64 { return float64(l.Stale) }, meanNs},
		{"rest_ns", func(l *results.Lab) float64 { return float64(l.Rest) }, meanNs},
		{"agreements", agreementsMade, mean},
		{"offers_in_vain", proposalsInVain, mean},
		{"stale_waits", staleWaits, mean},
		{"rpcs", func(l *results.Lab) float64 { return float64(l.RPCs) }, mean},
		{"request_bytes", func(l *results.Lab) float64 { return float64(l.RequestBytes) }, mean},
		{"reply_bytes", func(l *results.Lab) float64 { return float64(l.ReplyBytes) }, mean},
		{"committed", func(l *results.Lab) float64 { return float64(l.Committed) }, mean},
		{"rejections", func(l *results.Lab) float64 { return float64(l.Rejections) }, mean},
		{"candidacies", func(l *results.Lab) float64 { return float64(l.Elected) }, mean},
		{"late_max_ns", func(l *results.Lab) float64 { return float64(l.LateMax) }, func(e estimate) any { return int64(e.max) }},
	}
	for _, f := range figures {
		fs = append(fs, labField{f.name, func(c *labCell) any {
			if len(c.passed) == 0 {
				return nil
			}
			return f.pick(c.over(f.value))
		}})
	}
	// An agreement's time is of those tests alone that have agreements.
	for _, f := range []struct {
		name  string
		value func(*results.Lab) (time.Duration, bool)
	}{{"agreement_p50_ns", (*results.Lab).Median}, {"agreement_mean_ns", (*results.Lab).Mean}} {
		fs = append(fs, labField{f.name, func(c *labCell) any {
			var values []float64
			for _, l := range c.passed {
				if d, ok := f.value(l); ok {
					values = append(values, float64(d))
				}
			}
			return orNil(meanNs(estimateOf(values)), len(values) > 0)
		}})
	}
	return append(fs, labField{"edition", func(*labCell) any { return r.run.Header.Settings["edition"] }})
}

func labTotalNs(l *results.Lab) float64 { return float64(l.Total) }

func mean(e estimate) any   { return e.mean }
func meanNs(e estimate) any { return int64(math.Round(e.mean)) }

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
