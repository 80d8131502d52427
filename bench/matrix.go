// Package bench runs the matrix: every combination of strategy, transport, scenario and load, several trials of each,
// interleaved, each judged before its numbers count.
//
// It knows neither sockets nor the wall clock nor the command line: a cluster is opened by a function that it is given,
// and results go to another. It prints nothing.
package bench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// Matrix is what to run: the product of its axes, with settings that are the same in every cell.
type Matrix struct {
	Engines    []engines.Engine // none: this project's own core
	Strategies []raft.Strategy  // for engines that are timed by one
	Transports []string
	Scenarios  []string
	Nodes      []int
	Payloads   []int     // bytes
	Clients    []int     // closed loops of the steady scenario
	Rates      []float64 // open loops of the steady scenario, a second; if there are any, Clients is not used
	Measure    []bool    // of the steady scenario: whether trials are measured in full; none: they are
	// Heartbeats and ElectionTimeouts are axes if there are any; none: Common has the one value of all cells. Pairs
	// whose election timeout is not above the heartbeat are errors.
	Heartbeats       []time.Duration
	ElectionTimeouts []time.Duration

	Cuts     []cluster.CutKind   // of scenarios that cut links; none: silent
	Storages []string            // by name; none: mem
	States   []int               // bytes of the state machine's state; none: Common's
	Params   map[string][]string // values of the scenarios' parameters; of one that is not there, its default

	// Common holds what does not vary; the fields that an axis sets are ignored.
	Common Settings
	Repeat int // trials per cell
	// Virtual says that the trials will run in virtual time, where groups may be larger.
	Virtual bool
	// Name gives a strategy's name in results, Choices its five choices.
	Name    func(raft.Strategy) string
	Choices func(raft.Strategy) map[string]string
}

// Planned is one cell of a plan.
type Planned struct {
	Cell     results.Cell
	Settings Settings
	scenario Scenario
	Estimate time.Duration // how long a user waits for one trial, roughly
	// Refused says why the cell's engine cannot run it; "" if it can. Such a cell is listed, and not run.
	Refused string
}

// Plan returns the cells of the matrix. Errors are about a setting, one line each.
func (m *Matrix) Plan() ([]Planned, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var plan []Planned
	if cells := m.cells(); cells*m.Repeat > MaxTrials {
		return nil, fmt.Errorf("%s with %s each: want at most %s in one run", units.Count(cells, "cell"),
			units.Count(m.Repeat, "trial"), units.Count(MaxTrials, "trial"))
	}
	for _, name := range m.Scenarios {
		scenario, ok := FindScenario(name)
		if !ok {
			return nil, fmt.Errorf("scenario %q is not known", name)
		}
		s := m.Common
		s.Params = nil // the scenario's own are set below
		if s.Timeout == 0 {
			s.Timeout = defaultTimeout
		}
		err := product(m.axes(scenario), s, func(s Settings) error {
			p, err := m.planned(scenario, s, len(plan))
			plan = append(plan, p)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// axis is one factor of a scenario's cells: so many values, each of which changes the settings.
type axis struct {
	values int
	set    func(s *Settings, i int)
}

// axisOf is the axis that takes its values from a list.
func axisOf[T any](list []T, set func(*Settings, T)) axis {
	return axis{len(list), func(s *Settings, i int) { set(s, list[i]) }}
}

// axes returns those of a scenario, the one that varies least often first.
func (m *Matrix) axes(scenario Scenario) []axis {
	list := []axis{
		axisOf(m.Transports, func(s *Settings, t string) { s.Transport = t }),
		axisOf(m.Nodes, func(s *Settings, n int) { s.Nodes = n }),
		axisOf(m.Payloads, func(s *Settings, n int) { s.PayloadBytes = n }),
		axisOf(m.loads(scenario), func(s *Settings, o offered) { s.Clients, s.PerSecond = o.clients, o.perSecond }),
		axisOf(m.timings(), func(s *Settings, t timing) { s.Heartbeat, s.ElectionTimeout = t.heartbeat, t.electionTimeout }),
		axisOf(m.storages(), func(s *Settings, name string) { s.Storage = name }),
		axisOf(m.states(), func(s *Settings, bytes int) { s.StateBytes = bytes }),
		axisOf(m.measures(scenario), func(s *Settings, measured bool) { s.Unmeasured = !measured }),
		axisOf(m.cuts(scenario), func(s *Settings, kind cluster.CutKind) { s.Cut = kind }),
	}
	for _, p := range scenario.Params {
		values := m.Params[p.Name]
		if v, ok := m.Common.Params[p.Name]; ok && len(values) == 0 {
			values = []string{v}
		} else if len(values) == 0 {
			values = []string{p.Default}
		}
		list = append(list, axisOf(values, func(s *Settings, value string) {
			s.Params = maps.Clone(s.Params)
			if s.Params == nil {
				s.Params = map[string]string{}
			}
			s.Params[p.Name] = value
		}))
	}
	var runners []runner
	for _, e := range m.engines() {
		for _, strategy := range m.strategiesOf(&e) {
			runners = append(runners, runner{e, strategy})
		}
	}
	return append(list, axisOf(runners, func(s *Settings, r runner) { s.Engine, s.Strategy = r.engine, r.strategy }))
}

// runner is who runs the group, and in which way.
type runner struct {
	engine   engines.Engine
	strategy raft.Strategy
}

// product calls f with the settings of every combination.
func product(axes []axis, s Settings, f func(Settings) error) error {
	if len(axes) == 0 {
		return f(s)
	}
	for i := range axes[0].values {
		axes[0].set(&s, i)
		if err := product(axes[1:], s, f); err != nil {
			return err
		}
	}
	return nil
}

// cells returns how many there are.
func (m *Matrix) cells() (n int) {
	for _, name := range m.Scenarios {
		scenario, _ := FindScenario(name)
		cells := 1
		for _, a := range m.axes(scenario) {
			cells *= a.values
		}
		n += cells
	}
	return n
}

// storages returns the points of the storage axis: memory if none are named.
func (m *Matrix) storages() []string {
	if len(m.Storages) == 0 {
		return []string{StorageMem}
	}
	return m.Storages
}

// StorageMem is the storage that is memory, and durable at once.
const StorageMem = "mem"

// states returns the points of the axis of state sizes.
func (m *Matrix) states() []int {
	if len(m.States) == 0 {
		return []int{m.Common.StateBytes}
	}
	return m.States
}

// overhead is what a trial takes beside its scenario: sockets, the first election, coming to rest.
const overhead = 40 * time.Millisecond

// longestTrial bounds what a trial may be expected to take: ten times as long, which is waited for, can still be
// measured.
const longestTrial = results.MaxLatency / 10

func (m *Matrix) planned(scenario Scenario, s Settings, id int) (Planned, error) {
	group := s.group(0)
	if err := scenario.Prepare(&s, &group); err != nil {
		return Planned{}, err
	}
	estimate := scenario.Estimate(&s) + s.beatPerCommit() + s.beatPerSend()/2 + overhead
	if estimate < 0 || estimate > longestTrial {
		return Planned{}, fmt.Errorf("a trial of scenario %s with these settings would take more than %v: nothing longer is measured",
			scenario.Name, longestTrial)
	}
	s.Patience = max(s.Timeout/3, 3*s.beatPerCommit())
	s.Timeout = max(s.Timeout, 10*estimate)
	if m.Virtual {
		estimate = s.simulating(scenario, estimate)
	}
	cell := results.Cell{ID: id, Engine: s.Engine.Name, EngineKind: kindOf(&s.Engine), Strategy: OwnWay,
		Transport: s.Transport, Scenario: scenario.Name, Nodes: s.Nodes, PayloadBytes: s.PayloadBytes,
		Clients: s.Clients, RatePerSec: s.PerSecond, Params: s.Params}
	if s.Engine.Strategies {
		cell.Strategy, cell.Choices = m.Name(s.Strategy), m.Choices(s.Strategy)
	}
	cell.Params = m.cellParams(scenario, &s)
	p := Planned{Cell: cell, Settings: s, scenario: scenario, Estimate: estimate}
	if p.Refused = s.Engine.CanUse(m.use(scenario, &s, &group)); p.Refused != "" {
		p.Estimate = 0
	}
	return p, nil
}

// electionTimeoutParam is the axis of election timeouts among a cell's parameters.
const electionTimeoutParam = "election-timeout"

// cellParams returns the scenario's parameters, and what else distinguishes its cells.
func (m *Matrix) cellParams(scenario Scenario, s *Settings) map[string]string {
	params := maps.Clone(s.Params)
	set := func(name, value string) {
		if params == nil {
			params = map[string]string{}
		}
		params[name] = value
	}
	if len(m.Measure) > 0 && scenario.Name == steady.Name {
		set(measureParam, measureOn)
		if s.Unmeasured {
			set(measureParam, measureOff)
		}
	}
	if scenario.Cuts {
		set(results.ParamCut, s.Cut.String())
	}
	if len(m.Storages) > 0 {
		set(results.ParamStorage, s.Storage)
	}
	if len(m.States) > 0 {
		set(results.ParamState, units.Bytes(s.StateBytes))
	}
	if len(m.Heartbeats) > 0 {
		set(results.ParamHeartbeat, s.Heartbeat.String())
	}
	if len(m.ElectionTimeouts) > 0 {
		set(electionTimeoutParam, s.ElectionTimeout.String())
	}
	return params
}

// timing is one point of the axes of time.
type timing struct{ heartbeat, electionTimeout time.Duration }

func (m *Matrix) timings() (list []timing) {
	heartbeats, timeouts := m.Heartbeats, m.ElectionTimeouts
	if len(heartbeats) == 0 {
		heartbeats = []time.Duration{m.Common.Heartbeat}
	}
	if len(timeouts) == 0 {
		timeouts = []time.Duration{m.Common.ElectionTimeout}
	}
	for _, h := range heartbeats {
		for _, e := range timeouts {
			list = append(list, timing{h, e})
		}
	}
	return list
}

type offered struct {
	clients   int
	perSecond float64
}

// loads returns the points of the load axis. Only the steady scenario has one: what others measure would depend on how
// much a strategy commits meanwhile, so there the foreground load is the same fixed rate for all.
func (m *Matrix) loads(scenario Scenario) []offered {
	if scenario.Name != steady.Name {
		return []offered{{perSecond: m.Common.Foreground}}
	}
	var list []offered
	for _, r := range m.Rates {
		list = append(list, offered{perSecond: r})
	}
	if len(list) == 0 {
		for _, n := range m.Clients {
			list = append(list, offered{clients: n})
		}
	}
	return list
}

// Limits of a matrix.
const (
	MaxNodes        = 15
	MaxVirtualNodes = 127 // in virtual time
	MaxPayloadBytes = raft.DefaultMaxEntryBytes
	MaxClients      = 65536
	MaxPerSecond    = 10e6
	MaxTrials       = 10_000         // of one run
	MaxDuration     = 24 * time.Hour // of whatever is given as a time
)

// check checks the settings, axes first.
func (m *Matrix) check() error {
	if err := m.checkAxes(); err != nil {
		return err
	}
	return m.checkCommon()
}

func (m *Matrix) checkAxes() error {
	if len(m.Cuts) > 0 && !slices.ContainsFunc(m.Scenarios, cuts) {
		return fmt.Errorf("--cut has no effect on %s: it is for %s",
			strings.Join(m.Scenarios, ", "), strings.Join(cutting(), ", "))
	}
	most := MaxNodes
	if m.Virtual {
		most = MaxVirtualNodes
	}
	for _, n := range m.Nodes {
		if n < 3 || n > most || n%2 == 0 {
			return fmt.Errorf("--nodes is %d: want an odd number from 3 to %d; an even group bears no more failures than the odd one below it", n, most)
		}
		if l := m.Common.Leader; l > raft.ID(n) {
			return fmt.Errorf("--leader is replica %d: want 1 to %d, as --nodes has it", l, n)
		}
	}
	for _, b := range m.Payloads {
		if b < MinPayloadBytes || b > MaxPayloadBytes {
			return fmt.Errorf("--payload is %s: want %s to %s",
				units.Bytes(b), units.Bytes(MinPayloadBytes), units.Bytes(MaxPayloadBytes))
		}
	}
	for _, c := range m.Clients {
		if c < 1 || c > MaxClients {
			return fmt.Errorf("--clients is %d: want 1 to %d", c, MaxClients)
		}
		for _, b := range m.Payloads {
			if c*b > maxOpenBytes {
				return fmt.Errorf("--clients is %d and --payload %s: want a product of at most %s, or a leader refuses to hold what is not committed yet", c, units.Bytes(b), units.Bytes(maxOpenBytes))
			}
		}
	}
	for _, r := range m.Rates {
		if !(r > 0 && r <= MaxPerSecond) {
			return fmt.Errorf("--rate is %s: want above 0, and at most %.0f a second",
				strconv.FormatFloat(r, 'g', -1, 64), MaxPerSecond)
		}
	}
	for _, t := range m.timings() {
		switch {
		case t.heartbeat < time.Millisecond:
			return fmt.Errorf("--heartbeat is %v: want 1ms or more", t.heartbeat)
		case t.electionTimeout <= t.heartbeat:
			return fmt.Errorf("--election-timeout is %v: want more than the heartbeat of %v, better ten times as much",
				t.electionTimeout, t.heartbeat)
		case t.electionTimeout > MaxDuration:
			return fmt.Errorf("--election-timeout is %v: want at most %v", t.electionTimeout, MaxDuration)
		}
	}
	return nil
}

func (m *Matrix) checkCommon() error {
	c := &m.Common
	switch {
	case m.Repeat < 1 || m.Repeat > MaxTrials:
		return fmt.Errorf("--repeat is %d: want 1 to %d", m.Repeat, MaxTrials)
	case c.Arrivals != "" && !slices.Contains(Arrivals, c.Arrivals):
		return fmt.Errorf("--arrivals is %q: want %s", c.Arrivals, strings.Join(Arrivals, " or "))
	case c.Warmup < 0 || c.Warmup > MaxDuration:
		return fmt.Errorf("--warmup is %v: want 0 to %v", c.Warmup, MaxDuration)
	case c.Duration <= 0 && c.Count == 0 || c.Duration > MaxDuration:
		return fmt.Errorf("--duration is %v: want more than 0, or --count, and at most %v", c.Duration, MaxDuration)
	case c.Timeout < 0 || c.Timeout > MaxDuration:
		return fmt.Errorf("--timeout is %v: want 0, for a default, to %v", c.Timeout, MaxDuration)
	case !(c.Foreground > 0 && c.Foreground <= MaxPerSecond):
		return fmt.Errorf("--foreground-rate is %v: want above 0, and at most %.0f a second",
			c.Foreground, MaxPerSecond)
	case c.MaxAppendBytes < 1 || c.MaxAppendBytes > raft.MaxMaxAppendBytes:
		return fmt.Errorf("--max-append is %s: want 1 B to %s",
			units.Bytes(c.MaxAppendBytes), units.Bytes(raft.MaxMaxAppendBytes))
	}
	return nil
}
