package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// replicaName names a replica, by its region if the run had a topology: "virginia (replica 1)".
func replicaName(run *results.Run, id int) string {
	if region := run.Header.Topology.Region(id); region != "" {
		return fmt.Sprintf("%s (replica %d)", region, id)
	}
	return fmt.Sprintf("replica %d", id)
}

// leaderText says who led first in the trials that have figures: "leader: virginia (replica 1)"; "" if no trial tells.
func (s *Summary) leaderText() string {
	trials := map[int]int{}
	for _, t := range s.Run.Trials {
		if t.Status == results.OK && t.Leader > 0 {
			trials[t.Leader]++
		}
	}
	var ids []int
	for id := range trials {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var parts []string
	for _, id := range ids {
		part := replicaName(s.Run, id)
		if len(ids) > 1 {
			part += " in " + units.Count(trials[id], "trial")
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return "leader: " + strings.Join(parts, ", ")
}

// leaderOf names those who led first in a cell's trials, each once: "virginia", or "1" without a topology.
func leaderOf(run *results.Run, trials []results.Trial) string {
	var names []string
	for _, t := range trials {
		if t.Status != results.OK || t.Leader == 0 {
			continue
		}
		name := run.Header.Topology.Region(t.Leader)
		if name == "" {
			name = fmt.Sprint(t.Leader)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// topologyGrid is the table of the round trips between the regions that the run's replicas were in.
func topologyGrid(t *results.Topology, nodes int) grid {
	n := min(nodes, len(t.Regions))
	g := grid{head: []string{"round trip, ms"}, right: []bool{false}}
	for i, region := range t.Regions[:n] {
		g.head, g.right = append(g.head, region), append(g.right, true)
		row := []string{region}
		for k := range n {
			text := ""
			if i < len(t.RoundTripsMs) && k < len(t.RoundTripsMs[i]) {
				text = figure(t.RoundTripsMs[i][k])
			}
			row = append(row, text)
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// topology writes the regions that the run's replicas were in, and where the figures are from.
func (m *markdown) topology() {
	t := m.s.Run.Header.Topology
	if t == nil {
		return
	}
	nodes := 0
	for _, c := range m.s.Cells {
		nodes = max(nodes, c.Nodes)
	}
	text := "Topology " + t.Name
	if t.Source != "" {
		text += ": " + t.Source
	}
	m.para(text)
	m.table(topologyGrid(t, nodes))
}
