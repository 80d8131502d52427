package strategies

import (
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

func TestCatchUps(t *testing.T) {
	few := raft.Behind{Entries: 10, LogBytes: 1000, SnapshotBytes: 5000}
	many := raft.Behind{Entries: 1000, LogBytes: 100_000, SnapshotBytes: 5000, TailBytes: 200}
	even := raft.Behind{Entries: 100, LogBytes: 6000, SnapshotBytes: 5000, TailBytes: 1000}
	for _, c := range []struct {
		name            string
		few, many, even bool
	}{{"log", false, false, false}, {"snapshot", true, true, true}, {"cheapest", false, true, false}} {
		choice, err := parseCatchUp(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if choice.Snapshot(few) != c.few || choice.Snapshot(many) != c.many || choice.Snapshot(even) != c.even {
			t.Errorf("%s: a snapshot for few entries %t, many %t, as many bytes %t", c.name, choice.Snapshot(few), choice.Snapshot(many), choice.Snapshot(even))
		}
	}
	if _, err := Parse("eager,catch-up=snapshots"); err == nil || !strings.Contains(err.Error(), "snapshot") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}
