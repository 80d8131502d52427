package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/raftbench/raftbench/check"
	"github.com/raftbench/raftbench/internal/units"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "check Raft's invariants under random faults, in virtual time",
		Description: `Each seed decides on a group, a strategy, a network, disks, clocks, clients and a schedule of faults. The group
runs in virtual time, and after every event all of Raft's invariants are looked at; at the end it must serve again,
and what clients were told must be linearizable. A seed that breaks a rule is told with the command that repeats it,
and with a schedule that is as short as could be found.

Examples:
  raftbench check                          two thousand seeds
  raftbench check --seeds 20000 --seed 1000000    a night's work
  raftbench check --duration 10m
  raftbench check --seed 4711              one seed, with what it decides
  raftbench check --exhaustive             all interleavings of a small group
  raftbench check --exhaustive --bounds terms=2,proposals=1,crashes=1    the largest bound that ends in minutes
  raftbench check --calibrate              what arithmetic knows, against what is measured: two and a half minutes`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "seeds", DefaultText: "2000, or 1 with --seed", Usage: "how many seeds, such as 2000 or 20k"},
			&cli.Uint64Flag{Name: "seed", DefaultText: "1", Usage: "the first seed"},
			&cli.DurationFlag{Name: "duration", DefaultText: "none", Usage: "stop after this long, whatever --seeds says"},
			&cli.IntFlag{Name: "jobs", Value: runtime.NumCPU(), Usage: "seeds at a time"},
			&cli.IntFlag{Name: "nodes", DefaultText: "each seed draws it", Usage: "replicas in every group, 1 to 15"},
			&cli.StringFlag{Name: "strategy", DefaultText: "each seed draws it", Usage: "the strategy of every group"},
			&cli.StringFlag{Name: "faults", Usage: "with --seed: only these faults of its schedule, by number, such as 2,5"},
			&cli.IntFlag{Name: "clients", DefaultText: "each seed draws it", Usage: "with --seed: clients"},
			&cli.DurationFlag{Name: "length", DefaultText: "each seed draws it", Usage: "with --seed: how long faults and clients go on, of virtual time"},
			&cli.StringFlag{Name: "scenario", DefaultText: "all, before the seeds", Usage: "only this fixed scenario: " + strings.Join(fixedScenarios(), ", ")},
			&cli.BoolFlag{Name: "exhaustive", DisableDefaultText: true, Usage: "all interleavings of a small group, instead of seeds"},
			&cli.StringFlag{Name: "bounds", Value: defaultBounds, Usage: "with --exhaustive: how much may happen, of replicas=N, terms=N, proposals=N, crashes=N, beats=N, slow-disk, no-op"},
			&cli.BoolFlag{Name: "calibrate", DisableDefaultText: true, Usage: "compare figures that are known beforehand with what is measured, in virtual time and live; takes two and a half minutes, and status 5 says that a live one is off: try again on an idle machine"},
		},
		Action:       runCheck,
		BashComplete: completer(nil),
	}
}

func runCheck(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := exclusive(c); err != nil {
		return err
	}
	limits := check.Limits{Replicas: c.Int("nodes"), Strategy: c.String("strategy")}
	switch {
	case c.Int("jobs") < 1:
		return usage("--jobs is %d: want 1 or more", c.Int("jobs"))
	case c.IsSet("nodes") && (limits.Replicas < 1 || limits.Replicas > 15):
		return usage("--nodes is %d: want 1 to 15", limits.Replicas)
	case c.Duration("duration") < 0:
		return usage("--duration is %v: want more than 0", c.Duration("duration"))
	}
	switch {
	case c.Bool("exhaustive"):
		return checkAll(c)
	case c.Bool("calibrate"):
		return calibration(c)
	}
	first := c.Uint64("seed")
	if !c.IsSet("seed") {
		first = 1
	}
	seeds := 0
	switch {
	case c.IsSet("seeds"):
		n, err := number(c.String("seeds"))
		if err != nil || n < 1 {
			return usage("--seeds is %q: want a whole number from 1 on, such as 2000 or 20k", c.String("seeds"))
		}
		seeds = n
	case c.IsSet("seed"):
		seeds = 1
	case !c.IsSet("duration"):
		seeds = 2000
	}
	if _, err := check.Draw(first, limits); err != nil {
		return usage("--strategy: %v", err)
	}
	if seeds == 1 {
		return checkSeed(c, first, limits)
	}
	for _, name := range []string{"faults", "clients", "length"} {
		if c.IsSet(name) {
			return usage("--%s is for one seed: give --seed without --seeds", name)
		}
	}
	return checkSeeds(c, &check.Hunt{First: first, Seeds: uint64(seeds), Jobs: c.Int("jobs"), Limits: limits})
}

// exclusive refuses flags that have no part in what is asked for, which would otherwise seem to.
func exclusive(c *cli.Context) error {
	mode, takes := "random faults", []string{"seeds", "seed", "duration", "jobs", "nodes", "strategy", "faults", "clients", "length"}
	switch {
	case c.Bool("exhaustive") && c.Bool("calibrate"):
		return usage("--exhaustive and --calibrate exclude each other: give one of them")
	case c.Bool("exhaustive"):
		mode, takes = "--exhaustive", []string{"bounds", "duration", "jobs"}
	case c.Bool("calibrate"):
		mode, takes = "--calibrate", nil
	case c.IsSet("scenario"):
		mode, takes = "--scenario", nil
	}
	for _, name := range []string{"seeds", "seed", "duration", "jobs", "nodes", "strategy", "faults", "clients", "length", "bounds"} {
		switch {
		case !c.IsSet(name) || slices.Contains(takes, name):
		case name == "bounds" && mode == "random faults":
			return usage("--bounds is for --exhaustive: add it, or leave out --bounds")
		case takes == nil:
			return usage("--%s has no part in %s: leave out one of them; it takes no other flag", name, mode)
		default:
			return usage("--%s has no part in %s: leave out one of them; it takes --%s",
				name, mode, strings.Join(takes, ", --"))
		}
	}
	return nil
}

// checkSeeds plays many seeds.
func checkSeeds(c *cli.Context, h *check.Hunt) error {
	ctx := c.Context
	if d := c.Duration("duration"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	scenarios := check.Scenarios()
	if name := c.String("scenario"); c.IsSet("scenario") {
		scenarios = slices.DeleteFunc(scenarios, func(s check.Scenario) bool { return s.Name != name })
		if len(scenarios) == 0 {
			return usage("unknown scenario %q, known: %s", name, strings.Join(fixedScenarios(), ", "))
		}
	}
	for _, s := range scenarios {
		if v := s.Play(ctx); v != nil && ctx.Err() == nil {
			fmt.Fprintf(c.App.Writer, "scenario %s (%s): %v\n\nrepeat it:   raftbench check --scenario %s\n", s.Name, s.Doc, v, shellQuote(s.Name))
			return exitError{exitUnsafe, fmt.Errorf("scenario %s breaks %v: %s", s.Name, v.Rule, v.Rule.Text())}
		}
	}
	if c.IsSet("scenario") {
		fmt.Fprintf(c.App.Writer, "scenario %s: no rule was broken\n", scenarios[0].Name)
		return nil
	}
	show := newHuntProgress(c.App.ErrWriter, h.Seeds)
	h.Progress = show.tell
	t, err := h.Run(ctx)
	show.end()
	if err != nil {
		return usage("%v", err)
	}
	out := c.App.Writer
	fmt.Fprintf(out, "%s\n", units.Count(len(scenarios), "fixed scenario"))
	printTally(out, &t)
	switch {
	case t.Failed != nil:
		return tellFailure(c, t.Failed)
	case c.Context.Err() != nil:
		return exitError{exitInterrupted, fmt.Errorf("interrupted after %s without a broken rule",
			units.Count(int(t.Seeds), "seed"))}
	}
	for _, line := range t.Unknown {
		fmt.Fprintf(out, "unknown: %s\n", line)
	}
	if kinds := t.NeverFired(); len(kinds) > 0 {
		return exitError{exitUnsafe, fmt.Errorf("faults that never fired: %v: the seeds prove nothing about them",
			kinds)}
	}
	if len(t.Unknown) > 0 {
		return exitError{exitInconclusive, fmt.Errorf("no rule was broken, but %d could not be decided",
			len(t.Unknown))}
	}
	fmt.Fprintln(out, "no rule was broken")
	return nil
}

func fixedScenarios() (names []string) {
	for _, s := range check.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

func printTally(out io.Writer, t *check.Tally) {
	seconds := max(t.Took.Seconds(), 1e-9)
	fmt.Fprintf(out, "%s seeds, %s events, %s operations of clients in %v: %.0f seeds/s, %s events/s\n",
		humanize.Comma(int64(t.Seeds)), humanize.Comma(int64(t.Events)), humanize.Comma(int64(t.Operations)),
		t.Took.Round(10*time.Millisecond), float64(t.Seeds)/seconds, humanize.Comma(int64(float64(t.Events)/seconds)))
	var fired []string
	for _, k := range check.FaultKinds() {
		fired = append(fired, fmt.Sprintf("%s %d", k, t.Fired[k]))
	}
	fmt.Fprintf(out, "faults that fired: %s\n", strings.Join(fired, ", "))
	e := &t.Effects
	fmt.Fprintf(out, "what they did: %s frames lost, %s duplicated, %s held back, %s cut off; %s connections reset, %s syncs stalled, %s clocks wrong at the end\n",
		humanize.Comma(int64(e.Lost)), humanize.Comma(int64(e.Duplicated)), humanize.Comma(int64(e.HeldBack)), humanize.Comma(int64(e.Cut)),
		humanize.Comma(int64(e.Reset)), humanize.Comma(int64(e.Stalled)), humanize.Comma(int64(e.WrongClock)))
}

// shownEvents is how many of the last events are told of a broken rule.
const shownEvents = 25

// checkSeed plays one seed and tells all about it.
func checkSeed(c *cli.Context, seed uint64, limits check.Limits) error {
	p, err := check.Draw(seed, limits)
	if err != nil {
		return usage("--strategy: %v", err)
	}
	if c.IsSet("faults") {
		items, err := p.ParseItems(c.String("faults"))
		if err != nil {
			return usage("--faults: %v", err)
		}
		p = p.Keep(items)
	}
	if n := c.Int("clients"); c.IsSet("clients") {
		if n < 1 || n > 1000 {
			return usage("--clients is %d: want 1 to 1000", n)
		}
		p.Clients = n
	}
	if d := c.Duration("length"); c.IsSet("length") {
		if d <= 0 || d > time.Hour {
			return usage("--length is %v: want more than 0, at most 1h", d)
		}
		p.Length = d
	}
	fmt.Fprintf(c.App.Writer, "seed %d: %v\n", seed, p)
	started := time.Now()
	out, err := p.Play(c.Context, shownEvents)
	switch {
	case c.Context.Err() != nil:
		return exitError{exitInterrupted, errors.New("interrupted")}
	case err != nil:
		return usage("%v", err)
	case out.Violation != nil && (c.IsSet("faults") || c.IsSet("clients") || c.IsSet("length")):
		printViolation(c.App.Writer, out)
		return exitError{exitUnsafe, fmt.Errorf("seed %d breaks %v", seed, out.Violation.Rule)}
	case out.Violation != nil:
		return tellFailure(c, &check.Failure{Plan: p, Outcome: out})
	case out.Unknown != "":
		return exitError{exitInconclusive, fmt.Errorf("no rule was broken, but one could not be decided: %s",
			out.Unknown)}
	}
	fmt.Fprintf(c.App.Writer, "%d events, %d operations of clients in %v: no rule was broken\n", out.Events, out.Operations,
		time.Since(started).Round(time.Millisecond))
	return nil
}

// tellFailure prints what was broken, how to repeat it, and the shortest schedule that does.
func tellFailure(c *cli.Context, f *check.Failure) error {
	out, seed := c.App.Writer, f.Plan.Seed
	fmt.Fprintf(out, "\nseed %d: %v\n\n", seed, f.Outcome.Violation)
	repeat := fmt.Sprintf("raftbench check --seed %d", seed)
	for _, flag := range []string{"nodes", "strategy"} {
		if c.IsSet(flag) {
			repeat += fmt.Sprintf(" --%s %s", flag, shellQuote(fmt.Sprint(c.Value(flag))))
		}
	}
	fmt.Fprintf(out, "repeat it:   %s\n", repeat)
	items, short := f.Shrink(c.Context)
	var numbers []string
	for _, i := range items {
		numbers = append(numbers, fmt.Sprint(i))
	}
	less := ""
	if short.Clients < f.Plan.Clients {
		less += fmt.Sprintf(" --clients %d", short.Clients)
	}
	if short.Length < f.Plan.Length {
		less += fmt.Sprintf(" --length %v", short.Length)
	}
	fmt.Fprintf(out, "shortest:    %s --faults %s%s\n", repeat, shellQuote(strings.Join(numbers, ",")), less)
	fmt.Fprintf(out, "             with %d of %s\n\n", len(items), units.Count(f.Plan.Items(), "fault"))
	if last, err := short.Play(c.Context, shownEvents); err == nil && last.Violation != nil {
		fmt.Fprintf(out, "%v\n\n", short)
		printViolation(out, last)
	}
	return exitError{exitUnsafe, fmt.Errorf("seed %d breaks %v: %s",
		seed, f.Outcome.Violation.Rule, f.Outcome.Violation.Rule.Text())}
}

func printViolation(out io.Writer, o *check.Outcome) {
	from := max(0, len(o.Log)-shownEvents)
	fmt.Fprintln(out, "the last events:")
	for _, line := range slices.Clone(o.Log[from:]) {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintf(out, "  => %v\n", o.Violation)
}

// huntProgress tells how far a hunt is: on a terminal in a line that is written over, elsewhere now and then.
type huntProgress struct {
	out      io.Writer
	seeds    uint64
	terminal bool
	next     time.Duration
}

func newHuntProgress(out io.Writer, seeds uint64) *huntProgress {
	f, ok := out.(*os.File)
	p := &huntProgress{out: out, seeds: seeds, terminal: ok && term.IsTerminal(int(f.Fd()))}
	p.next = p.every()
	return p
}

func (p *huntProgress) every() time.Duration {
	if p.terminal {
		return 200 * time.Millisecond
	}
	return 10 * time.Second
}

func (p *huntProgress) tell(t check.Tally) {
	if t.Took < p.next {
		return
	}
	p.next = t.Took + p.every()
	of := ""
	if p.seeds > 0 {
		of = fmt.Sprintf(" of %d", p.seeds)
	}
	line := fmt.Sprintf("%d%s seeds, %.0f seeds/s, %s events/s", t.Seeds, of, float64(t.Seeds)/t.Took.Seconds(),
		humanize.Comma(int64(float64(t.Events)/t.Took.Seconds())))
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K%s", line)
	} else {
		fmt.Fprintln(p.out, line)
	}
}

func (p *huntProgress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
}
