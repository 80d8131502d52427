package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/raftbench/raftbench/raft"
)

// Operation is what one client asked for, and what it was told.
type Operation struct {
	Client       int
	Read         bool   // else it appends Value
	Value        uint64 // unique
	Call, Return raft.Time
	Answered     bool   // if not, Return means nothing: it may take effect at any time after Call, or never
	Index        uint64 // where the log has it, if Answered
	State        State  // what was answered
}

// State is that of the replicated log as clients see it: how many values it has, and a hash of them in order. An answer
// says what it was after the operation, so each answer depends on all that came before.
type State struct{ Count, Hash uint64 }

// Append returns the state after one more value.
func (s State) Append(value uint64) State {
	const prime = 1099511628211 // of FNV-1a
	return State{s.Count + 1, (s.Hash^value)*prime ^ (s.Hash >> 29) ^ value<<7}
}

// Verdict is what a search for a linearization found.
type Verdict uint8

const (
	Unproven        Verdict = iota // it did not finish in time: nothing is known
	LinearizableYes                // there is one
	LinearizableNo                 // there is none
)

func (v Verdict) String() string {
	return [...]string{"unknown", "linearizable", "not linearizable"}[v]
}

// model is the log as a sequential object, for porcupine.
var model = porcupine.Model{
	Init: func() any { return State{} },
	Step: func(state, input, output any) (bool, any) {
		s, op := state.(State), input.(*Operation)
		if !op.Read {
			s = s.Append(op.Value)
		}
		return !op.Answered || s == op.State, s
	},
	Hash: func(state any) uint64 { return state.(State).Hash },
}

// Linearize searches for an order of all operations that explains every answer and respects real time: an operation
// whose call came after another's answer comes after it (Herlihy and Wing, 1990). An operation without an answer may be
// anywhere after its call; one that is known to have had no effect should be left out, and one that is known to have
// had one be given with what it would have been told, since guessing takes time without bound.
func Linearize(history []Operation, timeout time.Duration) Verdict {
	ops := make([]porcupine.Operation, len(history))
	for i := range history {
		op := &history[i]
		back := int64(op.Return)
		if op.Return == 0 {
			back = math.MaxInt64
		}
		ops[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: int64(op.Call), Return: back}
	}
	return verdict(porcupine.CheckOperationsTimeout(model, ops, timeout))
}

// LinearizeLog is Linearize for a log that other operations write to as well: of each answered operation only its index
// is known, and their order must be that of the indexes. Operations without an answer say nothing and are left out.
func LinearizeLog(history []Operation, timeout time.Duration) Verdict {
	var answered []*Operation
	for i := range history {
		if history[i].Answered {
			answered = append(answered, &history[i])
		}
	}
	slices.SortFunc(answered, func(a, b *Operation) int { return cmp.Compare(a.Index, b.Index) })
	ops := make([]porcupine.Operation, len(answered))
	for rank, op := range answered {
		if rank > 0 && answered[rank-1].Index == op.Index {
			return LinearizableNo // two values at one place
		}
		ops[rank] = porcupine.Operation{ClientId: op.Client, Input: rank, Call: int64(op.Call), Return: int64(op.Return)}
	}
	next := porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, _ any) (bool, any) { return state.(int) == input.(int), state.(int) + 1 },
	}
	return verdict(porcupine.CheckOperationsTimeout(next, ops, timeout))
}

func verdict(r porcupine.CheckResult) Verdict {
	switch r {
	case porcupine.Ok:
		return LinearizableYes
	case porcupine.Illegal:
		return LinearizableNo
	}
	return Unproven
}

// InRealTime reports the first pair of answered operations whose places in the log contradict real time. For a log that
// holds each value once, at the index that was answered, nothing else can go wrong: with the indexes in the order of
// real time, the order of the log is a linearization. It takes the time of sorting the history.
func InRealTime(history []Operation) error {
	type moment struct {
		at   raft.Time
		call bool
		op   *Operation
	}
	var moments []moment
	for i := range history {
		if op := &history[i]; op.Answered && op.Return != 0 {
			moments = append(moments, moment{op.Call, true, op}, moment{op.Return, false, op})
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int {
		switch {
		case a.at != b.at:
			return int(min(max(a.at-b.at, -1), 1))
		case a.call && !b.call: // at one moment they overlap
			return -1
		case !a.call && b.call:
			return 1
		}
		return 0
	})
	var order RealTime
	floors := make(map[*Operation]uint64, len(moments)/2)
	for _, m := range moments {
		if m.call {
			floors[m.op] = order.Call()
		} else if err := order.Return(floors[m.op], m.op.Index); err != nil {
			return err
		}
	}
	return nil
}

// RealTime checks while it happens that a log's order respects real time: for histories that are too long to keep. Its
// methods may be called from several goroutines. The zero value is ready.
type RealTime struct{ highest atomic.Uint64 }

// Call returns the highest index that any client has been told of so far. It is to be called before the operation is
// offered to the group.
func (r *RealTime) Call() uint64 { return r.highest.Load() }

// Return takes an answer: the index, and what Call returned before the operation. An error says that the answer's place
// in the log is not after one that a client had been told of before the operation began.
func (r *RealTime) Return(called, index uint64) error {
	for {
		h := r.highest.Load()
		if index <= h || r.highest.CompareAndSwap(h, index) {
			break
		}
	}
	if index <= called {
		return fmt.Errorf("an operation was answered with index %d, though %d had been answered before it began", index, called)
	}
	return nil
}
