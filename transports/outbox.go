package transports

import (
	"encoding/binary"
	"sync"
)

// PushResult says what became of a frame that was pushed to an Outbox.
type PushResult int

const (
	Pushed  PushResult = iota
	Full               // the bound would be exceeded
	Stopped            // the connection is gone
)

// Outbox is the bounded queue of frames between Send and one stream of one connection. Frames are gathered, with their
// length prefixes, in one buffer while another is being written; the two are swapped and used again.
//
// Whoever wants to write takes the turn with Begin and keeps it until Advance or Rest says that nothing is left. There
// is one turn, so the order of bytes holds whoever writes them; and as the turn is given back under the lock that
// Push takes, no frame can be overlooked between two writers.
type Outbox struct {
	mu      sync.Mutex
	limit   int
	queued  buffer
	writing buffer
	written int // bytes of writing that the stream has taken
	busy    bool
	stopped bool
}

// NewOutbox returns an empty outbox that holds up to limit bytes, length prefixes included.
func NewOutbox(limit int) *Outbox { return &Outbox{limit: limit} }

// Push copies the frame that head and the pieces of body form into the queue.
func (o *Outbox) Push(head []byte, body ...[]byte) PushResult {
	n := FrameSize(head, body)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return Stopped
	}
	if len(o.queued.b)+len(o.writing.b)-o.written+framePrefix+n > o.limit {
		return Full
	}
	b := binary.LittleEndian.AppendUint32(o.queued.b, uint32(n))
	b = append(b, head...)
	for _, piece := range body {
		b = append(b, piece...)
	}
	o.queued.b = b
	return Pushed
}

// Begin takes the turn and returns the bytes to write, which stay valid until Advance has counted all of them. It
// returns nil if there is nothing to write or if somebody else has the turn and will come across it.
func (o *Outbox) Begin() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy || o.stopped || len(o.queued.b) == 0 {
		return nil
	}
	o.busy = true
	o.swap()
	return o.writing.b
}

// Advance tells that the stream has taken n more bytes, and returns what is to be written next. Nothing left means
// that the turn is over.
func (o *Outbox) Advance(n int) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return nil
	}
	o.written += n
	if o.written == len(o.writing.b) {
		o.swap()
		o.busy = len(o.writing.b) > 0
	}
	return o.writing.b[o.written:]
}

// Rest returns what is to be written next by the holder of the turn, who took it over from somebody else.
func (o *Outbox) Rest() []byte { return o.Advance(0) }

// Stop empties the outbox for good, and returns how many frames were in it, those partly written included.
func (o *Outbox) Stop() (dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return 0
	}
	o.stopped = true
	for at := 0; at < len(o.writing.b); {
		at += framePrefix + int(binary.LittleEndian.Uint32(o.writing.b[at:]))
		if at > o.written {
			dropped++
		}
	}
	for at := 0; at < len(o.queued.b); dropped++ {
		at += framePrefix + int(binary.LittleEndian.Uint32(o.queued.b[at:]))
	}
	// A writer may still be looking at the bytes, so they are let go rather than used again.
	o.queued, o.writing, o.written = buffer{}, buffer{}, 0
	return dropped
}

// swap makes what is queued the next to be written.
func (o *Outbox) swap() {
	o.queued, o.writing = o.writing, o.queued
	o.queued.reset()
	o.written = 0
}

// buffer is reused, but not kept for ever after one large burst.
type buffer struct {
	b      []byte
	sparse int // rounds in a row that filled less than a quarter
}

func (b *buffer) reset() {
	if cap(b.b) > keepBuffer && len(b.b) < cap(b.b)/4 {
		if b.sparse++; b.sparse >= keepRounds {
			*b = buffer{}
			return
		}
	} else {
		b.sparse = 0
	}
	b.b = b.b[:0]
}
