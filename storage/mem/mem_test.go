package mem_test

import (
	"sync"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/conformance"
	"github.com/raftbench/raftbench/storage/mem"
)

func kind() conformance.Kind {
	var mu sync.Mutex
	disks := map[string]*mem.Disk{}
	return conformance.Kind{
		Open: func(path string, _ storage.Options) (storage.Storage, error) {
			mu.Lock()
			defer mu.Unlock()
			if disks[path] == nil {
				disks[path] = mem.NewDisk(raft.NewSmallLog(1, 0))
			}
			return mem.Open(disks[path])
		},
		Volatile: true,
		Restarts: 10_000,
	}
}

func TestConformance(t *testing.T) { conformance.Run(t, kind()) }

func BenchmarkStorage(b *testing.B) { conformance.Benchmark(b, kind()) }
