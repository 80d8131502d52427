package transports

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame on a stream is its length, a little-endian uint32 that does not count itself, and that many bytes.
const framePrefix = 4

// FrameSize returns the length of a frame that head and the pieces of body form, without its prefix.
func FrameSize(head []byte, body [][]byte) int {
	n := len(head)
	for _, piece := range body {
		n += len(piece)
	}
	return n
}

// WireSize is FrameSize with the length prefix that streams put before a frame.
func WireSize(head []byte, body [][]byte) int { return framePrefix + FrameSize(head, body) }

// ErrFrameTooLarge is wrapped by the error of FrameReader.Next when a length prefix announces more than is allowed.
var ErrFrameTooLarge = errors.New("frame too large")

const (
	readBuffer = 128 << 10 // what a reader starts with: a few dozen batches of small entries in one read
	readLow    = 16 << 10  // room below this is too little to be worth a read; what is unread moves to the front first
	keepBuffer = 1 << 20   // a buffer above this is given back when it is no longer needed
	keepRounds = 64        // after so many rounds in a row that used less than a quarter of it
)

// FrameReader splits what comes from a stream into frames. It is not safe for concurrent use.
type FrameReader struct {
	from       io.Reader
	max        int
	buf        []byte
	begin, end int // what is read but not handed out: buf[begin:end]
	announced  int // length of the incomplete frame at begin, prefix included; 0 while it is unknown
	sparse     int // reads in a row that found the buffer much too large
	failed     error
}

// NewFrameReader returns a reader of frames of up to max bytes, which it reads from the stream in pieces as large as
// they come.
func NewFrameReader(from io.Reader, max int) *FrameReader {
	return &FrameReader{from: from, max: max}
}

// Next returns the next frame; it is valid until the next call. more says that another complete frame has already
// been read, so that the next call will not wait. An error is that of the stream, io.ErrUnexpectedEOF if it ends
// within a frame, or wraps ErrFrameTooLarge; it stays.
//
// A length is checked before anything is allocated for it, and the buffer grows only as bytes really arrive: a peer
// that announces a large frame and sends nothing costs nothing.
func (r *FrameReader) Next() (frame []byte, more bool, err error) {
	for {
		size, err := r.complete()
		if err != nil {
			return nil, false, err
		}
		if size > 0 {
			frame = r.buf[r.begin+framePrefix : r.begin+size : r.begin+size]
			r.begin += size
			// An oversized length behind this frame is the next call's to report.
			next, err := r.complete()
			return frame, next > 0 && err == nil, nil
		}
		if err := r.fill(); err != nil {
			return nil, false, err
		}
	}
}

// complete returns the length of the first unread frame with its prefix if all of it is there, else 0.
func (r *FrameReader) complete() (int, error) {
	r.announced = 0
	unread := r.end - r.begin
	if unread < framePrefix {
		return 0, nil
	}
	n := binary.LittleEndian.Uint32(r.buf[r.begin:])
	if uint64(n) > uint64(r.max) {
		return 0, fmt.Errorf("%w: %d bytes announced, at most %d allowed", ErrFrameTooLarge, n, r.max)
	}
	r.announced = framePrefix + int(n)
	if unread < r.announced {
		return 0, nil
	}
	return r.announced, nil
}

// fill reads once from the stream, behind what is unread.
func (r *FrameReader) fill() error {
	if r.failed != nil {
		if r.failed == io.EOF && r.end > r.begin {
			return io.ErrUnexpectedEOF
		}
		return r.failed
	}
	r.makeRoom()
	for range 100 {
		n, err := r.from.Read(r.buf[r.end:])
		r.end += n
		r.failed = err
		if n > 0 {
			return nil // an error that came with bytes is reported after them
		}
		if err != nil {
			return r.fill()
		}
	}
	r.failed = io.ErrNoProgress
	return r.failed
}

// makeRoom sees to it that there is room for a read behind what is unread.
func (r *FrameReader) makeRoom() {
	unread := r.end - r.begin
	size := len(r.buf)
	switch {
	case size == 0:
		size = readBuffer
	case unread == size:
		size *= 2 // full to the brim of one incomplete frame, so at least half of the new buffer is data that came
	case size > keepBuffer && max(unread, r.announced) < size/4:
		if r.sparse++; r.sparse >= keepRounds {
			r.sparse, size = 0, max(readBuffer, size/4)
		}
	case size > keepBuffer:
		r.sparse = 0
	}
	if size != len(r.buf) {
		buf := make([]byte, size)
		copy(buf, r.buf[r.begin:r.end])
		r.buf, r.begin, r.end = buf, 0, unread
		return
	}
	if unread == 0 {
		r.begin, r.end = 0, 0
	} else if r.begin > 0 && (size-r.end < readLow || r.begin+r.announced > size) {
		copy(r.buf, r.buf[r.begin:r.end])
		r.begin, r.end = 0, unread
	}
}
