package live_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// wire counts what a group gives to its transport, and what that hands over, from the bytes alone.
type wire struct {
	messages, appends, entries, bytes, refused, received atomic.Uint64
}

// between returns a kind of transport whose endpoints are looked at on both sides.
func (w *wire) between(kind transports.Kind) transports.Kind {
	open := kind.Open
	kind.Open = func() (transports.Network, error) {
		n, err := open()
		return &lookedAt{n, w}, err
	}
	return kind
}

type lookedAt struct {
	transports.Network
	wire *wire
}

func (n *lookedAt) Endpoint(cfg transports.Config) (transports.Transport, error) {
	t, err := n.Network.Endpoint(cfg)
	return &endpoint{t, n.wire}, err
}

type endpoint struct {
	transports.Transport
	wire *wire
}

func (e *endpoint) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) bool {
	const prefix = 4
	e.wire.messages.Add(1)
	frame := slices.Concat(head, slices.Concat(body...))
	e.wire.bytes.Add(uint64(prefix + len(frame)))
	var m raft.Message
	if err := transports.DecodeMessage(frame, &m); err != nil {
		panic(err)
	}
	if m.Type == raft.AppendEntries {
		e.wire.appends.Add(1)
		e.wire.entries.Add(uint64(m.Entries.Count))
	}
	sent := e.Transport.Send(to, class, head, body...)
	if !sent {
		e.wire.refused.Add(1)
	}
	return sent
}

func (e *endpoint) Start(peers map[raft.ID]string, h transports.Handler) {
	e.Transport.Start(peers, &receiver{h, e.wire})
}

type receiver struct {
	transports.Handler
	wire *wire
}

func (r *receiver) Receive(from raft.ID, frame []byte, more bool) {
	r.wire.received.Add(1)
	r.Handler.Receive(from, frame, more)
}

// What a group's counters say is what its transports were given, over each of them, and what was not refused arrives.
func TestCountersAgainstTheWire(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.Name, func(t *testing.T) {
			var w wire
			cfg := config("eager")
			cfg.Transport = w.between(kind)
			cfg.Heartbeat = time.Minute // so that nothing is under way at the end
			g := start(t, cfg)
			g.elect(1)
			for range 20 {
				g.commit(1, 50)
			}
			g.level()
			// A connection that breaks takes with it what is in the network's own buffers, which nobody can count: so before.
			g.wait("arrival of all", func() bool {
				return w.received.Load()+g.Counters().Dropped == w.messages.Load()
			})
			g.Crash(3)
			g.commit(1, 50)
			g.wait("equal counts", func() bool {
				c := g.Counters()
				return c.Messages == w.messages.Load() && c.AppendEntries == w.appends.Load() && c.EntriesSent == w.entries.Load() &&
					c.Bytes == w.bytes.Load() && c.Dropped >= w.refused.Load()
			})
			if c := (cluster.Counters{}); g.Counters() == c || w.refused.Load() == 0 {
				t.Errorf("nothing was counted, or nothing refused after a crash: %+v", g.Counters())
			}
		})
	}
}
