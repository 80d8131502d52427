package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// record is all that clients proposed and were told, and all that replicas applied.
type record struct {
	mu       sync.Mutex
	entries  []*entry
	applied  []map[uint64]raft.Entry // by each replica, by index
	last     []uint64
	restored []uint64 // the index of the last snapshot that each replica went on from
	fault    error
}

// entry is one proposal, and what became of it.
type entry struct {
	record   *record
	number   uint64
	proposal cluster.Proposal

	told        cluster.Outcome
	times       int // that it was answered
	index, term uint64
}

func newRecord(replicas int) *record {
	r := &record{last: make([]uint64, replicas), restored: make([]uint64, replicas)}
	for range replicas {
		r.applied = append(r.applied, map[uint64]raft.Entry{})
	}
	return r
}

// entry makes a proposal with a value of its own.
func (r *record) entry() *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &entry{record: r, number: uint64(len(r.entries))}
	e.proposal.Data = binary.BigEndian.AppendUint64(nil, e.number)
	e.proposal.Data = append(e.proposal.Data, bytes.Repeat([]byte{byte(e.number)}, 24)...)
	e.proposal.Done = func(p *cluster.Proposal) {
		r.mu.Lock()
		defer r.mu.Unlock()
		e.times++
		e.told, e.index, e.term = p.Outcome, p.Index, p.Term
	}
	r.entries = append(r.entries, e)
	return e
}

func (e *entry) outcome() (cluster.Outcome, int) {
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	return e.told, e.times
}

// Events is of no interest: cluster.Observer.
func (r *record) Events(raft.Time, raft.ID, []raft.Event) {}

// Applied notes what a replica applies: cluster.Observer.
func (r *record) Applied(_ raft.Time, id raft.ID, run raft.Entries) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range run.All() {
		log := r.applied[id-1]
		before, again := log[e.Index]
		switch {
		case again && (before.Term != e.Term || !bytes.Equal(before.Data, e.Data)):
			r.fail("replica %d applied two things at index %d", id, e.Index)
		case !again && e.Index != r.last[id-1]+1:
			r.fail("replica %d applied index %d after %d", id, e.Index, r.last[id-1])
		}
		e.Data = bytes.Clone(e.Data)
		log[e.Index] = e
		r.last[id-1] = max(r.last[id-1], e.Index)
	}
}

// Restored notes that a replica goes on from a snapshot: cluster.Observer.
func (r *record) Restored(_ raft.Time, id raft.ID, s raft.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restored[id-1] = s.Index
	r.last[id-1] = max(r.last[id-1], s.Index)
}

// restoredFrom returns the index of the last snapshot that a replica went on from, 0 if there was none.
func (r *record) restoredFrom(id raft.ID) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.restored[id-1]
}

func (r *record) fail(format string, args ...any) {
	if r.fault == nil {
		r.fault = fmt.Errorf(format, args...)
	}
}

// verdict compares what clients were told with what replicas applied, once all is over.
func (g *group) verdict() error {
	r := g.record
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		return r.fault
	}
	log, err := r.agreed()
	if err != nil {
		return err
	}
	at := map[uint64]uint64{}
	for index, e := range log {
		if len(e.Data) == 0 {
			continue // a leader's own
		}
		if len(e.Data) < 8 {
			return fmt.Errorf("a value at index %d that nobody proposed", index)
		}
		number := binary.BigEndian.Uint64(e.Data)
		if number >= uint64(len(r.entries)) || !bytes.Equal(e.Data, r.entries[number].proposal.Data) {
			return fmt.Errorf("a value at index %d that nobody proposed", index)
		}
		if before, twice := at[number]; twice {
			return fmt.Errorf("proposal %d is in the log twice, at %d and %d", number, before, index)
		}
		at[number] = index
	}
	for _, e := range r.entries {
		index, there := at[e.number]
		switch {
		case e.times != 1:
			return fmt.Errorf("proposal %d was answered %d times", e.number, e.times)
		case e.told == cluster.Committed && !there:
			return fmt.Errorf("proposal %d was acknowledged, and is in no log", e.number)
		case e.told == cluster.Committed && index != e.index:
			return fmt.Errorf("proposal %d was told to be at index %d, and is at %d", e.number, e.index, index)
		case e.told == cluster.Committed && log[index].Term != e.term:
			return fmt.Errorf("proposal %d was told to be of term %d, and is of %d", e.number, e.term, log[index].Term)
		case e.told == cluster.Failed && there, e.told == cluster.Refused && there:
			return fmt.Errorf("proposal %d was told to have %v, and is in the log at %d", e.number, e.told, index)
		case e.told == cluster.Pending:
			return fmt.Errorf("proposal %d was answered without an outcome", e.number)
		}
	}
	return nil
}

// agreed returns the log that all replicas have applied parts of: what a snapshot spared one, another has applied.
func (r *record) agreed() (map[uint64]raft.Entry, error) {
	log, by, last := map[uint64]raft.Entry{}, map[uint64]int{}, uint64(0)
	for i := range r.applied {
		for index, e := range r.applied[i] {
			other, there := log[index]
			if there && (other.Term != e.Term || !bytes.Equal(other.Data, e.Data)) {
				return nil, fmt.Errorf("replicas %d and %d applied different entries at index %d", by[index]+1, i+1, index)
			}
			log[index], by[index] = e, i
		}
		last = max(last, r.last[i])
	}
	if uint64(len(log)) != last {
		return nil, fmt.Errorf("%d entries were applied somewhere, and the last is %d", len(log), last)
	}
	return log, nil
}
