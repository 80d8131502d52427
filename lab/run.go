package lab

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Matrix is what is to be run: every test with every strategy, over every transport, with every heartbeat.
type Matrix struct {
	Tests           []Test
	Strategies      []raft.Strategy
	Name            func(raft.Strategy) string            // how a strategy is written
	Choices         func(raft.Strategy) map[string]string // its five choices
	Transports      []string
	Heartbeats      []time.Duration
	ElectionTimeout time.Duration // one for all, so that heartbeats alone differ
	PreVote         bool
	CheckQuorum     bool
	Edition         Edition
	Cut             cluster.CutKind // the course's network is silent
}

// Planned is one cell, ready to be run.
type Planned struct {
	Cell     results.Cell
	Test     Test
	settings Settings
}

// What a Matrix may have, as that of package bench.
const (
	minHeartbeat       = time.Millisecond
	maxElectionTimeout = 24 * time.Hour
)

func (m *Matrix) check() error {
	for _, heartbeat := range m.Heartbeats {
		switch {
		case heartbeat < minHeartbeat:
			return fmt.Errorf("--heartbeat is %v: want 1ms or more", heartbeat)
		case m.ElectionTimeout <= heartbeat:
			return fmt.Errorf("--election-timeout is %v: want more than the heartbeat of %v, better three times as much", m.ElectionTimeout, heartbeat)
		}
	}
	if m.ElectionTimeout > maxElectionTimeout {
		return fmt.Errorf("--election-timeout is %v: want at most %v", m.ElectionTimeout, maxElectionTimeout)
	}
	return nil
}

// Plan lists all cells. An error is one line about a setting that cannot be.
func (m *Matrix) Plan() ([]Planned, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var plan []Planned
	for _, heartbeat := range m.Heartbeats {
		for _, transport := range m.Transports {
			for _, strategy := range m.Strategies {
				for _, test := range m.Tests {
					plan = append(plan, Planned{
						Cell: results.Cell{
							ID: len(plan), Engine: "raftbench", Strategy: m.Name(strategy), Choices: m.Choices(strategy),
							Transport: transport, Scenario: test.Name, Nodes: test.Replicas,
							Params: map[string]string{results.ParamSuite: test.Suite, results.ParamHeartbeat: heartbeat.String()},
						},
						Test: test,
						settings: Settings{Strategy: strategy, Heartbeat: heartbeat, ElectionTimeout: m.ElectionTimeout,
							PreVote: m.PreVote, CheckQuorum: m.CheckQuorum, Edition: m.Edition, Cut: m.Cut},
					})
				}
			}
		}
	}
	return plan, nil
}

// Run is a plan and how to carry it out.
type Run struct {
	Plan   []Planned
	Repeat int
	Jobs   int // tests that run at a time: they sleep most of the time
	Seed   uint64
	Open   func(transport string, cfg cluster.Config) (cluster.Cluster, error)
	// Starting, if not nil, is told before each trial: which of how many it is. Done gets each result; its error ends
	// the run. Neither is called by two goroutines at a time.
	Starting func(position, total int, p *Planned, repeat int)
	Done     func(results.Trial) error
}

// Estimate returns how long the run takes on the wall clock, roughly.
func (r *Run) Estimate() time.Duration {
	var sum, longest time.Duration
	for i := range r.Plan {
		sum += r.Plan[i].Test.Typical * time.Duration(r.Repeat)
		longest = max(longest, r.Plan[i].Test.Typical)
	}
	return max(sum/time.Duration(r.Jobs), longest)
}

// position is one trial of the plan.
type position struct{ cell, repeat int }

// order returns all trials, long tests first, so that no long one is left over at the end; those of one length in a
// shuffled order.
func (r *Run) order() []position {
	random := rand.New(rand.NewPCG(r.Seed, 0x6f72646572))
	var list []position
	for repeat := range r.Repeat {
		for _, cell := range random.Perm(len(r.Plan)) {
			list = append(list, position{cell, repeat})
		}
	}
	slices.SortStableFunc(list, func(a, b position) int {
		return cmp.Compare(r.Plan[b.cell].Test.Typical, r.Plan[a.cell].Test.Typical)
	})
	return list
}

// plays is how often a test is played at most while the machine is too late for a result.
const plays = 3

// Do runs all trials, Jobs of them at a time. A trial that fails is recorded, and the others go on. The error is the
// context's or Done's.
func (r *Run) Do(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	order := r.order()
	var mu sync.Mutex // of next, Starting and Done
	next := 0
	var jobs sync.WaitGroup
	for range min(r.Jobs, len(order)) {
		jobs.Go(func() {
			for {
				mu.Lock()
				i := next
				if next++; i >= len(order) || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				at := order[i]
				if r.Starting != nil {
					r.Starting(i, len(order), &r.Plan[at.cell], at.repeat)
				}
				mu.Unlock()

				started := time.Now()
				result := r.trial(ctx, at)
				for n := 2; result.Status == results.Inconclusive && n <= plays; n++ {
					result = r.trial(ctx, at)
					result.Warnings = append(result.Warnings, fmt.Sprintf("played %d times: the machine was too late before", n))
				}
				result.Cell, result.Repeat, result.Order, result.Started = r.Plan[at.cell].Cell.ID, at.repeat, i, started

				mu.Lock()
				if err := r.Done(result); err != nil {
					cancel(err)
				}
				mu.Unlock()
			}
		})
	}
	jobs.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// trial plays one test. A panic is a broken invariant of what is measured: it spoils this trial, not the others.
func (r *Run) trial(ctx context.Context, at position) (result results.Trial) {
	defer func() {
		if cause := recover(); cause != nil {
			result = results.Trial{Status: results.Invalid, Reason: fmt.Sprintf("broken invariant: %v", cause)}
		}
	}()
	p := &r.Plan[at.cell]
	s := p.settings
	s.Seed = seedOf(r.Seed, p.Test.Name, at.repeat)
	s.Open = func(cfg cluster.Config, _ *Meter) (cluster.Cluster, error) { return r.Open(p.Cell.Transport, cfg) }
	return Play(ctx, p.Test, s)
}

// seedOf gives each test a seed of its own in each repeat, the same one for all strategies: they face the same random
// choices as long as they behave alike, so that a difference between them is theirs.
func seedOf(seed uint64, test string, repeat int) uint64 {
	h := seed
	for _, b := range []byte(test) {
		h = (h ^ uint64(b)) * 1099511628211 // FNV-1a
	}
	return rand.NewPCG(h, uint64(repeat)).Uint64()
}
