// Package group gathers what a storage is told and has one goroutine write it: group commit.
//
// It knows nothing of files. It never makes its caller wait, so it sets no limit to what gathers; the core's limits on
// what is uncommitted and in flight do.
package group

import (
	"sync"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/record"
)

// Queue holds records in frames. A frame is what is written, synced and acknowledged as one.
type Queue struct {
	options  storage.Options
	headroom int // free bytes in front of each frame's records
	limit    int // a frame that is as large gets nothing more
	commit   func(frame []byte) error

	mu     sync.Mutex
	wake   sync.Cond
	filled batch // what gathers
	closed bool
	err    error
	done   chan struct{}
}

// batch is frames one after the other in one buffer.
type batch struct {
	buf    []byte
	frames []frame
}

type frame struct {
	start int
	seq   uint64 // of the last save in it, 0 if it has none
}

// maxSpare bounds the memory that is kept for use again, in bytes.
const maxSpare = 16 << 20

// Start returns a queue whose goroutine has commit make each frame durable. Commit may write into the headroom.
func Start(options storage.Options, headroom, limit int, commit func(frame []byte) error) *Queue {
	q := &Queue{options: options, headroom: headroom, limit: limit, commit: commit, done: make(chan struct{})}
	q.wake.L = &q.mu
	go q.run()
	return q
}

// Save adds a save and has it written soon.
func (q *Queue) Save(s *raft.Save) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open() {
		return
	}
	b := &q.filled
	last := len(b.frames) - 1
	if b.frames[last].seq != 0 && (q.options.SyncEach || len(b.buf)-b.frames[last].start >= q.limit) {
		q.begin()
		last++
	}
	b.buf = record.AppendSave(b.buf, s)
	b.frames[last].seq = s.Seq
	q.wake.Signal()
}

// Compact adds a compaction, to be written with the next save.
func (q *Queue) Compact(index uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open() {
		q.filled.buf = record.AppendCompact(q.filled.buf, index)
	}
}

// Reset adds a reset, to be written with the next save.
func (q *Queue) Reset(index, term uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open() {
		q.filled.buf = record.AppendReset(q.filled.buf, index, term)
	}
}

// open makes sure that there is a frame to add to. It reports whether the queue has stopped instead.
func (q *Queue) open() (stopped bool) {
	if q.err != nil || q.closed {
		return true
	}
	if len(q.filled.frames) == 0 {
		q.begin()
	}
	return false
}

func (q *Queue) begin() {
	b := &q.filled
	b.frames = append(b.frames, frame{start: len(b.buf)})
	b.buf = append(b.buf, make([]byte, q.headroom)...)
}

// Close writes what has gathered, ends the goroutine and returns why the queue failed, if it did.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.wake.Signal()
	q.mu.Unlock()
	<-q.done
	return q.err
}

// run writes batch after batch. A frame begins to be written when the one before it is durable, never earlier: recovery
// relies on that.
func (q *Queue) run() {
	defer close(q.done)
	var taken batch
	for {
		taken.buf, taken.frames = taken.buf[:0], taken.frames[:0]
		if cap(taken.buf) > maxSpare {
			taken.buf = nil
		}
		q.mu.Lock()
		for !q.closed && !q.filled.ready() {
			q.wake.Wait()
		}
		taken, q.filled = q.filled, taken
		q.mu.Unlock()
		if len(taken.frames) == 0 {
			return
		}
		if err := q.write(&taken); err != nil {
			q.mu.Lock()
			q.err, q.filled = err, batch{}
			q.mu.Unlock()
			q.options.Failed(err)
			return
		}
	}
}

// ready reports whether somebody waits for what has gathered.
func (b *batch) ready() bool { return len(b.frames) > 0 && b.frames[0].seq != 0 }

func (q *Queue) write(b *batch) error {
	for i, f := range b.frames {
		end := len(b.buf)
		if i+1 < len(b.frames) {
			end = b.frames[i+1].start
		}
		if err := q.commit(b.buf[f.start:end:end]); err != nil {
			return err
		}
		if f.seq != 0 {
			q.options.Durable(f.seq)
		}
	}
	return nil
}
