package wal_test

import (
	"testing"

	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/conformance"
	"github.com/raftbench/raftbench/storage/internal/files"
	"github.com/raftbench/raftbench/storage/wal"
)

// small segments are left behind every few saves.
const small = wal.MinSegmentBytes

var kind = conformance.Kind{
	Open: func(path string, o storage.Options) (storage.Storage, error) { return wal.Open(path, o, small) },
	OpenOn: func(dir files.Dir, o storage.Options) (storage.Storage, error) {
		return wal.OpenOn(dir, o, small)
	},
	Restarts: 10_000,
}

func TestConformance(t *testing.T) { conformance.Run(t, kind) }

func BenchmarkStorage(b *testing.B) {
	conformance.Benchmark(b, conformance.Kind{Open: func(path string, o storage.Options) (storage.Storage, error) {
		return wal.Open(path, o, 0)
	}})
}
