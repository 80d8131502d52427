package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/explain"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

// explainFormats are what a timeline can be written as.
var explainFormats = []string{"text", "mermaid", "shiviz"}

// explainScenarios are those that heal a follower.
var explainScenarios = []string{"diverge", "lag"}

func explainCommand() *cli.Command {
	lan := netem.LAN()
	flags := []cli.Flag{
		&cli.StringFlag{Name: "scenario", Value: "diverge", Usage: "diverge or lag"},
		&cli.StringFlag{Name: "cut", Value: cluster.SilentCut.String(), Usage: "how the follower was cut off: silent, frames vanish and nobody is told; reset, connections break"},
		&cli.StringFlag{Name: "transport", Value: "mem", Usage: "as modelled in virtual time"},
		&cli.StringFlag{Name: "nodes", Value: "3", Usage: fmt.Sprintf("replicas in the group, odd, 3 to %d", bench.MaxVirtualNodes)},
		&cli.StringFlag{Name: "payload", Value: "128", Usage: "size of a proposal"},
		&cli.StringFlag{Name: "foreground-rate", Value: "20", Usage: "proposals a second meanwhile"},
		&cli.DurationFlag{Name: "heartbeat", Value: 100 * time.Millisecond, Usage: "heartbeat interval"},
		&cli.DurationFlag{Name: "election-timeout", Value: time.Second, Usage: "election timeouts T are drawn from [T, 2T)"},
		&cli.DurationFlag{Name: "delay", Value: lan.Delay, Usage: "one way, between any two replicas"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the same for both strategies"},
		&cli.StringFlag{Name: "format", Value: "text", Usage: "text, mermaid (sequence diagrams) or shiviz (a log for https://bestchai.bitbucket.io/shiviz/)"},
		&cli.BoolFlag{Name: "all", DisableDefaultText: true, Usage: "text: show every probe of a long search"},
	}
	for _, s := range bench.Scenarios {
		for _, p := range s.Params {
			flags = append(flags, &cli.StringFlag{Category: "scenario " + s.Name, Name: p.Name, Value: p.Default, Usage: p.Doc})
		}
	}
	return &cli.Command{
		Name:      "explain",
		Usage:     "show the messages of one strategy, or of two side by side, while a follower catches up",
		ArgsUsage: "A [B]",
		Description: `A and B are strategies, as for run matrix; A alone is shown by itself. The scenario is played once with each, in
virtual time and with the same seed; shown is what leader and follower say to each other from the moment the follower
is healed.

Examples:
  raftbench explain linear-signal fast-signal --scenario diverge --diverge-terms 3 --diverge-entries 9
  raftbench explain fast-loop fast-signal --scenario lag --lag-entries 100
  raftbench explain linear-signal bisect --format mermaid > timeline.md`,
		Flags:  flags,
		Action: runExplain,
		BashComplete: completerWith(strategyNames, map[string]func() []string{
			"scenario": func() []string { return explainScenarios }, "format": func() []string { return explainFormats },
		}),
	}
}

func runExplain(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return usage("%d strategies named: want one, or two to compare: see %s --help", c.NArg(), commandPath(c))
	}
	format := c.String("format")
	if !slices.Contains(explainFormats, format) {
		return usage("--format: %s", nearest.Unknown("format", format, explainFormats))
	}
	if c.Bool("all") && format != "text" {
		return usage("--all is for --format text: the other formats show every message")
	}
	cfg, err := explainConfig(c)
	if err != nil {
		return err
	}
	var stories []*explain.Story
	for _, text := range c.Args().Slice() {
		strategy, err := strategies.Parse(text)
		if err != nil {
			return usage("%v", err)
		}
		story, err := explain.Record(c.Context, cfg, strategy)
		if err != nil {
			return notExplained(c, err)
		}
		stories = append(stories, story)
	}
	switch format {
	case "mermaid":
		err = explain.Mermaid(c.App.Writer, stories)
	case "shiviz":
		err = explain.ShiViz(c.App.Writer, stories)
	default:
		err = explain.Text(c.App.Writer, stories, c.Bool("all"))
	}
	if err != nil {
		return environment(err)
	}
	return nil
}

// notExplained is what went wrong with a recording.
func notExplained(c *cli.Context, err error) error {
	var trial *explain.TrialError
	switch {
	case c.Context.Err() != nil:
		return exitError{exitInterrupted, errors.New("interrupted")}
	case !errors.As(err, &trial):
		return usage("%v", err)
	case trial.Status == results.Invalid:
		return exitError{exitUnsafe, err}
	}
	if trip, patience := 2*c.Duration("delay"), c.Duration("election-timeout"); trip >= patience {
		err = fmt.Errorf("%w: an answer takes %v, but replicas stand for election after %v: give a shorter --delay or a longer --election-timeout", err, trip, patience)
	}
	return exitError{exitInconclusive, err}
}

func explainConfig(c *cli.Context) (explain.Config, error) {
	m := bench.Matrix{Repeat: 1, Clients: []int{1}, Name: strategies.String, Choices: strategies.Choices}
	s := &m.Common
	var foreground []float64
	for _, err := range []error{
		names(c, "transport", sim.Transports(), &m.Transports),
		names(c, "scenario", explainScenarios, &m.Scenarios),
		into(c, "nodes", number, &m.Nodes),
		into(c, "payload", sizeBytes, &m.Payloads),
		into(c, "foreground-rate", perSecond, &foreground),
		into(c, "cut", cutKind, &m.Cuts),
	} {
		if err != nil {
			return explain.Config{}, err
		}
	}
	if len(m.Transports)*len(m.Scenarios)*len(m.Nodes)*len(m.Payloads)*len(foreground)*len(m.Cuts) != 1 {
		return explain.Config{}, usage("one value each is wanted for --transport, --scenario, --nodes, --payload, --foreground-rate and --cut")
	}
	if err := checkCuts(&m); err != nil {
		return explain.Config{}, err
	}
	s.Heartbeat, s.ElectionTimeout, s.Foreground = c.Duration("heartbeat"), c.Duration("election-timeout"), foreground[0]
	s.PreVote, s.CheckQuorum, s.MaxAppendBytes = true, true, 256<<10
	s.Warmup, s.Duration, s.Timeout = 4*s.Heartbeat, time.Second, 10*time.Minute
	s.RoundTrip = 2 * c.Duration("delay")
	if err := paramsOf(c, &m); err != nil {
		return explain.Config{}, err
	}
	if err := refuseIdle(givenFlags(c), &m); err != nil {
		return explain.Config{}, err
	}
	if c.Duration("delay") < 0 {
		return explain.Config{}, usage("--delay is %v: want 0s or more", c.Duration("delay"))
	}
	link := sim.Link{Delay: c.Duration("delay")}
	return explain.Config{Matrix: m, Seed: c.Uint64("seed"), Link: link}, nil
}
