package cluster

import (
	"testing"

	"github.com/raftbench/raftbench/raft"
)

func TestStagesOfABatch(t *testing.T) {
	var w watermarks
	w.reset(3)
	w.observe(10, []raft.Event{{Kind: raft.EventAppended, Index: 5}, {Kind: raft.EventSentQuorum, Index: 4}})
	w.observe(20, []raft.Event{{Kind: raft.EventSentQuorum, Index: 5}, {Kind: raft.EventAcked, Index: 4}, {Kind: raft.EventCommitted, Index: 4}})
	w.observe(30, []raft.Event{{Kind: raft.EventAcked, Index: 5}})
	w.observe(40, []raft.Event{{Kind: raft.EventCommitted, Index: 5}, {Kind: raft.EventAppended, Index: 9}})
	for _, c := range []struct {
		index, term uint64
		want        Stages
	}{
		{3, 3, Stages{Appended: 10, Sent: 10, Acked: 20, Committed: 20}},
		{4, 3, Stages{Appended: 10, Sent: 10, Acked: 20, Committed: 20}},
		{4, 2, Stages{}}, // of an earlier leadership: what was seen in this one is not its own
		{5, 3, Stages{Appended: 10, Sent: 20, Acked: 30, Committed: 40}},
		{9, 3, Stages{Appended: 40}},
	} {
		var got Stages
		if w.fill(c.index, c.term, &got); got != c.want {
			t.Errorf("index %d of term %d: %+v, want %+v", c.index, c.term, got, c.want)
		}
	}
	w.reset(4)
	var got Stages
	if w.fill(9, 4, &got); got != (Stages{}) {
		t.Errorf("%+v after a change of leader", got)
	}
}

// What is read is forgotten, however long a leader goes on.
func TestMarksStayFew(t *testing.T) {
	var m marks
	for i := uint64(1); i <= 100_000; i++ {
		m.add(i, raft.Time(i))
		if i > 10 {
			if got := m.at(i - 10); got != raft.Time(i-10) || m.alike(i-10) != i-10 {
				t.Fatalf("index %d at %d", i-10, got)
			}
		}
	}
	if cap(m.queue) > 8192 {
		t.Errorf("room for %d marks", cap(m.queue))
	}
}
