package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/bbolt"
	"github.com/raftbench/raftbench/storage/probe"
	"github.com/raftbench/raftbench/storage/wal"
)

// storageKind is something that replicas can keep their terms, votes, logs and snapshots in.
type storageKind struct {
	name, doc string
	open      func(dir string, o storage.Options) (storage.Storage, error) // nil for memory
}

// storageTable is the table of all storages: a new one is a folder and a line here.
var storageTable = []storageKind{
	{bench.StorageMem, "memory, durable at once: what the others cost is what they add to it", nil},
	{"wal", "this project's write-ahead log: one fdatasync for all that gathered while the last one ran",
		func(dir string, o storage.Options) (storage.Storage, error) { return wal.Open(dir, o, 0) }},
	{"wal-each", "the same with an fdatasync for every save",
		func(dir string, o storage.Options) (storage.Storage, error) {
			o.SyncEach = true
			return wal.Open(dir, o, 0)
		}},
	{"bbolt", "a B+ tree in one file (go.etcd.io/bbolt), one transaction for all that gathered while the last one ran",
		func(dir string, o storage.Options) (storage.Storage, error) { return bbolt.Open(dir, o) }},
}

func storageNames() []string {
	var names []string
	for _, k := range storageTable {
		names = append(names, k.name)
	}
	return names
}

// storageFlags are those that say where replicas keep what must survive a crash, and what.
func storageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: "axes", Name: "storage", DefaultText: bench.StorageMem, Usage: "what replicas keep their logs in: see raftbench list storages"},
		&cli.StringFlag{Category: "axes", Name: "state", DefaultText: "a digest alone", Usage: "size of the state machine's state, such as 16MiB"},
		&cli.StringFlag{Category: "every trial", Name: "data", DefaultText: "the folder of --out", Usage: "folder on the disk that storages are to use; what is written there is removed"},
		&cli.StringFlag{Category: "every trial", Name: "snapshot-every", DefaultText: "1024 entries or 1 MiB of them, or four times the state", Usage: "entries, or their size, between two snapshots of a replica; 0 for none"},
		&cli.StringFlag{Category: "every trial", Name: "snapshot-trailing", Value: "8192", Usage: "entries that are kept before a snapshot, for followers that are a little behind"},
	}
}

// storageOf reads them.
func storageOf(c *cli.Context, m *bench.Matrix) error {
	s := &m.Common
	if c.IsSet("storage") {
		if err := names(c, "storage", storageNames(), &m.Storages); err != nil {
			return err
		}
		durable := slices.ContainsFunc(m.Storages, func(name string) bool { return name != bench.StorageMem })
		if c.String("clock") == clockVirtual && durable {
			return usage("--storage is for --clock wall: in virtual time the disk is modelled, see --disk-sync")
		}
	}
	if c.IsSet("state") {
		if err := into(c, "state", sizeBytes, &m.States); err != nil {
			return err
		}
		for _, bytes := range m.States {
			if bytes < 0 || bytes > maxStateBytes {
				return usage("--state is %s: want 0 to %s", units.Bytes(bytes), units.Bytes(maxStateBytes))
			}
		}
	}
	if err := single(c, "snapshot-trailing", number, &s.SnapshotTrailing); err != nil {
		return err
	}
	if s.SnapshotTrailing < 0 {
		return usage("--snapshot-trailing is %d: want 0 or more", s.SnapshotTrailing)
	}
	if !c.IsSet("snapshot-every") {
		return nil
	}
	text := c.String("snapshot-every")
	if n, err := number(text); err == nil {
		if s.SnapshotEntries = n; n == 0 {
			s.SnapshotEntries = -1
		}
		if n < 0 {
			return usage("--snapshot-every is %s: want entries such as 10k, a size such as 16MiB, or 0 for none", text)
		}
		return nil
	}
	bytes, err := sizeBytes(text)
	if err != nil || bytes < 1 {
		return usage("--snapshot-every is %q: want entries such as 10k, a size such as 16MiB, or 0 for none", text)
	}
	s.SnapshotBytes = bytes
	return nil
}

// maxStateBytes bounds a replica's state: three replicas, and their snapshots, are in one process.
const maxStateBytes = 1 << 30

// dataFolder returns where storages go, and what is known of that place; nil if only memory is used.
func dataFolder(c *cli.Context, m *bench.Matrix) (string, *probe.Result, error) {
	if !slices.ContainsFunc(m.Storages, func(name string) bool { return name != bench.StorageMem }) {
		if c.IsSet("data") {
			return "", nil, usage("--data is for storages on a disk: add --storage wal")
		}
		return "", nil, nil
	}
	dir := c.String("data")
	if dir == "" {
		dir = c.String("out")
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", nil, environment(fmt.Errorf("--data: %w: name a folder that can be written", err))
	}
	found, err := probe.Run(dir, probeSyncs)
	if err != nil {
		return "", nil, environment(fmt.Errorf("--data %s: %w: name a folder that can be written", dir, err))
	}
	return dir, &found, nil
}

// probeSyncs is how many syncs the probe before a run makes.
const probeSyncs = 101

// describe says what a disk is, in a line of a report's header.
func describe(r *probe.Result) string {
	return fmt.Sprintf("%s on %s, fdatasync of 4 KiB %v (p50)", r.FileSystem, r.Device, r.Sync.Round(time.Microsecond))
}

// openStorage gives a trial's group a storage in a new folder below dir.
func openStorage(dir string) func(name string, cfg *cluster.Config) (string, func() error, error) {
	return func(name string, cfg *cluster.Config) (string, func() error, error) {
		i := slices.IndexFunc(storageTable, func(k storageKind) bool { return k.name == name })
		if i < 0 || storageTable[i].open == nil {
			return "", nil, errors.New("no storage of that name is on a disk")
		}
		trial, err := os.MkdirTemp(dir, "raftbench-data-")
		if err != nil {
			return "", nil, err
		}
		cfg.OpenStorage = func(o storage.Options) (storage.Storage, error) {
			return storageTable[i].open(filepath.Join(trial, fmt.Sprintf("replica-%d", o.Replica)), o)
		}
		return trial, func() error { return os.RemoveAll(trial) }, nil
	}
}
