package conformance

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// small is the size of a frame with one entry of a small payload.
const small = 150

// Benchmark measures what a transport costs without Raft above it: a frame there and back; a frame to two peers until
// the first answers, the floor of a commit among three replicas; and a stream of large frames. Next to the mean, the
// first two report the median.
func Benchmark(b *testing.B, kind transports.Kind) {
	b.Run("pingpong", func(b *testing.B) { roundTrips(b, kind, 2) })
	b.Run("fanout", func(b *testing.B) { roundTrips(b, kind, 3) })
	b.Run("stream", func(b *testing.B) { stream(b, kind) })
}

// reactor is a Handler that acts on frames in the goroutine that they arrive on.
type reactor struct {
	receive func(from raft.ID, frame []byte, more bool)
}

func (r reactor) Receive(from raft.ID, frame []byte, more bool) { r.receive(from, frame, more) }
func (reactor) Up(raft.ID)                                      {}
func (reactor) Down(raft.ID)                                    {}

// start opens a connected group of endpoints that react to frames.
func start(b *testing.B, kind transports.Kind, react []func(self transports.Transport) reactor) []transports.Transport {
	b.Helper()
	n, err := kind.Open()
	if err != nil {
		b.Fatal(err)
	}
	addrs := map[raft.ID]string{}
	group := make([]transports.Transport, len(react))
	for i := range group {
		group[i], err = n.Endpoint(transports.Config{Self: raft.ID(i + 1), Listen: "127.0.0.1:0"})
		if err != nil {
			b.Fatal(err)
		}
		addrs[raft.ID(i+1)] = group[i].Addr()
	}
	b.Cleanup(func() {
		for _, t := range group {
			t.Close()
		}
		n.Close()
	})
	for i, t := range group {
		t.Start(addrs, react[i](t))
	}
	s := &suite{TB: b, patience: 10 * time.Second}
	for _, t := range group {
		s.eventually("connections", func() bool { return t.Stats().Connects == uint64(len(group)-1) })
	}
	return group
}

// roundTrips has replica 1 send a frame to all others, and again as soon as the first has sent it back.
func roundTrips(b *testing.B, kind transports.Kind, replicas int) {
	b.ReportAllocs()
	took := make([]time.Duration, b.N)
	done := make(chan struct{})
	var round atomic.Uint64
	origin := time.Now()
	var began atomic.Int64 // since origin; the slower peer's goroutine may look at it too
	// Each peer's goroutine sends from a frame of its own; the slower one may still be in Send.
	var frames [4][small]byte
	send := func(self transports.Transport, by raft.ID, n uint64) {
		frame := frames[by][:]
		binary.LittleEndian.PutUint64(frame, n)
		began.Store(int64(time.Since(origin)))
		for to := 2; to <= replicas; to++ {
			self.Send(raft.ID(to), transports.ClassAppend, frame)
		}
		self.Flush()
	}
	react := []func(transports.Transport) reactor{func(self transports.Transport) reactor {
		return reactor{func(from raft.ID, frame []byte, _ bool) {
			n := binary.LittleEndian.Uint64(frame)
			if n != round.Load() {
				return // the slower answer to an earlier round
			}
			elapsed := time.Since(origin) - time.Duration(began.Load())
			if !round.CompareAndSwap(n, n+1) {
				return
			}
			took[n] = elapsed
			if n+1 == uint64(b.N) {
				close(done)
				return
			}
			send(self, from, n+1)
		}}
	}}
	for range replicas - 1 {
		react = append(react, func(self transports.Transport) reactor {
			return reactor{func(from raft.ID, frame []byte, more bool) {
				self.Send(from, transports.ClassAppend, frame)
				if !more {
					self.Flush()
				}
			}}
		})
	}
	group := start(b, kind, react)
	b.ResetTimer()
	send(group[0], 0, 0)
	<-done
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-us")
}

// stream sends large frames one way, with an answer whenever the receiver has caught up.
func stream(b *testing.B, kind transports.Kind) {
	const size, inFlight = 16 << 10, 128
	b.SetBytes(size)
	b.ReportAllocs()
	var acked atomic.Int64
	moved := make(chan struct{}, 1)
	var count uint64
	answer := make([]byte, 50)
	group := start(b, kind, []func(transports.Transport) reactor{
		func(transports.Transport) reactor {
			return reactor{func(_ raft.ID, frame []byte, _ bool) {
				acked.Store(int64(binary.LittleEndian.Uint64(frame)))
				select {
				case moved <- struct{}{}:
				default:
				}
			}}
		},
		func(self transports.Transport) reactor {
			return reactor{func(from raft.ID, _ []byte, more bool) {
				if count++; !more {
					binary.LittleEndian.PutUint64(answer, count)
					self.Send(from, transports.ClassAppend, answer)
					self.Flush()
				}
			}}
		},
	})
	body := make([]byte, size)
	b.ResetTimer()
	for sent := int64(0); sent < int64(b.N); {
		for sent < int64(b.N) && sent-acked.Load() < inFlight {
			group[0].Send(2, transports.ClassAppend, nil, body)
			sent++
		}
		group[0].Flush()
		if sent-acked.Load() >= inFlight {
			<-moved
		}
	}
	for acked.Load() < int64(b.N) {
		<-moved
	}
}
