package bench

import (
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// OwnWay is the strategy that results name for an engine which no strategy times.
const OwnWay = "own"

// The axis of the steady scenario that says whether the harness measures: see Settings.Unmeasured.
const measureParam, measureOn, measureOff = "measure", "on", "off"

// engines returns the engines of the matrix: this project's own core if none are named.
func (m *Matrix) engines() []engines.Engine {
	if len(m.Engines) == 0 {
		return []engines.Engine{{Name: "raftbench", Strategies: true}}
	}
	return m.Engines
}

// strategiesOf returns the strategies that an engine is measured with.
func (m *Matrix) strategiesOf(e *engines.Engine) []raft.Strategy {
	if e.Strategies {
		return m.Strategies
	}
	return []raft.Strategy{ownWay}
}

// kindOf tells reports what others are compared with.
func kindOf(e *engines.Engine) results.EngineKind {
	switch {
	case e.Floor:
		return results.Floor
	case !e.Strategies:
		return results.Peer
	}
	return ""
}

// measures returns the points of the measure axis, of which only the steady scenario has two.
func (m *Matrix) measures(scenario Scenario) []bool {
	if scenario.Name != steady.Name || len(m.Measure) == 0 {
		return []bool{true}
	}
	return m.Measure
}

// cuts returns the points of the cut axis.
func (m *Matrix) cuts(scenario Scenario) []cluster.CutKind {
	if !scenario.Cuts || len(m.Cuts) == 0 {
		return []cluster.CutKind{cluster.SilentCut}
	}
	return m.Cuts
}

// ownWay stands for a strategy where there is none: estimates ask it, and it never waits.
var ownWay = raft.Strategy{Name: OwnWay, Backup: noSearch{}, Send: noWait{}, Commit: noWait{}, Announce: noWait{}, Apply: noWait{}}

type noWait struct{}

func (noWait) Wait(raft.Waiting) time.Duration { return 0 }
func (noWait) String() string                  { return OwnWay }

type noSearch struct{}

func (noSearch) Next(_ *raft.Log, r raft.Reject) uint64 { return r.PrevLogIndex }
func (noSearch) String() string                         { return OwnWay }

// use returns what a cell asks of its engine.
func (m *Matrix) use(scenario Scenario, s *Settings, group *cluster.Config) engines.Use {
	u := engines.Use{Transport: s.Transport, Virtual: m.Virtual, GivenLogs: len(group.Boot) > 0,
		Storage: s.Storage, StateBytes: group.StateBytes}
	if scenario.Needs != nil {
		n := scenario.Needs(s)
		u.Elections, u.Crashes, u.Snapshots = n.Elections, n.Crashes, n.Snapshots
	}
	return u
}
