package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/internal/units"
)

// Scenario is something that happens to a group, and what is measured of it. It sees the group only through
// cluster.Cluster, so that it runs live and in virtual time without a change.
type Scenario struct {
	Name   string
	Doc    string // one sentence
	Params []Param
	Cuts   bool // it cuts links, by Settings.Cut

	// Prepare checks the cell's parameters and may shape the group: its size, its given logs. It must not start
	// anything, and is called to plan as well as to run. Errors are about the parameters.
	Prepare func(s *Settings, group *cluster.Config) error
	// Needs says what the scenario asks of an engine beside steady work; nil for nothing. Given logs need not be said.
	Needs func(s *Settings) engines.Use
	// Estimate says how long a trial takes, roughly, for the plan.
	Estimate func(s *Settings) time.Duration
	// Entries says how many entries a trial makes beside its load, for estimates; nil: none.
	Entries func(s *Settings) int
	// Run plays the scenario on a group that is up. It starts the first election itself, by Trial.Elect.
	Run func(ctx context.Context, t *Trial) error
}

// Scenarios is the table of all scenarios, in the order in which they are listed.
var Scenarios = []Scenario{steady, lag, diverge, failover, restart}

// FindScenario returns the scenario of that name.
func FindScenario(name string) (Scenario, bool) {
	i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return Scenarios[i], true
}

// cuts reports whether the scenario of that name cuts links.
func cuts(name string) bool {
	s, _ := FindScenario(name)
	return s.Cuts
}

// cutting lists the scenarios that cut links.
func cutting() (names []string) {
	for _, s := range Scenarios {
		if s.Cuts {
			names = append(names, s.Name)
		}
	}
	return names
}

// Param is a setting of one scenario. It becomes a flag of the command line.
type Param struct {
	Name    string // such as "lag-entries"
	Default string
	Doc     string
}

// count reads a parameter that is a number of entries, at least least and no more than fit into a log.
func (s *Settings) count(name string, least int) (int, error) {
	n, err := strconv.Atoi(s.Params[name])
	if err != nil || n < least {
		return 0, fmt.Errorf("--%s is %q: want a whole number, %d or more", name, s.Params[name], least)
	}
	if most := maxLogBytes / (s.PayloadBytes + entryBytes); n > most {
		return 0, fmt.Errorf("--%s is %d: want at most %d with a payload of %s, or each replica's log takes more than %s", name, n, most, units.Bytes(s.PayloadBytes), units.Bytes(maxLogBytes))
	}
	return n, nil
}

// What a scenario may put into each replica's log, and about what an entry takes beside its payload.
const (
	maxLogBytes = 256 << 20
	entryBytes  = 24
)
