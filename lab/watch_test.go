package lab

import (
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

func run(first uint64, values ...string) raft.Entries {
	e := raft.Entries{First: first}
	for _, v := range values {
		e.Append(1, []byte(v))
	}
	return e
}

func TestWatchNoticesWhatMayNeverHappen(t *testing.T) {
	for _, c := range []struct {
		want string
		do   func(*watch)
	}{
		{"", func(w *watch) {
			w.Applied(0, 1, run(1, "a", "b"))
			w.Applied(0, 2, run(1, "a"))
			w.Applied(0, 2, run(2, "b", "c"))
			w.restarted(1)
			w.Applied(0, 1, run(1, "a", "b", "c"))
			w.leads(1, 1)
			w.leads(1, 1)
			w.leads(2, 2)
		}},
		{"term 3 has two leaders, replicas 1 and 2", func(w *watch) {
			for id := raft.ID(1); id <= 2; id++ {
				w.Events(0, id, []raft.Event{{Kind: raft.EventRole, Role: raft.Candidate, Term: 3}, {Kind: raft.EventRole, Role: raft.Leader, Term: 3}})
			}
		}},
		{"replica 2 applied 78 at index 2, another had applied 62", func(w *watch) {
			w.Applied(0, 1, run(1, "a", "b"))
			w.Applied(0, 2, run(1, "a", "x"))
		}},
		{"replica 1 applied index 3, want 2", func(w *watch) {
			w.Applied(0, 1, run(1, "a"))
			w.Applied(0, 1, run(3, "c"))
		}},
		{"replica 1 applied index 2, want 1", func(w *watch) { w.Applied(0, 1, run(2, "b")) }},
		{"replica 1 applied index 1, want 2", func(w *watch) {
			w.Applied(0, 1, run(1, "a"))
			w.Applied(0, 1, run(1, "a"))
		}},
		{"replica 1 applied 62 at index 1, another had applied 61", func(w *watch) {
			w.Applied(0, 1, run(1, "a"))
			w.restarted(1)
			w.Applied(0, 1, run(1, "b"))
		}},
	} {
		w := newWatch(3)
		c.do(w)
		err := w.check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestWatchCountsReplicas(t *testing.T) {
	w := newWatch(3)
	w.Applied(0, 1, run(1, "a", "b"))
	w.Applied(0, 3, run(1, "a"))
	for index, want := range map[uint64]int{1: 2, 2: 1, 3: 0} {
		if n, _, err := w.committed(index); n != want || err != nil {
			t.Errorf("index %d: %d replicas (%v), want %d", index, n, err, want)
		}
	}
	if _, value, _ := w.committed(2); value != "b" || w.highest() != 2 {
		t.Errorf("index 2 is %q and the highest is %d, want b and 2", value, w.highest())
	}
}
