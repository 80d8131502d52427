package raft_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// wired is a group without network and disk: what a replica sends arrives at once, what it saves is durable at once.
type wired struct {
	nodes   []*raft.Node
	now     raft.Time
	queue   []raft.Message
	memory  []byte // of the entries in queue
	applied uint64
}

func newWired(tb testing.TB, n int, s raft.Strategy) *wired {
	w := &wired{}
	var voters []raft.ID
	for id := raft.ID(1); id <= raft.ID(n); id++ {
		voters = append(voters, id)
	}
	for _, id := range voters {
		node, err := raft.New(0, raft.Config{ID: id, Voters: voters, Strategy: s, Heartbeat: time.Second, ElectionTimeout: time.Minute,
			MaxAppendBytes: 1 << 20}, raft.Saved{})
		if err != nil {
			tb.Fatal(err)
		}
		w.nodes = append(w.nodes, node)
	}
	w.nodes[0].Campaign(w.now)
	w.settle()
	return w
}

// settle does all that the nodes want done.
func (w *wired) settle() {
	for {
		quiet := true
		for _, n := range w.nodes {
			for out := n.Take(); !out.Empty(); out = n.Take() {
				quiet = false
				for _, m := range out.Messages {
					at := len(w.memory)
					w.memory = append(w.memory, m.Entries.Bytes...)
					for _, e := range m.More {
						w.memory = append(w.memory, e.Bytes...)
					}
					m.Entries.Bytes, m.Entries.Count, m.More = w.memory[at:len(w.memory):len(w.memory)], m.EntryCount(), nil
					w.queue = append(w.queue, m)
				}
				for _, e := range out.Apply {
					w.applied = max(w.applied, e.Last())
				}
				if out.Save.Seq != 0 {
					n.Saved(w.now, out.Save.Seq)
				}
			}
		}
		for i := range w.queue {
			w.nodes[w.queue[i].To-1].Step(w.now, &w.queue[i])
		}
		w.queue, w.memory = w.queue[:0], w.memory[:0]
		if quiet {
			return
		}
	}
}

// commit brings one batch of proposals all the way, and forgets it.
func (w *wired) commit(tb testing.TB, proposals int, data []byte) {
	w.now = w.now.Add(time.Millisecond)
	for range proposals {
		if _, _, err := w.nodes[0].Propose(w.now, data); err != nil {
			tb.Fatal(err)
		}
	}
	w.settle()
	if last := w.nodes[0].Log().Last(); last%1024 == 0 {
		for _, n := range w.nodes {
			term, _ := n.Log().Term(last - 512)
			n.SnapshotSaved(w.now, raft.Snapshot{Index: last - 512, Term: term})
		}
	}
}

// eager tells followers of a commit at once, so that every batch goes through all that there is.
var eager = raft.Strategy{Name: "eager", Backup: fast, Send: now, Commit: now, Announce: now, Apply: now}

// BenchmarkCommit measures what one proposal of 16 bytes costs all three replicas together, from Propose to applied.
func BenchmarkCommit(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			w := newWired(b, 3, eager)
			data := make([]byte, 16)
			for range 8192 / batch {
				w.commit(b, batch, data)
			}
			b.ReportAllocs()
			b.ResetTimer()
			done := 0
			for ; done < b.N; done += batch {
				w.commit(b, batch, data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/commit")
		})
	}
}

// TestAllocations: in steady state a proposal allocates nothing on any replica, whatever the gates.
func TestAllocations(t *testing.T) {
	hold := eager
	hold.Commit, hold.Apply, hold.Send = barrier, confirmed, window2
	for _, s := range []raft.Strategy{eager, hold} {
		w := newWired(t, 3, s)
		data := make([]byte, 16)
		for range 256 { // until logs have changed segments more than once
			w.commit(t, 256, data)
		}
		if n := testing.AllocsPerRun(64, func() { w.commit(t, 256, data) }); n > 0 {
			t.Errorf("%d proposals together make %v allocations with %+v", 256, n, s)
		}
		if last := w.nodes[0].Log().Last(); w.applied != last {
			t.Errorf("%d applied of %d", w.applied, last)
		}
	}
}
