package hashicorp_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/engines/conformance"
	"github.com/raftbench/raftbench/engines/hashicorp"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance has no place on a disk: "does not call failed what it cannot know" was red there in 1 of 3 runs under
// -race on a busy machine, and green 150 times on an idle one. Until that is understood the engine refuses disks.
func TestConformance(t *testing.T) {
	conformance.Run(t, hashicorp.Engine(), engines.Place{Transport: mem.Kind()}, engines.Place{Transport: tcp.Plain()}, engines.Place{Transport: tcp.TLS()},
		engines.Place{Transport: quic.PerClass()})
}

func BenchmarkCommit(b *testing.B) {
	conformance.Benchmark(b, hashicorp.Engine(), engines.Place{Transport: tcp.Plain()})
}
