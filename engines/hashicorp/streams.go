package hashicorp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// streams is one replica's end of the network, for the library's NetworkTransport: its StreamLayer. Links can be cut.
type streams struct {
	group   uint64
	self    raft.ID
	carrier transports.Carrier
	idOf    func(addr string) raft.ID

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	accepted chan *stream
	wg       sync.WaitGroup // of the accepting side

	strangers transports.Strangers

	mu    sync.Mutex
	ways  map[raft.ID]way               // of links that have been cut
	cuts  atomic.Bool                   // there are any
	gate  atomic.Pointer[chan struct{}] // not nil while nothing may flow
	open  map[*stream]bool
	ended bool

	bytes, writes *atomic.Uint64
}

// helloBytes opens every stream: the group and the replica that dials. Both are only there to keep groups apart.
const helloBytes = 16

// handshake is the time that a new connection has.
const handshake = 3 * time.Second

var (
	errCut    = errors.New("hashicorp: the link is cut")
	errClosed = errors.New("hashicorp: closed")
)

func newStreams(group uint64, self raft.ID, carrier transports.Carrier, idOf func(string) raft.ID, bytes, writes *atomic.Uint64) *streams {
	s := &streams{group: group, self: self, carrier: carrier, idOf: idOf, accepted: make(chan *stream), ways: map[raft.ID]way{},
		open: map[*stream]bool{}, bytes: bytes, writes: writes}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.listen)
	return s
}

// listen takes in connections.
func (s *streams) listen() {
	for {
		conn, err := s.carrier.Accept(s.ctx)
		if s.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // such as no file descriptors left: it may pass
			select {
			case <-time.After(10 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		if tooMany := s.strangers.Add(conn); tooMany != nil {
			tooMany.Close()
		}
		s.wg.Go(func() { s.welcome(conn) })
	}
}

func (s *streams) welcome(conn transports.Conn) {
	ctx, cancel := context.WithTimeout(s.ctx, handshake)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	st, err := s.readHello(ctx, conn)
	if s.strangers.Remove(conn) || err != nil || !stop() {
		conn.Close()
		return
	}
	select {
	case s.accepted <- st:
	case <-s.ctx.Done():
		st.Close()
	}
}

func (s *streams) readHello(ctx context.Context, conn transports.Conn) (*stream, error) {
	bare, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	var hello [helloBytes]byte
	if _, err := io.ReadFull(bare, hello[:]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint64(hello[:]) != s.group {
		return nil, errors.New("hashicorp: a stranger")
	}
	from := raft.ID(binary.LittleEndian.Uint64(hello[8:]))
	if proven := conn.Peer(); proven != 0 && proven != from {
		return nil, fmt.Errorf("hashicorp: replica %d with the certificate of %d", from, proven)
	}
	return s.add(from, conn, bare)
}

// Dial connects to a replica's address.
func (s *streams) Dial(address hraft.ServerAddress, _ time.Duration) (net.Conn, error) {
	peer := s.idOf(string(address))
	if err := s.passable(peer); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, handshake)
	defer cancel()
	if !s.await(peer, open, retransmitOpen, ctx.Done()) {
		return nil, ctx.Err()
	}
	conn, err := s.carrier.Dial(ctx, string(address))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	st, err := s.hello(ctx, peer, conn)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return st, nil
}

func (s *streams) hello(ctx context.Context, peer raft.ID, conn transports.Conn) (*stream, error) {
	bare, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	if proven := conn.Peer(); proven != 0 && proven != peer {
		return nil, fmt.Errorf("hashicorp: replica %d has the certificate of %d", peer, proven)
	}
	hello := binary.LittleEndian.AppendUint64(nil, s.group)
	hello = binary.LittleEndian.AppendUint64(hello, uint64(s.self))
	if _, err := bare.Write(hello); err != nil {
		return nil, err
	}
	return s.add(peer, conn, bare)
}

func (s *streams) passable(peer raft.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errClosed
	case s.ways[peer].reach == refused:
		return fmt.Errorf("%w to replica %d", errCut, peer)
	}
	return nil
}

func (s *streams) add(peer raft.ID, conn transports.Conn, bare transports.Stream) (*stream, error) {
	if err := s.passable(peer); err != nil {
		return nil, err
	}
	st := &stream{Stream: bare, conn: conn, layer: s, peer: peer, closed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[st] = true
	return st, nil
}

// reach is what becomes of what is sent to a peer.
type reach uint8

const (
	open       reach = iota
	unanswered       // it arrives, and nothing comes back: no connection can be made
	held             // it is lost on the way, and the connection sends it again and again
	refused          // there are no connections
)

// way is a peer's link, and a channel that is closed when it changes.
type way struct {
	reach   reach
	changed chan struct{}
}

// setLink changes the link with a peer. Refusing ends its connections.
func (s *streams) setLink(peer raft.ID, to reach) {
	s.mu.Lock()
	if was := s.ways[peer]; was.changed != nil {
		close(was.changed)
	}
	s.ways[peer] = way{to, make(chan struct{})}
	s.cuts.Store(true)
	var list []*stream
	for st := range s.open {
		if st.peer == peer && to == refused {
			list = append(list, st)
		}
	}
	s.mu.Unlock()
	for _, st := range list {
		st.Close()
	}
}

// A connection sends again what is not acknowledged after this long, and after twice as long each time: the least that
// Linux waits, above RFC 6298's rule for round trips as short as these; section 2.1 there for one that is not made yet.
const (
	retransmit     = 200 * time.Millisecond
	retransmitOpen = time.Second
)

// await blocks for as long as the link to a peer is worse than it may be, and then until a connection would send again
// what was lost at first. Nobody is told that the link is whole. It returns false if done is closed before.
func (s *streams) await(peer raft.ID, worst reach, first time.Duration, done <-chan struct{}) bool {
	if !s.cuts.Load() {
		return true
	}
	var began time.Time
	for {
		s.mu.Lock()
		w := s.ways[peer]
		s.mu.Unlock()
		if w.reach <= worst || w.reach == refused {
			return began.IsZero() || s.pause(untilRetransmission(time.Since(began), first), done)
		}
		if began.IsZero() {
			began = time.Now()
		}
		select {
		case <-w.changed:
		case <-done:
			return false
		}
	}
}

// untilRetransmission returns how long after a loss's age the next attempt is.
func untilRetransmission(age, first time.Duration) time.Duration {
	at := first
	for wait := first; at < age; at += wait {
		wait *= 2
	}
	return at - age
}

// pause waits for d and reports true, or false if done is closed before.
func (s *streams) pause(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

// freeze stops all that flows, until thaw.
func (s *streams) freeze() {
	gate := make(chan struct{})
	s.gate.CompareAndSwap(nil, &gate)
}

func (s *streams) thaw() {
	if gate := s.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}

// wait blocks while the replica is frozen.
func (s *streams) wait(closed chan struct{}) {
	if gate := s.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-closed:
		}
	}
}

// Accept returns the next connection.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case st := <-s.accepted:
		return st, nil
	case <-s.ctx.Done():
		return nil, errClosed
	}
}

// Addr is where peers reach this replica.
func (s *streams) Addr() net.Addr { return address(s.carrier.Addr()) }

// Close ends all connections and frees the address.
func (s *streams) Close() error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.ended = true
	var list []*stream
	for st := range s.open {
		list = append(list, st)
	}
	s.mu.Unlock()
	s.cancel()
	for _, st := range list {
		st.Close()
	}
	s.wg.Wait()
	return s.carrier.Close()
}

// stream is a byte stream as a net.Conn. It has no deadlines: the library is told to use none, and a connection to a
// replica that is gone breaks.
type stream struct {
	transports.Stream
	conn   transports.Conn
	layer  *streams
	peer   raft.ID
	once   sync.Once
	closed chan struct{}
}

func (st *stream) Read(b []byte) (int, error) {
	n, err := st.Stream.Read(b)
	st.layer.wait(st.closed)
	return n, err
}

func (st *stream) Write(b []byte) (int, error) {
	st.layer.wait(st.closed)
	st.layer.await(st.peer, unanswered, retransmit, st.closed)
	n, err := st.Stream.Write(b)
	st.layer.bytes.Add(uint64(n))
	st.layer.writes.Add(1)
	return n, err
}

func (st *stream) Close() error {
	st.once.Do(func() {
		close(st.closed)
		st.conn.Close()
		st.layer.mu.Lock()
		delete(st.layer.open, st)
		st.layer.mu.Unlock()
	})
	return nil
}

func (st *stream) LocalAddr() net.Addr              { return st.layer.Addr() }
func (st *stream) RemoteAddr() net.Addr             { return address(fmt.Sprintf("replica %d", st.peer)) }
func (st *stream) SetDeadline(time.Time) error      { return nil }
func (st *stream) SetReadDeadline(time.Time) error  { return nil }
func (st *stream) SetWriteDeadline(time.Time) error { return nil }

// address is a net.Addr.
type address string

func (a address) Network() string { return "raftbench" }
func (a address) String() string  { return string(a) }
