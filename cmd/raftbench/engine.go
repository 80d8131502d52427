package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/engines"
)

// enginesOf reads --engine.
func enginesOf(c *cli.Context) ([]engines.Engine, error) {
	var chosen []string
	if err := names(c, "engine", engineNames(), &chosen); err != nil {
		return nil, err
	}
	var list []engines.Engine
	for _, name := range chosen {
		list = append(list, engineTable[slices.Index(engineNames(), name)])
	}
	return list, nil
}

// onOff reads a switch.
func onOff(text string) (bool, error) {
	switch text {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("%q: want on or off", text)
}

func listEngines() ([]string, [][]string) {
	var rows [][]string
	said := map[string]bool{}
	for _, e := range engineTable {
		timed := "by itself"
		if e.Strategies {
			timed = "by a strategy"
		}
		doc := e.Doc
		if e.Settings != "" && !said[e.Settings] { // "as etcd" needs no second copy of etcd's
			doc += ": " + e.Settings
			said[e.Settings] = true
		}
		rows = append(rows, []string{e.Name, timed, doc})
	}
	return []string{"engine", "timed", "what it is"}, rows
}
