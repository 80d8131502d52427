package wal

import (
	"errors"
	"fmt"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
	"github.com/raftbench/raftbench/storage/internal/folder"
	"github.com/raftbench/raftbench/storage/internal/record"
)

// Limits of a segment's size in bytes. A frame that is larger than a segment gets one as large as it needs.
const (
	DefaultSegmentBytes = 16 << 20
	MinSegmentBytes     = 8 << 10
	MaxSegmentBytes     = 1 << 30
)

// maxFrame is where a frame ends although more has gathered: beyond it a sync costs little beside the write, and
// recovery needs as much memory.
const maxFrame = 4 << 20

// Open opens the log in a folder, which it makes if there is none, and locks it. segmentBytes is the size of a
// segment, 0 for DefaultSegmentBytes; a multiple of 8. Errors wrap storage.ErrOptions, storage.ErrLocked or what the
// system says.
func Open(path string, o storage.Options, segmentBytes int64) (storage.Storage, error) {
	dir, err := files.OpenDir(path)
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	return OpenOn(dir, o, segmentBytes)
}

// OpenOn is Open on a folder that is locked already. It closes the folder if it fails.
func OpenOn(dir files.Dir, o storage.Options, segmentBytes int64) (storage.Storage, error) {
	if segmentBytes == 0 {
		segmentBytes = DefaultSegmentBytes
	}
	err := o.Check()
	if segmentBytes < MinSegmentBytes || segmentBytes > MaxSegmentBytes || segmentBytes%8 != 0 {
		err = fmt.Errorf("%w: a segment has %d bytes, want a multiple of 8 from %d to %d",
			storage.ErrOptions, segmentBytes, MinSegmentBytes, MaxSegmentBytes)
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("wal: %w", err)
	}
	return &log{Folder: folder.New("wal", dir, o), unit: segmentBytes}, nil
}

// log is the storage. After Load all below unit belongs to the queue's goroutine.
type log struct {
	folder.Folder
	unit int64

	segments []segment // oldest first; the last is the one that is written
	file     files.File
	size     int64  // of the file
	end      int64  // where the next frame goes
	seed     uint32 // what its CRC begins with
	lastSum  uint32 // the CRC of the last frame, or the seed
	terms    terms
	term     uint64
	vote     raft.ID
}

// segment is one file. Entries in earlier segments end at lastBefore or were truncated.
type segment struct {
	number     uint64
	lastBefore uint64
}

func (l *log) Close() error {
	err := l.Stop()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return errors.Join(err, l.Dir.Close())
}

// commit makes a frame durable, in a new segment if this one is full.
func (l *log) commit(frame []byte) error {
	if int64(len(frame)) > l.size-l.end {
		if err := l.roll(int64(len(frame))); err != nil {
			return err
		}
	}
	l.lastSum = seal(frame, l.seed, l.end)
	if _, err := l.file.WriteAt(frame, l.end); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.end += int64(len(frame))
	return l.follow(frame[frameHeader:])
}

// follow keeps track of what the log amounts to, and deletes segments that a compaction has made useless.
func (l *log) follow(records []byte) error {
	shorter := false
	for len(records) > 0 {
		r, rest, err := record.Next(records)
		if err != nil {
			return fmt.Errorf("a save has malformed entries: %w", err)
		}
		records = rest
		switch r.Kind {
		case record.Save:
			l.term, l.vote = r.Term, r.Vote
			l.terms.truncate(r.TruncateFrom)
			l.terms.append(r.Entries)
		case record.Compact:
			l.terms.compact(r.Index)
			shorter = true
		case record.Reset:
			l.terms = newTerms(r.Index, r.Term)
			shorter = true
		}
	}
	if shorter {
		return l.drop()
	}
	return nil
}

// drop deletes the segments before the first one that alone has all that is needed. That they reappear after a crash,
// in whatever selection, does no harm: see recovery.choose.
func (l *log) drop() error {
	for len(l.segments) > 1 && l.segments[1].lastBefore <= l.terms.base() {
		if err := l.Dir.Remove(segmentName(l.segments[0].number)); err != nil {
			return err
		}
		l.segments = l.segments[1:]
	}
	return nil
}

// roll goes on to a new segment that has room for so many bytes of frames. A segment gets its name when its header is
// durable, and is written to when its name is.
func (l *log) roll(room int64) error {
	h := header{number: 1, size: max(l.unit, headerBytes+room), prevEnd: l.end, prevSum: l.lastSum,
		shape: shape{term: l.term, vote: l.vote, base: l.terms.base(), last: l.terms.last}}
	h.baseTerm, h.lastTerm = l.terms.of(h.base), l.terms.of(h.last)
	if n := len(l.segments); n > 0 {
		h.number = l.segments[n-1].number + 1
	}
	name := segmentName(h.number)
	file, err := l.Dir.Create(name + ".tmp")
	if err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close() // everything in it is synced
	}
	encoded := h.encode(&l.Options)
	l.file, l.size, l.end, l.seed, l.lastSum = file, h.size, headerBytes, sum(encoded), sum(encoded)
	if err := file.Allocate(h.size); err != nil {
		return err
	}
	if _, err := file.WriteAt(encoded, 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := l.Dir.Rename(name+".tmp", name); err != nil {
		return err
	}
	if err := l.Dir.Sync(); err != nil {
		return err
	}
	l.segments = append(l.segments, segment{h.number, h.last})
	return nil
}

// terms knows the term of every entry of a log without having the entries: where each term begins.
type terms struct {
	runs []run // runs[0] begins at the entry before the log's first
	last uint64
}

type run struct{ first, term uint64 }

func newTerms(base, term uint64) terms { return terms{[]run{{base, term}}, base} }

func (t *terms) base() uint64 { return t.runs[0].first }

// of returns the term of an entry from base to last.
func (t *terms) of(i uint64) uint64 {
	n := len(t.runs) - 1
	for t.runs[n].first > i {
		n--
	}
	return t.runs[n].term
}

func (t *terms) append(e raft.Entries) {
	for entry := range e.All() {
		t.last = entry.Index
		if t.runs[len(t.runs)-1].term != entry.Term {
			t.runs = append(t.runs, run{entry.Index, entry.Term})
		}
	}
}

// truncate removes entry i and all after it; 0 means none.
func (t *terms) truncate(i uint64) {
	if i == 0 || i > t.last {
		return
	}
	t.last = i - 1
	for n := len(t.runs); n > 1 && t.runs[n-1].first >= i; n = len(t.runs) {
		t.runs = t.runs[:n-1]
	}
}

// compact moves the base to entry i, at the most to the last.
func (t *terms) compact(i uint64) {
	i = min(i, t.last)
	if i <= t.base() {
		return
	}
	term, kept := t.of(i), 0
	for kept < len(t.runs) && t.runs[kept].first <= i {
		kept++
	}
	t.runs = append([]run{{i, term}}, t.runs[kept:]...)
}
