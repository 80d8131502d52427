package lab

import (
	"sync/atomic"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// Meter counts as the lab's network does: requests when they are sent, to dead ends too, and replies when they are
// delivered. Bytes are those of encoded messages, without a transport's framing. It is safe for concurrent use.
type Meter struct {
	requests, requestBytes, replyBytes atomic.Uint64
}

// Request counts a request that is sent.
func (m *Meter) Request(bytes int) {
	m.requests.Add(1)
	m.requestBytes.Add(uint64(bytes))
}

// Reply counts a reply that is delivered.
func (m *Meter) Reply(bytes int) { m.replyBytes.Add(uint64(bytes)) }

// RPCs returns the number of requests so far.
func (m *Meter) RPCs() uint64 { return m.requests.Load() }

// Bytes returns the bytes of requests and delivered replies so far.
func (m *Meter) Bytes() uint64 { return m.requestBytes.Load() + m.replyBytes.Load() }

// tap returns an engine that is metered: inner, or this project's own if that is nil.
func (m *Meter) tap(inner cluster.Engine) cluster.Engine {
	if inner == nil {
		inner = cluster.NewReplica
	}
	return func(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		member, err := inner(id, cfg, meteredHost{host, m}, store)
		if err != nil {
			return nil, err
		}
		return meteredMember{member, m}, nil
	}
}

type meteredHost struct {
	cluster.Host
	meter *Meter
}

func (h meteredHost) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) {
	if !transports.IsReply(head) {
		h.meter.Request(transports.FrameSize(head, body))
	}
	h.Host.Send(to, class, head, body...)
}

type meteredMember struct {
	cluster.Member
	meter *Meter
}

func (m meteredMember) Receive(now raft.Time, from raft.ID, frame []byte) error {
	if transports.IsReply(frame) {
		m.meter.Reply(len(frame))
	}
	return m.Member.Receive(now, from, frame)
}
