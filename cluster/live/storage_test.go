package live_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/bbolt"
	"github.com/raftbench/raftbench/storage/wal"
)

// storages opens each kind of storage in a folder; nil is memory.
var storages = map[string]func(dir string, o storage.Options) (storage.Storage, error){
	"mem": nil,
	"wal": func(dir string, o storage.Options) (storage.Storage, error) { return wal.Open(dir, o, 1<<20) },
	"bbolt": func(dir string, o storage.Options) (storage.Storage, error) {
		return bbolt.Open(dir, o)
	},
}

// TestStorages: a follower that was cut off until its entries were gone gets a snapshot and then the log; a replica, and
// then all of them, come back from what was stored, with the state that they had.
func TestStorages(t *testing.T) {
	for name, open := range storages {
		t.Run(name, func(t *testing.T) {
			cfg := config("eager")
			cfg.StateBytes, cfg.SnapshotEntries, cfg.SnapshotTrailing, cfg.ChunkBytes = 300_000, 200, 50, 64<<10
			if dir := t.TempDir(); open != nil {
				cfg.OpenStorage = func(o storage.Options) (storage.Storage, error) {
					return open(filepath.Join(dir, fmt.Sprint(o.Replica)), o)
				}
			}
			g := start(t, cfg)
			g.elect(1)
			g.commit(1, 100)
			g.level()
			cluster.Isolate(g, 3, cluster.SilentCut)
			for range 10 {
				g.commit(1, 150)
			}
			g.wait("the leader has compacted what the follower lacks", func() bool { return g.Status(1).First > 101 })
			cluster.Rejoin(g, 3)
			g.level()
			if first := g.Status(3).First; first < 102 {
				t.Errorf("replica 3 keeps its log from %d on: it was sent no snapshot", first)
			}

			g.Crash(2)
			g.commit(1, 20)
			g.restart(2)
			before := g.level()
			for id := raft.ID(1); id <= 3; id++ {
				g.Crash(id)
			}
			for id := raft.ID(1); id <= 3; id++ {
				g.restart(id)
			}
			g.elect(2)
			g.commit(2, 1)
			if after := g.level(); after == before {
				t.Error("the digest has not changed with one entry more")
			}
			if last := g.Status(2).Last; last != 1621 {
				t.Errorf("the log ends at %d, want 1621: something was lost, or twice there", last)
			}
		})
	}
}

func (g *group) restart(id raft.ID) {
	g.t.Helper()
	if err := g.Restart(id); err != nil {
		g.t.Fatal(err)
	}
}

// TestStorageFails: a replica whose folder can no longer be written stops, says why, and acknowledges nothing more; the
// others go on.
func TestStorageFails(t *testing.T) {
	cfg := config("eager")
	dir := t.TempDir()
	cfg.OpenStorage = func(o storage.Options) (storage.Storage, error) {
		return wal.Open(filepath.Join(dir, fmt.Sprint(o.Replica)), o, wal.MinSegmentBytes)
	}
	g := start(t, cfg)
	g.elect(1)
	g.commit(1, 10)
	g.level()
	if err := os.RemoveAll(filepath.Join(dir, "3")); err != nil {
		t.Fatal(err)
	}
	for g.Status(3).Up { // until it needs a new segment
		g.commit(1, 100)
	}
	g.wait("the reason", func() bool { return g.Status(3).Err != nil })
	t.Log(g.Status(3).Err)
	g.commit(1, 10)
}
