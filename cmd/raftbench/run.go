package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/reports"
	"github.com/raftbench/raftbench/results"
)

// What a run takes on disk at the least: the run file and the reports that are made of it.
const (
	bytesPerTrial = 16 << 10
	bytesPerCell  = 4 << 10
)

// mostRoom is the most that is tried: a disk that takes this much can be trusted with the rest, and one that is all but
// full has been found out.
const mostRoom = 256 << 20

// begin makes a run's folder below out, and its run file with the header, before any load starts. It fails if the disk
// has no room for the trials that are to come, or if the context ends; nothing is left behind then.
func begin(ctx context.Context, out string, header results.Header, trials int) (*results.Writer, error) {
	writer, err := results.Create(out, header.Tag, header.Started)
	if err != nil {
		return nil, environment(err)
	}
	err = holdsBytes(ctx, writer.Dir(), min(trials*bytesPerTrial+len(header.Cells)*bytesPerCell, mostRoom))
	if err == nil {
		err = writer.Header(header)
	}
	if err != nil {
		writer.Close()
		os.Remove(writer.Path())
		os.Remove(writer.Dir())
		if ctx.Err() != nil {
			return nil, exitError{exitInterrupted, errors.New("interrupted before the first trial: nothing was written")}
		}
		return nil, environment(err)
	}
	return writer, nil
}

// holdsBytes finds out whether so many bytes can be written to a folder, by writing them: free space is known to the
// system in too many ways (quotas, reserves, networks) to be asked for. The file loses its name at once, where the
// system allows that to an open file, so that nothing stays behind even if this process is killed.
func holdsBytes(ctx context.Context, dir string, n int) error {
	path := filepath.Join(dir, "room")
	f, err := os.Create(path)
	if err != nil {
		return plain(err)
	}
	nameless := os.Remove(path) == nil
	block := make([]byte, 64<<10)
	for at := 0; at < n && err == nil; at += len(block) {
		if err = ctx.Err(); err == nil {
			_, err = f.Write(block)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if !nameless {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("results folder %s: no room for about %d KiB: %w: make room, or name another with --out",
			dir, n>>10, cause(err))
	}
	return nil
}

// carryOut runs a plan, writes what comes of it, and reports it.
func carryOut(c *cli.Context, run *bench.Run, writer *results.Writer, format reports.Format) error {
	return record(c, run.Estimate(), func(p *progress, done func(results.Trial) error) error {
		run.Starting, run.Done = p.starting, done
		return run.Do(c.Context)
	}, writer, format)
}

// record does something that takes about so long and makes trials, which it hands to done one at a time; it writes and
// reports them. Whatever ends it early, what was measured until then is reported.
func record(c *cli.Context, estimate time.Duration, do func(p *progress, done func(results.Trial) error) error, writer *results.Writer, format reports.Format) error {
	progress := newProgress(c.App.ErrWriter, estimate)
	trials, cut := 0, false
	err := do(progress, func(t results.Trial) error {
		if err := writer.Trial(t); err != nil {
			return environment(err)
		}
		trials++
		cut = cut || t.Status == results.Interrupted
		return nil
	})
	progress.end()
	var broken exitError
	if !errors.As(err, &broken) {
		cut = cut || err != nil
		if err := writer.End(results.End{Finished: time.Now().UTC(), Interrupted: cut, Trials: trials}); err != nil {
			broken = exitError{exitEnvironment, err}
		}
	}
	// Reports are made from the file, as a later reader makes them.
	read, err := writer.ReadBack()
	if err := writer.Close(); err != nil && broken.err == nil {
		broken = exitError{exitEnvironment, err}
	}
	if err != nil {
		return environment(errors.Join(broken.err, err))
	}
	if broken.err == nil {
		if err := writeReports(writer.Dir(), read); err != nil {
			broken = exitError{exitEnvironment, err}
		}
	}
	if err := format.Write(terminal(c), read); err != nil {
		return output(err)
	}
	if broken.err != nil {
		return broken
	}
	fmt.Fprintf(c.App.ErrWriter, "report: %s\n", filepath.Join(writer.Dir(), "report.md"))
	return verdict(read)
}
