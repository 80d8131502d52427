package transports

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
)

func TestOutboxKeepsItsBound(t *testing.T) {
	o := NewOutbox(20)
	push := func(n int, want PushResult) {
		t.Helper()
		if got := o.Push(make([]byte, n/2), make([]byte, n-n/2)); got != want {
			t.Fatalf("push of %d bytes: %v, want %v", n, got, want)
		}
	}
	push(17, Full)
	push(6, Pushed)
	push(6, Pushed)
	push(0, Full)
	if b := o.Begin(); len(b) != 20 {
		t.Fatalf("%d bytes to write, want 20", len(b))
	}
	push(0, Full) // being written is still there
	o.Advance(4)
	push(0, Pushed)
	push(0, Full)
	if b := o.Begin(); b != nil {
		t.Fatalf("a second writer was given %d bytes", len(b))
	}
	if b := o.Rest(); len(b) != 16 {
		t.Fatalf("%d bytes left, want 16", len(b))
	}
	if b := o.Advance(16); len(b) != 4 {
		t.Fatalf("%d bytes to write next, want 4", len(b))
	}
	if b := o.Advance(4); len(b) != 0 {
		t.Fatalf("%d bytes to write at the end, want 0", len(b))
	}
	push(16, Pushed)
}

func TestOutboxCountsWhatItDrops(t *testing.T) {
	for written, want := range map[int]int{0: 5, 1: 5, 5: 5, 6: 4, 17: 3, 18: 2} {
		o := NewOutbox(1000)
		for range 3 {
			o.Push([]byte("x"), []byte("y"))
		}
		o.Begin()
		o.Push(nil, nil)
		if written < 18 {
			o.Push(nil, nil)
			o.Advance(written)
		} else {
			o.Advance(written) // all of it, so that the next is being written
			o.Push(nil, nil)
		}
		if got := o.Stop(); got != want {
			t.Errorf("%d frames dropped after %d bytes, want %d", got, written, want)
		}
		if got := o.Stop(); got != 0 {
			t.Errorf("%d frames dropped a second time", got)
		}
		if o.Push(nil, nil) != Stopped || o.Begin() != nil || len(o.Advance(1)) != 0 {
			t.Errorf("a stopped outbox still takes or gives")
		}
	}
}

// Several push and write at once; nothing is lost, doubled, torn or left behind.
func TestOutboxLosesNothingBetweenWriters(t *testing.T) {
	const workers, each = 4, 5000
	o := NewOutbox(1 << 30)
	var stream []byte // written by the holder of the turn
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				o.Push(binary.LittleEndian.AppendUint32([]byte{byte(w)}, uint32(i)), nil)
				for b := o.Begin(); len(b) > 0; {
					n := 1 + i%len(b)
					stream = append(stream, b[:n]...)
					b = o.Advance(n)
				}
			}
		})
	}
	all.Wait()
	frames := NewFrameReader(bytes.NewReader(stream), 5)
	var next [workers]uint32
	for range workers * each {
		f, _, err := frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.LittleEndian.Uint32(f[1:]); n != next[f[0]] {
			t.Fatalf("frame %d of worker %d, want %d", n, f[0], next[f[0]])
		}
		next[f[0]]++
	}
}

func TestOutboxReusesItsBuffersButNotForEver(t *testing.T) {
	o := NewOutbox(64 << 20)
	round := func(size int) {
		o.Push(nil, make([]byte, size))
		o.Advance(len(o.Begin()))
	}
	body := make([]byte, 100)
	round(100)
	round(100)
	if n := testing.AllocsPerRun(100, func() { o.Push(nil, body); o.Advance(len(o.Begin())) }); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
	round(4 << 20)
	if cap(o.queued.b)+cap(o.writing.b) < 4<<20 {
		t.Errorf("buffers of %d and %d bytes are not kept for a moment", cap(o.queued.b), cap(o.writing.b))
	}
	for range 2 * keepRounds {
		round(100)
	}
	if cap(o.queued.b)+cap(o.writing.b) > keepBuffer {
		t.Errorf("buffers of %d and %d bytes are kept for ever", cap(o.queued.b), cap(o.writing.b))
	}
}
