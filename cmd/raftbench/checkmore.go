package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/check"
	"github.com/raftbench/raftbench/check/calibrate"
)

// defaultBounds is a search of some seconds.
const defaultBounds = "terms=2,proposals=1"

// checkAll searches all interleavings.
func checkAll(c *cli.Context) error {
	b, err := check.ParseBounds(c.String("bounds"))
	if err != nil {
		return usage("--bounds: %v", err)
	}
	ctx := c.Context
	if d := c.Duration("duration"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	// What a search makes is short-lived, and the set of states that stays holds no pointers.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	show := newHuntProgress(c.App.ErrWriter, 0)
	e, err := check.Explore(ctx, b, c.Int("jobs"), show.explored)
	show.end()
	if err != nil {
		return usage("%v", err)
	}
	out := c.App.Writer
	fmt.Fprintf(out, "%v\n%s states, %s events between them, at most %d in a row, in %v: %s events/s\n", b,
		humanize.Comma(int64(e.States)), humanize.Comma(int64(e.Transitions)), e.Deepest, e.Took.Round(10*time.Millisecond),
		humanize.Comma(int64(float64(e.Transitions)/max(e.Took.Seconds(), 1e-9))))
	switch {
	case e.Violation != nil:
		for _, line := range e.Path {
			fmt.Fprintf(out, "  %s\n", line)
		}
		fmt.Fprintf(out, "  => %v\n", e.Violation)
		return exitError{exitUnsafe, fmt.Errorf("%v is broken: %s", e.Violation.Rule, e.Violation.Rule.Text())}
	case c.Context.Err() != nil:
		return exitError{exitInterrupted, errors.New("interrupted before all states were seen; no rule was broken so far")}
	case !e.Complete:
		return exitError{exitInconclusive, errors.New("the time was over before all states were seen; no rule was broken so far")}
	}
	fmt.Fprintln(out, "all states were seen: no rule was broken")
	return nil
}

func (p *huntProgress) explored(e check.Explored) {
	if e.Took < p.next {
		return
	}
	p.next = e.Took + p.every()
	line := fmt.Sprintf("%s states, %s events/s",
		humanize.Comma(int64(e.States)), humanize.Comma(int64(float64(e.Transitions)/e.Took.Seconds())))
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K%s", line)
	} else {
		fmt.Fprintln(p.out, line)
	}
}

// calibration compares figures that are known beforehand with those that are measured.
func calibration(c *cli.Context) error {
	virtual, err := calibrate.Virtual(c.Context)
	if err != nil {
		return calibrationError(c, err)
	}
	if err := printCalibration(c.App.Writer, "In virtual time, against arithmetic", virtual); err != nil {
		return output(err)
	}
	fmt.Fprintln(c.App.ErrWriter, "now live, which takes about two minutes on an idle machine")
	live, err := calibrate.Live(c.Context, transportKinds)
	if err != nil {
		return calibrationError(c, err)
	}
	if err := printCalibration(c.App.Writer, "Live, against virtual time with the delays measured here", live); err != nil {
		return output(err)
	}
	return calibrated(virtual, live)
}

// calibrated returns the error, and so the exit status, that two tables deserve: in virtual time there is no noise, so
// what is off there is wrong; what is off live may be the machine's doing.
func calibrated(virtual, live []calibrate.Row) error {
	if off := countOff(virtual); off > 0 {
		return exitError{exitUnsafe, fmt.Errorf("%s off in virtual time, where they do not depend on the machine",
			shareOf(off, len(virtual), "figure"))}
	}
	if off := countOff(live); off > 0 {
		return exitError{exitInconclusive, fmt.Errorf("%s off, all %d in virtual time are right: try again on a machine that does nothing else", shareOf(off, len(live), "live figure"), len(virtual))}
	}
	return nil
}

func countOff(rows []calibrate.Row) (off int) {
	for _, r := range rows {
		if !r.OK() {
			off++
		}
	}
	return off
}

func calibrationError(c *cli.Context, err error) error {
	if c.Context.Err() != nil {
		return exitError{exitInterrupted, errors.New("interrupted")}
	}
	return exitError{exitInconclusive, fmt.Errorf("calibration: %w", err)}
}

// printCalibration prints rows below the rule that they share, so that a line is no wider than listWidth.
func printCalibration(out io.Writer, title string, rows []calibrate.Row) error {
	table := [][]string{calibrate.Columns}
	for _, r := range rows {
		table = append(table, r.Cells())
	}
	widths := make([]int, len(calibrate.Columns))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	line := func(cells []string) {
		padded := "  "
		for i, cell := range cells {
			padded += fmt.Sprintf("%-*s  ", widths[i], cell)
		}
		text.WriteString(strings.TrimRight(padded, " ") + "\n")
	}
	text.WriteString(title + "\n")
	line(calibrate.Columns)
	last := ""
	for _, r := range rows {
		rule := r.Rule
		if r.Lacks != "" {
			rule += "; not judged: " + r.Lacks
		}
		if rule != last {
			text.WriteString(wrapped(rule, listWidth) + "\n")
			last = rule
		}
		line(r.Cells())
	}
	_, err := io.WriteString(out, text.String()+"\n")
	return err
}
