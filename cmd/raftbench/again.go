package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/strategies"
)

// again writes a command line that names every setting which shapes the run, so that defaults of a later version do not
// change it, and no other: one that has no part in it would be refused. It needs no file: a topology that was read from
// one is in it.
func again(c *cli.Context, m *bench.Matrix, links *network, seed uint64) string {
	words := []string{"raftbench run matrix"}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		value := fmt.Sprint(c.Value(name))
		switch name {
		case "quick", "dry-run", "yes", "out", "format", "help", "seed":
			continue
		case "strategy":
			if value == "" && !slices.ContainsFunc(strategies.Axes(), c.IsSet) {
				value = defaultStrategies
			}
		case "cut":
			if value == "" {
				value = cluster.SilentCut.String()
			}
		case "topology":
			if links != nil && links.topology != nil {
				value = links.topologyFlag(slices.Max(m.Nodes))
			}
		}
		if value == "" || value == "0" && name == "port" || !shapesRun(c, f) || idleBecause(name, m) != "" {
			continue
		}
		words = append(words, "--"+name+"="+shellQuote(value))
	}
	return strings.Join(append(words, fmt.Sprintf("--seed=%d", seed)), " ")
}

// plainWord is what no shell takes for anything else.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9µ_./:=,@%+-]+$`)

// shellQuote writes a word so that a POSIX shell reads it as it is.
func shellQuote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
