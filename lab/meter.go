package lab

import (
	"sync"
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

	mu     sync.Mutex
	states map[raft.ID]uint64
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

// State notes how many bytes of term, vote and log a replica's storage holds from now on.
func (m *Meter) State(id raft.ID, bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states == nil {
		m.states = map[raft.ID]uint64{}
	}
	m.states[id] = bytes
}

// LargestState returns the most bytes of term, vote and log that a replica's storage holds now, whether it is up or not.
func (m *Meter) LargestState() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var largest uint64
	for _, bytes := range m.states {
		largest = max(largest, bytes)
	}
	return largest
}

// tap returns an engine that is metered: inner, or this project's own if that is nil.
func (m *Meter) tap(inner cluster.Engine) cluster.Engine {
	if inner == nil {
		inner = cluster.NewReplica
	}
	return func(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		member, err := inner(id, cfg, meteredHost{host, m}, &meteredStorage{Storage: store, meter: m, id: id})
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

// meteredStorage meters what a storage holds of the log.
type meteredStorage struct {
	storage.Storage
	meter *Meter
	id    raft.ID
	first uint64   // index of the first entry held
	ends  []uint64 // bytes of the entries from the first one ever held up to each that is held
	gone  uint64   // bytes of those before first
}

// hardStateBytes is the size of a term and a vote.
const hardStateBytes = 16

func (s *meteredStorage) Load() (storage.State, error) {
	state, err := s.Storage.Load()
	if err != nil {
		return state, err
	}
	s.reset(state.Log.First())
	for i := s.first; i <= state.Log.Last(); {
		run := state.Log.Slice(i, state.Log.Last())
		s.add(run)
		i = run.Last() + 1
	}
	s.tell()
	return state, nil
}

func (s *meteredStorage) Save(save raft.Save) bool {
	if from := save.TruncateFrom; from != 0 {
		s.ends = s.ends[:from-s.first]
	}
	for _, run := range save.Entries {
		s.add(run)
	}
	s.tell()
	return s.Storage.Save(save)
}

func (s *meteredStorage) Compact(index uint64) {
	n := index + 1 - s.first
	s.gone = s.ends[n-1]
	s.ends, s.first = s.ends[n:], index+1
	s.tell()
	s.Storage.Compact(index)
}

func (s *meteredStorage) Reset(index, term uint64) {
	s.reset(index + 1)
	s.Storage.Reset(index, term)
}

func (s *meteredStorage) reset(first uint64) { s.first, s.ends, s.gone = first, nil, 0 }

func (s *meteredStorage) last() uint64 {
	if len(s.ends) == 0 {
		return s.gone
	}
	return s.ends[len(s.ends)-1]
}

func (s *meteredStorage) add(run raft.Entries) {
	for e := range run.All() {
		s.ends = append(s.ends, s.last()+uint64(raft.EntryOverhead+len(e.Data)))
	}
}

func (s *meteredStorage) tell() { s.meter.State(s.id, hardStateBytes+s.last()-s.gone) }
