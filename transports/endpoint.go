package transports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Carrier is what a concrete transport brings: how connections are made. Everything else (who dials, handshake,
// queues, counting, cut links) is the same for all of them and done by NewEndpoint.
type Carrier interface {
	// Addr is where Accept's connections arrive.
	Addr() string
	// Dial connects to an endpoint's Addr; it gives up when the context ends.
	Dial(ctx context.Context, addr string) (Conn, error)
	// Accept waits for the next connection, or for the end of the context. It leaves to AcceptStream whatever waits
	// for the peer.
	Accept(ctx context.Context) (Conn, error)
	// Close frees the address. It is called once, when all connections have been closed and no call is under way.
	Close() error
}

// Layer is implemented by a Network whose connections can be had bare, for an engine that brings its own messages.
type Layer interface {
	// Listen opens the address in the configuration. An error about it wraps the system's.
	Listen(Config) (Carrier, error)
}

// Conn is one connection to one peer.
type Conn interface {
	// OpenStream opens the next stream; the side that dialled calls it, and writes to the stream at once.
	OpenStream(ctx context.Context) (Stream, error)
	// AcceptStream waits for the next stream; the side that accepted calls it. An error that is a stranger's fault
	// wraps ErrRefused.
	AcceptStream(ctx context.Context) (Stream, error)
	// Peer is the replica that the other side has proven to be, 0 if the transport proves nothing: one that does makes no
	// stream with a stranger. It is valid once there is a stream.
	Peer() raft.ID
	// Close ends the connection at once; reads and writes on its streams return. It may be called more than once,
	// from several goroutines, and does not wait for the peer.
	Close() error
}

// Stream is one ordered, reliable stream of bytes in both directions. One goroutine reads, one at a time writes.
type Stream interface {
	io.Reader
	// Write waits until the network has taken all of b, or fails.
	io.Writer
	// TryWrite never waits. ErrWouldBlock says that what it has not taken, which may be nothing at all, must be given
	// to Write. Any other error is the connection's end.
	TryWrite(b []byte) (int, error)
}

// ErrWouldBlock is the error of Stream.TryWrite when the network takes no more at the moment.
var ErrWouldBlock = errors.New("write would block")

// flushRounds bounds how often one Flush goes back for what others have queued meanwhile, lest it serve them for ever.
const flushRounds = 4

// NewEndpoint returns the Transport that the carrier makes possible, with the given number of streams per connection:
// 1 carries all classes in one order, more spread the classes over streams. It owns the carrier, also on an error.
// The Transport is also a Warner.
func NewEndpoint(cfg Config, streams int, carrier Carrier) (Transport, error) {
	cfg, err := cfg.WithDefaults()
	if err == nil && (streams < 1 || streams > int(Classes)) {
		err = fmt.Errorf("transports: %d streams, want 1 to %d", streams, Classes)
	}
	if err != nil {
		carrier.Close()
		return nil, err
	}
	e := &endpoint{cfg: cfg, carrier: carrier}
	e.identity = identity{cluster: cfg.Cluster, self: cfg.Self, streams: streams, known: func(id raft.ID) bool { return e.peer(id) != nil }}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

type endpoint struct {
	cfg      Config
	carrier  Carrier
	identity identity
	handler  Handler
	peers    atomic.Pointer[[]*peer] // nil before Start; few enough to be searched one after the other
	counters counters

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error // of Close

	strangers Strangers

	mu       sync.Mutex
	cutEarly map[raft.ID]bool  // by SetLink before Start
	warnings map[string]string // by what they are about, the latest each
}

type counters struct {
	sentFrames, sentBytes                                                      atomic.Uint64
	noConnection, cut, queueFull, tooLarge, onBreak, writes, connects, refused atomic.Uint64
	_                                                                          [64]byte // readers and senders are different cores
	receivedFrames, receivedBytes                                              atomic.Uint64
}

func (e *endpoint) Addr() string { return e.carrier.Addr() }

func (e *endpoint) Start(addrs map[raft.ID]string, h Handler) {
	peers := make([]*peer, 0, len(addrs))
	for id, addr := range addrs {
		if id != e.cfg.Self {
			peers = append(peers, &peer{endpoint: e, id: id, addr: addr, arrivals: make(chan connection)})
		}
	}
	e.handler = h
	e.mu.Lock()
	for _, p := range peers {
		p.cut.Store(e.cutEarly[p.id])
	}
	if !e.peers.CompareAndSwap(nil, &peers) {
		panic("transports: endpoint started twice")
	}
	e.mu.Unlock()
	for _, p := range peers {
		if e.cfg.Self < p.id {
			e.wg.Go(p.dial)
		} else {
			e.wg.Go(p.await)
		}
	}
	e.wg.Go(e.accept)
}

func (e *endpoint) Close() error {
	e.once.Do(func() {
		e.cancel()
		e.wg.Wait()
		e.err = e.carrier.Close()
	})
	return e.err
}

// all returns the peers, none before Start.
func (e *endpoint) all() []*peer {
	if p := e.peers.Load(); p != nil {
		return *p
	}
	return nil
}

func (e *endpoint) peer(id raft.ID) *peer {
	for _, p := range e.all() {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (e *endpoint) Send(to raft.ID, class Class, head []byte, body ...[]byte) bool {
	size := FrameSize(head, body)
	if size > e.cfg.MaxFrameBytes {
		e.counters.tooLarge.Add(1)
		return false
	}
	p := e.peer(to)
	if p != nil && p.cut.Load() {
		e.counters.cut.Add(1)
		return false
	}
	var s *session
	if p != nil {
		s = p.session.Load()
	}
	if s == nil {
		e.counters.noConnection.Add(1)
		return false
	}
	switch s.lanes[int(class)%len(s.lanes)].out.Push(head, body...) {
	case Full:
		e.counters.queueFull.Add(1)
		return false
	case Stopped:
		e.counters.noConnection.Add(1)
		return false
	}
	e.counters.sentFrames.Add(1)
	e.counters.sentBytes.Add(uint64(framePrefix + size))
	return true
}

func (e *endpoint) Flush() {
	for _, p := range e.all() {
		if s := p.session.Load(); s != nil {
			for _, l := range s.lanes {
				l.flush()
			}
		}
	}
}

func (e *endpoint) SetLink(to raft.ID, up bool) {
	e.mu.Lock()
	p := e.peer(to)
	if p == nil {
		if e.cutEarly == nil {
			e.cutEarly = map[raft.ID]bool{}
		}
		e.cutEarly[to] = !up
	}
	e.mu.Unlock()
	if p != nil {
		p.cut.Store(!up)
	}
}

func (e *endpoint) Reset(to raft.ID) {
	if p := e.peer(to); p != nil {
		if s := p.session.Load(); s != nil {
			s.end(nil)
		}
	}
}

func (e *endpoint) Stats() Stats {
	c := &e.counters
	return Stats{
		SentFrames: c.sentFrames.Load(), SentBytes: c.sentBytes.Load(),
		ReceivedFrames: c.receivedFrames.Load(), ReceivedBytes: c.receivedBytes.Load(),
		DroppedNoConnection: c.noConnection.Load(), DroppedCut: c.cut.Load(), DroppedQueueFull: c.queueFull.Load(),
		DroppedTooLarge: c.tooLarge.Load(), DroppedOnBreak: c.onBreak.Load(),
		Writes: c.writes.Load(), Connects: c.connects.Load(), Refused: c.refused.Load(),
	}
}

// Warnings implements Warner: those of the carrier, and the latest refusal or timeout per peer.
func (e *endpoint) Warnings() []string {
	var all []string
	if w, ok := e.carrier.(Warner); ok {
		all = w.Warnings()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.all() {
		about := p.name()
		if w := e.warnings[about]; w != "" {
			all = append(all, about+": "+w)
		}
	}
	if w := e.warnings[stranger]; w != "" {
		all = append(all, stranger+": "+w)
	}
	return all
}

// errCut ends attempts to connect across a link that is cut.
var errCut = errors.New("the link is cut")

const stranger = "a stranger"

// note counts and keeps an error that somebody should hear of: a peer that is not as it should be. That a connection
// cannot be made or breaks is everyday life here, and told by Down.
func (e *endpoint) note(about string, err error) {
	refused := errors.Is(err, ErrRefused)
	if refused {
		e.counters.refused.Add(1)
	}
	if refused || errors.Is(err, ErrFrameTooLarge) {
		e.warn(about, err)
	}
}

func (e *endpoint) warn(about string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.warnings == nil {
		e.warnings = map[string]string{}
	}
	e.warnings[about] = err.Error()
}

// accept takes in connections until the endpoint closes.
func (e *endpoint) accept() {
	for {
		conn, err := e.carrier.Accept(e.ctx)
		if e.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // such as no file descriptors left: it may pass
			e.sleep(e.cfg.BackoffMax)
			continue
		}
		if tooMany := e.strangers.Add(conn); tooMany != nil {
			tooMany.Close()
		}
		e.wg.Go(func() { e.welcome(conn) })
	}
}

// welcome leads the accepting side's handshake, and hands the connection to the peer's goroutine.
func (e *endpoint) welcome(conn Conn) {
	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Handshake)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	from, streams, err := e.readHellos(ctx, conn)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if e.strangers.Remove(conn) {
		err = fmt.Errorf("%w: more than %d connections are without a handshake", ErrRefused, MaxStrangers)
	}
	if err != nil {
		conn.Close()
		about := stranger
		if p := e.peer(from); p != nil {
			about = p.name()
		}
		e.note(about, err)
		return
	}
	select {
	case e.peer(from).arrivals <- connection{conn, streams}:
	case <-e.ctx.Done():
		conn.Close()
	}
}

func (e *endpoint) readHellos(ctx context.Context, conn Conn) (from raft.ID, streams []Stream, err error) {
	streams = make([]Stream, e.identity.streams)
	for i := range streams {
		s, err := conn.AcceptStream(ctx)
		if err != nil {
			return from, nil, err
		}
		g, err := e.identity.readHello(s, conn.Peer())
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("%w: no hello after %v", ErrRefused, e.cfg.Handshake)
		}
		if err == nil && e.peer(g.from).cut.Load() {
			return g.from, nil, errCut // its hello is lost on the way
		}
		if err == nil && (i > 0 && g.from != from || streams[g.a] != nil) {
			err = fmt.Errorf("%w: stream %d of replica %d follows stream of replica %d", ErrRefused, g.a, g.from, from)
		}
		if err != nil {
			if errors.Is(err, ErrRefused) && e.identity.tells(g, conn.Peer()) {
				// Closing now could destroy the answer on its way: leave it to the other side, within the deadline.
				if refuse(s, err) == nil {
					io.Copy(io.Discard, io.LimitReader(s, readBuffer))
				}
			}
			return g.from, nil, err
		}
		from, streams[g.a] = g.from, s
		if err := e.identity.answer(s, from); err != nil {
			return from, nil, err
		}
	}
	return from, streams, nil
}

// greet leads the dialling side's handshake.
func (e *endpoint) greet(p *peer) (connection, error) {
	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Handshake)
	defer cancel()
	conn, err := e.carrier.Dial(ctx, p.addr)
	if err != nil {
		return connection{}, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	streams := make([]Stream, e.identity.streams)
	for i := 0; i < len(streams) && err == nil; i++ {
		if streams[i], err = conn.OpenStream(ctx); err == nil {
			err = e.identity.hello(streams[i], i, p.id)
		}
	}
	for i := 0; i < len(streams) && err == nil; i++ {
		err = e.identity.readAnswer(streams[i], p.id, conn.Peer())
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return connection{}, err
	}
	return connection{conn, streams}, nil
}

// sleep waits for d and reports true, or false when the endpoint closes before.
func (e *endpoint) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.ctx.Done():
		return false
	}
}

// connection is one that has completed the handshake.
type connection struct {
	conn    Conn
	streams []Stream
}

// peer is one other replica. One goroutine leads its connections, one after the other, and is the only one that calls
// Up and Down for it.
type peer struct {
	endpoint *endpoint
	id       raft.ID
	addr     string
	cut      atomic.Bool
	session  atomic.Pointer[session]
	arrivals chan connection // from the accepting side's handshakes
}

func (p *peer) name() string { return fmt.Sprintf("replica %d", p.id) }

// unansweredIsRefused is how many connections that end without an answer count as a refusal, of a replica that has never
// answered.
const unansweredIsRefused = 5

// dial keeps up the connection to a peer with a higher ID.
func (p *peer) dial() {
	e := p.endpoint
	// Seeded, so that even the jitter is the same in every run; from the pair, so that no two dialers are in step.
	random := rand.New(rand.NewPCG(e.cfg.Cluster, uint64(e.cfg.Self)<<32^uint64(p.id)))
	wait := e.cfg.BackoffMin
	unanswered, answered := 0, false // attempts that ended without an answer; whether one had one
	for {
		var c connection
		err := errCut
		if !p.cut.Load() {
			c, err = e.greet(p)
		}
		if errors.Is(err, errUnanswered) && !answered {
			// A replica that crashes may do this. One of another group does it always, and must not say why.
			if unanswered++; unanswered%unansweredIsRefused == 0 {
				err = fmt.Errorf("%w: %w, %d times: it may be of another cluster", ErrRefused, err, unanswered)
			}
		}
		if err != nil {
			if e.ctx.Err() != nil {
				return
			}
			e.note(p.name(), err)
		} else {
			answered = true
			began := time.Now()
			p.serve(c)
			// Only a connection that lasts is a success: one that is dropped again at once must not be
			// redialled in a tight loop.
			if time.Since(began) >= e.cfg.BackoffMax {
				wait = e.cfg.BackoffMin
			}
		}
		if !e.sleep(wait/2 + time.Duration(random.Int64N(int64(wait/2)+1))) {
			return
		}
		wait = min(2*wait, e.cfg.BackoffMax)
	}
}

// await serves the connections from a peer with a lower ID. A new one takes the place of an old one: the peer would
// not have dialled if it still had it.
func (p *peer) await() {
	for {
		select {
		case c := <-p.arrivals:
			for next := &c; next != nil; {
				next = p.serve(*next)
			}
		case <-p.endpoint.ctx.Done():
			return
		}
	}
}

// serve uses a connection until it breaks, the endpoint closes, or another one arrives, which it returns.
func (p *peer) serve(c connection) (next *connection) {
	e := p.endpoint
	s := &session{peer: p, conn: c.conn, done: make(chan struct{})}
	for _, stream := range c.streams {
		s.lanes = append(s.lanes, &lane{session: s, stream: stream, out: NewOutbox(e.cfg.OutboxBytes), wake: make(chan struct{}, 1)})
	}
	e.counters.connects.Add(1)
	p.session.Store(s)
	if p.cut.Load() { // since the handshake: Reset may have come too early for this session
		p.session.Store(nil)
		c.conn.Close()
		return nil
	}
	e.handler.Up(p.id)
	for _, l := range s.lanes {
		s.wg.Go(l.read)
		s.wg.Go(l.write)
	}
	for serving := true; serving; {
		select {
		case c := <-p.arrivals:
			next, serving = &c, false
		case <-s.done:
			serving = false
		case <-e.ctx.Done():
			serving = false
		}
	}
	p.session.Store(nil)
	s.end(nil)
	c.conn.Close()
	s.wg.Wait()
	for _, l := range s.lanes {
		e.counters.onBreak.Add(uint64(l.out.Stop()))
	}
	if e.ctx.Err() != nil {
		if next != nil {
			next.conn.Close()
		}
		return nil
	}
	var timeout interface{ Timeout() bool }
	if errors.As(s.err, &timeout) && timeout.Timeout() {
		e.warn(p.name(), fmt.Errorf("connection lost: %w", s.err)) // the peer is gone without a word, or too busy to live
	}
	e.note(p.name(), s.err)
	e.handler.Down(p.id)
	return next
}

// session is a connection in use.
type session struct {
	peer  *peer
	conn  Conn
	lanes []*lane
	wg    sync.WaitGroup
	once  sync.Once
	done  chan struct{} // closed by the first error
	err   error         // valid once done is closed
}

func (s *session) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.done)
	})
}

// lane is one stream of a session with what is queued for it.
type lane struct {
	session *session
	stream  Stream
	out     *Outbox
	taken   int           // bytes of Outbox.Rest that the stream has taken already; of whoever has the outbox's turn
	wake    chan struct{} // hands the turn to the writer
}

// flush writes from the caller's goroutine, so that no other has to be woken, for as long as that needs no waiting;
// then it hands over to the writer.
func (l *lane) flush() {
	writes := &l.session.peer.endpoint.counters.writes
	b := l.out.Begin()
	for round := 0; len(b) > 0; round++ {
		if round == flushRounds {
			l.wake <- struct{}{} // has room: only the one who has the turn sends
			return
		}
		writes.Add(1)
		n, err := l.stream.TryWrite(b)
		if err == ErrWouldBlock {
			l.taken = n
			l.wake <- struct{}{}
			return
		}
		if err != nil {
			l.session.end(err)
			return
		}
		b = l.out.Advance(n)
	}
}

// write is the goroutine for what flush cannot write without waiting.
func (l *lane) write() {
	writes := &l.session.peer.endpoint.counters.writes
	for {
		select {
		case <-l.wake:
		case <-l.session.done:
			return
		}
		b := l.out.Rest()
		taken := min(l.taken, len(b)) // less only if the outbox has been stopped
		l.taken = 0
		for first := true; first || len(b) > 0; first = false {
			writes.Add(1)
			n, err := l.stream.Write(b[taken:])
			b = l.out.Advance(taken + n)
			taken = 0
			if err != nil {
				l.session.end(err)
				return
			}
		}
	}
}

// read is the goroutine that hands frames to the handler.
func (l *lane) read() {
	e, from := l.session.peer.endpoint, l.session.peer.id
	frames := NewFrameReader(l.stream, e.cfg.MaxFrameBytes)
	for {
		frame, more, err := frames.Next()
		if err != nil {
			l.session.end(err)
			return
		}
		e.counters.receivedFrames.Add(1)
		e.counters.receivedBytes.Add(uint64(framePrefix + len(frame)))
		e.handler.Receive(from, frame, more)
	}
}
