package transports

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func appendFrame(b []byte, payload ...byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// pieces hands out a stream in pieces of random length, as a network does.
type pieces struct {
	b []byte
	r *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:1+p.r.IntN(min(len(p.b), 40_000))])
	p.b = p.b[n:]
	return n, nil
}

func TestFrameReaderFindsTheFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 10 {
		var stream []byte
		var want [][]byte
		for range 50 {
			payload := make([]byte, r.IntN(1<<r.IntN(18)))
			for i := range payload {
				payload[i] = byte(r.Uint32())
			}
			want = append(want, payload)
			stream = appendFrame(stream, payload...)
		}
		readers := map[string]io.Reader{"pieces": &pieces{stream, r}, "whole": bytes.NewReader(stream)}
		if round == 0 {
			readers["bytes"] = iotest.OneByteReader(bytes.NewReader(stream))
			readers["data with EOF"] = iotest.DataErrReader(bytes.NewReader(stream))
		}
		for name, from := range readers {
			counted := &countingReader{Reader: from}
			frames := NewFrameReader(counted, 1<<20)
			promised := false
			for i := range want {
				reads := counted.reads
				got, more, err := frames.Next()
				if err != nil || !bytes.Equal(got, want[i]) {
					t.Fatalf("%s: frame %d of %d bytes: got %d bytes, error %v", name, i, len(want[i]), len(got), err)
				}
				if promised != (counted.reads == reads) {
					t.Fatalf("%s: frame %d was promised: %v, but took %d reads", name, i, promised, counted.reads-reads)
				}
				promised = more
			}
			for range 2 {
				if _, _, err := frames.Next(); promised || err != io.EOF {
					t.Fatalf("%s: at the end: more %v, error %v, want EOF", name, promised, err)
				}
			}
		}
	}
}

type countingReader struct {
	io.Reader
	reads int
}

func (c *countingReader) Read(b []byte) (int, error) {
	c.reads++
	return c.Reader.Read(b)
}

func TestFrameReaderRefusesLargeFrames(t *testing.T) {
	stream := appendFrame(appendFrame(nil, 1, 2, 3), make([]byte, 101)...)
	frames := NewFrameReader(bytes.NewReader(stream), 100)
	if frame, more, err := frames.Next(); len(frame) != 3 || more || err != nil {
		t.Fatalf("first frame: %v, more %v, error %v", frame, more, err)
	}
	for range 2 {
		if _, _, err := frames.Next(); !errors.Is(err, ErrFrameTooLarge) {
			t.Fatalf("error %v, want ErrFrameTooLarge", err)
		}
	}
}

func TestFrameReaderReportsATornFrame(t *testing.T) {
	whole := appendFrame(nil, 1, 2, 3)
	for cut := 1; cut < len(whole); cut++ {
		if _, _, err := NewFrameReader(bytes.NewReader(whole[:cut]), 100).Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("after %d of %d bytes: error %v, want unexpected EOF", cut, len(whole), err)
		}
	}
	broken := errors.New("broken")
	frames := NewFrameReader(io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(broken)), 100)
	if _, _, err := frames.Next(); err != nil {
		t.Fatalf("frame before the error: %v", err)
	}
	if _, _, err := frames.Next(); err != broken {
		t.Errorf("error %v, want that of the stream", err)
	}
	if _, _, err := NewFrameReader(stuck{}, 100).Next(); err != io.ErrNoProgress {
		t.Errorf("error %v from a reader that returns nothing, want no progress", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestFrameReaderPaysForWhatArrivesOnly(t *testing.T) {
	const announced = 4 << 20
	stream := binary.LittleEndian.AppendUint32(nil, announced)
	stream = append(stream, make([]byte, 300<<10)...)
	frames := NewFrameReader(bytes.NewReader(stream), announced)
	frames.Next()
	if len(frames.buf) > 1<<20 {
		t.Errorf("300 KiB arrived of 4 MiB announced: buffer of %d bytes", len(frames.buf))
	}

	// A large frame's buffer is used while large frames come, and given back in time.
	stream = nil
	for range 2 {
		stream = appendFrame(stream, make([]byte, announced)...)
	}
	grown := 0
	frames = NewFrameReader(io.MultiReader(bytes.NewReader(stream), trickle{frame: appendFrame(nil, 1)}), announced)
	for range 2 {
		frames.Next()
		grown = max(grown, len(frames.buf))
	}
	if grown < announced {
		t.Errorf("buffer of %d bytes for frames of %d", grown, announced)
	}
	for range 10 * keepRounds {
		frames.Next()
	}
	if len(frames.buf) > keepBuffer {
		t.Errorf("buffer of %d bytes for frames of 1 byte, after a burst of larger ones", len(frames.buf))
	}
}

// trickle returns one frame at a time, without end.
type trickle struct{ frame []byte }

func (t trickle) Read(b []byte) (int, error) { return copy(b, t.frame), nil }

func FuzzFrameReader(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil), 1, 2, 3), uint64(1))
	f.Add([]byte{255, 255, 255, 255}, uint64(2))
	f.Add([]byte{4, 0, 0, 0, 1}, uint64(3))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		const limit = 1000
		frames := NewFrameReader(&pieces{stream, rand.New(rand.NewPCG(seed, 0))}, limit)
		var again []byte
		for {
			frame, _, err := frames.Next()
			if err != nil {
				rest := stream[len(again):]
				tooLarge := len(rest) >= framePrefix && binary.LittleEndian.Uint32(rest) > limit
				if tooLarge != errors.Is(err, ErrFrameTooLarge) || !tooLarge && (err == io.EOF) != (len(rest) == 0) {
					t.Fatalf("error %v with %d bytes left", err, len(rest))
				}
				break
			}
			again = appendFrame(again, frame...)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("frames are not what the stream holds")
		}
	})
}
