package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
)

// givenFlags returns the names of the flags that are on the command line, in the order in which the command lists them.
func givenFlags(c *cli.Context) (given []string) {
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; c.IsSet(name) {
			given = append(given, name)
		}
	}
	return given
}

// refuseIdle refuses the first of the given flags that changes nothing: a user who gives one expects that it does.
func refuseIdle(given []string, m *bench.Matrix) error {
	for _, name := range given {
		if why := idleBecause(name, m); why != "" {
			return usage("--%s %s", name, why)
		}
	}
	return nil
}

// idleBecause returns why a flag of run matrix has no part in any of the matrix's cells, in words that follow its name;
// "" if it has one.
func idleBecause(name string, m *bench.Matrix) string {
	of := scenariosOf(name)
	if of != nil && !slices.ContainsFunc(of, func(s string) bool { return slices.Contains(m.Scenarios, s) }) {
		word := "scenario"
		if len(of) > 1 {
			word = "scenarios"
		}
		return fmt.Sprintf("is for %s %s: leave it out, or add --scenario %s", word, strings.Join(of, ", "), of[0])
	}
	all := func(preset string) bool { // of the diverge scenario's cells have this preset
		of := m.Params["diverge-preset"]
		return len(of) > 0 && !slices.ContainsFunc(of, func(p string) bool { return p != preset })
	}
	switch {
	case name == "clients" && len(m.Rates) > 0:
		return "and --rate exclude each other: a closed loop has clients, an open loop a rate"
	case name == "duration" && m.Common.Count > 0:
		return "and --count exclude each other: one of them says how much is measured"
	case name == "arrivals" && len(m.Rates) == 0 && !slices.ContainsFunc(m.Scenarios, hasForeground):
		return "is for open loops: add --rate, such as --rate 1k"
	case name == "diverge-terms" && all("leaders"),
		slices.Contains([]string{"diverge-terms", "diverge-entries", "diverge-common"}, name) && all("figure7"):
		return fmt.Sprintf("has no part in --diverge-preset %s: leave out one of them", m.Params["diverge-preset"][0])
	}
	return ""
}

// hasForeground reports whether a scenario's load is the foreground's open loop.
func hasForeground(scenario string) bool { return scenario != "steady" }

// scenariosOf returns the scenarios that a flag has a part in, nil if it has one in all of them.
func scenariosOf(flag string) (of []string) {
	switch flag {
	case "clients", "rate", "duration", "count", "measure":
		return []string{"steady"}
	case "foreground-rate":
		return slices.DeleteFunc(scenarioNames(), func(s string) bool { return !hasForeground(s) })
	}
	for _, s := range bench.Scenarios {
		if flag == "cut" && s.Cuts {
			of = append(of, s.Name)
		}
		if slices.ContainsFunc(s.Params, func(p bench.Param) bool { return p.Name == flag }) {
			of = append(of, s.Name)
		}
	}
	return of
}
