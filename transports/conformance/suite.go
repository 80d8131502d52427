package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// suite is one case being run.
type suite struct {
	testing.TB
	kind     transports.Kind
	traits   Traits
	patience time.Duration // for what must happen
}

const cluster = 7

// replica is an endpoint and the handler of what it receives.
type replica struct {
	transports.Transport
	*log
	id      raft.ID
	cfg     transports.Config  // with the address that it has got
	network transports.Network // that it was opened on
}

// network opens the kind's network for the time of the case.
func (s *suite) network() transports.Network {
	s.Helper()
	n, err := s.kind.Open()
	if err != nil {
		s.Fatalf("open %s: %v", s.kind.Name, err)
	}
	s.Cleanup(func() {
		if err := n.Close(); err != nil {
			s.Errorf("close network: %v", err)
		}
	})
	return n
}

// listen opens an endpoint for the time of the case.
func (s *suite) listen(n transports.Network, cfg transports.Config) *replica {
	s.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Cluster == 0 {
		cfg.Cluster = cluster
	}
	r := &replica{id: cfg.Self, log: newLog()}
	// The address of an endpoint that was closed just now may be taken by a passing connection.
	var err error
	s.eventually("listen on "+cfg.Listen, func() bool {
		r.Transport, err = n.Endpoint(cfg)
		return err == nil || cfg.Listen == "127.0.0.1:0"
	})
	if err != nil {
		s.Fatalf("endpoint of replica %d: %v", cfg.Self, err)
	}
	r.cfg, r.network = cfg, n
	r.cfg.Listen = r.Addr()
	s.Cleanup(func() {
		r.release()
		if err := r.Close(); err != nil {
			s.Errorf("close replica %d: %v", r.id, err)
		}
	})
	return r
}

// group opens and starts endpoints 1 to count, and waits until all are connected.
func (s *suite) group(n transports.Network, count int, cfg transports.Config) []*replica {
	s.Helper()
	group := make([]*replica, count)
	for i := range group {
		cfg.Self = raft.ID(i + 1)
		group[i] = s.listen(n, cfg)
	}
	for _, r := range group {
		r.Start(addrs(group), r.log)
	}
	for _, r := range group {
		for _, peer := range group {
			if peer != r {
				s.eventually(fmt.Sprintf("%d up at %d", peer.id, r.id), func() bool { return r.count(up(peer.id)) == 1 })
			}
		}
	}
	return group
}

func addrs(group []*replica) map[raft.ID]string {
	m := map[raft.ID]string{}
	for _, r := range group {
		m[r.id] = r.Addr()
	}
	return m
}

// eventually waits for what must happen.
func (s *suite) eventually(what string, cond func() bool) {
	s.Helper()
	if !s.within(s.patience, cond) {
		s.Fatalf("%s: not within %v", what, s.patience)
	}
}

// within waits until cond holds, and reports whether it does.
func (s *suite) within(d time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return cond()
		}
	}
	return true
}

// exchange sends a frame each way and waits until both have arrived.
func (s *suite) exchange(a, b *replica) {
	s.Helper()
	for _, way := range [][2]*replica{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		for class := range transports.Classes {
			before := to.received(from.id)
			if !from.Send(to.id, class, []byte("over"), []byte(" there")) {
				s.Fatalf("replica %d could not send to %d: %+v", from.id, to.id, from.Stats())
			}
			from.Flush()
			s.eventually(fmt.Sprintf("frame from %d to %d", from.id, to.id), func() bool { return to.received(from.id) > before })
		}
	}
}

// log is a Handler that records what it is told.
type log struct {
	mu     sync.Mutex
	frames map[raft.ID][]frame
	events []string
	hold   chan struct{}                    // Receive waits until it is closed; nil: it does not
	filter func(raft.ID, frame) (keep bool) // nil: all are kept
}

type frame struct {
	bytes []byte
	more  bool
}

func newLog() *log { return &log{frames: map[raft.ID][]frame{}} }

func up(id raft.ID) string   { return fmt.Sprintf("up %d", id) }
func down(id raft.ID) string { return fmt.Sprintf("down %d", id) }

func (l *log) Receive(from raft.ID, b []byte, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.filter == nil || l.filter(from, frame{b, more}) {
		l.frames[from] = append(l.frames[from], frame{bytes.Clone(b), more})
	}
	if hold := l.hold; hold != nil {
		l.mu.Unlock()
		<-hold
		l.mu.Lock()
	}
}

func (l *log) Up(peer raft.ID)   { l.event(up(peer)) }
func (l *log) Down(peer raft.ID) { l.event(down(peer)) }

func (l *log) event(e string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// block makes Receive wait for release.
func (l *log) block() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = make(chan struct{})
}

func (l *log) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold != nil {
		close(l.hold)
		l.hold = nil
	}
}

func (l *log) count(event string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e == event {
			n++
		}
	}
	return n
}

func (l *log) received(from raft.ID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.frames[from])
}

func (l *log) from(id raft.ID) []frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.frames[id])
}

// story is the events in order.
func (l *log) story() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// numbered is a frame of size bytes, at least 12, that carries its class and number and can be checked.
func numbered(class transports.Class, n uint32, size int) []byte {
	b := make([]byte, size)
	binary.LittleEndian.PutUint32(b, uint32(class))
	binary.LittleEndian.PutUint32(b[4:], n)
	binary.LittleEndian.PutUint32(b[8:], uint32(size))
	for i := 12; i < size; i++ {
		b[i] = byte(uint32(i)*31 + n)
	}
	return b
}

// checkNumbered checks that the frames are whole, and those of each class numbered 0, 1, 2 ... up to count.
func (s *suite) checkNumbered(frames []frame, count uint32) {
	s.Helper()
	next := map[transports.Class]uint32{}
	for _, f := range frames {
		if len(f.bytes) < 12 {
			s.Fatalf("frame of %d bytes, want at least 12", len(f.bytes))
		}
		class := transports.Class(binary.LittleEndian.Uint32(f.bytes))
		n := binary.LittleEndian.Uint32(f.bytes[4:])
		if !bytes.Equal(f.bytes, numbered(class, n, len(f.bytes))) || binary.LittleEndian.Uint32(f.bytes[8:]) != uint32(len(f.bytes)) {
			s.Fatalf("frame %d of class %d is not what was sent", n, class)
		}
		if n != next[class] {
			s.Fatalf("class %d: frame %d arrived, want %d", class, n, next[class])
		}
		next[class]++
	}
	for _, class := range slices.Sorted(maps.Keys(next)) {
		if next[class] != count {
			s.Fatalf("class %d: %d frames arrived, want %d", class, next[class], count)
		}
	}
}
