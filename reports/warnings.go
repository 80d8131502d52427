package reports

import (
	"fmt"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// warning is something that a reader of the figures must know.
type warning struct {
	cell *Cell // nil: of the whole run
	text string
}

func (s *Summary) warn(c *Cell, text string) {
	s.warned = append(s.warned, warning{c, text})
	if c != nil {
		c.Warnings = append(c.Warnings, text)
		text = s.label(c) + ": " + text
	}
	s.Warnings = append(s.Warnings, text)
}

// terminalWarnings is how many lines of warnings a terminal gets.
const terminalWarnings = 5

// briefly returns the warnings for a terminal, one line a cell and a handful at the most, and their title, which says
// how many there are if that is not all of them.
func (s *Summary) briefly() (title string, lines []string) {
	for _, of := range grouped(s.warned, func(w warning) *Cell { return w.cell }) {
		if of[0].cell == nil {
			for _, w := range of {
				lines = append(lines, clean(w.text))
			}
			continue
		}
		text := s.label(of[0].cell) + ": " + of[0].text
		if more := len(of) - 1; more > 0 {
			text += fmt.Sprintf("; and %d more", more)
		}
		lines = append(lines, clean(text))
	}
	if len(lines) > terminalWarnings {
		lines = lines[:terminalWarnings]
	} else if len(lines) == len(s.warned) {
		return "Warnings", lines
	}
	return fmt.Sprintf("Warnings: %s, listed in full in the report", number(float64(len(s.warned)))), lines
}

// notReported lists the cells without figures, and why.
func (s *Summary) notReported() []string {
	var lines []string
	for i := range s.Cells {
		if c := &s.Cells[i]; c.Status != results.OK {
			lines = append(lines, clean(fmt.Sprintf("%s %s: %s", statusWord(c.Status), s.label(c), c.Reason)))
		}
	}
	return lines
}

// notReportedBriefly is notReported for a terminal, where cells of one kind with the same reason are only counted: the
// table shows which they are.
func (s *Summary) notReportedBriefly() []string {
	var without []*Cell
	for i := range s.Cells {
		if c := &s.Cells[i]; c.Status != results.OK {
			without = append(without, c)
		}
	}
	var lines []string
	for _, of := range grouped(without, func(c *Cell) string { return string(c.Status) + " " + c.Reason }) {
		which := s.label(of[0])
		if len(of) > 1 {
			which = units.Count(len(of), "cell")
		}
		lines = append(lines, clean(fmt.Sprintf("%s %s: %s", statusWord(of[0].Status), which, of[0].Reason)))
	}
	return lines
}
