package bench

import (
	"context"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
)

var diverge = Scenario{
	Name: "diverge",
	Doc:  "a follower's log holds entries of dead terms that conflict with the leader's, and it is healed: how is the place of agreement found?",
	Params: []Param{
		{Name: "diverge-terms", Default: "5", Doc: "terms that the conflicting entries are from"},
		{Name: "diverge-entries", Default: "20", Doc: "conflicting entries in the follower's log; the leader's has as many"},
		{Name: "diverge-common", Default: "100", Doc: "entries that both logs begin with"},
		{Name: "diverge-preset", Default: "grid", Doc: "grid; figure7: the logs of figure 7 of the Raft paper, with --nodes 7; or leaders: one dead term, made by two changes of leader"},
	},
	Cuts: true,
	Prepare: func(s *Settings, group *cluster.Config) error {
		d, err := s.divergence()
		s.keepLog(group, d.common+d.conflicting)
		if err == nil && d.preset != presetGrid { // what a preset decides is what the cell has, whatever the flags are
			s.Params["diverge-terms"], s.Params["diverge-entries"] = strconv.Itoa(d.terms), strconv.Itoa(d.conflicting)
			s.Params["diverge-common"] = strconv.Itoa(d.common)
		}
		if d.preset == presetLeaders {
			return err
		}
		if err == nil {
			group.Boot = d.boot(group.Replicas, s.PayloadBytes, s.Other(s.first()))
		}
		return err
	},
	Needs: func(s *Settings) engines.Use {
		byLeaders := s.Params["diverge-preset"] == presetLeaders
		return engines.Use{Elections: byLeaders, Crashes: byLeaders}
	},
	Entries: func(s *Settings) int {
		d, _ := s.divergence()
		return d.common + 2*d.conflicting
	},
	Estimate: func(s *Settings) time.Duration {
		d, _ := s.divergence()
		if d.preset == presetLeaders {
			return s.Warmup + foregroundBefore + s.Heartbeat + 3*s.ElectionTimeout +
				repeated(2*d.conflicting/bulkClients, s.beatPerCommit())
		}
		return s.Warmup + foregroundBefore + s.Heartbeat + repeated(d.rounds(s.Strategy.Backup), s.beatPerSend())
	},
	Run: func(ctx context.Context, t *Trial) error {
		d, err := t.divergence()
		if err != nil {
			return err
		}
		if d.preset == presetLeaders {
			return t.divergeByLeaders(ctx, d)
		}
		away := d.away(t.Other(t.first()))
		for _, id := range away {
			cluster.Isolate(t.Cluster, id, t.Cut)
		}
		leader, err := t.Elect(ctx)
		if err != nil {
			return err
		}
		load := t.Foreground()
		if err := cluster.Sleep(ctx, t.Cluster, t.Warmup); err != nil {
			return err
		}
		return t.CatchUp(ctx, load, leader, away[0], uint64(d.common), d.conflicting, away[1:]...)
	},
}

// presetGrid is the divergence that the parameters shape.
const presetGrid = "grid"

// divergence is a set of logs to start with.
type divergence struct {
	preset                     string
	terms, conflicting, common int
}

func (s *Settings) divergence() (d divergence, err error) {
	d.preset = s.Params["diverge-preset"]
	switch d.preset {
	case "figure7":
		if s.Nodes != 7 {
			return d, fmt.Errorf("--diverge-preset figure7 has a leader and six followers, but --nodes is %d: want 7",
				s.Nodes)
		}
		if s.first() != 1 {
			return d, fmt.Errorf("--leader is replica %d, but with --diverge-preset figure7 it is 1: leave out one of them", s.first())
		}
		// The follower that is watched is (f): eight entries of the terms 2 and 3 after three that are common.
		d.terms, d.conflicting, d.common = 2, 8, 3
		return d, nil
	case presetGrid, presetLeaders:
	default:
		return d, fmt.Errorf("--diverge-preset is %q: want grid, figure7 or leaders", d.preset)
	}
	if d.terms, err = s.count("diverge-terms", 1); err != nil {
		return d, err
	}
	if d.preset == presetLeaders {
		d.terms = 1
	}
	if d.conflicting, err = s.count("diverge-entries", 1); err != nil {
		return d, err
	}
	if d.common, err = s.count("diverge-common", 0); err != nil {
		return d, err
	}
	if d.terms > d.conflicting {
		return d, fmt.Errorf("--diverge-terms is %d: want at most --diverge-entries, which is %d",
			d.terms, d.conflicting)
	}
	return d, nil
}

// rounds is how many probes a backup needs, at the most, as far as it is known by name.
func (d divergence) rounds(b raft.Backup) int {
	switch b.String() {
	case "linear":
		return d.conflicting + 1
	case "fast", "hint":
		return d.terms + 2
	}
	return 2*bits.Len(uint(d.conflicting+d.common)) + 2
}

// away returns the replicas that are cut off at the start, the one that is watched first.
func (d divergence) away(follower raft.ID) []raft.ID {
	if d.preset == "figure7" {
		return []raft.ID{7, 4, 5} // (f), and (c) and (d), whose longer logs are no followers' of this leader yet
	}
	return []raft.ID{follower}
}

// figure7 is the terms of the entries in figure 7 of the Raft paper: the leader of term 8, and the followers (a) to
// (f).
var figure7 = []string{
	"1 1 1 4 4 5 5 6 6 6",
	"1 1 1 4 4 5 5 6 6",
	"1 1 1 4",
	"1 1 1 4 4 5 5 6 6 6 6",
	"1 1 1 4 4 5 5 6 6 6 7 7",
	"1 1 1 4 4 4 4",
	"1 1 1 2 2 2 3 3 3 3 3",
}

// boot makes the logs of a group in which this follower's conflicts with all others'.
func (d divergence) boot(replicas, payloadBytes int, follower raft.ID) map[raft.ID]cluster.Boot {
	logs := map[raft.ID]cluster.Boot{}
	if d.preset == "figure7" {
		for i, terms := range figure7 {
			b := cluster.Boot{Term: 7}
			for _, text := range strings.Fields(terms) {
				b.Entries = append(b.Entries, raft.Entry{Term: uint64(text[0] - '0'), Data: make([]byte, payloadBytes)})
			}
			logs[raft.ID(i+1)] = b
		}
		return logs
	}
	// Common entries are of term 1, the follower's own of the terms after it, the others' of the one after those.
	last := uint64(d.terms) + 2
	for id := raft.ID(1); id <= raft.ID(replicas); id++ {
		b := cluster.Boot{Term: last}
		for range d.common {
			b.Entries = append(b.Entries, raft.Entry{Term: 1, Data: make([]byte, payloadBytes)})
		}
		for i := range d.conflicting {
			term := last
			if id == follower {
				term = 2 + uint64(i*d.terms/d.conflicting)
			}
			b.Entries = append(b.Entries, raft.Entry{Term: term, Data: make([]byte, payloadBytes)})
		}
		logs[id] = b
	}
	return logs
}

// given returns the highest term of the entries that replicas start with.
func given(logs map[raft.ID]cluster.Boot) (term uint64) {
	for _, b := range logs {
		term = max(term, b.Term)
	}
	return term
}
