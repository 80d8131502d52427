package reports

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// A cell whose trials are one trial repeated is said to be: in virtual time, of two trials on, if nothing differs.
func TestDeterministicIsTold(t *testing.T) {
	make := func(clock string, trials int, change func(*results.Trial)) bool {
		cell := results.Cell{Strategy: "eager", Transport: "tcp", Scenario: "steady", Nodes: 3, Clients: 1}
		run := &results.Run{End: &results.End{Trials: trials}}
		run.Header = results.Header{Job: "matrix", Clock: clock, Repeat: trials, Cells: []results.Cell{cell}}
		for i := range trials {
			h := results.NewHistogram()
			if err := h.Record(time.Millisecond); err != nil {
				t.Fatal(err)
			}
			counts := results.Counts{Proposed: 1, Committed: 1}
			one := results.Trial{Repeat: i, Order: 7 - i, Status: results.OK, Measured: time.Second, ThroughputPerSec: 1,
				Latency: h, Counts: counts, Window: counts, LogDigest: "00"}
			if i == trials-1 && change != nil {
				change(&one)
			}
			run.Trials = append(run.Trials, one)
		}
		var table bytes.Buffer
		if err := WriteTable(&table, run); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(table.String(), "deterministic: the trials of all cells come out the same")
	}
	if !make("virtual", 2, nil) || !make("virtual", 3, nil) {
		t.Error("one trial repeated passes for several")
	}
	if make("wall", 3, nil) || make("virtual", 1, nil) {
		t.Error("trials on the wall clock, or a single one, are called deterministic")
	}
	for what, change := range map[string]func(*results.Trial){
		"digest":  func(t *results.Trial) { t.LogDigest = "01" },
		"latency": func(t *results.Trial) { t.Latency = results.NewHistogram(); _ = t.Latency.Record(2 * time.Millisecond) },
		"status":  func(t *results.Trial) { t.Status = results.Interrupted },
	} {
		if make("virtual", 3, change) {
			t.Errorf("trials that differ in their %s are called deterministic", what)
		}
	}
}
