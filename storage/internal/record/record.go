// Package record encodes what a storage is told, so that a queue can hold it and a log file can keep it.
//
// It has no checksums and does not say where a group of records ends: that is its users' business.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/raftbench/raftbench/raft"
)

// Kind tells records apart.
type Kind uint32

const (
	Save    Kind = iota + 1 // Term, Vote, TruncateFrom, Entries
	Compact                 // Index
	Reset                   // Index, Term
)

// Record is one call of a storage. Entries refers to the memory that it was read from.
type Record struct {
	Kind         Kind
	Term         uint64
	Vote         raft.ID
	TruncateFrom uint64
	Entries      raft.Entries
	Index        uint64
}

// Every record is a header, all little endian, and for a save its entries and zeros up to a multiple of 8 bytes:
//
//	save:    kind uint32 | entries uint32 | term | vote | truncateFrom | first | bytes uint64
//	others:  kind uint32 | 0 uint32 | index | term
const (
	saveHeader  = 48
	shortHeader = 24
)

// AppendSave appends a save, its runs of entries as one.
func AppendSave(b []byte, s *raft.Save) []byte {
	count, size, first := 0, 0, uint64(0)
	for _, e := range s.Entries {
		if count == 0 {
			first = e.First
		}
		count += e.Count
		size += len(e.Bytes)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(Save))
	b = binary.LittleEndian.AppendUint32(b, uint32(count))
	for _, v := range [...]uint64{s.Term, uint64(s.Vote), s.TruncateFrom, first, uint64(size)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, e := range s.Entries {
		b = append(b, e.Bytes...)
	}
	return append(b, make([]byte, pad(size))...)
}

// AppendCompact appends a compaction.
func AppendCompact(b []byte, index uint64) []byte { return appendShort(b, Compact, index, 0) }

// AppendReset appends a reset.
func AppendReset(b []byte, index, term uint64) []byte { return appendShort(b, Reset, index, term) }

func appendShort(b []byte, kind Kind, index, term uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(kind))
	b = binary.LittleEndian.AppendUint64(b, index)
	return binary.LittleEndian.AppendUint64(b, term)
}

func pad(size int) int { return -size & 7 }

var errCut = errors.New("a record is cut off")

// Next reads the first record of b, which must not be empty, and returns what follows it. Entries are validated.
func Next(b []byte) (r Record, rest []byte, err error) {
	if len(b) < shortHeader {
		return r, nil, errCut
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	r.Kind = Kind(binary.LittleEndian.Uint32(b))
	switch r.Kind {
	case Compact, Reset:
		r.Index, r.Term = word(8), word(16)
		return r, b[shortHeader:], nil
	case Save:
	default:
		return r, nil, fmt.Errorf("a record of kind %d, want 1 to 3", r.Kind)
	}
	if len(b) < saveHeader {
		return r, nil, errCut
	}
	r.Term, r.Vote, r.TruncateFrom = word(8), raft.ID(word(16)), word(24)
	count, size := binary.LittleEndian.Uint32(b[4:]), word(40)
	if size > uint64(len(b)-saveHeader) || size+uint64(pad(int(size))) > uint64(len(b)-saveHeader) {
		return r, nil, errCut
	}
	end := saveHeader + int(size)
	r.Entries = raft.Entries{First: word(32), Count: int(count), Bytes: b[saveHeader:end:end]}
	return r, b[end+pad(int(size)):], r.Entries.Validate()
}
