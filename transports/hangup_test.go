package transports

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// hangingUp is a network between two endpoints on which each connection ends when its dialler has read so many bytes.
type hangingUp struct {
	after   int           // bytes
	lasts   time.Duration // and so long after that
	calls   chan net.Conn
	dialled []time.Time
}

func (h *hangingUp) Addr() string { return "here" }
func (h *hangingUp) Close() error { return nil }

func (h *hangingUp) Dial(ctx context.Context, _ string) (Conn, error) {
	h.dialled = append(h.dialled, time.Now())
	here, there := net.Pipe()
	select {
	case h.calls <- there:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &pipe{Conn: here}
	c.read = func(b []byte) (int, error) {
		left := h.after - int(c.taken.Load())
		if left <= 0 {
			time.Sleep(h.lasts) // of the bubble's time
			return 0, io.EOF
		}
		n, err := here.Read(b[:min(len(b), left)])
		c.taken.Add(int64(n))
		return n, err
	}
	return c, nil
}

func (h *hangingUp) Accept(ctx context.Context) (Conn, error) {
	select {
	case c := <-h.calls:
		return &pipe{Conn: c, read: c.Read}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dialler is the side that dials, and is not dialled.
type dialler struct{ *hangingUp }

func (dialler) Accept(ctx context.Context) (Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// pipe is one end of a connection, and its only stream.
type pipe struct {
	net.Conn
	read  func([]byte) (int, error)
	taken atomic.Int64
}

func (p *pipe) Read(b []byte) (int, error)                   { return p.read(b) }
func (p *pipe) TryWrite([]byte) (int, error)                 { return 0, ErrWouldBlock }
func (p *pipe) OpenStream(context.Context) (Stream, error)   { return p, nil }
func (p *pipe) AcceptStream(context.Context) (Stream, error) { return p, nil }
func (p *pipe) Peer() raft.ID                                { return 0 }

// greets sends a frame as soon as it is connected.
type greets struct{ send func() }

func (greets) Receive(raft.ID, []byte, bool) {}
func (g greets) Up(raft.ID)                  { g.send() }
func (greets) Down(raft.ID)                  {}

// A peer that takes a connection and hangs up, whenever it does so, is dialled no more often than one that does not answer:
// as in TestBackoff. Only a connection that lasts begins the waits anew.
func TestBackoffFromPeersThatHangUp(t *testing.T) {
	const frame = 100
	for _, stage := range []struct {
		name  string
		after int
		lasts time.Duration
		anew  bool
	}{
		{"before it answers the hello", 0, 0, false},
		{"in the middle of its answer", handshakeSize / 2, 0, false},
		{"after its answer", handshakeSize, 0, false},
		{"in the middle of a frame", handshakeSize + framePrefix + frame/2, 0, false},
		{"after a frame", handshakeSize + framePrefix + frame, 0, false},
		{"after a frame and some waiting", handshakeSize + framePrefix + frame, 30 * time.Millisecond, false},
		{"after a connection that lasted", handshakeSize + framePrefix + frame, 100 * time.Millisecond, true},
	} {
		t.Run(stage.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { dialsSparely(t, stage.after, stage.lasts, stage.anew, frame) })
		})
	}
}

func dialsSparely(t *testing.T, after int, lasts time.Duration, anew bool, frame int) {
	const first, longest = time.Millisecond, 64 * time.Millisecond
	h := &hangingUp{after: after, lasts: lasts, calls: make(chan net.Conn)}
	var ends []Transport
	for i, carrier := range []Carrier{dialler{h}, h} {
		e, err := NewEndpoint(Config{Self: raft.ID(i + 1), BackoffMin: first, BackoffMax: longest}, 1, carrier)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, e)
	}
	addrs := map[raft.ID]string{1: "here", 2: "here"}
	ends[1].Start(addrs, greets{func() { ends[1].Send(1, ClassVote, nil, make([]byte, frame)); ends[1].Flush() }})
	ends[0].Start(addrs, deaf{})
	time.Sleep(10 * time.Second) // of the bubble's time
	synctest.Wait()
	for _, e := range ends {
		if err := e.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if len(h.dialled) < 50 {
		t.Fatalf("%d attempts in 10s, want one at least every 200ms", len(h.dialled))
	}
	most := first
	for i := 1; i < len(h.dialled); i++ {
		waited := h.dialled[i].Sub(h.dialled[i-1]) - lasts
		if waited < most/2 || waited > most {
			t.Fatalf("attempt %d comes %v after the end of the one before, want %v to %v", i+1, waited, most/2, most)
		}
		if most = min(2*most, longest); anew {
			most = first
		}
	}
}
