package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// security makes TLS connections out of plain ones.
type security struct{ config *tls.Config }

func newSecurity(a *transports.Authority, self raft.ID) (*security, error) {
	config, err := a.Config(self, "")
	return &security{config}, err
}

func (s *security) wrap(plain *stream, dialled bool) transports.Conn {
	c := &secureConn{plain: &sealed{stream: plain}}
	if dialled {
		c.tls = tls.Client(c.plain, s.config)
	} else {
		c.tls = tls.Server(c.plain, s.config)
	}
	return c
}

// secureConn is a TLS connection; its only stream is itself. Of TLS's own closing it makes no use: that could wait
// for the peer, and a frame that is cut off is noticed by its length.
type secureConn struct {
	plain *sealed
	tls   *tls.Conn
}

func (c *secureConn) OpenStream(ctx context.Context) (transports.Stream, error) {
	if err := c.tls.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return c, nil
}

func (c *secureConn) AcceptStream(ctx context.Context) (transports.Stream, error) {
	err := c.tls.HandshakeContext(ctx)
	if err == nil {
		return c, nil
	}
	if ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
		err = fmt.Errorf("%w: tls: %w", transports.ErrRefused, err)
	}
	return nil, err
}

func (c *secureConn) Peer() raft.ID              { return transports.CertifiedPeer(c.tls.ConnectionState()) }
func (c *secureConn) Close() error               { return c.plain.Close() }
func (c *secureConn) Read(b []byte) (int, error) { return c.tls.Read(b) }

// record is how much is sealed at a time: one record of TLS, so that no more than that is ever left over.
const record = 16 << 10

// TryWrite seals and writes record by record until the socket takes no more. The record that did not fit counts as
// taken.
func (c *secureConn) TryWrite(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if n, err = c.seal(b, n); err == nil && c.plain.left() {
			err = transports.ErrWouldBlock
		}
	}
	return n, err
}

// Write implements transports.Stream.
func (c *secureConn) Write(b []byte) (n int, err error) {
	for err = c.plain.drain(); n < len(b) && err == nil; {
		if n, err = c.seal(b, n); err == nil {
			err = c.plain.drain()
		}
	}
	return n, err
}

// seal writes the record of b that begins at n and returns where the next begins.
func (c *secureConn) seal(b []byte, n int) (int, error) {
	m, err := c.tls.Write(b[n:min(len(b), n+record)])
	return n + m, err
}

// sealed is the connection below TLS. Its Write never waits but keeps what the socket does not take, so that TLS can be
// written from a goroutine that must not block: TLS itself would be unusable after a write that was given up halfway.
type sealed struct {
	*stream
	mu   sync.Mutex // TLS also writes from the reading goroutine: alerts, answers to key updates
	rest []byte
}

func (s *sealed) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if len(s.rest) == 0 {
		var err error
		if n, err = s.stream.TryWrite(b); err != nil && err != transports.ErrWouldBlock {
			return n, err
		}
	}
	s.rest = append(s.rest, b[n:]...)
	return len(b), nil
}

// left reports whether something waits for drain.
func (s *sealed) left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rest) > 0
}

// drain writes what is left, and waits until it can.
func (s *sealed) drain() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rest) == 0 {
		return nil
	}
	_, err := s.stream.Write(s.rest)
	s.rest = s.rest[:0]
	return err
}
