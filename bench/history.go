package bench

import (
	"errors"
	"sync"
	"time"

	"github.com/raftbench/raftbench/check"
	"github.com/raftbench/raftbench/raft"
)

// history is what a trial's clients saw of the order of the log. The rule that an operation which began after another
// was answered comes after it is checked for all of them, as they are answered; the first are kept, for a search that
// shares no code with that rule.
type history struct {
	order check.RealTime

	mu    sync.Mutex
	first [sampledOperations]check.Operation // by the proposal's number
}

// sampledOperations is how many operations of a trial are kept.
const sampledOperations = 256

// called notes that a client is about to offer a proposal, and returns what answered wants to know.
func (h *history) called(number uint64, clock func() raft.Time) uint64 {
	if number < sampledOperations {
		now := clock()
		h.mu.Lock()
		h.first[number] = check.Operation{Value: number, Call: now}
		h.mu.Unlock()
	}
	return h.order.Call()
}

// answered notes that a client was told that its proposal is committed at an index.
func (h *history) answered(called, number, index uint64, clock func() raft.Time) error {
	err := h.order.Return(called, index)
	if number < sampledOperations {
		now := clock()
		h.mu.Lock()
		op := &h.first[number]
		op.Answered, op.Index, op.Return = true, index, now
		h.mu.Unlock()
	}
	return err
}

// linearizable searches for an order that explains what the sampled clients saw. unknown says that the search did not
// finish.
func (h *history) linearizable() (unknown, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch check.LinearizeLog(h.first[:], time.Second) {
	case check.LinearizableNo:
		return nil, errors.New("no order of the first operations explains what clients were told")
	case check.Unproven:
		return errors.New("it is unknown whether the first operations are linearizable: the search did not finish"), nil
	}
	return nil, nil
}
