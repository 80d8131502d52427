package check

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// commandBytes is the size of a command without its padding: the operation's value and what it is.
const commandBytes = 9

// client makes one operation after another. What has no answer in time, or an unclear one, it may ask for again under
// the same number, which the state machine does only once (thesis, section 6.3).
type client struct {
	run    *run
	number int
	made   int
	op     *Operation
	data   []byte
	tries  int  // attempts for this operation
	last   bool // makes one operation and insists on it
}

// think waits, and then makes the next operation.
func (cl *client) think() {
	r := cl.run
	wait := time.Duration(r.random.Int64N(int64(r.plan.Think) + 1))
	r.c.At(r.c.Now().Add(wait), func(raft.Time) raft.Time {
		if !r.stopped {
			cl.next()
		}
		return 0
	})
}

func (cl *client) next() {
	r := cl.run
	cl.made++
	cl.tries = 0
	cl.op = &Operation{Client: cl.number, Value: uint64(cl.number)<<32 | uint64(cl.made), Read: r.random.IntN(4) == 0 && !cl.last, Call: r.c.Now()}
	r.history = append(r.history, cl.op)
	cl.data = binary.LittleEndian.AppendUint64(make([]byte, 0, commandBytes+r.plan.MaxBytes), cl.op.Value)
	cl.data = append(cl.data, 0)
	if cl.op.Read {
		cl.data[8] = 1
	}
	for i := range r.random.IntN(r.plan.MaxBytes + 1) {
		cl.data = append(cl.data, byte(i))
	}
	cl.attempt(cl.op)
}

// attempt offers the operation to a replica.
func (cl *client) attempt(op *Operation) {
	r := cl.run
	to := cluster.Leader(r.c)
	if to == 0 || r.random.IntN(5) == 0 {
		to = raft.ID(1 + r.random.IntN(r.c.Size()))
	}
	if cl.last && r.plan.Breakage != StallFault && slices.Contains(r.plan.BrokenForGood, to) {
		ids := r.intact()
		to = ids[r.random.IntN(len(ids))]
	}
	cl.tries++
	r.open++
	answered := false
	p := &cluster.Proposal{Data: slices.Clone(cl.data), Due: r.c.Now()}
	r.attempts = append(r.attempts, p)
	p.Done = func(p *cluster.Proposal) {
		if answered {
			r.v.fail(Accounting, r.v.replica(p.Replica), "a proposal was answered twice, again as %v", p.Outcome)
		}
		answered = true
		r.open--
		cl.done(op, p)
	}
	r.c.Propose(to, p)
	r.c.At(r.c.Now().Add(r.plan.Patience), func(raft.Time) raft.Time {
		if !answered && cl.op == op && !op.Answered {
			cl.again(op)
		}
		return 0
	})
}

// maxTries is how often a client asks before it gives an operation up.
const maxTries = 4

// again asks once more for what may have been done already.
func (cl *client) again(op *Operation) {
	r := cl.run
	if !cl.last && (r.stopped || cl.tries >= maxTries) {
		cl.giveUp(op)
		return
	}
	r.retries++
	cl.attempt(op)
}

// giveUp leaves an operation without an answer.
func (cl *client) giveUp(op *Operation) {
	cl.op = nil
	cl.think()
}

func (cl *client) done(op *Operation, p *cluster.Proposal) {
	r := cl.run
	if p.Outcome == cluster.Committed {
		r.v.acknowledged(p)
		if r.v.err == nil && p.Index > r.machine.applied {
			r.v.fail(AcknowledgedKept, r.v.replica(p.Replica), "a client was told that entry %d is committed, which nobody has applied", p.Index)
		}
		if op.Answered || r.v.err != nil {
			return
		}
		op.Answered, op.Index, op.State, op.Return = true, p.Index, r.machine.at[p.Index-1], r.c.Now()
		if cl.op == op && !cl.last {
			cl.think()
		}
		return
	}
	if cl.op != op || op.Answered || r.out.Violation != nil {
		return
	}
	switch p.Outcome {
	case cluster.Refused, cluster.Failed: // it has had no effect, at least not by this attempt
		r.c.At(r.c.Now().Add(r.plan.Group.Heartbeat/4), func(raft.Time) raft.Time {
			if cl.op == op && !op.Answered {
				if r.stopped && !cl.last {
					cl.op = nil
				} else {
					cl.attempt(op)
				}
			}
			return 0
		})
	case cluster.Unknown:
		if cl.last || r.random.IntN(2) == 0 {
			cl.again(op)
		} else {
			cl.giveUp(op)
		}
	}
}

// accounts compares what clients were told of each attempt with what was committed, once the group serves again and is
// still.
func (r *run) accounts() error {
	for _, p := range r.attempts {
		if p.Index == 0 || p.Index > r.v.Committed() {
			continue
		}
		committed := r.v.committed[p.Index-1].term == p.Term
		switch {
		case p.Outcome == cluster.Failed && committed:
			return r.fail(Accounting, "a client was told by %d that its proposal has failed, which is entry %d of term %d and committed", p.Replica, p.Index, p.Term)
		case p.Outcome == cluster.Pending && r.c.Status(p.Replica).Applied >= p.Index:
			return r.fail(Accounting, "a client was not answered by %d, which has applied entry %d, where it put its proposal", p.Replica, p.Index)
		}
	}
	return nil
}
