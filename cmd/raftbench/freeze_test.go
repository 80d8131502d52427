//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// The whole process is frozen again and again, each time for longer than any election timeout, whatever it is doing:
// with every engine over every transport each trial has figures, or measured nothing. Nothing hangs, and all accounts
// balance.
func TestFrozenProcess(t *testing.T) {
	out := t.TempDir()
	cmd := exec.Command("raftbench", "run", "matrix", "--scenario", "steady", "--strategy", "eager",
		"--engine", "raftbench,etcd,hashicorp", "--transport", "mem,tcp,quic", "--rate", "1000", "--payload", "4KiB", "--repeat", "1", "--warmup", "100ms", "--duration", "500ms",
		"--heartbeat", "20ms", "--election-timeout", "100ms", "--seed", "1", "--yes", "--out", out)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	freezes, err := freezeUntil(ended, cmd.Process)
	files, _ := filepath.Glob(filepath.Join(out, "*", results.FileName))
	if len(files) != 1 {
		t.Fatalf("%v: %d run files\n%s", err, len(files), printed.String())
	}
	run, err := results.Read(files[0])
	if err != nil || len(run.Trials) != 9 || freezes < 9 {
		t.Fatalf("%d trials of 9, %d freezes: %v\n%s", len(run.Trials), freezes, err, printed.String())
	}
	for _, trial := range run.Trials {
		if trial.Status != results.OK && trial.Status != results.Inconclusive {
			cell := run.Header.Cells[trial.Cell]
			t.Errorf("%s over %s: %s: %s", cell.Engine, cell.Transport, trial.Status, trial.Reason)
		}
	}
}

// freezeUntil stops a process for 250 ms after every 150 ms that it has run, until it ends. It returns how often, and
// how the process ended.
func freezeUntil(ended <-chan error, p *os.Process) (freezes int, err error) {
	for {
		for _, step := range []struct {
			after time.Duration
			do    os.Signal
		}{{150 * time.Millisecond, syscall.SIGSTOP}, {250 * time.Millisecond, syscall.SIGCONT}} {
			select {
			case err := <-ended:
				return freezes, err
			case <-time.After(step.after):
				p.Signal(step.do) // an error says that it has just ended
			}
		}
		freezes++
	}
}
