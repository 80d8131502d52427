package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/raftbench/raftbench/raft"
)

// MinPayloadBytes is the smallest payload: every proposal begins with a number of its own.
const MinPayloadBytes = 8

// ledger is the bookkeeping of one trial: which proposals clients were told are committed, and which every replica
// applied. Each proposal carries its number, so that the two can be compared when all is over.
type ledger struct {
	issued   atomic.Uint64
	replicas []account
	filler   []byte // what follows the number in every payload
}

// account is what one replica applied. It is touched by that replica alone.
type account struct {
	last    uint64 // index
	applied bitmap
	fault   error
}

func newLedger(replicas, payloadBytes int) *ledger {
	l := &ledger{replicas: make([]account, replicas), filler: make([]byte, payloadBytes-MinPayloadBytes)}
	for i := range l.filler {
		l.filler[i] = byte(i*7 + 13)
	}
	return l
}

// payload returns memory for a client's proposals.
func (l *ledger) payload() []byte {
	return append(make([]byte, MinPayloadBytes), l.filler...)
}

// issue numbers a new proposal.
func (l *ledger) issue(payload []byte) {
	binary.LittleEndian.PutUint64(payload, l.issued.Add(1)-1)
}

// numberOf returns the number of a proposal.
func numberOf(payload []byte) uint64 { return binary.LittleEndian.Uint64(payload) }

// apply notes what a replica applies. Entries without data are leaders' no-ops; those of terms up to given
// are what the scenario gave the replicas to start with.
func (l *ledger) apply(id raft.ID, e raft.Entries, given uint64) {
	a := &l.replicas[id-1]
	for entry := range e.All() {
		switch {
		case entry.Index <= a.last:
			continue // again, after a restart
		case entry.Index != a.last+1:
			a.fail("replica %d applied index %d after %d", id, entry.Index, a.last)
		}
		a.last = entry.Index
		if len(entry.Data) == 0 || entry.Term <= given {
			continue
		}
		if len(entry.Data) < MinPayloadBytes || !bytes.Equal(entry.Data[MinPayloadBytes:], l.filler) {
			a.fail("replica %d applied at index %d a value that nobody proposed", id, entry.Index)
			continue
		}
		if number := numberOf(entry.Data); !a.applied.set(number) {
			a.fail("replica %d applied proposal %d twice, again at index %d", id, number, entry.Index)
		}
	}
}

func (a *account) fail(format string, args ...any) {
	if a.fault == nil {
		a.fault = fmt.Errorf(format, args...)
	}
}

// check compares both sides, once nothing moves any more. told is what clients were told is committed.
func (l *ledger) check(told bitmap) error {
	for i := range l.replicas {
		a := &l.replicas[i]
		if a.fault != nil {
			return a.fault
		}
		if number, missing := told.firstNotIn(a.applied); missing {
			return fmt.Errorf("proposal %d was acknowledged, but replica %d never applied it", number, i+1)
		}
		if top := a.applied.top(); top > l.issued.Load() {
			return fmt.Errorf("replica %d applied proposal %d of %d", i+1, top-1, l.issued.Load())
		}
	}
	return nil
}

// bitmap is a set of small numbers.
type bitmap []uint64

// set adds n and reports whether it was not there yet.
func (b *bitmap) set(n uint64) bool {
	word, bit := n/64, uint64(1)<<(n%64)
	for uint64(len(*b)) <= word {
		*b = append(*b, 0)
	}
	fresh := (*b)[word]&bit == 0
	(*b)[word] |= bit
	return fresh
}

// merge adds all members of other.
func (b *bitmap) merge(other bitmap) {
	for i, w := range other {
		if i == len(*b) {
			*b = append(*b, 0)
		}
		(*b)[i] |= w
	}
}

func (b bitmap) firstNotIn(other bitmap) (n uint64, found bool) {
	for i, w := range b {
		if i < len(other) {
			w &^= other[i]
		}
		if w != 0 {
			for n = uint64(i) * 64; w&1 == 0; w >>= 1 {
				n++
			}
			return n, true
		}
	}
	return 0, false
}

// top returns one more than the largest member.
func (b bitmap) top() uint64 {
	for i := len(b) - 1; i >= 0; i-- {
		if w := b[i]; w != 0 {
			n := uint64(i) * 64
			for ; w != 0; w >>= 1 {
				n++
			}
			return n
		}
	}
	return 0
}
