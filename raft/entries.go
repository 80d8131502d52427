package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Entry is one entry of the replicated log.
type Entry struct {
	Index, Term uint64
	Data        []byte
}

// Entries is a run of consecutive log entries in their encoded form, one directly after the other:
//
//	term uint64 | length of data uint32 | data        (little endian)
//
// Runs are kept encoded from the leader's log to the follower's, so that a batch is encoded once, sent to every
// follower as the same bytes and copied in one piece; nothing is allocated for an entry.
//
// A run that an Output or a decoder hands out refers to memory that is used again; copy it to keep it.
type Entries struct {
	First uint64 // index of the first entry
	Count int    // number of entries
	Bytes []byte // their encoded form
}

// EntryOverhead is the number of bytes that encoding adds to an entry's data.
const EntryOverhead = 12

// Last returns the index of the last entry; First-1 in an empty run.
func (e Entries) Last() uint64 { return e.First + uint64(e.Count) - 1 }

// DataBytes returns the bytes of the entries' data, without what encoding adds.
func (e Entries) DataBytes() int { return len(e.Bytes) - e.Count*EntryOverhead }

// All iterates over the entries of the run; Data refers to the run's memory.
func (e Entries) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		b := e.Bytes
		for i := range e.Count {
			term, data, rest := splitEntry(b)
			if !yield(Entry{Index: e.First + uint64(i), Term: term, Data: data}) {
				return
			}
			b = rest
		}
	}
}

// Append adds an entry to the end of the run.
func (e *Entries) Append(term uint64, data []byte) {
	e.Bytes = binary.LittleEndian.AppendUint64(e.Bytes, term)
	e.Bytes = binary.LittleEndian.AppendUint32(e.Bytes, uint32(len(data)))
	e.Bytes = append(e.Bytes, data...)
	e.Count++
}

// ErrMalformedEntries is wrapped by the errors of Validate.
var ErrMalformedEntries = errors.New("malformed entries")

// Validate reports whether Bytes is exactly the encoding of Count entries whose terms do not fall. The core takes it
// for granted: a decoder of messages from outside calls it first.
func (e Entries) Validate() error {
	b, last := e.Bytes, uint64(0)
	if e.Count < 0 {
		return fmt.Errorf("%w: a count of %d", ErrMalformedEntries, e.Count)
	}
	for i := range e.Count {
		if len(b) < EntryOverhead || uint64(len(b)-EntryOverhead) < uint64(binary.LittleEndian.Uint32(b[8:])) {
			return fmt.Errorf("%w: entry %d of %d is cut off", ErrMalformedEntries, i, e.Count)
		}
		term, _, rest := splitEntry(b)
		if term < last {
			return fmt.Errorf("%w: entry %d of %d has term %d after term %d", ErrMalformedEntries, i, e.Count, term, last)
		}
		last, b = term, rest
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: %d bytes follow the last of %d entries", ErrMalformedEntries, len(b), e.Count)
	}
	return nil
}

// terms returns the terms of the first and the last entry of a run that is not empty.
func (e Entries) terms() (first, last uint64) {
	b := e.Bytes
	for i := range e.Count {
		last, _, b = splitEntry(b)
		if i == 0 {
			first = last
		}
	}
	return first, last
}

// splitEntry reads the first entry of b, which must hold one.
func splitEntry(b []byte) (term uint64, data, rest []byte) {
	term = binary.LittleEndian.Uint64(b)
	end := EntryOverhead + int(binary.LittleEndian.Uint32(b[8:]))
	return term, b[EntryOverhead:end:end], b[end:]
}
