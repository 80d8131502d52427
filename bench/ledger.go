package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// MinPayloadBytes is the smallest payload: every proposal begins with a number of its own.
const MinPayloadBytes = 8

// ledger is the bookkeeping of one trial: which proposals clients were told are committed, and which every replica
// applied. Each proposal carries its number, so that the two can be compared when all is over. What the loads count is
// compared with it as well, and moves nothing in it: each load tells its page what happens, before it counts it itself.
type ledger struct {
	issued   atomic.Uint64
	history  history
	replicas []account
	filler   []byte // what follows the number in every payload

	mu    sync.Mutex
	pages []*page // one a load
}

// account is what one replica applied. It is touched by that replica alone, except for reached.
type account struct {
	last    uint64 // index
	skipped uint64 // entries that a snapshot stood for: they are in the state, and were not seen
	applied bitmap
	count   uint64        // of proposals in applied
	order   uint64        // a digest of what was applied, in order
	reached atomic.Uint64 // last, once the entries up to it are noted
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
	issued := l.issued.Load()
	for entry := range e.All() {
		switch {
		case entry.Index <= a.last:
			continue // again, after a restart
		case entry.Index != a.last+1:
			a.fail("replica %d applied index %d after %d", id, entry.Index, a.last)
		}
		a.last = entry.Index
		a.order = mix(mix(a.order, entry.Index), entry.Term)
		if len(entry.Data) == 0 || entry.Term <= given {
			continue
		}
		if len(entry.Data) < MinPayloadBytes || !bytes.Equal(entry.Data[MinPayloadBytes:], l.filler) || numberOf(entry.Data) >= issued {
			a.fail("replica %d applied at index %d a value that nobody proposed", id, entry.Index)
			continue
		}
		number := numberOf(entry.Data)
		a.order = mix(a.order, number)
		a.count++
		if !a.applied.set(number) {
			a.fail("replica %d applied proposal %d twice, again at index %d", id, number, entry.Index)
		}
	}
	a.reached.Store(a.last)
}

// restore notes that a replica went on from a snapshot of everything up to an index.
func (l *ledger) restore(id raft.ID, index uint64) {
	a := &l.replicas[id-1]
	if index > a.last {
		a.skipped += index - a.last
		a.last = index
		a.reached.Store(index)
	}
}

// mix adds a number to a digest in which order counts: a step of FNV-1a, a word at a time.
func mix(digest, n uint64) uint64 { return (digest ^ n) * 0x100000001b3 }

// acknowledged is told of a proposal that a client was told is committed, at the moment it was told. The replica that
// answered must have applied it by then.
func (l *ledger) acknowledged(by raft.ID, index, number uint64) error {
	if by < 1 || int(by) > len(l.replicas) {
		return fmt.Errorf("proposal %d was acknowledged by replica %d, of %d", number, by, len(l.replicas))
	}
	if reached := l.replicas[by-1].reached.Load(); index == 0 || index > reached {
		return fmt.Errorf("proposal %d was acknowledged at index %d when replica %d had applied up to %d",
			number, index, by, reached)
	}
	return nil
}

func (a *account) fail(format string, args ...any) {
	if a.fault == nil {
		a.fault = fmt.Errorf(format, args...)
	}
}

// check compares all sides, once nothing moves any more: what clients were told, what the replicas applied, and what
// the loads have counted.
func (l *ledger) check(counted results.Counts) error {
	var told, late fates
	var missed uint64
	for _, p := range l.pages {
		told.merge(&p.inTime)
		late.merge(&p.late)
		missed += p.missed()
	}
	if err := told.checkCounts(counted, l.issued.Load(), missed); err != nil {
		return err
	}
	unknown := counted.Unknown - late.committed.count() - late.failed.count()
	told.committed.merge(late.committed)
	told.failed.merge(late.failed)
	whole := -1 // the first replica that applied everything itself
	var seen bitmap
	for i := range l.replicas {
		seen.merge(l.replicas[i].applied)
		if l.replicas[i].skipped == 0 && whole < 0 {
			whole = i
		}
	}
	first := &l.replicas[max(whole, 0)]
	for i := range l.replicas {
		a := &l.replicas[i]
		if a.fault != nil {
			return a.fault
		}
		applied := a.applied
		if a.skipped > 0 {
			// What its snapshot stood for was applied elsewhere; that its state has it, the digest says.
			applied = seen
		}
		if number, missing := told.committed.firstNotIn(applied); missing {
			return fmt.Errorf("proposal %d was acknowledged, but replica %d never applied it", number, i+1)
		}
		if number, found := told.failed.firstIn(a.applied); found {
			return fmt.Errorf("proposal %d was answered as failed, but replica %d applied it", number, i+1)
		}
		if answered := told.committed.count(); a.count > answered+unknown {
			return fmt.Errorf("replica %d applied %d proposals, but only %d were acknowledged and %d unknown",
				i+1, a.count, answered, unknown)
		}
		if a.last != first.last {
			return fmt.Errorf("replica %d applied up to index %d, replica %d up to %d", max(whole, 0)+1, first.last, i+1, a.last)
		}
		if a.skipped == 0 && a.order != first.order {
			return fmt.Errorf("replicas %d and %d applied different entries up to index %d", whole+1, i+1, a.last)
		}
		if most := first.count; whole >= 0 && (a.count > most || most-a.count > a.skipped) {
			return fmt.Errorf("replica %d applied %d proposals and skipped %d entries, replica %d applied %d", i+1, a.count,
				a.skipped, whole+1, most)
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

// has reports whether n is a member.
func (b bitmap) has(n uint64) bool {
	return n/64 < uint64(len(b)) && b[n/64]&(1<<(n%64)) != 0
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

// firstNotIn returns the smallest member that other has not.
func (b bitmap) firstNotIn(other bitmap) (n uint64, found bool) {
	for i, w := range b {
		if i < len(other) {
			w &^= other[i]
		}
		if w != 0 {
			return uint64(i)*64 + uint64(bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// firstIn returns the smallest member that other has too.
func (b bitmap) firstIn(other bitmap) (n uint64, found bool) {
	for i := range min(len(b), len(other)) {
		if w := b[i] & other[i]; w != 0 {
			return uint64(i)*64 + uint64(bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// count returns how many members there are.
func (b bitmap) count() (n uint64) {
	for _, w := range b {
		n += uint64(bits.OnesCount64(w))
	}
	return n
}
