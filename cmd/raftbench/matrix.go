package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/netem/emulate"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/storage/probe"
	"github.com/raftbench/raftbench/strategies"
)

// longRun is the estimate beyond which a matrix is only run with --yes.
const longRun = 15 * time.Minute

// quickSettings is what --quick puts in the place of defaults.
var quickSettings = map[string]string{
	"repeat": "1", "warmup": "50ms", "duration": "300ms", "lag-entries": "500", "diverge-entries": "10",
}

func matrixFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Category: "axes", Name: "strategy", DefaultText: "the classroom's, and eager", Usage: "names, or points of the space such as fast,send=batch(8,1ms)"},
		&cli.StringFlag{Category: "axes", Name: "backup", Usage: "backups to cross the strategies with"},
		&cli.StringFlag{Category: "axes", Name: "send", Usage: "Send gates to cross with"},
		&cli.StringFlag{Category: "axes", Name: "commit", Usage: "Commit gates to cross with"},
		&cli.StringFlag{Category: "axes", Name: "announce", Usage: "Announce gates to cross with"},
		&cli.StringFlag{Category: "axes", Name: "apply", Usage: "Apply gates to cross with"},
		&cli.StringFlag{Category: "axes", Name: strategies.AxisCatchUp, Usage: "what a follower gets that is behind, to cross with: log, snapshot, cheapest"},
		&cli.StringFlag{Category: "axes", Name: "engine", Value: "raftbench", Usage: "who runs the group: " + strings.Join(engineNames(), ", ")},
		&cli.StringFlag{Category: "axes", Name: "transport", Value: "tcp,quic", Usage: "how messages travel: see raftbench list transports"},
		&cli.StringFlag{Category: "axes", Name: "scenario", Value: "steady,lag,diverge", Usage: "what happens: see raftbench list scenarios"},
		&cli.StringFlag{Category: "axes", Name: "nodes", Value: "3", Usage: "replicas in a group, odd"},
		&cli.StringFlag{Category: "axes", Name: "payload", Value: "128", Usage: "size of a proposal, such as 128 or 4KiB"},
		&cli.StringFlag{Category: "axes", Name: "clients", Value: "16", Usage: "steady: clients of a closed loop"},
		&cli.StringFlag{Category: "axes", Name: "rate", Usage: "steady: proposals a second of an open loop, instead of clients"},
		&cli.StringFlag{Category: "axes", Name: "cut", DefaultText: "silent", Usage: "lag, diverge: silent, frames vanish and nobody is told; reset, connections break"},

		&cli.DurationFlag{Category: "every trial", Name: "warmup", Value: 100 * time.Millisecond, Usage: "time before anything is measured"},
		&cli.DurationFlag{Category: "every trial", Name: "duration", Value: 500 * time.Millisecond, Usage: "steady: measured time"},
		&cli.StringFlag{Category: "every trial", Name: "count", Value: "0", DefaultText: "none", Usage: "steady: commits to measure instead of a time"},
		&cli.StringFlag{Category: "every trial", Name: "foreground-rate", Value: "500", Usage: "proposals a second, open loop, while scenarios other than steady run"},
		&cli.StringFlag{Category: "every trial", Name: "arrivals", Value: bench.Arrivals[0], Usage: "how an open loop's proposals are spaced: " + strings.Join(bench.Arrivals, ", ")},
		&cli.StringFlag{Category: "every trial", Name: "leader", DefaultText: "1", Usage: "the replica that is elected first: its number, or its region in a topology"},
		&cli.StringFlag{Category: "every trial", Name: "heartbeat", Value: "100ms", Usage: "heartbeat interval; several are an axis"},
		&cli.StringFlag{Category: "every trial", Name: "election-timeout", Value: "1s", Usage: "election timeouts T are drawn from [T, 2T); several are an axis"},
		&cli.BoolFlag{Category: "every trial", Name: "pre-vote", Value: true, Usage: "replicas ask before they raise the term"},
		&cli.BoolFlag{Category: "every trial", Name: "check-quorum", Value: true, Usage: "a leader that no quorum answers steps down"},
		&cli.BoolFlag{Category: "every trial", Name: "no-op", DisableDefaultText: true, Usage: "a new leader appends an empty entry"},
		&cli.StringFlag{Category: "every trial", Name: "max-append", Value: "256KiB", Usage: "entries in one AppendEntries, in bytes of their data; over " + datagram + " at most 31 KiB"},
		&cli.BoolFlag{Category: "every trial", Name: "send-apart", Usage: "never piggyback commit updates on entries"},
		&cli.DurationFlag{Category: "every trial", Name: "timeout", Value: 30 * time.Second, Usage: "longest wait within a trial"},

		&cli.StringFlag{Category: "the run", Name: "clock", Value: clockWall, Usage: clockWall + ", over real sockets, or " + clockVirtual + ": simulated, exact, the same for the same seed"},
		&cli.IntFlag{Category: "the run", Name: "repeat", Value: 4, Usage: "trials of each cell, interleaved with the others; fewer than 4 give no verdict on differences"},
		&cli.Uint64Flag{Category: "the run", Name: "seed", DefaultText: "random, printed", Usage: "random seed"},
		&cli.StringFlag{Category: "the run", Name: "baseline", DefaultText: "the first", Usage: "strategy that ratios refer to"},
		&cli.StringFlag{Category: "the run", Name: "out", Value: "raftbench-results", Usage: "folder that the run's folder is made in"},
		&cli.StringFlag{Category: "the run", Name: "tag", Value: "matrix", Usage: "end of the name of the run's folder"},
		&cli.IntFlag{Category: "the run", Name: "port", DefaultText: "any free ones", Usage: "listen on this port and those after it"},
		&cli.StringFlag{Category: "the run", Name: "format", Value: "table", Usage: "what is printed at the end: " + strings.Join(formatNames(), ", ")},
		&cli.BoolFlag{Category: "the run", Name: "quick", DisableDefaultText: true, Usage: "smoke run: one short trial of each cell"},
		&cli.BoolFlag{Category: "the run", Name: "dry-run", DisableDefaultText: true, Usage: "print the plan and the expected time, and do nothing"},
		&cli.BoolFlag{Category: "the run", Name: "yes", DisableDefaultText: true, Usage: "skip the confirmation for runs of more than 15 minutes"},
	}
	flags = append(flags, storageFlags()...)
	flags = append(flags, networkFlags()...)
	flags = append(flags, virtualFlags()...)
	for _, s := range bench.Scenarios {
		for _, p := range s.Params {
			flags = append(flags, &cli.StringFlag{Category: "scenario " + s.Name, Name: p.Name, Value: p.Default, Usage: p.Doc})
		}
	}
	return append(flags, &cli.StringFlag{Category: "scenario steady", Name: "measure", DefaultText: "on", Usage: "on, off, or on,off for both: off leaves out stamps, histograms and events, to show what they cost"})
}

func matrixCommand() *cli.Command {
	return &cli.Command{
		Name:  "matrix",
		Usage: "run every combination of strategy, transport, scenario and load",
		Description: `Values of an axis are separated by commas. Every cell is run several times, interleaved with the others in an
order drawn from the seed; a cell whose accounting does not balance prints INVALID and no number.

Examples:
  raftbench run matrix
  raftbench run matrix --scenario diverge --strategy linear-signal,fast-signal,bisect --diverge-entries 1000
  raftbench run matrix --strategy fast-loop,fast-signal-commit --scenario steady --clients 1
  raftbench run matrix --strategy "eager,fast,send=batch(8,1ms)" --rate 1k,10k --scenario steady --payload 128,4KiB
  raftbench run matrix --scenario lag --cut silent,reset --engine raftbench,etcd,hashicorp
  raftbench run matrix --backup linear,fast --send ride,now --scenario lag --dry-run
  raftbench run matrix --network emulated --topology zones --transport tcp,quic --scenario steady,lag
  raftbench run matrix --clock virtual --topology aws-2017 --nodes 5 --scenario steady --transport tcp

` + topologyHelp,
		Flags:  matrixFlags(),
		Action: runMatrix,
		BashComplete: completer(map[string]func() []string{
			"strategy": strategyNames, "baseline": strategyNames, "transport": transportNames, "scenario": scenarioNames,
			"engine": engineNames,
			"backup": backupNames, "format": formatNames,
		}),
	}
}

func runMatrix(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	format, err := findFormat(c.String("format"))
	if err != nil {
		return err
	}
	links, simulated, m, err := matrixAsked(c)
	if err != nil {
		return err
	}
	baseline, err := baselineOf(c, m)
	if err != nil {
		return err
	}
	plan, err := planOf(c, m, simulated)
	if err != nil {
		return err
	}
	note := noteOf(c, m)
	run := runOf(c, m, plan, simulated)
	size := sizeOf(&run)
	if c.Bool("dry-run") {
		return printPlan(c, &run, size, note)
	}
	if run.Estimate() > longRun && !c.Bool("yes") {
		return usage("%s would take %s: add --yes to run them, or take fewer", size.what, size.long)
	}
	var info emulate.Info
	if emulated(c) {
		var done bool
		if info, done, err = links.enter(c.Context); done || err != nil {
			return err
		}
		run.Open = openEmulated(links)
	}
	data, disk, err := placesOf(c, m)
	if err != nil {
		return err
	}
	run.Storage = openStorage(data)
	header := headerOf(c, m, links, &run)
	header.Baseline = baseline
	if emulated(c) {
		describeEmulated(header.Settings, info)
	}
	if disk != nil {
		header.Settings["disk"] = describe(disk)
		note = strings.TrimSpace(note + " " + disk.Warning)
	}
	writer, err := beginMatrix(c, header, &run, size, note)
	if err != nil {
		return err
	}
	return carryOut(c, &run, writer, format)
}

// runOf is the run of a plan, on loopback if not in virtual time, with the seed that was asked for or a drawn one.
func runOf(c *cli.Context, m *bench.Matrix, plan []bench.Planned, simulated *virtual) bench.Run {
	seed := c.Uint64("seed")
	if !c.IsSet("seed") {
		seed = uint64(rand.Uint32())
	}
	run := bench.Run{Plan: plan, Repeat: m.Repeat, Seed: seed, Open: openLive(c.Int("port")), OpenOwn: openOwn(c.Int("port"))}
	if simulated != nil {
		run.Virtual, run.Open = true, simulated.open
	}
	return run
}

// placesOf finds out whether the ports that were asked for are free, and where storages go: see dataFolder.
func placesOf(c *cli.Context, m *bench.Matrix) (string, *probe.Result, error) {
	if err := checkPorts(c.Int("port"), slices.Max(m.Nodes)); err != nil {
		return "", nil, err
	}
	return dataFolder(c, m)
}

// beginMatrix makes the run's folder, writes what is known before the first trial, and tells the user.
func beginMatrix(c *cli.Context, header results.Header, run *bench.Run, size runSize, note string) (*results.Writer, error) {
	writer, err := begin(c.Context, c.String("out"), header, len(run.Plan)*run.Repeat)
	if err != nil {
		return nil, err
	}
	if note != "" {
		if err := writer.Warn(note); err != nil {
			return nil, environment(errors.Join(err, writer.Close()))
		}
		fmt.Fprintln(c.App.ErrWriter, note)
	}
	if emulated(c) {
		fmt.Fprintf(c.App.ErrWriter, "network %s, TCP with %s and a minimum RTO of %s\n",
			header.Settings["network"], header.Settings["congestion-control"], header.Settings["min-rto"])
	}
	fmt.Fprintf(c.App.ErrWriter, "%s, %s, seed %d, in %s\n", size.what, size.long, run.Seed, writer.Dir())
	return writer, nil
}

// planOf plans the cells, and finds out whether they can be run.
func planOf(c *cli.Context, m *bench.Matrix, simulated *virtual) ([]bench.Planned, error) {
	plan, err := m.Plan()
	if err != nil {
		return nil, usage("%v", err)
	}
	if err := checkPortRange(c.Int("port"), slices.Max(m.Nodes)); err != nil {
		return nil, err
	}
	if simulated == nil {
		return plan, nil
	}
	if err := simulated.timePasses(plan); err != nil {
		return nil, err
	}
	if m.Common.RoundTrip >= m.Common.Timeout {
		return nil, usage("--timeout is %v, but a round trip takes %v: no answer would be in time, want more", m.Common.Timeout, m.Common.RoundTrip)
	}
	return plan, fits(plan)
}

// matrixAsked reads all flags that shape the cells. It returns no network for the wall clock on loopback, and no virtual
// time for the wall clock.
func matrixAsked(c *cli.Context) (*network, *virtual, *bench.Matrix, error) {
	given := givenFlags(c) // what --quick and a network set is not asked for by the user
	if c.Bool("quick") {
		for name, value := range quickSettings {
			if !c.IsSet(name) {
				if err := c.Set(name, value); err != nil {
					return nil, nil, nil, err
				}
			}
		}
	}
	if err := checkClock(c); err != nil {
		return nil, nil, nil, err
	}
	links, err := networkOf(c)
	if err != nil {
		return nil, nil, nil, err
	}
	simulated, err := virtualOf(c, links)
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := matrixOf(c)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := refuseIdle(given, m); err != nil {
		return nil, nil, nil, err
	}
	if m.Common.Leader, err = leaderOf(c, m, links); err != nil {
		return nil, nil, nil, err
	}
	if err := checkEngines(c, m.Engines); err != nil {
		return nil, nil, nil, err
	}
	if links != nil {
		m.Virtual, m.Common.RoundTrip = simulated != nil, links.roundTrip(slices.Max(m.Nodes))
	}
	return links, simulated, m, nil
}

// checkEngines refuses engines with goroutines and sockets of their own where they cannot be held.
func checkEngines(c *cli.Context, list []engines.Engine) error {
	for _, e := range list {
		switch {
		case e.Open == nil:
		case c.String("clock") == clockVirtual:
			return usage("--engine: %s has goroutines and a clock of its own, which --clock virtual cannot hold: leave it out, or give --clock wall", e.Name)
		case emulated(c):
			return usage("--engine %s makes its own connections: it does not run with --network emulated yet, so leave it out", e.Name)
		}
	}
	return nil
}

// runSize says how large a run is, in words.
type runSize struct {
	what string // "36 cells x 3 trials"
	long string // "about 1m8s"
}

func sizeOf(run *bench.Run) runSize {
	cells := len(runnable(run.Plan))
	estimate := run.Estimate()
	if cells > 0 {
		estimate = max(estimate, time.Second)
	}
	s := runSize{what: units.Count(cells, "cell") + " x " + units.Count(run.Repeat, "trial"), long: "about " + estimate.Round(time.Second).String()}
	if run.Virtual { // it depends on the machine
		s.long = "roughly " + estimate.Round(time.Second).String()
	}
	return s
}

// headerOf is the run file's header, but for the baseline.
func headerOf(c *cli.Context, m *bench.Matrix, links *network, run *bench.Run) results.Header {
	header := results.Header{
		Job: jobMatrix, Tag: c.String("tag"), Started: time.Now().UTC(), Args: os.Args[1:], Again: again(c, m, links, run.Seed),
		Seed: run.Seed, Clock: clockWall, Repeat: m.Repeat, Settings: settingsOf(c), Docs: docsOf(run.Plan), Versions: versions(),
	}
	delete(header.Settings, "leader") // reports say who led
	for name := range header.Settings {
		if idleBecause(name, m) != "" || len(m.Heartbeats) > 0 && name == "heartbeat" || len(m.ElectionTimeouts) > 0 && name == "election-timeout" {
			delete(header.Settings, name)
		}
	}
	if run.Virtual { // the machine has no part in the result
		header.Clock = clockVirtual
	} else {
		header.Machine = machine()
	}
	if links != nil && links.topology != nil {
		header.Topology = links.recorded()
		header.Settings["topology"] = links.topology.Name
		header.Settings["regions"] = links.regions(slices.Max(m.Nodes))
	}
	for _, p := range run.Plan {
		header.Cells = append(header.Cells, p.Cell)
	}
	return header
}

// defaultStrategies are those of the classroom, and what they lead to.
const defaultStrategies = "linear-loop,linear-signal,fast-loop,fast-signal,fast-signal-commit,eager"

// matrixOf reads the flags of axes and trials.
func matrixOf(c *cli.Context) (*bench.Matrix, error) {
	m := &bench.Matrix{Repeat: c.Int("repeat"), Name: strategies.String, Choices: strategies.Choices}
	var err error
	if m.Strategies, err = strategiesOf(c); err != nil {
		return nil, err
	}
	if c.IsSet("cut") {
		if err := into(c, "cut", cutKind, &m.Cuts); err != nil {
			return nil, err
		}
	}
	if c.IsSet("measure") {
		if err := into(c, "measure", onOff, &m.Measure); err != nil {
			return nil, err
		}
	}
	if m.Engines, err = enginesOf(c); err != nil {
		return nil, err
	}
	lists := []error{
		names(c, "transport", transportsOn(c.String("clock")), &m.Transports),
		names(c, "scenario", scenarioNames(), &m.Scenarios),
		into(c, "nodes", number, &m.Nodes),
		into(c, "payload", sizeBytes, &m.Payloads),
		into(c, "clients", number, &m.Clients),
	}
	if c.IsSet("rate") {
		lists = append(lists, into(c, "rate", perSecond, &m.Rates))
	}
	for _, err := range lists {
		if err != nil {
			return nil, err
		}
	}
	if err := checkCuts(m); err != nil {
		return nil, err
	}
	if err := timesOf(c, m); err != nil {
		return nil, err
	}
	if err := storageOf(c, m); err != nil {
		return nil, err
	}
	if err := paramsOf(c, m); err != nil {
		return nil, err
	}
	return m, settingsOfTrials(c, &m.Common)
}

// settingsOfTrials reads what holds for every trial, but for times that may be axes.
func settingsOfTrials(c *cli.Context, s *bench.Settings) error {
	s.Warmup, s.Duration, s.Timeout = c.Duration("warmup"), c.Duration("duration"), c.Duration("timeout")
	if c.Duration("timeout") == 0 {
		return usage("--timeout is 0s: want more than 0, up to %v", bench.MaxDuration)
	}
	var arrivals []string
	if err := names(c, "arrivals", bench.Arrivals, &arrivals); err != nil {
		return err
	} else if len(arrivals) != 1 {
		return usage("--arrivals is %s: it takes one value", nearest.Quote(c.String("arrivals")))
	}
	s.Arrivals = arrivals[0]
	s.PreVote, s.CheckQuorum, s.NoOp = c.Bool("pre-vote"), c.Bool("check-quorum"), c.Bool("no-op")
	s.SendApart = c.Bool("send-apart")
	var count int
	for _, err := range []error{
		single(c, "count", number, &count),
		single(c, "foreground-rate", perSecond, &s.Foreground), single(c, "max-append", sizeBytes, &s.MaxAppendBytes),
	} {
		if err != nil {
			return err
		}
	}
	if count < 0 {
		return usage("--count is %d: want 0, for a time, or more", count)
	}
	s.Count = uint64(count)
	return nil
}

// paramsOf reads the scenarios' parameters, of which each may have several values: an axis.
func paramsOf(c *cli.Context, m *bench.Matrix) error {
	m.Params = map[string][]string{}
	for _, scenario := range bench.Scenarios {
		for _, p := range scenario.Params {
			values, err := list(c, p.Name, func(text string) (string, error) { return plainNumber(text), nil })
			if err != nil {
				return err
			}
			m.Params[p.Name] = values
		}
	}
	return nil
}

// timesOf reads heartbeats and election timeouts: one of them holds for all cells, several are an axis.
func timesOf(c *cli.Context, m *bench.Matrix) error {
	for _, f := range []struct {
		name string
		one  *time.Duration
		axis *[]time.Duration
	}{
		{"heartbeat", &m.Common.Heartbeat, &m.Heartbeats},
		{"election-timeout", &m.Common.ElectionTimeout, &m.ElectionTimeouts},
	} {
		values, err := list(c, f.name, duration)
		if err != nil {
			return err
		}
		if *f.one = values[0]; len(values) > 1 {
			*f.axis = values
		}
	}
	return nil
}

func into[T comparable](c *cli.Context, name string, parse func(string) (T, error), values *[]T) (err error) {
	*values, err = list(c, name, parse)
	return err
}

// checkCuts refuses what cannot be told apart.
func checkCuts(m *bench.Matrix) error {
	if slices.Contains(m.Cuts, cluster.ResetCut) && slices.Contains(m.Transports, datagram) {
		return resetOverDatagrams()
	}
	return nil
}

func resetOverDatagrams() error {
	return usage("--cut reset has no meaning over %s, where no connection can break: take another transport, or --cut silent", datagram)
}

func cutKind(name string) (cluster.CutKind, error) {
	i := slices.Index(cluster.CutKinds, name)
	if i < 0 {
		return 0, errors.New(nearest.Unknown("cut", name, cluster.CutKinds))
	}
	return cluster.CutKind(i), nil
}

func names(c *cli.Context, flag string, known []string, values *[]string) error {
	return into(c, flag, func(name string) (string, error) {
		if !slices.Contains(known, name) {
			return "", errors.New(nearest.Unknown(flag, name, known))
		}
		return name, nil
	}, values)
}

func strategiesOf(c *cli.Context) ([]raft.Strategy, error) {
	var v strategies.Values
	crossed := false
	for i, values := range []*[]string{&v.Backup, &v.Send, &v.Commit, &v.Announce, &v.Apply, &v.CatchUp} {
		name := strategies.Axes()[i]
		if !c.IsSet(name) {
			continue
		}
		var err error
		if *values, err = strategies.Split(c.String(name)); err != nil {
			return nil, usage("--%s: %v", name, err)
		}
		crossed = true
	}
	text := c.String("strategy")
	given := c.IsSet("strategy")
	if !given && !crossed {
		text, given = defaultStrategies, true
	}
	var base []raft.Strategy
	if given {
		var err error
		if base, err = strategies.ParseList(text); err != nil {
			return nil, usage("--strategy: %v", err)
		}
	}
	all, err := strategies.Cross(base, v)
	if err != nil {
		return nil, usage("%v", err)
	}
	return all, nil
}

func baselineOf(c *cli.Context, m *bench.Matrix) (string, error) {
	if !c.IsSet("baseline") && !timed(m) {
		return "", nil
	}
	if !c.IsSet("baseline") {
		return strategies.String(m.Strategies[0]), nil
	}
	s, err := strategies.Parse(c.String("baseline"))
	if err != nil {
		return "", usage("--baseline: %v", err)
	}
	var known []string
	for _, other := range m.Strategies {
		known = append(known, strategies.String(other))
	}
	if name := strategies.String(s); slices.Contains(known, name) {
		return name, nil
	}
	return "", usage("--baseline is %s, which is not run: want one of %s", c.String("baseline"), strings.Join(known, ", "))
}

func strategyNames() []string {
	var names []string
	for _, s := range strategies.List() {
		names = append(names, s.Name)
	}
	return names
}

func backupNames() []string {
	var names []string
	for _, k := range strategies.Backups() {
		names = append(names, k.Name)
	}
	return names
}

func scenarioNames() []string {
	var names []string
	for _, s := range bench.Scenarios {
		names = append(names, s.Name)
	}
	return names
}

// timed reports whether any engine is timed by a strategy.
func timed(m *bench.Matrix) bool {
	return slices.ContainsFunc(m.Engines, func(e engines.Engine) bool { return e.Strategies })
}

// noteOf says which flags were given in vain; "" if none were.
func noteOf(c *cli.Context, m *bench.Matrix) string {
	if timed(m) {
		return ""
	}
	var flags, names []string
	for _, name := range slices.Concat([]string{"strategy"}, strategies.Axes(), []string{"baseline"}) {
		if c.IsSet(name) {
			flags = append(flags, "--"+name)
		}
	}
	if len(flags) == 0 {
		return ""
	}
	for _, e := range m.Engines {
		names = append(names, e.Name)
	}
	return fmt.Sprintf("%s: without effect on %s, which no strategy times: those are for raftbench's own engine",
		strings.Join(flags, ", "), strings.Join(names, ", "))
}

// timePasses refuses a closed loop in which nothing takes any time: it would make proposals for ever at one moment.
func (v *virtual) timePasses(plan []bench.Planned) error {
	if v.topology != nil || v.link.Delay > 0 || v.link.Jitter > 0 || v.link.Rate > 0 || v.disk.Write > 0 || v.disk.Sync > 0 || v.cpu > 0 {
		return nil
	}
	for _, p := range plan {
		waits := slices.ContainsFunc([]string{"send", "commit", "apply"}, func(at string) bool {
			kind, _, _ := strings.Cut(p.Cell.Choices[at], "(")
			return !slices.Contains([]string{"now", "barrier", "window", "confirmed"}, kind)
		})
		if p.Cell.Clients > 0 && len(p.Cell.Choices) > 0 && !waits {
			return usage("--delay is 0 and nothing else takes time, so a closed loop of %s would stand still: give --delay, --disk-sync or --cpu-per-message, or --rate for an open loop", p.Cell.Strategy)
		}
	}
	return nil
}

// fits refuses payloads that a simulated transport cannot carry.
func fits(plan []bench.Planned) error {
	for _, p := range plan {
		if most := sim.MaxPayload(p.Cell.Transport); most > 0 && p.Cell.PayloadBytes > most {
			return usage("--payload is %s bytes: want at most %s with --transport %s, where an entry travels in one UDP datagram, or another transport",
				humanize.Comma(int64(p.Cell.PayloadBytes)), humanize.Comma(int64(most)), p.Cell.Transport)
		}
	}
	return nil
}

// runnable returns the cells that their engines can run.
func runnable(plan []bench.Planned) []bench.Planned {
	return slices.DeleteFunc(slices.Clone(plan), func(p bench.Planned) bool { return p.Refused != "" })
}

// docsOf returns a sentence for each scenario and each choice of the plan: a report knows no more than its run file.
func docsOf(plan []bench.Planned) map[string]string {
	docs := map[string]string{}
	for _, p := range plan {
		if s, ok := bench.FindScenario(p.Cell.Scenario); ok {
			docs["scenario "+s.Name] = s.Doc
		}
		for at, choice := range p.Cell.Choices {
			kinds, of := strategies.Gates(), "gate "
			if at == strategies.AxisBackup {
				kinds, of = strategies.Backups(), "backup "
			}
			name, _, _ := strings.Cut(choice, "(")
			for _, k := range kinds {
				if k.Name == name {
					docs[of+name] = k.Doc
				}
			}
		}
	}
	return docs
}

// checkPortRange finds out whether there are such ports.
func checkPortRange(port, nodes int) error {
	if port != 0 && (port < 1 || port+nodes-1 > 65535) {
		return usage("--port is %d: want 1 to %d, so that %d replicas have ports", port, 65536-nodes, nodes)
	}
	return nil
}

// checkPorts finds out before any load starts whether the ports that were asked for are free, for TCP and UDP alike.
func checkPorts(port, nodes int) error {
	if port == 0 {
		return nil
	}
	for p := port; p < port+nodes; p++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
		l, err := net.Listen("tcp", address)
		if err != nil {
			return environment(fmt.Errorf("--port: %w: choose another, or none for any free ones", err))
		}
		l.Close()
		u, err := net.ListenPacket("udp", address)
		if err != nil {
			return environment(fmt.Errorf("--port: %w: choose another, or none for any free ones", err))
		}
		u.Close()
	}
	return nil
}

// settingCategories are those of flags that hold for every cell.
var settingCategories = []string{"every trial", virtualCategory, networkCategory, emulatedCategory}

// settingsOf returns the settings that hold for every cell: all flags that are not axes.
func settingsOf(c *cli.Context) map[string]string {
	s := map[string]string{}
	for _, f := range c.Command.Flags {
		if category := categoryOf(f); slices.Contains(settingCategories, category) && shapesRun(c, f) {
			name := f.Names()[0]
			if value := fmt.Sprint(c.Value(name)); value != "" && !(name == "count" && value == "0") { // measured is a time then
				s[name] = value
			}
		}
	}
	return s
}

// varyingParams returns the names, sorted, of the parameters that distinguish cells of one scenario.
func varyingParams(plan []bench.Planned) []string {
	first := map[string]map[string]string{} // scenario -> the parameters of its first cell
	varying := map[string]bool{}
	for _, p := range plan {
		before, ok := first[p.Cell.Scenario]
		if !ok {
			first[p.Cell.Scenario] = p.Cell.Params
			continue
		}
		for name, value := range p.Cell.Params {
			if before[name] != value {
				varying[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(varying))
}

// printPlan writes the plan: the cells that would be run, those that cannot be and why, and the note, unless it is "".
func printPlan(c *cli.Context, run *bench.Run, size runSize, note string) error {
	var rows [][]string
	engine := []string{"engine"}
	if !slices.ContainsFunc(run.Plan, func(p bench.Planned) bool { return p.Cell.Engine != run.Plan[0].Cell.Engine }) {
		engine = nil // all the same
	}
	plan := runnable(run.Plan)
	params := varyingParams(plan)
	for _, p := range plan {
		load := units.Count(p.Cell.Clients, "client")
		if p.Cell.RatePerSec > 0 {
			load = units.PerSecond(p.Cell.RatePerSec)
		}
		row := []string{p.Cell.Scenario, p.Cell.Transport}
		for _, name := range params {
			row = append(row, p.Cell.Params[name])
		}
		if engine != nil {
			row = append(row, p.Cell.Engine)
		}
		rows = append(rows, append(row, p.Cell.Strategy, strconv.Itoa(p.Cell.Nodes),
			units.Bytes(p.Cell.PayloadBytes), load, p.Estimate.Round(10*time.Millisecond).String()))
	}
	if len(rows) > 0 {
		head := slices.Concat([]string{"scenario", "transport"}, params, engine, []string{"strategy", "nodes", "payload", "load", "a trial"})
		if err := writeList(c, head, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s: %s\n", size.what, size.long)
	var said []string
	for _, p := range run.Plan {
		line := fmt.Sprintf("not run: %s with %s: %s\n", p.Cell.Scenario, p.Cell.Engine, p.Refused)
		if p.Refused != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	if note != "" {
		said = append(said, note+"\n")
	}
	for _, line := range said {
		if err == nil {
			_, err = io.WriteString(c.App.Writer, line)
		}
	}
	return output(err)
}
