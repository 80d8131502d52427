package raft

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// segmentBytes is the size of the pieces that a log's memory is made of. Large enough that an AppendEntries rarely
// crosses the edge of one, small enough that giving one back follows the log closely.
const segmentBytes = 1 << 19

// maxFree bounds the memory that a log keeps for use again, in segments' sizes. One segment is kept whatever its size: a
// log of entries that are larger than that would otherwise get new memory, which has to be cleared, for each of them.
const maxFree = 16

// Log is a run of encoded entries from First to Last, with the term of the entry before the first. The memory is a
// list of segments, used again after Compact and TruncateFrom: what Slice returns is valid until the next change.
//
// The core keeps its log in one; a storage may use another to hold what was saved. Backups read the leader's.
type Log struct {
	segments []*segment
	free     []*segment
	freed    int       // bytes of free
	first    uint64    // index of the first entry held
	last     uint64    // first-1 in an empty log
	runs     []termRun // where each term begins; runs[0] begins at first-1
	unit     int       // size of a segment, unless an entry needs more
}

// termRun says that the entries from first on have this term, up to the next run.
type termRun struct{ first, term uint64 }

// segment holds the entries first, first+1, ... in buf, entry i at offsets[i].
type segment struct {
	first   uint64
	base    uint64 // number of bytes in the log before this segment, counted since the log was made
	buf     []byte
	offsets []uint32
}

// NewLog returns an empty log whose first entry will have index first, after an entry of term prevTerm; NewLog(1, 0)
// is the log of a fresh replica.
func NewLog(first, prevTerm uint64) *Log { return newLog(first, prevTerm, segmentBytes) }

func newLog(first, prevTerm uint64, unit int) *Log {
	return &Log{first: first, last: first - 1, runs: []termRun{{first - 1, prevTerm}}, unit: unit}
}

// clone returns a copy.
func (l *Log) clone() *Log { return l.cloneInto(l.unit) }

// cloneInto returns a copy in segments of that many bytes.
func (l *Log) cloneInto(unit int) *Log {
	c := newLog(l.first, l.runs[0].term, unit)
	for i := l.first; i <= l.last; {
		e := l.Slice(i, l.last)
		c.AppendEntries(e)
		i = e.Last() + 1
	}
	return c
}

// First returns the index of the first entry held, or that will be held.
func (l *Log) First() uint64 { return l.first }

// Last returns the index of the last entry, First()-1 if there is none.
func (l *Log) Last() uint64 { return l.last }

// Term returns the term of entry i; ok is false if the log does not know it, which it does for First()-1 to Last().
func (l *Log) Term(i uint64) (term uint64, ok bool) {
	if i > l.last || i+1 < l.first {
		return 0, false
	}
	return l.runs[l.run(i)].term, true
}

// LastTerm returns the term of the last entry.
func (l *Log) LastTerm() uint64 { return l.runs[len(l.runs)-1].term }

// run returns the position in runs of the run that holds entry i, which the log must know.
func (l *Log) run(i uint64) int {
	lo, hi := 0, len(l.runs)-1
	if l.runs[hi].first <= i { // nearly always
		return hi
	}
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if l.runs[mid].first <= i {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// FirstOfTermAt returns the first index, not before First()-1, of the unbroken stretch of entries that has entry i in
// it and one term. The log must know entry i.
func (l *Log) FirstOfTermAt(i uint64) uint64 { return l.runs[l.run(i)].first }

// LastOfTerm returns the last index that has this term; ok is false if no known entry has it.
func (l *Log) LastOfTerm(term uint64) (index uint64, ok bool) {
	for r := len(l.runs) - 1; r >= 0 && l.runs[r].term >= term; r-- {
		if l.runs[r].term == term {
			return l.runEnd(r), true
		}
	}
	return 0, false
}

// LastUpTo returns the last index at or before i whose term is at most term, and its term. It is the search of both
// sides in the hint of etcd/raft: nothing after it can match an entry of that term at or before i. If none is
// known, it is the entry before the log's first.
func (l *Log) LastUpTo(i, term uint64) (index, entryTerm uint64) {
	i = min(i, l.last)
	if i+1 < l.first {
		return l.first - 1, l.runs[0].term
	}
	r := l.run(i)
	for r > 0 && l.runs[r].term > term {
		r--
		i = l.runEnd(r)
	}
	if l.runs[r].term > term {
		i = l.first - 1
	}
	return i, l.runs[r].term
}

// runEnd returns the last index of the run at position r.
func (l *Log) runEnd(r int) uint64 {
	if r+1 < len(l.runs) {
		return l.runs[r+1].first - 1
	}
	return l.last
}

// Append adds one entry after the last.
func (l *Log) Append(term uint64, data []byte) {
	size := EntryOverhead + len(data)
	s := l.room(size)
	s.offsets = append(s.offsets, uint32(len(s.buf)))
	s.buf = binary.LittleEndian.AppendUint64(s.buf, term)
	s.buf = binary.LittleEndian.AppendUint32(s.buf, uint32(len(data)))
	s.buf = append(s.buf, data...)
	l.last++
	l.startRun(l.last, term)
}

// AppendEntries copies a run to the end of the log. It must begin at Last()+1.
func (l *Log) AppendEntries(e Entries) {
	if e.First != l.last+1 && e.Count > 0 {
		panic(fmt.Sprintf("raft: entries from %d appended to a log that ends at %d", e.First, l.last))
	}
	b := e.Bytes
	for n := e.Count; n > 0; {
		_, first, _ := splitEntry(b)
		s := l.room(EntryOverhead + len(first))
		// Copy as many entries as the segment takes in one piece.
		used, at := 0, len(s.buf)
		for n > 0 {
			term, data, _ := splitEntry(b[used:])
			size := EntryOverhead + len(data)
			if used > 0 && at+used+size > cap(s.buf) {
				break
			}
			s.offsets = append(s.offsets, uint32(at+used))
			used += size
			n--
			l.last++
			l.startRun(l.last, term)
		}
		s.buf = append(s.buf, b[:used]...)
		b = b[used:]
	}
}

func (l *Log) startRun(i, term uint64) {
	if l.runs[len(l.runs)-1].term != term {
		l.runs = append(l.runs, termRun{i, term})
	}
}

// room returns the last segment, after adding one if size more bytes do not fit.
func (l *Log) room(size int) *segment {
	base := uint64(0)
	if n := len(l.segments); n > 0 {
		s := l.segments[n-1]
		if len(s.buf)+size <= cap(s.buf) {
			return s
		}
		base = s.base + uint64(len(s.buf))
	}
	s := l.reuse(size)
	if s == nil {
		s = &segment{buf: make([]byte, 0, max(size, l.unit))}
	}
	s.first, s.base = l.last+1, base
	l.segments = append(l.segments, s)
	return s
}

// segmentOf returns the position of the segment that holds entry i.
func (l *Log) segmentOf(i uint64) int {
	lo, hi := 0, len(l.segments)-1
	if l.segments[hi].first <= i {
		return hi
	}
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if l.segments[mid].first <= i {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// Slice returns the entries from lo on that lie together in memory, at least one and none beyond hi. Both indexes must
// be held. The result is valid until the log is changed.
func (l *Log) Slice(lo, hi uint64) Entries { return l.slice(lo, hi, maxRun, maxRun) }

// AppendRuns appends the entries from lo on to runs, in as few pieces as their place in memory allows: as many up to hi
// as hold maxBytes of data, and at least one. The encoding, EntryOverhead an entry, is not counted unless it alone passes
// maxBytes: entries without data have a limit too. Both indexes must be held; with lo above hi nothing is appended. What
// is appended is valid until the log is changed.
func (l *Log) AppendRuns(runs []Entries, lo, hi uint64, maxBytes int) []Entries {
	maxCount := maxBytes / EntryOverhead
	for first := true; lo <= hi; first = false {
		e := l.slice(lo, hi, maxBytes, maxCount)
		if e.Count == 0 {
			if !first {
				break
			}
			e = l.slice(lo, lo, maxRun, 1)
		}
		runs = append(runs, e)
		lo += uint64(e.Count)
		maxBytes -= e.DataBytes()
		maxCount -= e.Count
	}
	return runs
}

// maxRun is no limit on a run.
const maxRun = int(^uint(0) >> 1)

// slice returns the entries from lo up to hi that lie together in memory and have at most so many bytes of data and this
// count, which may be none.
func (l *Log) slice(lo, hi uint64, maxBytes, maxCount int) Entries {
	s := l.segments[l.segmentOf(lo)]
	from := int(lo - s.first)
	to := int(min(hi-s.first+1, uint64(len(s.offsets)))) // one past the last
	to = from + min(to-from, max(maxCount, 0))
	start := s.end(from)
	if s.end(to)-start-(to-from)*EntryOverhead > maxBytes {
		// The last entry that still ends within maxBytes, found by halving.
		low, high := from, to
		for low < high {
			mid := (low + high + 1) / 2
			if s.end(mid)-start-(mid-from)*EntryOverhead <= maxBytes {
				low = mid
			} else {
				high = mid - 1
			}
		}
		to = low
	}
	end := s.end(to)
	return Entries{First: lo, Count: to - from, Bytes: s.buf[start:end:end]}
}

// end returns where the first n entries of the segment end.
func (s *segment) end(n int) int {
	if n < len(s.offsets) {
		return int(s.offsets[n])
	}
	return len(s.buf)
}

// Entry returns entry i, which must be held. Its data is valid until the log is changed.
func (l *Log) Entry(i uint64) Entry {
	e := l.Slice(i, i)
	term, data, _ := splitEntry(e.Bytes)
	return Entry{Index: i, Term: term, Data: data}
}

// offset returns how many bytes of entries came before entry i since the log was made, for First() <= i <= Last()+1.
func (l *Log) offset(i uint64) uint64 {
	if len(l.segments) == 0 {
		return 0
	}
	s := l.segments[l.segmentOf(i)]
	return s.base + uint64(s.end(int(i-s.first)))
}

// Reset forgets everything: the first entry will have index first, after an entry of term prevTerm.
func (l *Log) Reset(first, prevTerm uint64) {
	for _, s := range l.segments {
		l.recycle(s)
	}
	clear(l.segments)
	l.segments = l.segments[:0]
	l.first, l.last = first, first-1
	l.runs = append(l.runs[:0], termRun{first - 1, prevTerm})
}

// TruncateFrom removes entry i and all after it. i must not be before First().
func (l *Log) TruncateFrom(i uint64) {
	if i > l.last {
		return
	}
	if i < l.first {
		panic(fmt.Sprintf("raft: log from %d truncated at %d", l.first, i))
	}
	for n := len(l.segments); n > 0; n = len(l.segments) {
		s := l.segments[n-1]
		if s.first < i {
			keep := int(i - s.first)
			s.buf = s.buf[:s.end(keep)]
			s.offsets = s.offsets[:keep]
			break
		}
		l.segments = l.segments[:n-1]
		l.recycle(s)
	}
	l.last = i - 1
	for n := len(l.runs); n > 1 && l.runs[n-1].first >= i; n = len(l.runs) {
		l.runs = l.runs[:n-1]
	}
}

// Compact forgets all entries up to i, which must be known. The term of entry i stays known.
func (l *Log) Compact(i uint64) {
	if i < l.first {
		return
	}
	if i > l.last {
		panic(fmt.Sprintf("raft: log up to %d compacted at %d", l.last, i))
	}
	r := l.run(i)
	l.runs = l.runs[:copy(l.runs, l.runs[r:])]
	l.runs[0].first = i
	l.first = i + 1
	drop := 0
	for drop < len(l.segments) && l.segments[drop].last() <= i {
		l.recycle(l.segments[drop])
		drop++
	}
	if drop > 0 {
		n := copy(l.segments, l.segments[drop:])
		clear(l.segments[n:])
		l.segments = l.segments[:n]
	}
}

func (s *segment) last() uint64 { return s.first + uint64(len(s.offsets)) - 1 }

func (l *Log) recycle(s *segment) {
	if l.freed+cap(s.buf) <= maxFree*l.unit || len(l.free) == 0 {
		s.buf, s.offsets = s.buf[:0], s.offsets[:0]
		l.free = append(l.free, s)
		l.freed += cap(s.buf)
	}
}

// reuse returns a free segment of at least that size, the one used last, or nil.
func (l *Log) reuse(size int) *segment {
	for i := len(l.free) - 1; i >= 0; i-- {
		if s := l.free[i]; cap(s.buf) >= size {
			l.free = slices.Delete(l.free, i, i+1)
			l.freed -= cap(s.buf)
			return s
		}
	}
	return nil
}
