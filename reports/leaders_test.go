package reports

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// The 95th percentile over trials is the nearest rank of twenty or more; of fewer no figure is shown.
func TestLeaderlessOverTrials(t *testing.T) {
	for n, want := range map[int]float64{1: 0, 19: 0, 20: 19e6, 21: 20e6, 40: 38e6} {
		cell := results.Cell{Strategy: "eager", Transport: "tcp", Scenario: "failover", Nodes: 3}
		topology := &results.Topology{Name: "t", Regions: []string{"virginia", "tokyo"}, RoundTripsMs: [][]float64{{1, 2}, {2, 1}}}
		header := results.Header{Job: "matrix", Repeat: n, Cells: []results.Cell{cell}, Topology: topology}
		run := &results.Run{Header: header, End: &results.End{Trials: n}}
		for i := range n { // in no order
			ms := time.Duration((i*7)%n+1) * time.Millisecond
			if n%7 == 0 {
				ms = time.Duration(n-i) * time.Millisecond
			}
			run.Trials = append(run.Trials, results.Trial{Repeat: i, Status: results.OK, Leader: 1 + i%2,
				Failover: &results.Failover{Elect: ms, Leaderless: ms, FirstWrite: ms}})
		}
		c := &Summarize(run).Cells[0]
		if v, ok := leaderlessP95.value(c); ok != (want > 0) || ok && v != want {
			t.Errorf("%d trials: p95 %v, %v, want %v", n, v, ok, want)
		}
		if most := float64(n) * 1e6; c.Leaderless.Max != most {
			t.Errorf("%d trials: the longest is %v, want %v", n, c.Leaderless.Max, most)
		}
		var table, markdown bytes.Buffer
		if err := errors.Join(WriteTable(&table, run), WriteMarkdown(&markdown, run)); err != nil {
			t.Fatal(err)
		}
		leader := "leader: virginia (replica 1) in 10 trials, tokyo (replica 2) in 10 trials\n"
		wantCSV := "virginia tokyo"
		if n == 1 {
			leader, wantCSV = "leader: virginia (replica 1)\n", "virginia"
		}
		if (n == 1 || n == 20) && !strings.Contains(table.String(), leader) {
			t.Errorf("%d trials: not %q in\n%s", n, leader, table.String())
		}
		if c.Leader != wantCSV {
			t.Errorf("%d trials: leader %q, want %q", n, c.Leader, wantCSV)
		}
		if !strings.Contains(markdown.String(), "| virginia       |     1.00 |  2.00 |") {
			t.Errorf("the topology is not in\n%s", markdown.String())
		}
	}
}
