// Command probe runs every check on the code that it was built with, until one raises an alarm, and prints one line: the
// rule, where it was broken, how many seeds that took and what was wrong, or that nothing was found. check/mutants/run
// builds it with a planted bug.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/raftbench/raftbench/check"
	"github.com/raftbench/raftbench/check/calibrate"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports/mem"
)

func main() {
	seeds := flag.Uint64("seeds", 2000, "random plans to play")
	first := flag.Uint64("seed", 1, "the first of them")
	flag.Parse()
	h := check.Hunt{First: *first, Seeds: *seeds, Jobs: 1}
	t, err := h.Run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if f := t.Failed; f != nil {
		alarm(string(f.Outcome.Violation.Rule), fmt.Sprintf("seed %d", f.Plan.Seed), t.Seeds, f.Outcome.Violation.Error())
		return
	}
	if kinds := t.NeverFired(); len(kinds) > 0 {
		alarm("FAULTS", "simulator", t.Seeds, fmt.Sprint("faults that came and did nothing: ", kinds))
		return
	}
	for _, s := range check.Scenarios() {
		if v := s.Play(context.Background()); v != nil {
			alarm(string(v.Rule), "scenario "+s.Name, t.Seeds, v.Error())
			return
		}
	}
	rows, err := calibrate.Virtual(context.Background())
	if err != nil {
		alarm("CALIBRATION", "virtual", t.Seeds, err.Error())
		return
	}
	for _, r := range rows {
		if !r.OK() {
			alarm("CALIBRATION", r.What, t.Seeds, fmt.Sprintf("expected %g %s, measured %g", r.Expected, r.Unit, r.Measured))
			return
		}
	}
	if what := watchdog(); what != "" {
		alarm("WATCHDOG", "live", t.Seeds, what)
		return
	}
	fmt.Printf("none\t\t%d\t\n", t.Seeds)
}

func alarm(rule, where string, seeds uint64, what string) {
	fmt.Printf("%s\t%s\t%d\t%s\n", rule, where, seeds, strings.ReplaceAll(what, "\n", " "))
}

// watchdog looks at a live group one of whose replicas is stuck in its work: others must be able to go on.
func watchdog() string {
	s, err := strategies.Parse("eager")
	if err != nil {
		return err.Error()
	}
	c, err := live.New(live.Config{Transport: mem.Kind(), Config: cluster.Config{Replicas: 3, Strategy: s,
		Heartbeat: 20 * time.Millisecond, ElectionTimeout: 5 * time.Second, PreVote: true, CheckQuorum: true, NoOp: true, Seed: 1}})
	if err != nil {
		return err.Error()
	}
	c.Campaign(1)
	leader, err := cluster.WaitLeader(context.Background(), c, 10*time.Second)
	if err != nil {
		return "no leader: " + err.Error()
	}
	stuck := leader%3 + 1
	c.Pause(stuck)
	done := make(chan cluster.Outcome, 1)
	go func() {
		for id := raft.ID(1); id <= 3; id++ {
			c.Status(id)
		}
		c.Counters()
		p := &cluster.Proposal{Data: []byte("a proposal"), Due: c.Now(), Done: func(p *cluster.Proposal) { done <- p.Outcome }}
		c.Propose(stuck, &cluster.Proposal{Data: p.Data, Done: func(*cluster.Proposal) {}})
		c.Propose(leader, p)
	}()
	select {
	case o := <-done:
		if o != cluster.Committed {
			return fmt.Sprintf("a proposal is %v while a follower is stuck", o)
		}
	case <-time.After(10 * time.Second):
		return fmt.Sprintf("nobody can look at replica %d or go on without it while it is stuck in its work", stuck)
	}
	c.Resume(stuck)
	if err := c.Close(); err != nil {
		return err.Error()
	}
	return ""
}
