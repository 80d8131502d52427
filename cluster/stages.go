package cluster

import (
	"math"

	"github.com/raftbench/raftbench/raft"
)

// watermarks remembers when a leader's stages reached which index, a mark a batch. Proposals are finished in the order
// of their index, so each mark is read once and dropped.
type watermarks struct {
	term                             uint64 // of the leadership that they are of
	appended, sent, acked, committed marks

	// The stages of the index that was asked for last, which are those of all up to an index: of a batch, as a rule.
	filled Stages
	upTo   uint64
}

// marks is a queue of moments at which everything up to an index had reached a stage.
type marks struct {
	queue []mark
	head  int
}

type mark struct {
	index uint64
	at    raft.Time
}

func (w *watermarks) observe(now raft.Time, events []raft.Event) {
	for i := range events {
		switch e := &events[i]; e.Kind {
		case raft.EventAppended:
			w.appended.add(e.Index, now)
		case raft.EventSentQuorum:
			w.sent.add(e.Index, now)
		case raft.EventAcked:
			w.acked.add(e.Index, now)
		case raft.EventCommitted:
			w.committed.add(e.Index, now)
		}
	}
}

// fill sets the stages of a proposal with this index, which is not before any that was asked for earlier. Of one that
// was made in another term nothing is known.
func (w *watermarks) fill(index, term uint64, s *Stages) {
	if term != w.term {
		return
	}
	if index > w.upTo {
		w.upTo = math.MaxUint64
		w.filled = Stages{Appended: w.appended.at(index, &w.upTo), Sent: w.sent.at(index, &w.upTo),
			Acked: w.acked.at(index, &w.upTo), Committed: w.committed.at(index, &w.upTo)}
	}
	*s = w.filled
}

func (w *watermarks) reset(term uint64) {
	w.term = term
	for _, m := range []*marks{&w.appended, &w.sent, &w.acked, &w.committed} {
		m.queue, m.head = m.queue[:0], 0
	}
	w.upTo = 0
}

func (m *marks) add(index uint64, at raft.Time) {
	if m.head > 0 && m.head == len(m.queue) {
		m.queue, m.head = m.queue[:0], 0
	} else if m.head > 1024 && m.head > len(m.queue)/2 {
		m.queue, m.head = m.queue[:copy(m.queue, m.queue[m.head:])], 0
	}
	m.queue = append(m.queue, mark{index, at})
}

// at returns when the index had reached the stage, 0 if that is not known, and lowers upTo to the last index for which
// the answer is the same.
func (m *marks) at(index uint64, upTo *uint64) raft.Time {
	for m.head < len(m.queue) && m.queue[m.head].index < index {
		m.head++
	}
	if m.head == len(m.queue) {
		*upTo = min(*upTo, index)
		return 0
	}
	*upTo = min(*upTo, m.queue[m.head].index)
	return m.queue[m.head].at
}
