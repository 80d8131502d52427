package reports

import (
	"encoding/json"
	"io"

	"github.com/raftbench/raftbench/results"
)

// SummaryFormat names the version of the JSON report.
const SummaryFormat = "raftbench-summary/1"

// WriteJSON writes the summary: the run's header, every cell with the names and numbers of the CSV report (null where a
// cell has none), the findings and the warnings.
func WriteJSON(w io.Writer, run *results.Run) error {
	s := Summarize(run)
	doc := struct {
		Format   string           `json:"format"`
		Header   results.Header   `json:"header"`
		End      *results.End     `json:"end"`
		Findings []string         `json:"findings"`
		Warnings []string         `json:"warnings"`
		Cells    []map[string]any `json:"cells"`
	}{Format: SummaryFormat, Header: run.Header, End: run.End, Findings: s.Findings(), Warnings: append([]string{}, s.Warnings...), Cells: []map[string]any{}}
	all := fields()
	for i := range s.Cells {
		cell := map[string]any{}
		for _, f := range all {
			cell[f.name] = f.value(&s.Cells[i])
		}
		doc.Cells = append(doc.Cells, cell)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(doc)
}
