package quic_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/transports/conformance"
	"github.com/raftbench/raftbench/transports/quic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPerClass(t *testing.T)     { conformance.Run(t, quic.PerClass(), conformance.Traits{}) }
func TestSingleStream(t *testing.T) { conformance.Run(t, quic.SingleStream(), conformance.Traits{}) }

func BenchmarkPerClass(b *testing.B)     { conformance.Benchmark(b, quic.PerClass()) }
func BenchmarkSingleStream(b *testing.B) { conformance.Benchmark(b, quic.SingleStream()) }
