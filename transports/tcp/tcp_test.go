package tcp_test

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/transports/conformance"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dialRaw(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }

func TestPlain(t *testing.T) {
	conformance.Run(t, tcp.Plain(), conformance.Traits{DialRaw: dialRaw, NoAllocs: true})
}

func TestTLS(t *testing.T) {
	conformance.Run(t, tcp.TLS(), conformance.Traits{})
}
