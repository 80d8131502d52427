package bench

import (
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// tally is a run of committed proposals, of one batch, that were due and reached every stage at the same moments: they
// are recorded together, which is most of what keeps measuring cheap.
type tally struct {
	n           uint64
	member      uint32 // as client.member
	first, last uint64 // indexes
	by          raft.ID
	due         raft.Time
	stages      cluster.Stages
}

// tallyUp takes a committed proposal of the windows in member. The lock is held.
func (l *Load) tallyUp(member uint32, due raft.Time, p *cluster.Proposal) {
	t := &l.run
	if t.n > 0 && p.Index == t.last+1 && due == t.due && member == t.member && p.Replica == t.by && p.Stages == t.stages {
		t.n++
		t.last++
		return
	}
	l.settle()
	*t = tally{n: 1, member: member, first: p.Index, last: p.Index, by: p.Replica, due: due, stages: p.Stages}
}

// settle records the run. The lock is held.
func (l *Load) settle() {
	t := &l.run
	if t.n == 0 {
		return
	}
	for i, w := range l.windows {
		if t.member&(1<<i) != 0 {
			l.record(w, t)
		}
	}
	t.n = 0
}

// record puts a run into a window's histograms. The lock is held.
func (l *Load) record(w *window, t *tally) {
	s := &t.stages
	l.putMany(w.latency, t.due, s.Applied, t.n)
	if !w.staged || s.Appended == 0 || s.Sent == 0 || s.Acked == 0 || s.Committed == 0 {
		return
	}
	l.putMany(w.queue, t.due, s.Appended, t.n)
	l.putMany(w.send, s.Appended, s.Sent, t.n)
	l.putMany(w.ack, s.Sent, s.Acked, t.n)
	l.putMany(w.commit, s.Acked, s.Committed, t.n)
	l.putMany(w.apply, s.Committed, s.Applied, t.n)
	l.watch.finishedRun(t)
}

func (l *Load) putMany(h *results.Histogram, from, to raft.Time, n uint64) {
	if err := h.RecordMany(to.Sub(from), n); err != nil {
		l.broken(err)
	}
}
