package wal

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
	"github.com/raftbench/raftbench/storage/internal/group"
	"github.com/raftbench/raftbench/storage/internal/record"
)

// windowBytes is how much is read at once.
const windowBytes = 1 << 20

// Load implements storage.Storage. It reads every byte of the log once, unless the end is torn.
func (l *log) Load() (storage.State, error) {
	return l.Folder.Load(l.Dir.Name(), l.read, func() *group.Queue {
		return group.Start(l.Options, frameHeader, int(min(l.unit/2, maxFrame)), l.commit)
	})
}

// read reads the segments, or makes the first.
func (l *log) read() (state storage.State, err error) {
	numbers, err := l.list()
	if err != nil {
		return state, err
	}
	if len(numbers) != 0 {
		return l.replay(numbers)
	}
	state.Log = raft.NewLog(1, 0)
	return state, l.create()
}

// list returns the segments' numbers in order, and removes what was never finished.
func (l *log) list() (numbers []uint64, err error) {
	names, err := l.Dir.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, unfinished) {
			if err := l.Dir.Remove(name); err != nil {
				return nil, err
			}
		} else if number, ok := segmentNumber(name); ok {
			numbers = append(numbers, number)
		}
	}
	return numbers, nil
}

// create makes the first segment.
func (l *log) create() error {
	if newest := l.Snapshots.Newest(); newest.Index != 0 {
		return damaged(l.path(1), 0, "it is missing, but there is a snapshot of entry %d", newest.Index)
	}
	l.terms = newTerms(0, 0)
	return l.roll(0)
}

// replay reads all segments and leaves the last one open to be written.
func (l *log) replay(numbers []uint64) (state storage.State, err error) {
	numbers, err = l.choose(numbers)
	if err != nil {
		return state, err
	}
	r := &recovery{log: l}
	for i, number := range numbers {
		if err := r.segment(number, i == len(numbers)-1); err != nil {
			return state, err
		}
	}
	if r.base < l.segments[0].lastBefore {
		return state, damaged(l.path(numbers[0]), 0,
			"the log begins there, after entry %d, but only entries up to %d were compacted: earlier files are missing",
			l.segments[0].lastBefore, r.base)
	}
	l.term, l.vote, l.terms = r.term, r.vote, termsOf(r.entries)
	state.Term, state.Vote, state.Log, state.TornBytes = r.term, r.vote, r.entries, r.torn
	if r.torn > 0 {
		if _, err := l.file.WriteAt(make([]byte, r.torn), l.end); err != nil {
			return state, err
		}
	}
	// What a process wrote that was killed is in the page cache, but perhaps not on the disk: whatever is returned from
	// here is relied upon.
	if err := l.file.Sync(); err != nil {
		return state, err
	}
	return state, l.Dir.Sync()
}

// choose leaves out leftovers of a compaction: deletions need not become durable in order, so a crash may leave any
// selection of the oldest files. What is needed is at the end, without a gap; replay finds out whether it is all there.
func (l *log) choose(numbers []uint64) ([]uint64, error) {
	first := len(numbers) - 1
	for first > 0 && numbers[first-1] == numbers[first]-1 {
		first--
	}
	for _, number := range numbers[:first] {
		if err := l.leftover(number); err != nil {
			return nil, err
		}
	}
	return numbers[first:], nil
}

// leftover removes a segment that nobody needs, after a look at whose it is.
func (l *log) leftover(number uint64) error {
	f, err := l.Dir.Open(segmentName(number))
	if err != nil {
		return err
	}
	b := make([]byte, headerBytes)
	n, err := f.ReadAt(b, 0)
	f.Close()
	if err != nil && err != io.EOF {
		return err
	}
	if _, err := decodeHeader(b[:n], l.path(number), &l.Options); err != nil {
		return err
	}
	return l.Dir.Remove(segmentName(number))
}

func (l *log) path(number uint64) string { return l.Dir.Name() + "/" + segmentName(number) }

func termsOf(entries *raft.Log) terms {
	base := entries.First() - 1
	term, _ := entries.Term(base)
	t := newTerms(base, term)
	for i := entries.Last(); i > base; {
		first := max(entries.FirstOfTermAt(i), base+1)
		if term, _ := entries.Term(i); first > base+1 || term != t.runs[0].term {
			t.runs = append(t.runs, run{first, term})
		}
		i = first - 1
	}
	for a, b := 1, len(t.runs)-1; a < b; a, b = a+1, b-1 {
		t.runs[a], t.runs[b] = t.runs[b], t.runs[a]
	}
	t.last = entries.Last()
	return t
}

// recovery is the state while segments are read.
type recovery struct {
	*log
	term    uint64
	vote    raft.ID
	base    uint64    // what was compacted, or reset to
	entries *raft.Log // those that the segments have; may begin later than after base, until a later compaction
	torn    int64
	reader  window
}

// segment reads one, the last one also to find its end.
func (r *recovery) segment(number uint64, last bool) error {
	path := r.path(number)
	file, err := r.Dir.Open(segmentName(number))
	if err != nil {
		return err
	}
	size, err := file.Size()
	if err == nil {
		err = r.read(file, path, number, size, last)
	}
	if err != nil || !last {
		file.Close()
		return err
	}
	r.file = file
	return nil
}

func (r *recovery) read(file files.File, path string, number uint64, size int64, last bool) error {
	r.reader.reset(file, size)
	b, err := r.reader.at(0, headerBytes)
	if err != nil {
		return err
	}
	h, err := decodeHeader(b, path, &r.Options)
	switch {
	case err != nil:
		return err
	case h.number != number:
		return damaged(path, 0, "it is segment %d", h.number)
	case h.size != size:
		return damaged(path, min(size, h.size), "the file has %d bytes, want %d", size, h.size)
	}
	if err := r.continues(&h, path); err != nil {
		return err
	}
	r.segments = append(r.segments, segment{number, h.last})
	r.size, r.seed, r.lastSum = size, sum(b), sum(b)
	r.end = headerBytes
	for {
		more, err := r.frame(path)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		return r.tail(path, last)
	}
}

// continues checks that a segment goes on where the one before ended, or begins the log with it.
func (r *recovery) continues(h *header, path string) error {
	if r.entries == nil {
		r.entries = raft.NewLog(h.last+1, h.lastTerm)
		r.base, r.term, r.vote = h.base, h.term, h.vote
		return nil
	}
	if h.prevEnd != r.end || h.prevSum != r.lastSum {
		return damaged(r.path(h.number-1), r.end, "its frames end there, but the next file says at %d", h.prevEnd)
	}
	if h.last != r.entries.Last() || h.term != r.term || h.vote != r.vote {
		return damaged(path, 0, "it goes on after entry %d, but the log before it ends at %d", h.last, r.entries.Last())
	}
	return nil
}

// frame reads the frame at end. It reports false if there is none that is whole.
func (r *recovery) frame(path string) (bool, error) {
	if r.size-r.end < frameHeader {
		return false, nil
	}
	b, err := r.reader.at(r.end, frameHeader)
	if err != nil {
		return false, err
	}
	n, ok := frameLength(b, r.end, r.size)
	if !ok {
		return false, nil
	}
	if b, err = r.reader.at(r.end, int(n)); err != nil {
		return false, err
	}
	if !intact(b, r.seed) {
		return false, nil
	}
	r.lastSum = crcOf(b)
	for records := b[frameHeader:]; len(records) > 0; {
		next, rest, err := record.Next(records)
		if err == nil {
			err = r.apply(&next)
		}
		if err != nil {
			return false, damaged(path, r.end+n-int64(len(records)), "%v", err)
		}
		records = rest
	}
	r.end += n
	return true, nil
}

// apply does what a record says. Its checksum is right, so an error is one of the program that wrote it.
func (r *recovery) apply(next *record.Record) error {
	switch next.Kind {
	case record.Save:
		return r.save(next)
	case record.Compact:
		index := min(next.Index, r.entries.Last())
		r.base = max(r.base, index)
		r.entries.Compact(index)
	case record.Reset:
		r.base = next.Index
		r.entries = raft.NewLog(next.Index+1, next.Term)
	}
	return nil
}

func (r *recovery) save(next *record.Record) error {
	r.term, r.vote = next.Term, next.Vote
	if t := next.TruncateFrom; t != 0 && t <= r.entries.Last() {
		switch {
		case t <= r.base:
			return fmt.Errorf("a truncation from entry %d, which is compacted", t)
		case t < r.entries.First():
			// Entries before it were in files that a later compaction let go; until that is read, their terms are not
			// known.
			r.entries = raft.NewLog(t, 0)
		default:
			r.entries.TruncateFrom(t)
		}
	}
	e := next.Entries
	if e.Count == 0 {
		return nil
	}
	if e.First != r.entries.Last()+1 {
		return fmt.Errorf("entries from %d after entry %d", e.First, r.entries.Last())
	}
	for entry := range e.All() {
		if entry.Term < r.entries.LastTerm() {
			return fmt.Errorf("entry %d has term %d after term %d", e.First, entry.Term, r.entries.LastTerm())
		}
		break
	}
	r.entries.AppendEntries(e)
	return nil
}

// tail looks at what follows the frames of a segment. Zeros are as it should be. In the last segment anything else was
// torn by a crash, if no frame follows it: the last one that was written, and it was not acknowledged.
func (r *recovery) tail(path string, last bool) error {
	nonzero, err := r.reader.nonzero(r.end)
	if err != nil || nonzero < 0 {
		return err
	}
	if !last {
		return damaged(path, r.end, "a frame's checksum is wrong, and the log goes on in a later file")
	}
	rest := make([]byte, r.size-r.end)
	if _, err := r.reader.file.ReadAt(rest, r.end); err != nil && err != io.EOF {
		return err
	}
	for at := int64(8); at+frameHeader <= int64(len(rest)); at += 8 {
		n, ok := frameLength(rest[at:], r.end+at, r.size)
		if ok && intact(rest[at:at+n], r.seed) {
			return damaged(path, r.end, "a frame's checksum is wrong, and a good frame follows at offset %d", r.end+at)
		}
	}
	r.torn = int64(len(bytes.TrimRight(rest, "\x00")))
	return nil
}

// window reads a file from front to back, every byte once.
type window struct {
	file  files.File
	size  int64
	start int64 // offset of buf[0]
	buf   []byte
}

func (w *window) reset(file files.File, size int64) {
	if need := int(min(size, windowBytes)); cap(w.buf) < need {
		w.buf = make([]byte, 0, need)
	}
	w.file, w.size, w.start, w.buf = file, size, 0, w.buf[:0]
}

// at returns n bytes from an offset on, which must not be before those of the last call, or fewer at the file's end.
// They are valid until the next call.
func (w *window) at(offset int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-offset))
	if skip := offset - w.start; skip > 0 {
		w.buf = w.buf[:copy(w.buf, w.buf[min(skip, int64(len(w.buf))):])]
		w.start = offset
	}
	if n <= len(w.buf) {
		return w.buf[:n], nil
	}
	if n > cap(w.buf) {
		w.buf = append(make([]byte, 0, n), w.buf...)
	}
	have := len(w.buf)
	more := w.buf[have:min(int64(cap(w.buf)), w.size-w.start)]
	k, err := w.file.ReadAt(more, w.start+int64(have))
	w.buf = w.buf[:have+k]
	if err != nil && !(err == io.EOF && len(w.buf) >= n) {
		return nil, err
	}
	return w.buf[:n], nil
}

var zeros [64 << 10]byte

// nonzero returns the offset, to within a block, of the first byte from there on that is not zero, or -1.
func (w *window) nonzero(offset int64) (int64, error) {
	for offset < w.size {
		b, err := w.at(offset, len(zeros))
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(b, zeros[:len(b)]) {
			return offset, nil
		}
		offset += int64(len(b))
	}
	return -1, nil
}
