package hashicorp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	hraft "github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// disk is what a replica's life finds of the lives before, and leaves to the next.
type disk struct {
	logs      hraft.LogStore
	stable    hraft.StableStore
	snapshots hraft.SnapshotStore
	files     io.Closer // nil for memory
}

func (d *disk) close() error {
	if d.files == nil {
		return nil
	}
	return d.files.Close()
}

func (s *store) disk() *disk { return &disk{logs: s, stable: s, snapshots: s} }

// cachedLogs is how many entries the library's users keep in memory before a log on a disk: what followers that keep up
// are sent.
const cachedLogs = 512

// openFiles opens a folder as the library's users do: raft-boltdb, and a file a snapshot. Errors are the system's, or say
// that another process has it.
func openFiles(folder string) (*disk, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	options := *bbolt.DefaultOptions
	options.Timeout = time.Second // that another process may take to let go of it
	path := filepath.Join(folder, "raft.db")
	bolt, err := boltdb.New(boltdb.Options{Path: path, BoltOptions: &options})
	if err != nil {
		return nil, fmt.Errorf("hashicorp: %s: %w", path, err)
	}
	cache, err := hraft.NewLogCache(cachedLogs, bolt)
	if err != nil {
		return nil, errors.Join(err, bolt.Close())
	}
	snapshots, err := hraft.NewFileSnapshotStore(folder, 1, io.Discard)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hashicorp: %s: %w", folder, err), bolt.Close())
	}
	return &disk{logs: cache, stable: bolt, snapshots: snapshots, files: bolt}, nil
}

// told is a log store that tells of what it has stored.
type told struct {
	hraft.LogStore
	stored func(last uint64)
}

func (t *told) StoreLogs(logs []*hraft.Log) error {
	if err := t.LogStore.StoreLogs(logs); err != nil || len(logs) == 0 {
		return err
	}
	t.stored(logs[len(logs)-1].Index)
	return nil
}

func (t *told) StoreLog(log *hraft.Log) error { return t.StoreLogs([]*hraft.Log{log}) }

// IsMonotonic is what the store says.
func (t *told) IsMonotonic() bool {
	m, ok := t.LogStore.(hraft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// commandIn reports whether logs hold anything for the state machine from low to high.
func commandIn(logs hraft.LogStore, low, high uint64) bool {
	for i := low; i <= high; i++ {
		var log hraft.Log // anew: raft-boltdb decodes into the data of one that was read before, which may be the cache's
		if logs.GetLog(i, &log) == nil && log.Type == hraft.LogCommand {
			return true
		}
	}
	return false
}
