package tcp_test

import (
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/transports/conformance"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dialRaw(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }

func TestPlain(t *testing.T) {
	conformance.Run(t, tcp.Plain(), conformance.Traits{DialRaw: dialRaw, Knock: dialRaw, NoAllocs: true})
}

func TestTLS(t *testing.T) {
	conformance.Run(t, tcp.TLS(), conformance.Traits{Knock: dialRaw})
}

func BenchmarkPlain(b *testing.B) { conformance.Benchmark(b, tcp.Plain()) }
func BenchmarkTLS(b *testing.B)   { conformance.Benchmark(b, tcp.TLS()) }

// BenchmarkFloor is a ping-pong over two bare connections, to hold BenchmarkPlain against.
func BenchmarkFloor(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 150)
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			c.Write(buf)
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 150)
	for b.Loop() {
		c.Write(buf)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
