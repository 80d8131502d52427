package sim

import "github.com/raftbench/raftbench/raft"

// event is something that will happen. It holds no pointer, so that a heap of many costs the garbage collector nothing.
type event struct {
	at   raft.Time
	seq  uint64 // in the order of scheduling: what is due at one instant happens in this order
	slot int32  // of a frame or a step; for EventConnect and EventUp the peer's place
	gen  uint32 // must equal the owner's, or the event is out of date
	kind EventKind
	on   int16 // place of the replica that it concerns
}

func (e *event) before(other *event) bool {
	return e.at < other.at || e.at == other.at && e.seq < other.seq
}

// queue is a heap of events with four children to a node: half as deep as one with two, and a node's children lie side
// by side in memory.
type queue []event

func (q *queue) push(e event) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	i := 0
	for {
		least := 4*i + 1
		if least >= len(h) {
			break
		}
		for child := least + 1; child < min(4*i+5, len(h)); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	if len(h) > 0 {
		h[i] = last
	}
	return first
}
