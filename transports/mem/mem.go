// Package mem carries frames between endpoints of one process, without the operating system: what remains is the
// cost of the code above the network. Frames are really encoded, copied and parsed, by the same code as over sockets.
//
// It does not delay, lose or reorder anything; for that there is virtual time.
package mem

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Kind returns the kind "mem".
func Kind() transports.Kind {
	return transports.Kind{
		Name: "mem",
		Doc:  "memory of one process, framed and copied as over a socket; the floor below tcp and quic",
		Open: func() (transports.Network, error) { return &hub{listeners: map[string]*listener{}}, nil },
	}
}

// hub is where the endpoints of one group meet.
type hub struct {
	mu        sync.Mutex
	listeners map[string]*listener
	unnamed   int
}

// Endpoint opens an endpoint under a name that no other endpoint of the hub has. The empty name, and one that ends in
// ":0", stand for any free one.
func (h *hub) Endpoint(cfg transports.Config) (transports.Transport, error) {
	l, err := h.listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	return transports.NewEndpoint(cfg, 1, l)
}

// Listen implements transports.Layer.
func (h *hub) Listen(cfg transports.Config) (transports.Carrier, error) { return h.listen(cfg.Listen) }

func (h *hub) listen(name string) (*listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == "" || strings.HasSuffix(name, ":0") {
		h.unnamed++
		name = fmt.Sprintf("mem:%d", h.unnamed)
	}
	if h.listeners[name] != nil {
		return nil, fmt.Errorf("mem: listen %s: %w", name, syscall.EADDRINUSE)
	}
	h.listeners[name] = &listener{hub: h, name: name, calls: make(chan *conn), closed: make(chan struct{})}
	return h.listeners[name], nil
}

func (h *hub) Close() error { return nil }

// listener is one endpoint's place in the hub.
type listener struct {
	hub    *hub
	name   string
	calls  chan *conn
	closed chan struct{}
}

func (l *listener) Addr() string { return l.name }

func (l *listener) Close() error {
	close(l.closed)
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	delete(l.hub.listeners, l.name)
	return nil
}

func (l *listener) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	l.hub.mu.Lock()
	to := l.hub.listeners[addr]
	l.hub.mu.Unlock()
	if to == nil {
		return nil, fmt.Errorf("mem: dial %s: %w", addr, syscall.ECONNREFUSED)
	}
	there, back := newPipe(), newPipe()
	select {
	case to.calls <- &conn{in: there, out: back}:
		return &conn{in: back, out: there}, nil
	case <-to.closed:
		return nil, fmt.Errorf("mem: dial %s: %w", addr, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *listener) Accept(ctx context.Context) (transports.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conn is one side of a connection; its only stream is itself.
type conn struct{ in, out *pipe }

func (c *conn) OpenStream(context.Context) (transports.Stream, error)   { return c, nil }
func (c *conn) AcceptStream(context.Context) (transports.Stream, error) { return c, nil }
func (c *conn) Peer() raft.ID                                           { return 0 }
func (c *conn) Read(b []byte) (int, error)                              { return c.in.read(b) }
func (c *conn) Write(b []byte) (int, error)                             { return c.out.write(b, true) }
func (c *conn) TryWrite(b []byte) (int, error)                          { return c.out.write(b, false) }

func (c *conn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

// pipeBytes is how much one direction holds, as much as a socket's buffers do by default, roughly.
const pipeBytes = 256 << 10

// pipe is one direction of a connection: a ring of bytes.
type pipe struct {
	mu       sync.Mutex
	readable sync.Cond
	writable sync.Cond
	ring     []byte // allocated by the first write
	at, n    int    // the n bytes from at on are unread
	closed   bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.readable.L, p.writable.L = &p.mu, &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.n == 0 && !p.closed && len(b) > 0 {
		p.readable.Wait()
	}
	if p.n == 0 && p.closed {
		return 0, io.EOF
	}
	m := min(len(b), p.n)
	first := copy(b[:m], p.ring[p.at:])
	copy(b[first:m], p.ring)
	p.n -= m
	p.at = (p.at + m) % max(1, len(p.ring))
	if p.n == 0 {
		p.at = 0 // the same few cache lines again
	}
	p.writable.Signal()
	return m, nil
}

func (p *pipe) write(b []byte, wait bool) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ring == nil {
		p.ring = make([]byte, pipeBytes)
	}
	for {
		if p.closed {
			return n, net.ErrClosed
		}
		m := min(len(b)-n, len(p.ring)-p.n)
		end := (p.at + p.n) % len(p.ring)
		first := copy(p.ring[end:], b[n:n+m])
		copy(p.ring, b[n+first:n+m])
		p.n += m
		n += m
		if m > 0 {
			p.readable.Signal()
		}
		if n == len(b) {
			return n, nil
		}
		if !wait {
			return n, transports.ErrWouldBlock
		}
		p.writable.Wait()
	}
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.readable.Broadcast()
	p.writable.Broadcast()
}
