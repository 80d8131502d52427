// Package quic carries frames over QUIC: one connection per pair of replicas, with a stream per class of frames, or
// with a single stream for comparison.
//
// It uses neither datagrams, which measured slower than a stream and would need repetition above, nor 0-RTT, whose
// data an attacker could replay, nor connection migration: replicas stay where they are.
package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// PerClass returns the kind "quic": heartbeats, appends and votes have a stream each, so that none of them waits for
// another's lost packet.
func PerClass() transports.Kind {
	return kind("quic", "QUIC, one connection per pair of replicas, one stream per class of frames", int(transports.Classes))
}

// SingleStream returns the kind "quic-1stream": all classes in one stream, as over TCP.
func SingleStream() transports.Kind {
	return kind("quic-1stream", "QUIC used like TCP: one stream for all classes of frames", 1)
}

func kind(name, doc string, streams int) transports.Kind {
	return transports.Kind{Name: name, Doc: doc, Open: func() (transports.Network, error) {
		authority, err := transports.NewAuthority()
		return &network{authority: authority, streams: streams}, err
	}}
}

// alpn names the protocol; QUIC makes it mandatory.
const alpn = "raftbench/1"

// keepAlives is how many keep-alives fit in the idle timeout: some may be lost, or late on a busy machine, before a
// connection counts as dead.
const keepAlives = 4

// Flow control windows start at what a leader sends in one burst rather than at QUIC's default for browsers, half a
// megabyte, which costs a catching-up follower round trips, and may grow to what a gigabit link of 100 ms holds. A
// stream's share is below the connection's, so that a stuck stream of appends leaves room for heartbeats and votes.
const (
	streamWindow, streamWindowMax = 4 << 20, 16 << 20
	connWindow, connWindowMax     = 6 << 20, 24 << 20
)

func config(cfg transports.Config, streams int) *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout: cfg.Handshake,
		// The default, 30 s without keep-alive, is wrong in both directions: an idle link would be given up, and a
		// vanished host be kept for half a minute. The timeout (10 s by default) is many heartbeats long on purpose:
		// Raft finds a dead leader by itself, a process that ends or restarts is told of by its packets, so all
		// that waits for the timeout is redialling a host that is gone. Too short is worse: 2 s broke connections
		// between healthy replicas on a machine with ten times more to do than it could.
		MaxIdleTimeout:  cfg.IdleTimeout,
		KeepAlivePeriod: cfg.IdleTimeout / keepAlives,

		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindowMax,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindowMax,

		// A peer opens its streams once. Any more would be a mistake or an attack.
		MaxIncomingStreams:    int64(streams),
		MaxIncomingUniStreams: -1,
		Allow0RTT:             false,
	}
}

type network struct {
	authority *transports.Authority
	streams   int
}

func (n *network) Close() error { return nil }

func (n *network) Endpoint(cfg transports.Config) (transports.Transport, error) {
	c, err := n.listen(cfg)
	if err != nil {
		return nil, err
	}
	return transports.NewEndpoint(cfg, n.streams, c)
}

// Listen implements transports.Layer.
func (n *network) Listen(cfg transports.Config) (transports.Carrier, error) { return n.listen(cfg) }

func (n *network) listen(cfg transports.Config) (*carrier, error) {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return nil, err
	}
	c := &carrier{attemptEvery: cfg.BackoffMax, config: config(cfg, n.streams)}
	if c.tls, err = n.authority.Config(cfg.Self, alpn); err != nil {
		return nil, err
	}
	// The key outlives the replica: after a crash, the next endpoint at this address can tell peers that the
	// connections they still hold are gone, instead of leaving them to the idle timeout.
	secret, err := n.authority.Secret(cfg.Self, "stateless resets")
	if err != nil {
		return nil, err
	}
	key := quicgo.StatelessResetKey(secret)
	addr, err := net.ResolveUDPAddr("udp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	err = cfg.OnHost(func() (err error) {
		c.udp, err = net.ListenUDP("udp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	// Whether this has worked is looked at below: quic-go tries once more, by force if it may.
	c.udp.SetReadBuffer(udpBuffer)
	c.udp.SetWriteBuffer(udpBuffer)
	c.transport = &quicgo.Transport{Conn: c.udp, StatelessResetKey: &key}
	if c.listener, err = c.transport.Listen(c.tls, c.config); err != nil {
		c.transport.Close()
		c.udp.Close()
		return nil, fmt.Errorf("quic: %w", err)
	}
	c.warnings = smallBuffers(c.udp)
	return c, nil
}

// udpBuffer is what quic-go wants of the system in each direction. With less, a burst overflows the socket, and the
// loss reads as if QUIC were slow.
const udpBuffer = 7 << 20

// carrier has one socket, on which it listens and from which it dials.
type carrier struct {
	udp          *net.UDPConn
	transport    *quicgo.Transport
	listener     *quicgo.Listener
	tls          *tls.Config
	config       *quicgo.Config
	attemptEvery time.Duration
	warnings     []string
}

func (c *carrier) Addr() string { return c.udp.LocalAddr().String() }

// Warnings implements transports.Warner.
func (c *carrier) Warnings() []string { return slices.Clone(c.warnings) }

func (c *carrier) Close() error {
	err := c.listener.Close()
	if e := c.transport.Close(); err == nil {
		err = e
	}
	if e := c.udp.Close(); err == nil { // the transport leaves it open
		err = e
	}
	return err
}

func (c *carrier) Accept(ctx context.Context) (transports.Conn, error) {
	qc, err := c.listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{qc}, nil
}

// Dial starts an attempt, and one more each attemptEvery for as long as none has succeeded. UDP does not tell that
// nobody listens; a single attempt would repeat its first packet after 0.2, 0.6, 1.4 seconds, and so find a replica
// that restarts only that much later. Longer round trips than attemptEvery do no harm, since no attempt is given up.
func (c *carrier) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		conn *quicgo.Conn
		err  error
	}
	results := make(chan result)
	var attempts sync.WaitGroup
	attempt := func() {
		qc, err := c.transport.Dial(ctx, to, c.tls, c.config)
		select {
		case results <- result{qc, err}:
		case <-ctx.Done():
			if err == nil {
				qc.CloseWithError(0, "")
			}
		}
	}
	next := time.NewTicker(c.attemptEvery)
	defer next.Stop()
	defer attempts.Wait()
	defer cancel()
	for {
		attempts.Go(attempt)
		select {
		case <-next.C:
		case r := <-results:
			if r.err != nil {
				return nil, r.err
			}
			return &conn{r.conn}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// conn is one QUIC connection.
type conn struct{ *quicgo.Conn }

func (c *conn) OpenStream(ctx context.Context) (transports.Stream, error) {
	s, err := c.Conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

func (c *conn) AcceptStream(ctx context.Context) (transports.Stream, error) {
	s, err := c.Conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

func (c *conn) Peer() raft.ID { return transports.CertifiedPeer(c.ConnectionState().TLS) }

// Close tells the peer, so that it need not wait for the idle timeout.
func (c *conn) Close() error { return c.CloseWithError(0, "") }

// stream adds to a QUIC stream what transports.Stream asks for.
type stream struct{ *quicgo.Stream }

// directWrite is the most that TryWrite gives to QUIC's own queue. That queue copies, so what is larger goes by Write,
// which takes from the given bytes packet by packet, and waits.
const directWrite = 16 << 10

func (s stream) TryWrite(b []byte) (int, error) {
	if len(b) > directWrite {
		return 0, transports.ErrWouldBlock
	}
	switch err := s.TryWriteAll(b); {
	case err == nil:
		return len(b), nil
	case errors.Is(err, quicgo.ErrWouldBlock):
		return 0, transports.ErrWouldBlock
	default:
		return 0, err
	}
}
