package cluster

import "github.com/raftbench/raftbench/raft"

// watermarks remembers when a leader's stages reached which index, a mark a batch. Proposals are finished in the order
// of their index, so each mark is read once and dropped.
type watermarks struct {
	appended, sent, acked, committed marks
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

// fill sets the stages of a proposal with this index, which is not before any that was asked for earlier.
func (w *watermarks) fill(index uint64, s *Stages) {
	s.Appended = w.appended.at(index)
	s.Sent = w.sent.at(index)
	s.Acked = w.acked.at(index)
	s.Committed = w.committed.at(index)
}

func (w *watermarks) reset() {
	for _, m := range []*marks{&w.appended, &w.sent, &w.acked, &w.committed} {
		m.queue, m.head = m.queue[:0], 0
	}
}

func (m *marks) add(index uint64, at raft.Time) {
	if m.head > 0 && m.head == len(m.queue) {
		m.queue, m.head = m.queue[:0], 0
	} else if m.head > 1024 && m.head > len(m.queue)/2 {
		m.queue, m.head = m.queue[:copy(m.queue, m.queue[m.head:])], 0
	}
	m.queue = append(m.queue, mark{index, at})
}

func (m *marks) at(index uint64) raft.Time {
	for m.head < len(m.queue) && m.queue[m.head].index < index {
		m.head++
	}
	if m.head == len(m.queue) {
		return 0
	}
	return m.queue[m.head].at
}
