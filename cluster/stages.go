package cluster

import "github.com/raftbench/raftbench/raft"

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
		w.filled = Stages{Appended: w.appended.at(index), Sent: w.sent.at(index), Acked: w.acked.at(index), Committed: w.committed.at(index)}
		w.upTo = min(w.appended.alike(index), w.sent.alike(index), w.acked.alike(index), w.committed.alike(index))
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

func (m *marks) at(index uint64) raft.Time {
	for m.head < len(m.queue) && m.queue[m.head].index < index {
		m.head++
	}
	if m.head == len(m.queue) {
		return 0
	}
	return m.queue[m.head].at
}

// alike returns the last index for which at answers the same as it just did for this one.
func (m *marks) alike(index uint64) uint64 {
	if m.head == len(m.queue) {
		return index
	}
	return m.queue[m.head].index
}
