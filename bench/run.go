package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/results"
)

// Run is a plan and how to carry it out.
type Run struct {
	Plan    []Planned
	Repeat  int
	Seed    uint64
	Virtual bool // the cluster's time is not the wall clock's
	Open    Opener
	OpenOwn OwnOpener // for engines that open groups by themselves; nil if there are none
	// Storage, if not nil, gives a trial's group a storage that is not memory. What it returns ends that.
	// Engines that open groups by themselves keep what they store in the folder.
	Storage func(name string, cfg *cluster.Config) (folder string, done func() error, err error)
	// Starting, if not nil, is told before each trial: which of how many it is.
	Starting func(position, total int, p *Planned, repeat int)
	// Done gets each result. Its error ends the run.
	Done func(results.Trial) error
}

// position is one trial of the plan.
type position struct{ cell, repeat int }

// order returns all trials in rounds: each round holds one trial of every cell, in a shuffled order of its own, so that
// whatever drifts on the machine touches all cells alike.
func (r *Run) order() []position {
	random := rand.New(rand.NewPCG(r.Seed, 0x6f72646572))
	var list []position
	for repeat := range r.Repeat {
		for _, cell := range random.Perm(len(r.Plan)) {
			if r.Plan[cell].Refused == "" {
				list = append(list, position{cell, repeat})
			}
		}
	}
	return list
}

// Estimate returns how long a user waits for the run, roughly.
func (r *Run) Estimate() time.Duration {
	var sum time.Duration
	for _, p := range r.Plan {
		sum = min(sum+repeated(r.Repeat, p.Estimate), longestEstimate)
	}
	return sum
}

// Do runs all trials. A trial that fails is recorded, and the others go on. The error is the context's or Done's.
func (r *Run) Do(ctx context.Context) error {
	order := r.order()
	for _, p := range r.Plan {
		if p.Refused != "" {
			if err := r.Done(results.Trial{Cell: p.Cell.ID, Status: results.NotApplicable, Reason: p.Refused}); err != nil {
				return err
			}
		}
	}
	if len(order) > 0 && !r.Virtual {
		r.warmUp(ctx, r.Plan[order[0].cell])
	}
	for i, at := range order {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := &r.Plan[at.cell]
		if r.Starting != nil {
			r.Starting(i, len(order), p, at.repeat)
		}
		var started time.Time // none in virtual time: the same seed gives the same file
		if !r.Virtual {
			runtime.GC() // what the last trial left behind is not this one's cost
			started = time.Now()
		}
		result := r.trial(ctx, p, at)
		result.Cell, result.Repeat, result.Order, result.Started = p.Cell.ID, at.repeat, i, started
		if err := r.Done(result); err != nil {
			return err
		}
	}
	return nil
}

// warmUpSpan is how long a process is warmed up.
const warmUpSpan = time.Second

// warmUp plays a short trial that is not recorded: the first that a process uses memory and sockets takes longer than
// any later time, up to seconds on some machines, and would be part of the first trial only. What goes wrong in it goes
// wrong in the first trial as well, which tells.
func (r *Run) warmUp(ctx context.Context, p Planned) {
	p.scenario = steady
	s := &p.Settings
	s.Warmup, s.Duration, s.Count = 0, warmUpSpan, 0
	s.Timeout, s.Patience = min(s.Timeout, 10*time.Second), 0
	if s.PerSecond == 0 {
		s.Clients = max(s.Clients, 1)
	}
	r.trial(ctx, &p, position{repeat: -1})
}

// trial runs one trial. A panic is a broken invariant of the code that is measured: it spoils this trial, not those
// that have been measured already.
func (r *Run) trial(ctx context.Context, p *Planned, at position) (result results.Trial) {
	defer func() {
		if broken := recover(); broken != nil {
			result = results.Trial{Status: results.Invalid, Reason: fmt.Sprintf("broken invariant: %v", broken)}
		}
	}()
	var folder string
	open := r.Open
	if own := &p.Settings.Engine; own.Open != nil {
		open = func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
			return r.OpenOwn(own, transport, folder, cfg)
		}
	}
	if r.Storage != nil && p.Settings.Storage != "" && p.Settings.Storage != StorageMem {
		var done func() error
		inner := open
		open = func(transport string, cfg cluster.Config) (c cluster.Cluster, err error) {
			if folder, done, err = r.Storage(p.Settings.Storage, &cfg); err != nil {
				return nil, err
			}
			return inner(transport, cfg)
		}
		defer func() {
			if done == nil {
				return
			}
			if err := done(); err != nil {
				result.Warnings = append(result.Warnings, fmt.Sprintf("what the trial stored could not be removed: %v", err))
			}
		}()
	}
	return runTrial(ctx, p, seedOf(r.Seed, at.repeat), r.Virtual, open)
}

// seedOf gives every repeat a seed, the same in every run with the same seed. All cells share it, so that what is
// compared was drawn alike: the same packets are lost, the same timeouts run out, as far as the cells do not differ
// (common random numbers, see Law and Kelton, "Simulation Modeling and Analysis").
func seedOf(seed uint64, repeat int) uint64 {
	return rand.NewPCG(seed, uint64(repeat)).Uint64()
}
