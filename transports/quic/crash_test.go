package quic

import (
	"crypto/tls"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// events is a Handler that passes on Up and Down.
type events chan string

func (e events) Receive(raft.ID, []byte, bool) {}
func (e events) Up(raft.ID)                    { e <- "up" }
func (e events) Down(raft.ID)                  { e <- "down" }

func (e events) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%q not heard within 20s", want)
	}
}

// A replica that crashes says nothing. Restarted at the same address, it tells peers at their next frame that their
// connection is gone (a stateless reset), long before the idle timeout would.
func TestRestartAfterACrashIsNoticed(t *testing.T) {
	opened, err := PerClass().Open()
	if err != nil {
		t.Fatal(err)
	}
	n := opened.(*network)
	const idle = time.Hour
	start := func(self raft.ID, listen string, peers map[raft.ID]string) (*carrier, transports.Transport, events) {
		t.Helper()
		cfg := transports.Config{Cluster: 1, Self: self, Listen: listen, IdleTimeout: idle}
		c, err := n.listen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e, err := transports.NewEndpoint(cfg, n.streams, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		peers[self] = e.Addr()
		h := make(events, 10)
		return c, e, h
	}
	addrs := map[raft.ID]string{}
	_, one, heardByOne := start(1, "127.0.0.1:0", addrs)
	crashing, two, heardByTwo := start(2, "127.0.0.1:0", addrs)
	one.Start(addrs, heardByOne)
	two.Start(addrs, heardByTwo)
	heardByOne.await(t, "up")
	heardByTwo.await(t, "up")

	crashing.udp.Close() // before anything could say goodbye
	two.Close()
	_, two, heardByTwo = start(2, addrs[2], addrs)
	two.Start(addrs, heardByTwo)

	beat := time.NewTicker(10 * time.Millisecond)
	defer beat.Stop()
	deadline := time.After(20 * time.Second)
	for down := false; !down; {
		select {
		case e := <-heardByOne:
			if down = e == "down"; !down {
				t.Fatalf("heard %q, want down", e)
			}
		case <-beat.C:
			one.Send(2, transports.ClassHeartbeat, make([]byte, 45))
			one.Flush()
		case <-deadline:
			t.Fatal("the crash was not noticed")
		}
	}
	heardByOne.await(t, "up")
	heardByTwo.await(t, "up")
}

// What quic-go's defaults get wrong for replicas is set on purpose.
func TestConfig(t *testing.T) {
	cfg, err := transports.Config{Self: 1}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, streams := range []int{1, int(transports.Classes)} {
		q := config(cfg, streams)
		if q.MaxIdleTimeout != cfg.IdleTimeout || q.KeepAlivePeriod <= 0 || q.KeepAlivePeriod > q.MaxIdleTimeout/3 {
			t.Errorf("idle timeout %v, keep-alive %v: want %v and at most a third", q.MaxIdleTimeout, q.KeepAlivePeriod, cfg.IdleTimeout)
		}
		if q.Allow0RTT || q.EnableDatagrams || q.MaxIncomingStreams != int64(streams) || q.MaxIncomingUniStreams >= 0 {
			t.Errorf("more is allowed than is used: %+v", q)
		}
		if q.InitialStreamReceiveWindow >= q.InitialConnectionReceiveWindow || q.MaxStreamReceiveWindow >= q.MaxConnectionReceiveWindow {
			t.Errorf("a stuck stream would stop all others: %+v", q)
		}
	}
	opened, err := SingleStream().Open()
	if err != nil {
		t.Fatal(err)
	}
	c, err := opened.(*network).listen(transports.Config{Self: 1, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.transport.StatelessResetKey == nil || *c.transport.StatelessResetKey == (quicgo.StatelessResetKey{}) {
		t.Errorf("no key for stateless resets")
	}
	if c.tls.ClientAuth != tls.RequireAndVerifyClientCert || c.tls.MinVersion != tls.VersionTLS13 || !c.tls.SessionTicketsDisabled {
		t.Errorf("TLS is not mutual 1.3 without tickets: %+v", c.tls)
	}
	t.Logf("warnings: %q", c.Warnings())
}
