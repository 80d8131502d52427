package emulate

import "github.com/raftbench/raftbench/raft"

// queue holds packets by the time when they are due; of those that are due at the same time, the one that came first is
// first. It is a binary heap that allocates nothing once it has grown.
type queue struct {
	heap []held
	came uint64 // packets so far
}

type held struct {
	at     raft.Time
	number uint64
	packet []byte
}

func (a *held) before(b *held) bool { return a.at < b.at || a.at == b.at && a.number < b.number }

func (q *queue) len() int { return len(q.heap) }

// next returns when the first packet is due; the queue must not be empty.
func (q *queue) next() raft.Time { return q.heap[0].at }

func (q *queue) push(at raft.Time, packet []byte) {
	q.came++
	q.heap = append(q.heap, held{at, q.came, packet})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.heap[i].before(&q.heap[up]) {
			return
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

// pop removes the first packet; the queue must not be empty.
func (q *queue) pop() (at raft.Time, packet []byte) {
	first, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = held{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return first.at, first.packet
		}
		if right := down + 1; right < last && q.heap[right].before(&q.heap[down]) {
			down = right
		}
		if !q.heap[down].before(&q.heap[i]) {
			return first.at, first.packet
		}
		q.heap[i], q.heap[down] = q.heap[down], q.heap[i]
		i = down
	}
}
