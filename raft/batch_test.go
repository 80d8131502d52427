package raft_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// A batch is as large as its limit allows wherever the log's memory ends: it refers to several pieces of it, none of which
// is copied, and the follower has the same log afterwards.
func TestBatchesSpanTheLogsMemory(t *testing.T) {
	const entries, size = 256, 64 << 10
	for _, c := range []struct{ limit, perBatch int }{
		{256 << 10, 4}, {512 << 10, 8}, {1 << 20, 16}, {8 << 20, 128}, {size - 1, 1}, {5*size + size/2, 5},
	} {
		t.Run(fmt.Sprint(c.limit), func(t *testing.T) {
			cfg := raft.Config{ID: 1, Voters: []raft.ID{1, 2}, Strategy: eager, Heartbeat: heartbeat, ElectionTimeout: electionTimeout,
				MaxAppendBytes: c.limit, MaxInFlight: 1 << 20}
			leader, follower := newNode(t, cfg), newNode(t, raft.Config{ID: 2, Voters: cfg.Voters, Strategy: eager,
				Heartbeat: heartbeat, ElectionTimeout: electionTimeout})
			now := raft.Time(time.Second)
			leader.Campaign(now)
			take(leader, now)
			vote := raft.Message{Type: raft.RequestVoteReply, From: 2, To: 1, Term: 1, Seq: 1, VoteGranted: true}
			leader.Step(now, &vote)
			take(leader, now)
			for i := range entries {
				if _, _, err := leader.Propose(now, bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					t.Fatal(err)
				}
			}
			out := leader.Take()
			next := uint64(1)
			for i := range out.Messages {
				m := &out.Messages[i]
				want := min(c.perBatch, entries-int(next-1))
				if n := m.EntryCount(); n != want || m.EntryBytes() != want*(size+raft.EntryOverhead) || m.PrevLogIndex != next-1 {
					t.Fatalf("a batch of %d entries after %d, %d bytes, want %d after %d", n, m.PrevLogIndex, m.EntryBytes(), want, next-1)
				}
				for _, e := range append([]raft.Entries{m.Entries}, m.More...) {
					if lies := leader.Log().Slice(e.First, e.Last()); &lies.Bytes[0] != &e.Bytes[0] || lies.Count != e.Count || e.First != next {
						t.Fatalf("entries %d to %d of a batch are not where the log has them", e.First, e.Last())
					}
					next = e.Last() + 1
				}
				apart := m.Clone()
				if err := apart.Entries.Validate(); err != nil || apart.More != nil || apart.Entries.Count != want {
					t.Fatalf("the copy has %d entries in its run and %d more runs, want %d in one: %v", apart.Entries.Count, len(apart.More), want, err)
				}
				if i%2 == 0 {
					m = &apart // a follower takes both alike
				}
				follower.Step(now, m)
			}
			if next != entries+1 || follower.Log().Last() != entries {
				t.Fatalf("batches go up to %d and the follower's log to %d, want %d", next-1, follower.Log().Last(), entries)
			}
			for i := uint64(1); i <= entries; i++ {
				if e := follower.Log().Entry(i); len(e.Data) != size || e.Data[0] != byte(i-1) || e.Data[size-1] != byte(i-1) || e.Term != 1 {
					t.Fatalf("the follower's entry %d is not the leader's", i)
				}
			}
		})
	}
}

// Of entries without data, too, only so many travel together.
func TestBatchesOfNothingHaveALimit(t *testing.T) {
	log := raft.NewLog(1, 0)
	for range 100 {
		log.Append(1, nil)
	}
	if runs := log.AppendRuns(nil, 1, 100, 120); len(runs) != 1 || runs[0].Count != 10 {
		t.Errorf("of a limit of 120 bytes %+v, want 10 entries of %d bytes each", runs, raft.EntryOverhead)
	}
}

// A message whose further entries do not follow the first is no leader's.
func TestGapsBetweenRunsAreIgnored(t *testing.T) {
	run := func(first, term uint64) raft.Entries {
		e := raft.Entries{First: first}
		e.Append(term, []byte("x"))
		return e
	}
	for name, more := range map[string][]raft.Entries{
		"a gap":              {run(3, 2)},
		"an overlap":         {run(1, 2)},
		"a falling term":     {run(2, 1)},
		"a term of tomorrow": {run(2, 2), run(3, 9)},
	} {
		node := newNode(t, raft.Config{ID: 2, Voters: []raft.ID{1, 2}, Strategy: eager, Heartbeat: heartbeat, ElectionTimeout: electionTimeout})
		node.Step(1, &raft.Message{Type: raft.AppendEntries, From: 1, To: 2, Term: 2, Entries: run(1, 2), More: more})
		if last := node.Log().Last(); last != 0 {
			t.Errorf("%s: %d entries were taken", name, last)
		}
	}
}

func newNode(t *testing.T, cfg raft.Config) *raft.Node {
	t.Helper()
	node, err := raft.New(1, cfg, raft.Saved{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// take carries out what a node wants done until it wants nothing more, its messages aside.
func take(n *raft.Node, now raft.Time) {
	for out := n.Take(); !out.Empty(); out = n.Take() {
		n.Saved(now, out.Save.Seq)
	}
}
