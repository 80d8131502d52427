package reports

import (
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// WriteTable writes the main table and the findings for a terminal, without colour.
func WriteTable(w io.Writer, run *results.Run) error {
	s := Summarize(run)
	b := screen{columns: columnsOf(w)}
	wrap(&b, "", s.title())
	for _, line := range s.fixed() {
		if line != "" {
			wrap(&b, "", clean(line))
		}
	}
	if disk := run.Header.Settings["disk"]; disk != "" {
		wrap(&b, "", clean("disk: "+disk))
	}
	if line := s.leaderText(); line != "" {
		wrap(&b, "", clean(line))
	}
	b.WriteString("\n")
	shown, err := draw(&b, s.spaced(s.mainGrid()))
	if err != nil {
		return err
	}
	b.WriteString("\n")
	for _, line := range s.legend(shown) {
		wrap(&b, "  ", line)
	}
	if g := s.peerGrid(); len(g.rows) > 0 {
		b.WriteString("\n" + peerTitle + "\n\n")
		shown, err := draw(&b, g)
		if err != nil {
			return err
		}
		b.WriteString("\n")
		wrap(&b, "  ", peerLegend(shown))
	}
	if curves, tooShort := s.curves(); len(curves)+len(tooShort) > 0 {
		b.WriteString("\n" + curveTitle + "\n\n")
		if len(curves) > 0 {
			if _, err := draw(&b, s.curveGrid(curves)); err != nil {
				return err
			}
			b.WriteString("\n")
		}
		for _, line := range s.curveNotes(curves, tooShort) {
			wrap(&b, "  ", line)
		}
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", title)
		for _, line := range lines {
			wrap(&b, "- ", line)
		}
	}
	section("Not reported", s.notReportedBriefly())
	section("Findings", s.Findings())
	section(s.briefly())
	_, err = io.WriteString(w, b.String())
	return err
}

// spaced puts an empty row between scenarios, and between transports, of a table that has a row for each cell.
func (s *Summary) spaced(g grid) grid {
	spaced := g
	spaced.rows = nil
	for i, row := range g.rows {
		if i > 0 {
			before, c := &s.Cells[i-1], &s.Cells[i]
			if len(g.rows) > 6 && (before.Scenario != c.Scenario || before.Transport != c.Transport) {
				spaced.rows = append(spaced.rows, make([]string, len(g.head)))
			}
		}
		spaced.rows = append(spaced.rows, row)
	}
	return spaced
}

// title says in one line what was run.
func (s *Summary) title() string {
	h := &s.Run.Header
	text := "raftbench " + h.Job
	if h.Tag != "" && h.Tag != h.Job {
		text += " " + h.Tag
	}
	trials := units.Count(max(h.Repeat, 0), "trial") + " each"
	clock := "wall clock"
	if h.Clock == "virtual" {
		clock = "virtual time"
	}
	return clean(fmt.Sprintf("%s: %s, %s, %s, %s, seed %d",
		text, units.Count(len(h.Cells), "cell"), trials, clock, loadInside, h.Seed))
}

// draw renders a grid with no more lines than the eye needs, as far as it fits, and names what does not. It returns the
// grid without the columns that it left out.
func draw(b *screen, g grid) (grid, error) {
	g, kept, left := narrow(g, b.columns)
	var w strings.Builder
	align := make(tw.Alignment, len(g.right))
	for i, right := range g.right {
		align[i] = tw.AlignLeft
		if right {
			align[i] = tw.AlignRight
		}
	}
	table := tablewriter.NewTable(&w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.Border{Left: tw.Off, Right: tw.Off, Top: tw.Off, Bottom: tw.Off},
			Symbols: tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
				Lines:      tw.Lines{ShowHeaderLine: tw.On},
			},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off), // it would turn p99.9 into "P 99 . 9"
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithAlignment(align),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align}),
	)
	head := make([]any, len(g.head))
	for i, text := range g.head {
		head[i] = text
	}
	table.Header(head...)
	for _, row := range g.rows {
		if err := table.Append(row); err != nil {
			return grid{}, fmt.Errorf("drawing the table: %w", err)
		}
	}
	if err := table.Render(); err != nil {
		return grid{}, fmt.Errorf("drawing the table: %w", err)
	}
	for line := range strings.Lines(w.String()) {
		b.WriteString(strings.TrimRight(strings.TrimPrefix(line, " "), " \n") + "\n")
	}
	if len(left) > 0 {
		wrap(b, "  ", leftOut(left, b.columns))
	}
	return kept, nil
}

// twoLines breaks a column's title, so that titles do not make the table wider than its figures.
func twoLines(head string) string {
	if before, after, ok := strings.Cut(head, "/"); ok && len(before) > 2 && len(after) > 1 {
		return before + "\n/" + after
	}
	if i := strings.LastIndex(head, " "); i > 0 {
		return head[:i] + "\n" + head[i+1:]
	}
	return head
}

func cleanAll(lines []string) []string {
	var out []string
	for _, line := range lines {
		out = append(out, clean(line))
	}
	return out
}
