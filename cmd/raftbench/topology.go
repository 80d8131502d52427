package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// topologyHelp is the format of a topology's file, for the help.
const topologyHelp = `A --topology of your own is a CSV file, named with a dot or a slash: a header with the regions' names, then a row
for each in the same order, its name and its round trips in milliseconds. The diagonal may be empty, and so may what
is as in the opposite direction; # begins a comment. Replicas take the regions in order, and replica 1 leads, or
whom --leader names. The table itself may be given instead, with semicolons for the ends of lines. For example,
with the leader in dallas:
  region,dallas,washington,london
  dallas,,31,113
  washington,,,76
  london,,,`

// loadTopology reads a topology, unless the context ends first.
func loadTopology(ctx context.Context, name string) (*netem.Topology, error) {
	return unlessInterrupted(ctx, func() (*netem.Topology, error) {
		t, err := netem.LoadTopology(name)
		if err != nil {
			return nil, usage("--topology: %v", err)
		}
		return t, nil
	})
}

// unlessInterrupted waits for something to be read until the context ends: a file may be slow to come, or never come.
func unlessInterrupted[T any](ctx context.Context, read func() (T, error)) (value T, err error) {
	done := make(chan struct{})
	var readValue T
	var readErr error
	go func() {
		defer close(done)
		readValue, readErr = read()
	}()
	select {
	case <-done:
		return readValue, readErr
	case <-ctx.Done():
		return value, exitError{exitInterrupted, errors.New("interrupted while a file was read: nothing was written")}
	}
}

// topologyFlag is a value for --topology that needs no file: the name of one that is built in, or the table itself.
func (n *network) topologyFlag(nodes int) string {
	if slices.Contains(netem.Topologies(), n.topology.Name) {
		return n.topology.Name
	}
	return n.topology.Text(nodes)
}

// recorded is the topology as the run file has it.
func (n *network) recorded() *results.Topology {
	t := &results.Topology{Name: n.topology.Name, Source: n.topology.Source, Regions: n.topology.Regions}
	for _, row := range n.topology.RoundTrips {
		var ms []float64
		for _, trip := range row {
			ms = append(ms, float64(trip)/float64(time.Millisecond))
		}
		t.RoundTripsMs = append(t.RoundTripsMs, ms)
	}
	return t
}

// leaderOf reads --leader: a replica's number, or the name of a region, which stands for the first replica in it.
func leaderOf(c *cli.Context, m *bench.Matrix, links *network) (raft.ID, error) {
	text := strings.TrimSpace(c.String("leader"))
	if text == "" {
		return 0, nil
	}
	if links != nil && links.topology != nil {
		if i := slices.Index(links.topology.Regions, text); i >= 0 {
			if least := slices.Min(m.Nodes); i >= least {
				return 0, usage("--leader: %s is region %d, but %d replicas take the first %d: give more --nodes, or choose "+
					"one of %s", text, i+1, least, least, strings.Join(links.topology.Regions[:least], ", "))
			}
			return raft.ID(i + 1), nil
		}
	}
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && n >= 1:
		return raft.ID(n), nil
	case err == nil:
		return 0, usage("--leader is %d: want the number of a replica, from 1 on", n)
	case links == nil || links.topology == nil:
		return 0, usage("--leader: %s is not the number of a replica, such as 2; regions have names with "+
			"--topology", nearest.Quote(text))
	}
	return 0, usage("--leader: %v", nearest.Unknown("region", text, links.topology.Regions))
}
