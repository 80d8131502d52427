package floor_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/engines/conformance"
	"github.com/raftbench/raftbench/engines/floor"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conformance.Run(t, floor.Engine(), engines.Place{Transport: mem.Kind()}, engines.Place{Transport: tcp.Plain()},
		engines.Place{Transport: quic.PerClass()}, engines.Place{Transport: mem.Kind(), Data: t.TempDir()})
}

func BenchmarkCommit(b *testing.B) {
	conformance.Benchmark(b, floor.Engine(), engines.Place{Transport: tcp.Plain()})
}
