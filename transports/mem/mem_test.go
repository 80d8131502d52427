package mem_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/transports/conformance"
	"github.com/raftbench/raftbench/transports/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conformance.Run(t, mem.Kind(), conformance.Traits{NoAllocs: true})
}

func BenchmarkMem(b *testing.B) { conformance.Benchmark(b, mem.Kind()) }
