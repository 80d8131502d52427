package reports

import (
	"fmt"
	"io"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// WriteLabTable writes the MIT lab's tests for a terminal: seconds with totals and references for each place; where
// there is one place, its other figures; where the seconds went; and the findings.
func WriteLabTable(w io.Writer, run *results.Run) error {
	r := newLabReport(run)
	b := screen{columns: columnsOf(w)}
	wrap(&b, "", r.title())
	wrap(&b, "", clean(r.fixed()))
	table := func(title string, g grid) error {
		b.WriteString("\n")
		wrap(&b, "", title)
		b.WriteString("\n")
		_, err := draw(&b, g)
		return err
	}
	for _, p := range r.places {
		for i := range labFigures {
			if i > 0 && len(r.places) > 1 {
				break
			}
			f := &labFigures[i]
			if err := table(r.gridTitle(p, f), r.testGrid(p, f)); err != nil {
				return err
			}
		}
		if err := table(r.partsTitle(p), r.partsGrid(p)); err != nil {
			return err
		}
		if g := r.modesGrid(p); len(g.rows) > 0 {
			if err := table(r.titleAt(modesTitle, p), g); err != nil {
				return err
			}
		}
	}
	if g := r.lawGrid(); len(g.rows) > 0 {
		if err := table(lawTitle, g); err != nil {
			return err
		}
	}
	for _, transport := range r.transports() {
		if len(r.heartbeats(transport)) > 1 {
			if err := table(r.sweepTitle(transport), r.sweepGrid(transport)); err != nil {
				return err
			}
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
	section("Not passed", r.failures())
	section("Findings", r.findings())
	section("Warnings", cleanAll(r.warnings))
	_, err := io.WriteString(w, b.String())
	return err
}

// title says in one line what was run.
func (r *labReport) title() string {
	h := &r.run.Header
	clock := "wall clock"
	if r.virtual() {
		clock = "virtual time"
	}
	return clean(fmt.Sprintf("raftbench %s: %s, %s, %s, %s each, %s, %s, seed %d",
		h.Job, units.Count(len(r.tests), "test"),
		units.Count(len(r.strategies), "strategy"),
		listed(r.transports()), units.Count(max(h.Repeat, 0), "repeat"), clock, loadInside, h.Seed))
}

// fixed says what holds for the whole run.
func (r *labReport) fixed() string {
	var parts []string
	if len(r.places) > 0 && len(r.heartbeats(r.places[0].transport)) == 1 {
		parts = append(parts, "heartbeat "+r.places[0].heartbeat.String())
	}
	settings := r.run.Header.Settings
	for _, name := range []string{"edition", "cut", "election-timeout", "pre-vote", "check-quorum", "delay", "cpu-per-message", "jobs"} {
		if v := settings[name]; v != "" && v != "false" {
			parts = append(parts, name+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

func (r *labReport) gridTitle(p labPlace, f *labFigure) string {
	name := strings.ToUpper(f.name[:1]) + f.name[1:]
	if r.run.Header.Repeat > 1 {
		name += ", mean of the repeats"
		if f.interval {
			name += " and its 95% interval"
		}
	}
	return r.titleAt(name, p)
}

func (r *labReport) partsTitle(p labPlace) string {
	_, what := r.headline()
	title := "Where the seconds of " + what + " went"
	if r.run.Header.Repeat > 1 {
		title += ", mean of the repeats"
	}
	return r.titleAt(title, p)
}

// titleAt adds the place to a title where there are several.
func (r *labReport) titleAt(title string, p labPlace) string {
	if len(r.places) > 1 {
		title += ": " + r.placeName(p)
	}
	return title
}

const lawTitle = lawTest + " = constant + agreements x their usual length + what some took longer"

func (r *labReport) sweepTitle(transport string) string {
	title := "Totals against the heartbeat's period"
	if len(r.transports()) > 1 {
		title += ": " + clean(transport)
	}
	return title
}
