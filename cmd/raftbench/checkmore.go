package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

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
	line := fmt.Sprintf("%s states, %s events/s", humanize.Comma(int64(e.States)), humanize.Comma(int64(float64(e.Transitions)/e.Took.Seconds())))
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
	if err := printCalibration(c.App.Writer, "in virtual time", virtual); err != nil {
		return err
	}
	live, err := calibrate.Live(c.Context, transportKinds)
	if err != nil {
		return calibrationError(c, err)
	}
	if err := printCalibration(c.App.Writer, "live, against virtual time with the delays measured here", live); err != nil {
		return err
	}
	off := 0
	for _, r := range slices.Concat(virtual, live) {
		if !r.OK() {
			off++
		}
	}
	if off > 0 {
		return exitError{exitUnsafe, fmt.Errorf("%d of %d figures are off; live ones may be on a machine that is busy with something else", off, len(virtual)+len(live))}
	}
	return nil
}

func calibrationError(c *cli.Context, err error) error {
	if c.Context.Err() != nil {
		return exitError{exitInterrupted, errors.New("interrupted")}
	}
	return exitError{exitInconclusive, fmt.Errorf("calibration: %w", err)}
}

func printCalibration(out io.Writer, title string, rows []calibrate.Row) error {
	fmt.Fprintf(out, "%s\n", title)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(calibrate.Columns, "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r.Cells(), "\t"))
	}
	fmt.Fprintln(t)
	return t.Flush()
}
