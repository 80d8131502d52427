package raft_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// TestConfig: what cannot work is refused, and the error says what is wanted.
func TestConfig(t *testing.T) {
	good := func() (raft.Config, raft.Saved) {
		return raft.Config{ID: 1, Voters: []raft.ID{3, 2, 1}, Strategy: plain, Heartbeat: heartbeat, ElectionTimeout: electionTimeout}, raft.Saved{}
	}
	for _, c := range []struct {
		says   string
		change func(*raft.Config, *raft.Saved)
	}{
		{"ID is 0", func(c *raft.Config, _ *raft.Saved) { c.ID = 0 }},
		{"not among Voters", func(c *raft.Config, _ *raft.Saved) { c.ID = 4 }},
		{"there twice", func(c *raft.Config, _ *raft.Saved) { c.Voters = []raft.ID{1, 2, 2} }},
		{"0 or there twice", func(c *raft.Config, _ *raft.Saved) { c.Voters = []raft.ID{1, 0} }},
		{"128 Voters, at most 127", func(c *raft.Config, _ *raft.Saved) {
			for id := raft.ID(4); id <= 128; id++ {
				c.Voters = append(c.Voters, id)
			}
		}},
		{"lacks a choice", func(c *raft.Config, _ *raft.Saved) { c.Strategy.Apply = nil }},
		{"Heartbeat is 0s, want above 0", func(c *raft.Config, _ *raft.Saved) { c.Heartbeat = 0 }},
		{"want above the Heartbeat of 10ms", func(c *raft.Config, _ *raft.Saved) { c.ElectionTimeout = heartbeat }},
		{"at most 8760h", func(c *raft.Config, _ *raft.Saved) { c.ElectionTimeout = 1 << 62 }},
		{"MaxInFlight is -1", func(c *raft.Config, _ *raft.Saved) { c.MaxInFlight = -1 }},
		{"MaxHeld is 2, want at least 3", func(c *raft.Config, _ *raft.Saved) { c.MaxHeld = 2 }},
		{"MaxEntryBytes is 2147483648, at most 1073741824", func(c *raft.Config, _ *raft.Saved) { c.MaxEntryBytes = 2 << 30 }},
		{"MaxAppendBytes is 2147483648, at most 268435456", func(c *raft.Config, _ *raft.Saved) { c.MaxAppendBytes = 2 << 30 }},
		{"MaxInFlight is 2147483648, at most 1073741824", func(c *raft.Config, _ *raft.Saved) { c.MaxInFlight = 2 << 30 }},
		{"entries up to 3 are saved as applied, but the saved log ends at 0", func(_ *raft.Config, s *raft.Saved) { s.Applied = 3 }},
		{"saved term is 1, but the saved log ends in term 2", func(_ *raft.Config, s *raft.Saved) {
			s.Term, s.Log = 1, raft.NewLog(1, 0)
			s.Log.Append(2, nil)
		}},
		{"saved term is 18446744073709551615", func(_ *raft.Config, s *raft.Saved) { s.Term = 1<<64 - 1 }},
	} {
		cfg, saved := good()
		c.change(&cfg, &saved)
		if _, err := raft.New(0, cfg, saved); !errors.Is(err, raft.ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error is %v, want one that says %q", err, c.says)
		}
	}
	cfg, saved := good()
	if _, err := raft.New(0, cfg, saved); err != nil {
		t.Error(err)
	}
	if cfg.Voters[0] != 3 {
		t.Error("New changes the caller's Voters")
	}
}

// TestClockGoesBack: an earlier time is taken for the latest known.
func TestClockGoesBack(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.run(time.Second)
	n := g.node(1)
	before := n.Deadline()
	n.Tick(g.now.Add(-time.Hour))
	n.Take()
	if after := n.Deadline(); after != before {
		t.Errorf("the deadline moves from %v to %v", before, after)
	}
}
