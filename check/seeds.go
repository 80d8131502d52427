package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster/sim"
)

// Hunt plays many plans, each drawn from a seed of its own.
type Hunt struct {
	First  uint64 // the first seed; the others follow it
	Seeds  uint64 // how many; 0 for as many as the context allows
	Jobs   int    // plays at a time, 1 or more
	Limits Limits
	// Progress, if not nil, is told now and then how far it is, by one goroutine at a time.
	Progress func(Tally)
}

// Tally is what a hunt has seen.
type Tally struct {
	Seeds, Events uint64
	Operations    uint64 // of clients, answered
	Fired         map[FaultKind]int
	Effects       sim.Effects // what the faults did
	Took          time.Duration
	Unknown       []string // what could not be decided, one line each
	Failed        *Failure // nil if no rule was broken
}

// Failure is a plan that broke a rule.
type Failure struct {
	Plan    *Plan
	Outcome *Outcome
}

// enoughSeeds is from how many seeds on every kind of fault must have fired.
const enoughSeeds = 200

// NeverFired returns the kinds of faults that should have fired by now and have not.
func (t *Tally) NeverFired() (kinds []FaultKind) {
	for _, k := range FaultKinds() {
		if (t.Fired[k] == 0 || t.idle(k)) && t.Seeds >= enoughSeeds {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// idle reports whether faults of a kind have come and done nothing, as far as that is counted.
func (t *Tally) idle(k FaultKind) bool {
	switch e := &t.Effects; k {
	case SplitFault, PartialFault, OneWayFault, BridgeFault:
		return e.Cut == 0 || e.Reset == 0
	case LossFault:
		return e.Lost == 0
	case DuplicateFault:
		return e.Duplicated == 0
	case ReorderFault:
		return e.HeldBack == 0
	case StallFault:
		return e.Stalled == 0
	case SkewFault:
		return e.WrongClock == 0
	}
	return false
}

// Run plays until all seeds are done, one of them has broken a rule or the context is over, which is no error. An error
// is about the limits.
func (h *Hunt) Run(ctx context.Context) (Tally, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	started := time.Now()
	var mu sync.Mutex
	t := Tally{Fired: map[FaultKind]int{}}
	var failed error
	next := uint64(0)
	take := func() (seed uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || h.Seeds > 0 && next == h.Seeds {
			return 0, false
		}
		next++
		return h.First + next - 1, true
	}
	play := func(seed uint64) {
		p, err := Draw(seed, h.Limits)
		var out *Outcome
		if err == nil {
			out, err = p.Play(ctx, 0)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			if ctx.Err() == nil {
				failed = fmt.Errorf("seed %d: %w", seed, err)
				stop()
			}
			return
		}
		t.add(seed, out)
		if out.Violation != nil && (t.Failed == nil || seed < t.Failed.Plan.Seed) {
			t.Failed = &Failure{p, out}
			stop()
		}
		t.Took = time.Since(started)
		if h.Progress != nil {
			h.Progress(t)
		}
	}
	var workers sync.WaitGroup
	for range h.Jobs {
		workers.Go(func() {
			for seed, ok := take(); ok; seed, ok = take() {
				play(seed)
			}
		})
	}
	workers.Wait()
	t.Took = time.Since(started)
	return t, failed
}

func (t *Tally) add(seed uint64, out *Outcome) {
	t.Seeds++
	t.Events += out.Events
	t.Operations += uint64(out.Operations)
	t.Effects.Add(out.Effects)
	for k, n := range out.Fired {
		t.Fired[k] += n
	}
	if out.Unknown != "" {
		t.Unknown = append(t.Unknown, fmt.Sprintf("seed %d: %s", seed, out.Unknown))
	}
}

// Keep returns the plan with only some of its items: the faults by their number from 1, and one more for what is broken
// for good at the end, if anything is.
func (p *Plan) Keep(items []int) *Plan {
	kept := *p
	kept.Faults, kept.BrokenForGood = nil, nil
	for i, f := range p.Faults {
		if slices.Contains(items, i+1) {
			kept.Faults = append(kept.Faults, f)
		}
	}
	if slices.Contains(items, len(p.Faults)+1) {
		kept.BrokenForGood = p.BrokenForGood
	}
	return &kept
}

// Items returns how many items Keep can choose from.
func (p *Plan) Items() int {
	if len(p.BrokenForGood) > 0 {
		return len(p.Faults) + 1
	}
	return len(p.Faults)
}

// ParseItems reads a list of numbers such as 2,5,6; empty for none.
func (p *Plan) ParseItems(text string) (items []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > p.Items() {
			return nil, fmt.Errorf("fault %q of seed %d: want a number from 1 to %d", part, p.Seed, p.Items())
		}
		items = append(items, n)
	}
	return items, nil
}

// mostPlays bounds the work of Shrink.
const mostPlays = 500

// Shrink looks for as few items of a failing plan as possible that break the same rule (delta debugging: Zeller and
// Hildebrandt, 2002), and then for fewer clients and a shorter run. It returns the items' numbers and the short plan.
func (f *Failure) Shrink(ctx context.Context) (items []int, short *Plan) {
	plays := 0
	breaks := func(p *Plan) bool {
		if plays++; plays > mostPlays || ctx.Err() != nil {
			return false
		}
		out, err := p.Play(ctx, 0)
		return err == nil && out.Violation != nil && out.Violation.Rule == f.Outcome.Violation.Rule
	}
	for i := range f.Plan.Items() {
		items = append(items, i+1)
	}
	items = smallest(items, func(items []int) bool { return breaks(f.Plan.Keep(items)) })
	short = f.Plan.Keep(items)
	for clients := range short.Clients {
		if try := *short; clients > 0 {
			if try.Clients = clients; breaks(&try) {
				short = &try
				break
			}
		}
	}
	for eighths := range time.Duration(8) {
		if try := *short; eighths > 0 {
			if try.Length = (short.Length * eighths / 8).Round(time.Microsecond); breaks(&try) {
				short = &try
				break
			}
		}
	}
	return items, short
}

// smallest returns a part of a failing list that fails too, and of which no single item can be left out.
func smallest(items []int, fails func([]int) bool) []int {
	if fails(nil) {
		return nil
	}
	for pieces := 2; len(items) > 1; {
		size := (len(items) + pieces - 1) / pieces
		smaller := false
		for from := 0; from < len(items) && !smaller; from += size {
			to := min(from+size, len(items))
			without := slices.Concat(items[:from], items[to:])
			if smaller = fails(without); smaller {
				items, pieces = without, max(pieces-1, 2)
			}
		}
		if !smaller {
			if size == 1 {
				break
			}
			pieces = min(2*pieces, len(items))
		}
	}
	return items
}
