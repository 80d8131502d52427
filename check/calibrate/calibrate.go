// Package calibrate compares what raftbench measures with what arithmetic says it must: in virtual time, where there is
// no noise and the tolerance is none or that of a finite sample (Virtual), and on the wall clock, where a live group is
// compared with a simulated one whose links are as slow as the live ones (Live).
//
// It says nothing about safety, and draws no table: see Columns.
package calibrate

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

// Row is one figure that is known beforehand.
type Row struct {
	What      string // what was run, and which figure of it
	Rule      string // where the expected value comes from
	Unit      string // of the three values
	Expected  float64
	Measured  float64
	Tolerance float64 // the most that the two may differ; 0: not at all
	// Lacks is what the model that expects this value is known to leave out. The row is told then, but not judged.
	Lacks string
}

// OK reports whether the measured value is within the tolerance, or is not judged.
func (r Row) OK() bool {
	return r.Lacks != "" || math.Abs(r.Measured-r.Expected) <= r.Tolerance // false if anything is not a number
}

// Columns is the head of a table of rows. The rule, which several rows may share, and what it lacks are
// for a line of their own.
var Columns = []string{"what", "expected", "measured", "tolerance", ""}

// Cells returns the row for a table with these columns.
func (r Row) Cells() []string {
	verdict := "ok"
	switch {
	case r.Lacks != "":
		verdict = "not judged"
	case !r.OK():
		verdict = "OFF"
	}
	tolerance := "exact"
	if r.Tolerance > 0 {
		tolerance = "±" + number(r.Tolerance) + " " + r.Unit
	}
	return []string{r.What, number(r.Expected) + " " + r.Unit, number(r.Measured) + " " + r.Unit, tolerance, verdict}
}

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e6 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// experiment is one cell, run once.
type experiment struct {
	strategy  string
	scenario  string // "steady" if empty
	transport string // "mem" if empty
	nodes     int    // 3 if 0
	clients   int
	perSecond float64 // instead of clients
	payload   int     // 128 if 0
	heartbeat time.Duration
	duration  time.Duration // 1 s if 0
	params    map[string]string
	seed      uint64
	repeat    int // 1 if 0

	virtual bool
	open    bench.Opener
	links   func(from, to raft.ID) sim.Link
	disk    sim.Disk
	cpu     time.Duration
}

// The group's timings, if an experiment has no others.
const (
	heartbeat       = 100 * time.Millisecond
	electionTimeout = time.Second
)

// run returns the experiment's trials, all of them fine.
func (e experiment) run(ctx context.Context) ([]results.Trial, error) {
	strategy, err := strategies.Parse(e.strategy)
	if err != nil {
		return nil, err
	}
	orDefault := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orDefault(&e.nodes, 3)
	orDefault(&e.payload, 128)
	orDefault(&e.repeat, 1)
	if e.scenario == "" {
		e.scenario = "steady"
	}
	if e.transport == "" {
		e.transport = "mem"
	}
	if e.duration == 0 {
		e.duration = time.Second
	}
	if e.heartbeat == 0 {
		e.heartbeat = heartbeat
	}
	m := bench.Matrix{
		Strategies: []raft.Strategy{strategy}, Transports: []string{e.transport}, Scenarios: []string{e.scenario},
		Nodes: []int{e.nodes}, Payloads: []int{e.payload}, Clients: []int{max(1, e.clients)}, Repeat: e.repeat, Virtual: e.virtual,
		Name: strategies.String, Choices: strategies.Choices,
		Common: bench.Settings{Warmup: 200 * time.Millisecond, Duration: e.duration, Heartbeat: e.heartbeat, ElectionTimeout: electionTimeout,
			PreVote: true, CheckQuorum: true, MaxAppendBytes: raft.DefaultMaxAppendBytes, SnapshotTrailing: 8192, Foreground: 50,
			RoundTrip: 200 * time.Millisecond, Params: e.params},
	}
	if e.perSecond > 0 {
		m.Rates, m.Common.Foreground = []float64{e.perSecond}, e.perSecond
	}
	plan, err := m.Plan()
	if err != nil {
		return nil, err
	}
	var trials []results.Trial
	run := bench.Run{Plan: plan, Repeat: e.repeat, Seed: e.seed, Virtual: e.virtual, Open: e.open, Done: func(t results.Trial) error {
		if t.Status != results.OK {
			return fmt.Errorf("%s, %s over %s: %s: %s", e.scenario, e.strategy, e.transport, t.Status, t.Reason)
		}
		trials = append(trials, t)
		return nil
	}}
	if e.virtual {
		run.Open = func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
			return sim.New(sim.Config{Config: cfg, Transport: transport, Links: e.links, Disk: e.disk, CPUPerMessage: e.cpu})
		}
	}
	if err := run.Do(ctx); err != nil {
		return nil, err
	}
	return trials, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
