package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/reports"
	"github.com/raftbench/raftbench/results"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write a report of a run that was made earlier",
		ArgsUsage: "RUN",
		Description: `RUN is a run's folder, or its run.jsonl. The report is made from that file alone and goes to standard output.

Examples:
  raftbench report raftbench-results/20261123-051500-matrix
  raftbench report raftbench-results/20261123-051500-matrix --format csv > cells.csv`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: strings.Join(formatNames(), ", ") + ": see raftbench list formats"},
		},
		BashComplete: completer(map[string]func() []string{"format": formatNames}),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("%d runs named: want one, the folder of a run or its run.jsonl", c.NArg())
			}
			format, err := findFormat(c.String("format"))
			if err != nil {
				return err
			}
			run, err := results.Read(c.Args().First())
			if err != nil {
				return usage("%v", err)
			}
			if !slices.Contains(jobs, run.Header.Job) {
				return usage("run %s: its header's job is %s: want %s: the file was made by another program or version, or changed",
					c.Args().First(), nearest.Quote(run.Header.Job), strings.Join(jobs, " or "))
			}
			if err := format.Write(terminal(c), run); err != nil {
				return output(err)
			}
			return verdict(run)
		},
	}
}

// jobs are what a run file can be of.
var jobs = []string{jobMatrix, results.JobLab}

// jobMatrix is the results.Header.Job of run matrix.
const jobMatrix = "matrix"

func findFormat(name string) (reports.Format, error) {
	i := slices.IndexFunc(reports.Formats, func(f reports.Format) bool { return f.Name == name })
	if i < 0 {
		return reports.Format{}, usage("--format: %s", nearest.Unknown("format", name, formatNames()))
	}
	return reports.Formats[i], nil
}

func formatNames() []string {
	var names []string
	for _, f := range reports.Formats {
		names = append(names, f.Name)
	}
	return names
}

// verdict returns the error, and so the exit status, that a run deserves.
func verdict(run *results.Run) error {
	count := map[results.Status]int{}
	first := map[results.Status]string{}
	planned := plannedTrials(run)
	for _, t := range run.Trials {
		status, reason := t.Status, t.Reason
		if err := t.Check(); err != nil { // as reports do: a file may have been changed since it was written
			status, reason = results.Invalid, err.Error()
		} else if t.Status == results.OK && run.Header.Job == results.JobLab && t.Lab == nil {
			status, reason = results.Failed, "nothing was measured"
		}
		if count[status]++; count[status] == 1 {
			first[status] = reason
		}
	}
	share := func(status results.Status) string { return shareOf(count[status], len(run.Trials), "trial") }
	invalid := share(results.Invalid) + " INVALID"
	if run.Header.Job == results.JobLab {
		invalid = fmt.Sprintf("%d of %s failed", count[results.Invalid], units.Count(len(run.Trials), "test"))
	}
	switch {
	case count[results.Invalid] > 0:
		return exitError{exitUnsafe, fmt.Errorf("%s, the first because: %s", invalid, first[results.Invalid])}
	case run.End == nil:
		return exitError{exitInterrupted, fmt.Errorf("the run file has no end, its run was killed or still goes on: %s there", shareOf(len(run.Trials), planned, "trial"))}
	case run.End.Interrupted:
		return exitError{exitInterrupted, fmt.Errorf("the run was interrupted: %s there",
			shareOf(len(run.Trials)-count[results.Interrupted], planned, "trial"))}
	case count[results.Failed] > 0:
		return exitError{exitInconclusive, fmt.Errorf("%d of %s could not be measured, the first because: %s",
			count[results.Failed], units.Count(len(run.Trials), "trial"), first[results.Failed])}
	case count[results.Inconclusive] > 0:
		return exitError{exitInconclusive, fmt.Errorf("%s inconclusive, the first because: %s",
			share(results.Inconclusive), first[results.Inconclusive])}
	case len(run.Trials) == 0:
		return exitError{exitInconclusive, errors.New("the run file holds no trials: nothing was measured, or they were taken out")}
	case len(run.Trials) < planned:
		return exitError{exitInconclusive, fmt.Errorf("the run came to its end, but only %s in its file: others were taken out", shareOf(len(run.Trials), planned, "trial"))}
	case len(run.Trials) > 0 && count[results.NotApplicable] == len(run.Trials):
		return exitError{exitInconclusive, fmt.Errorf("nothing could be measured, the first because: %s",
			first[results.NotApplicable])}
	}
	return nil
}

// plannedTrials returns how many trials a run's file has that came to its end: of a cell that its engine cannot run,
// there is one, which says so.
func plannedTrials(run *results.Run) int {
	planned := len(run.Header.Cells) * run.Header.Repeat
	for _, t := range run.Trials {
		if t.Status == results.NotApplicable {
			planned -= run.Header.Repeat - 1
		}
	}
	return planned
}

// shareOf begins a sentence about n of some things: "1 of 3 trials is".
func shareOf(n, of int, noun string) string {
	verb := "are"
	if n == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%d of %s %s", n, units.Count(of, noun), verb)
}

// writeReports puts the reports that every run gets beside its run file.
func writeReports(dir string, run *results.Run) error {
	for _, r := range []struct{ file, format string }{{"report.md", "markdown"}, {"report.csv", "csv"}} {
		format, err := findFormat(r.format)
		if err != nil {
			return err
		}
		if err := writeReport(filepath.Join(dir, r.file), format, run); errors.Is(err, fs.ErrNotExist) {
			return environment(fmt.Errorf("results folder %s: it vanished during the run: what is printed is all that is left of it", dir))
		} else if err != nil {
			return environment(fmt.Errorf("writing a report: %w: the run file is whole, raftbench report %s reads it",
				err, shellQuote(dir)))
		}
	}
	return nil
}

func writeReport(path string, format reports.Format, run *results.Run) error {
	f, err := os.Create(path)
	if err != nil {
		return plain(err)
	}
	if err = errors.Join(format.Write(f, run), f.Close()); err != nil {
		os.Remove(path) // half a report would pass for a whole one
		return plain(err)
	}
	return nil
}

// output is what went wrong with writing to standard output.
func output(err error) error {
	if err == nil {
		return nil
	}
	return environment(fmt.Errorf("standard output: %w", cause(err)))
}

// cause strips the path and the operation from the system's errors about files.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// plain shortens the system's errors about files to path and cause.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}
