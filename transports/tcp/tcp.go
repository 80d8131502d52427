// Package tcp carries frames over TCP, plain or within TLS 1.3: one connection per pair of replicas, for all classes.
//
// It does not detect a peer whose host has vanished without a word faster than the system's keep-alive does, some five
// seconds; a process that ends, or an endpoint that closes, is noticed at once.
//
// Plain TCP protects from nothing on an open network: see the package transports, "Who is let in".
package tcp

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Plain returns the kind "tcp".
func Plain() transports.Kind {
	return transports.Kind{
		Name: "tcp",
		Doc:  "TCP, one connection per pair of replicas, written by the caller of Flush as long as the socket takes it",
		Open: func() (transports.Network, error) { return network{}, nil },
	}
}

// TLS returns the kind "tcp+tls".
func TLS() transports.Kind {
	return transports.Kind{
		Name: "tcp+tls",
		Doc:  "as tcp, within mutual TLS 1.3, as a fair counterpart to quic, which always encrypts",
		Open: func() (transports.Network, error) {
			authority, err := transports.NewAuthority()
			return network{authority}, err
		},
	}
}

type network struct {
	authority *transports.Authority // nil: plain
}

func (n network) Endpoint(cfg transports.Config) (transports.Transport, error) {
	c, err := n.Listen(cfg)
	if err != nil {
		return nil, err
	}
	return transports.NewEndpoint(cfg, 1, c)
}

// Listen implements transports.Layer.
func (n network) Listen(cfg transports.Config) (transports.Carrier, error) {
	c := &carrier{cfg: cfg}
	if n.authority != nil {
		secure, err := newSecurity(n.authority, cfg.Self)
		if err != nil {
			return nil, err
		}
		c.secure = secure
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	// Go offers multipath TCP on listeners by default. It is another protocol, with other costs.
	lc.SetMultipathTCP(false)
	var l net.Listener
	err := cfg.OnHost(func() (err error) {
		l, err = lc.Listen(context.Background(), "tcp", cfg.Listen)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	c.listener = l.(*net.TCPListener)
	c.dialer.KeepAliveConfig = keepAlive
	c.dialer.SetMultipathTCP(false)
	return c, nil
}

func (network) Close() error { return nil }

// keepAlive finds a host that is gone within about five seconds; two idle replicas would not notice otherwise.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}

type carrier struct {
	cfg      transports.Config
	listener *net.TCPListener
	dialer   net.Dialer
	secure   *security // nil: plain
}

func (c *carrier) Addr() string { return c.listener.Addr().String() }

func (c *carrier) Close() error {
	c.listener.Close() // the end of Accept's context has closed it already, if it was called
	return nil
}

func (c *carrier) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	var nc net.Conn
	err := c.cfg.OnHost(func() (err error) {
		nc, err = c.dialer.DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.newConn(nc.(*net.TCPConn), true)
}

func (c *carrier) Accept(ctx context.Context) (transports.Conn, error) {
	defer context.AfterFunc(ctx, func() { c.listener.Close() })()
	nc, err := c.listener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c.newConn(nc, false)
}

func (c *carrier) newConn(nc *net.TCPConn, dialled bool) (transports.Conn, error) {
	s := &stream{TCPConn: nc}
	// Flush is the sign that a message is complete; waiting for more to fill a segment would be waiting for an answer.
	err := nc.SetNoDelay(true)
	if err == nil {
		s.raw, err = nc.SyscallConn()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	s.try = s.tryWrite
	if c.secure != nil {
		return c.secure.wrap(s, dialled), nil
	}
	return &conn{s}, nil
}

// conn is a plain connection; its only stream is itself.
type conn struct{ s *stream }

func (c *conn) OpenStream(context.Context) (transports.Stream, error)   { return c.s, nil }
func (c *conn) AcceptStream(context.Context) (transports.Stream, error) { return c.s, nil }
func (c *conn) Peer() raft.ID                                           { return 0 }
func (c *conn) Close() error                                            { return c.s.Close() }

// stream is a TCP connection that can also be written without waiting.
type stream struct {
	*net.TCPConn
	raw syscall.RawConn
	try func(fd uintptr) bool // tryWrite, bound once so that a write allocates nothing

	// The argument and the results of try.
	b   []byte
	n   int
	err error
}

// TryWrite implements transports.Stream.
func (s *stream) TryWrite(b []byte) (int, error) {
	s.b, s.n, s.err = b, 0, nil
	err := s.raw.Write(s.try)
	s.b = nil
	if err == nil {
		err = s.err
	}
	if err == nil && s.n < len(b) {
		err = transports.ErrWouldBlock
	}
	return s.n, err
}
