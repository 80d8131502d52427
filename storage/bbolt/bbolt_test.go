package bbolt_test

import (
	"testing"

	"github.com/raftbench/raftbench/storage/bbolt"
	"github.com/raftbench/raftbench/storage/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Kind{Open: bbolt.Open, Restarts: 300})
}

func BenchmarkStorage(b *testing.B) { conformance.Benchmark(b, conformance.Kind{Open: bbolt.Open}) }
