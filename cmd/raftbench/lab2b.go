package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/lab"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

func lab2bCommand() *cli.Command {
	return &cli.Command{
		Name:  "lab2b",
		Usage: "play the MIT Raft lab's tests with any strategy, and say where their seconds go",
		Description: `The tests of lab 2 of MIT 6.824 (6.5840), parts 2A to 2D, in this project's own words, with the course's limits: a
limit that does not hold fails the test, and the exit status is 1. Tests sleep most of the time, so many run at once.

Examples:
  raftbench run lab2b                                         part 2B, the classroom's strategies and eager, over tcp
  raftbench run lab2b --clock virtual                         the same in seconds
  raftbench run lab2b --clock virtual --heartbeat 50ms,100ms,200ms
  raftbench run lab2b --transport tcp,quic --repeat 3
  raftbench run lab2b --suite 2C,2D --clock virtual --strategy eager --repeat 20
  raftbench run lab2b --test Backup,Rejoin --pre-vote --check-quorum`,
		Flags: []cli.Flag{
			&cli.StringFlag{Category: "axes", Name: "strategy", DefaultText: "the classroom's, and eager", Usage: "names, or points of the space such as fast,send=batch(8,1ms)"},
			&cli.StringFlag{Category: "axes", Name: "transport", Value: "tcp", Usage: "how messages travel: see raftbench list transports"},
			&cli.StringFlag{Category: "axes", Name: "heartbeat", Value: "100ms", Usage: "heartbeat interval; several make a sweep"},
			&cli.StringFlag{Category: "axes", Name: "suite", Value: "2B", Usage: "parts of the lab: " + strings.Join(lab.Suites, ", ") + " or all"},
			&cli.StringFlag{Category: "axes", Name: "test", DefaultText: "all of the suite", Usage: "single tests: see raftbench list tests"},

			&cli.DurationFlag{Category: "every trial", Name: "election-timeout", DefaultText: "300ms, or twice the longest heartbeat", Usage: "election timeouts T are drawn from [T, 2T)"},
			&cli.StringFlag{Category: "every trial", Name: "cut", Value: cluster.SilentCut.String(), Usage: "silent, as on the course's network: messages vanish and nobody is told; reset: connections break"},
			&cli.StringFlag{Category: "every trial", Name: "edition", Value: string(lab.DefaultEdition), Usage: "year of the course's tests: " + strings.Join(editionNames(), " or ") + "; they differ in Persist1 and Persist2"},
			&cli.BoolFlag{Category: "every trial", Name: "pre-vote", DisableDefaultText: true, Usage: "replicas ask before they raise the term"},
			&cli.BoolFlag{Category: "every trial", Name: "check-quorum", DisableDefaultText: true, Usage: "a leader that no quorum answers steps down"},
			&cli.DurationFlag{Category: "every trial", Name: "delay", Value: 20 * time.Microsecond, Usage: "virtual time: one way between two replicas; loopback's by default"},
			&cli.DurationFlag{Category: "every trial", Name: "cpu-per-message", Value: 5 * time.Microsecond, Usage: "virtual time: for each message received or sent, and each proposal"},

			&cli.StringFlag{Category: "the run", Name: "clock", Value: clockWall, Usage: "wall, over real sockets, or virtual: simulated, exact, the same for the same seed"},
			&cli.IntFlag{Category: "the run", Name: "repeat", Value: 5, Usage: "trials of each test: what waiting for a stale leader costs, 2 s, comes and goes"},
			&cli.IntFlag{Category: "the run", Name: "jobs", DefaultText: fmt.Sprintf("%d per core, 1 per core in virtual time", liveJobsPerCore), Usage: "tests at a time"},
			&cli.Uint64Flag{Category: "the run", Name: "seed", DefaultText: "random, printed", Usage: "random seed"},
			&cli.StringFlag{Category: "the run", Name: "out", Value: "raftbench-results", Usage: "folder that the run's folder is made in"},
			&cli.StringFlag{Category: "the run", Name: "tag", Value: "lab2b", Usage: "end of the name of the run's folder"},
			&cli.StringFlag{Category: "the run", Name: "format", Value: "table", Usage: "what is printed at the end: " + strings.Join(formatNames(), ", ")},
			&cli.BoolFlag{Category: "the run", Name: "dry-run", DisableDefaultText: true, Usage: "print the plan and the expected time, and do nothing"},
			&cli.BoolFlag{Category: "the run", Name: "yes", DisableDefaultText: true, Usage: "skip the confirmation for runs of more than 15 minutes"},
		},
		Action: runLab2b,
		BashComplete: completer(map[string]func() []string{
			"strategy": strategyNames, "transport": transportNames, "format": formatNames, "test": testNames,
			"suite": suiteNames, "edition": editionNames, "clock": func() []string { return []string{clockWall, clockVirtual} },
		}),
	}
}

// Tests that run at a time on the wall clock by default. On two cores, with as much other load, 60 at a time took as
// long, and were as late, as 4. Each takes up to a hundred sockets.
const liveJobsPerCore, maxJobs = 16, 256

func testNames() []string {
	var names []string
	for _, t := range lab.Tests {
		names = append(names, t.Name)
	}
	return names
}

func listTests() ([]string, [][]string) {
	var rows [][]string
	for _, t := range lab.Tests {
		rows = append(rows, []string{t.Name, t.Suite, fmt.Sprint(t.Replicas), t.Doc})
	}
	return []string{"test", "suite", "replicas", "what happens"}, rows
}

func runLab2b(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	format, err := findFormat(c.String("format"))
	if err != nil {
		return err
	}
	virtual := c.String("clock") == clockVirtual
	if !virtual && c.String("clock") != clockWall {
		return usage("--clock: %s", nearest.Unknown("clock", c.String("clock"), []string{clockWall, clockVirtual}))
	}
	m, err := labOf(c, virtual)
	if err != nil {
		return err
	}
	plan, err := m.Plan()
	if err != nil {
		return usage("%v", err)
	}
	seed := c.Uint64("seed")
	if !c.IsSet("seed") {
		seed = uint64(rand.Uint32())
	}
	run, err := labRun(c, plan, seed, virtual)
	if err != nil {
		return err
	}
	estimate := run.Estimate()
	if virtual {
		estimate /= 1000
	}
	estimate = max(estimate, time.Second).Round(time.Second)
	if c.Bool("dry-run") {
		return printLabPlan(c, run, estimate)
	}
	if estimate > longRun && !c.Bool("yes") {
		return usage("%s x %d, %d at a time, would take about %v: add --yes to run them, or take fewer",
			units.Count(len(plan), "test"), run.Repeat, run.Jobs, estimate)
	}
	writer, err := begin(c.Context, c.String("out"), labHeader(c, m, run, virtual), len(plan)*run.Repeat)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "%s x %d, %d at a time, about %v, seed %d, in %s\n",
		units.Count(len(plan), "test"), run.Repeat, run.Jobs, estimate, seed, writer.Dir())
	return record(c, estimate, func(p *progress, done func(results.Trial) error) error {
		each := estimate / time.Duration(len(plan)*run.Repeat)
		run.Starting = func(position, total int, planned *lab.Planned, _ int) { p.begin(position, total, &planned.Cell, each) }
		run.Done = done
		return run.Do(c.Context)
	}, writer, format)
}

// labRun is what the plan is carried out with.
func labRun(c *cli.Context, plan []lab.Planned, seed uint64, virtual bool) (*lab.Run, error) {
	run := &lab.Run{Plan: plan, Repeat: c.Int("repeat"), Jobs: c.Int("jobs"), Seed: seed, Open: openLive(0)}
	if virtual {
		run.Open = openLabVirtual(c.Duration("delay"), c.Duration("cpu-per-message"))
	}
	if !c.IsSet("jobs") {
		run.Jobs = min(liveJobsPerCore*runtime.GOMAXPROCS(0), maxJobs)
		if virtual {
			run.Jobs = min(runtime.GOMAXPROCS(0), maxJobs)
		}
	}
	switch {
	case run.Repeat < 1 || run.Repeat > bench.MaxTrials:
		return nil, usage("--repeat is %d: want 1 to %d", run.Repeat, bench.MaxTrials)
	case run.Jobs < 1 || run.Jobs > maxJobs:
		return nil, usage("--jobs is %d: want 1 to %d", run.Jobs, maxJobs)
	case len(plan)*run.Repeat > bench.MaxTrials:
		return nil, usage("%s with %s each: want at most %s in one run", units.Count(len(plan), "test"),
			units.Count(run.Repeat, "repeat"), units.Count(bench.MaxTrials, "trial"))
	}
	return run, nil
}

// labHeader is the run file's header.
func labHeader(c *cli.Context, m *lab.Matrix, run *lab.Run, virtual bool) results.Header {
	settings := settingsOf(c)
	settings["election-timeout"] = m.ElectionTimeout.String()
	where := machine()
	if virtual {
		where = nil // neither it nor the number of jobs has a part in the result
	} else {
		settings["jobs"] = fmt.Sprint(run.Jobs)
		delete(settings, "delay")
		delete(settings, "cpu-per-message")
	}
	header := results.Header{
		Job: results.JobLab, Tag: c.String("tag"), Started: time.Now().UTC(), Args: os.Args[1:], Seed: run.Seed, Clock: c.String("clock"),
		Again: againLab(c, m, run.Jobs, run.Seed), Repeat: run.Repeat, Baseline: strategies.String(m.Strategies[0]),
		Settings: settings, Versions: versions(), Machine: where,
	}
	for _, p := range run.Plan {
		header.Cells = append(header.Cells, p.Cell)
	}
	return header
}

func printLabPlan(c *cli.Context, run *lab.Run, estimate time.Duration) error {
	var rows [][]string
	for _, p := range run.Plan {
		rows = append(rows, []string{p.Test.Name, p.Test.Suite, p.Cell.Transport, p.Cell.Strategy, p.Cell.Params[results.ParamHeartbeat],
			p.Test.Typical.String()})
	}
	if err := writeList(c, []string{"test", "suite", "transport", "strategy", "heartbeat", "a trial, at most"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s x %s, %d at a time: about %v\n", units.Count(len(run.Plan), "test"), units.Count(run.Repeat, "trial"), run.Jobs, estimate)
	return output(err)
}

// labOf reads the flags.
func labOf(c *cli.Context, virtual bool) (*lab.Matrix, error) {
	m := &lab.Matrix{Name: strategies.String, Choices: strategies.Choices, PreVote: c.Bool("pre-vote"), CheckQuorum: c.Bool("check-quorum")}
	var err error
	if m.Strategies, err = strategiesOf(c); err != nil {
		return nil, err
	}
	known := transportNames()
	if virtual {
		known = sim.Transports()
	}
	if err := names(c, "transport", known, &m.Transports); err != nil {
		return nil, err
	}
	if err := into(c, "heartbeat", duration, &m.Heartbeats); err != nil {
		return nil, err
	}
	if m.Tests, err = testsOf(c); err != nil {
		return nil, err
	}
	edition := c.String("edition")
	if !slices.Contains(editionNames(), edition) {
		return nil, usage("--edition: %s", nearest.Unknown("edition", edition, editionNames()))
	}
	m.Edition = lab.Edition(edition)
	if err := single(c, "cut", cutKind, &m.Cut); err != nil {
		return nil, err
	}
	if m.Cut == cluster.ResetCut && slices.Contains(m.Transports, datagram) {
		return nil, resetOverDatagrams()
	}
	for _, name := range []string{"delay", "cpu-per-message"} {
		switch {
		case c.IsSet(name) && !virtual:
			return nil, usage("--%s is for --clock virtual: on the wall clock the network is what it is", name)
		case c.Duration(name) < 0 || c.Duration(name) > bench.MaxDuration:
			return nil, usage("--%s is %v: want 0 to %v", name, c.Duration(name), bench.MaxDuration)
		}
	}
	m.ElectionTimeout = c.Duration("election-timeout")
	if !c.IsSet("election-timeout") {
		// One for a whole sweep: what differs between its columns is the heartbeat alone.
		m.ElectionTimeout = max(lab.DefaultElectionTimeout, 2*slices.Max(m.Heartbeats))
	}
	return m, nil
}

func testsOf(c *cli.Context) ([]lab.Test, error) {
	if err := courseNames(c); err != nil {
		return nil, err
	}
	if c.IsSet("test") {
		if c.IsSet("suite") {
			return nil, usage("--suite and --test exclude each other: a test's name says its suite")
		}
		var chosen []string
		if err := names(c, "test", testNames(), &chosen); err != nil {
			return nil, err
		}
		var tests []lab.Test
		for _, name := range chosen {
			t, _ := lab.FindTest(name)
			tests = append(tests, t)
		}
		return tests, nil
	}
	var suites []string
	if err := names(c, "suite", suiteNames(), &suites); err != nil {
		return nil, err
	}
	var tests []lab.Test
	for _, t := range lab.Tests {
		if slices.Contains(suites, t.Suite) || slices.Contains(suites, allSuites) {
			tests = append(tests, t)
		}
	}
	return tests, nil
}

const allSuites = "all"

func editionNames() []string {
	var names []string
	for _, e := range lab.Editions {
		names = append(names, string(e))
	}
	return names
}

func suiteNames() []string { return append(slices.Clone(lab.Suites), allSuites) }

// openLabVirtual makes groups in virtual time on links like loopback: the lab's network adds no delay of its own.
func openLabVirtual(delay, cpu time.Duration) func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
	return func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
		return sim.New(sim.Config{Config: cfg, Transport: transport, CPUPerMessage: cpu,
			Links: func(raft.ID, raft.ID) sim.Link { return sim.Link{Delay: delay} }})
	}
}

// againLab writes a command line that names every setting which shapes the run.
func againLab(c *cli.Context, m *lab.Matrix, jobs int, seed uint64) string {
	var strategyList, heartbeats, tests []string
	for _, s := range m.Strategies {
		strategyList = append(strategyList, strategies.String(s))
	}
	for _, h := range m.Heartbeats {
		heartbeats = append(heartbeats, h.String())
	}
	for _, t := range m.Tests {
		tests = append(tests, t.Name)
	}
	words := []string{"raftbench run lab2b", "--clock=" + c.String("clock"), "--strategy=" + shellQuote(strings.Join(strategyList, ",")),
		"--transport=" + strings.Join(m.Transports, ","), "--heartbeat=" + strings.Join(heartbeats, ","), "--test=" + strings.Join(tests, ","),
		fmt.Sprintf("--cut=%v --edition=%s --election-timeout=%v --pre-vote=%v --check-quorum=%v",
			m.Cut, m.Edition, m.ElectionTimeout, m.PreVote, m.CheckQuorum)}
	if c.String("clock") == clockVirtual {
		words = append(words, fmt.Sprintf("--delay=%v --cpu-per-message=%v",
			c.Duration("delay"), c.Duration("cpu-per-message")))
	}
	words = append(words, fmt.Sprintf("--repeat=%d", c.Int("repeat")))
	if c.String("clock") == clockWall {
		words = append(words, fmt.Sprintf("--jobs=%d", jobs)) // in virtual time they have no part in the result
	}
	return strings.Join(append(words, fmt.Sprintf("--seed=%d", seed)), " ")
}
