package check_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftbench/raftbench/check"
	"github.com/raftbench/raftbench/raft"
)

// randomHistory makes what clients of a correct log would see: each operation takes effect at a moment between its call
// and its answer.
func randomHistory(random *rand.Rand, n int) []check.Operation {
	var history []check.Operation
	var state check.State
	now := raft.Time(1)
	for i := range n {
		now += raft.Time(random.IntN(10))
		op := check.Operation{Client: i, Value: uint64(i + 1), Read: random.IntN(3) == 0, Answered: true, Index: uint64(i + 1),
			Call: now - raft.Time(random.IntN(30)), Return: now + raft.Time(random.IntN(30)) + 1}
		if !op.Read {
			state = state.Append(op.Value)
		}
		op.State = state
		history = append(history, op)
	}
	random.Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
	return history
}

// The three checks accept histories of a correct log.
func TestCorrectHistories(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		h := randomHistory(random, 200)
		if v := check.Linearize(h, time.Minute); v != check.LinearizableYes {
			t.Fatalf("a correct history is %v", v)
		}
		if v := check.LinearizeLog(h, time.Minute); v != check.LinearizableYes {
			t.Fatalf("by its indexes a correct history is %v", v)
		}
		if err := check.InRealTime(h); err != nil {
			t.Fatal(err)
		}
	}
}

// Each kind of lie is found by the checks that can know of it.
func TestWrongHistories(t *testing.T) {
	at := func(value, index uint64, call, back raft.Time) check.Operation {
		return check.Operation{Value: value, Index: index, Call: call, Return: back, Answered: true}
	}
	one, two := check.State{}.Append(1), check.State{}.Append(1).Append(2)
	with := func(op check.Operation, s check.State) check.Operation { op.State = s; return op }
	read := func(op check.Operation, s check.State) check.Operation { op.State, op.Read = s, true; return op }
	for _, c := range []struct {
		about               string
		history             []check.Operation
		state, log, inOrder bool // whether each check must find it wrong
	}{
		{"the second operation is before the first in the log", []check.Operation{
			with(at(1, 2, 1, 2), check.State{}.Append(2).Append(1)), with(at(2, 1, 3, 4), check.State{}.Append(2))}, true, true, true},
		{"two values at one place", []check.Operation{with(at(1, 1, 1, 5), one), with(at(2, 1, 2, 5), two)}, false, true, false},
		{"a read that does not see what was answered before", []check.Operation{
			with(at(1, 1, 1, 2), one), read(at(2, 2, 3, 4), check.State{})}, true, false, false},
		{"a read of the future", []check.Operation{read(at(2, 1, 1, 2), one), with(at(1, 2, 3, 4), one)}, true, false, false},
		{"a value that is there twice", []check.Operation{
			with(at(1, 1, 1, 2), one), read(at(2, 2, 3, 4), check.State{}.Append(1).Append(1))}, true, false, false},
		{"two reads that go back", []check.Operation{with(at(1, 1, 1, 10), one), read(at(2, 2, 2, 3), one), read(at(3, 3, 4, 5), check.State{})}, true, false, false},
	} {
		if got := check.Linearize(c.history, time.Minute) == check.LinearizableNo; got != c.state {
			t.Errorf("%s: Linearize finds it wrong: %t", c.about, got)
		}
		if got := check.LinearizeLog(c.history, time.Minute) == check.LinearizableNo; got != c.log {
			t.Errorf("%s: LinearizeLog finds it wrong: %t", c.about, got)
		}
		if got := check.InRealTime(c.history) != nil; got != c.inOrder {
			t.Errorf("%s: InRealTime finds it wrong: %t", c.about, got)
		}
	}
}

// An operation without an answer may have taken effect late, or never.
func TestOpenOperations(t *testing.T) {
	open := check.Operation{Value: 1, Call: 1}
	seen := check.Operation{Value: 2, Read: true, Answered: true, Call: 10, Return: 11, State: check.State{}.Append(1)}
	unseen := check.Operation{Value: 3, Read: true, Answered: true, Call: 5, Return: 6}
	if v := check.Linearize([]check.Operation{open, unseen, seen}, time.Minute); v != check.LinearizableYes {
		t.Errorf("an effect after the first read: %v", v)
	}
	if v := check.Linearize([]check.Operation{open, unseen}, time.Minute); v != check.LinearizableYes {
		t.Errorf("no effect: %v", v)
	}
}

// A search that does not finish says so.
func TestUnfinishedSearch(t *testing.T) {
	var h []check.Operation
	for i := range 14 {
		h = append(h, check.Operation{Value: uint64(i + 1), Call: 1}) // nobody knows what became of them
	}
	h = append(h, check.Operation{Value: 99, Read: true, Answered: true, Call: 2, Return: 3, State: check.State{Count: 7, Hash: 1}})
	if v := check.Linearize(h, time.Millisecond); v != check.Unproven {
		t.Errorf("a search without an end is %v", v)
	}
}
