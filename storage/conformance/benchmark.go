package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
)

// Benchmark measures a storage on the disk that temporary files are on: one save at a time, beside the floor of a bare
// write and sync; 256 that are under way at once; and what a restart reads.
func Benchmark(b *testing.B, kind Kind) {
	b.Run("floor 200B", benchmarkFloor)
	b.Run("append 200B", func(b *testing.B) { benchmarkAppend(b, &kind) })
	for _, each := range []bool{false, true} {
		b.Run(fmt.Sprintf("256 in flight 128B each=%v", each), func(b *testing.B) { benchmarkInFlight(b, &kind, each) })
	}
	b.Run("replay 20000x128B", func(b *testing.B) { benchmarkReplay(b, &kind, 20_000, 128) })
	b.Run("replay 128MiB", func(b *testing.B) { benchmarkReplay(b, &kind, 128<<10, 1<<10) })
}

// opened is a storage whose acknowledgements can be waited for.
type opened struct {
	storage.Storage
	state   storage.State
	durable chan uint64 // the latest, if nobody has taken it
}

func openAt(b *testing.B, kind *Kind, path string, each bool) *opened {
	b.Helper()
	o := &opened{durable: make(chan uint64, 1)}
	var err error
	o.Storage, err = kind.Open(path, storage.Options{Group: group, Replica: replica, SyncEach: each,
		Durable: func(seq uint64) {
			select {
			case <-o.durable:
			default:
			}
			o.durable <- seq
		},
		Failed: func(err error) { panic(err) }})
	if err == nil {
		o.state, err = o.Load()
	}
	if err != nil {
		b.Fatal(err)
	}
	return o
}

// saves makes saves of one entry.
type saves struct {
	next raft.Save
	data []byte
}

func newSaves(size int) *saves {
	return &saves{raft.Save{Term: 1, Vote: 1, Entries: []raft.Entries{{Count: 1}}}, make([]byte, size)}
}

func (s *saves) save(o *opened) uint64 {
	s.next.Seq++
	e := &s.next.Entries[0]
	*e = raft.Entries{First: s.next.Seq, Bytes: e.Bytes[:0]}
	e.Append(1, s.data)
	if o.Save(s.next) {
		select {
		case <-o.durable:
		default:
		}
		o.durable <- s.next.Seq
	}
	return s.next.Seq
}

func reportMedian(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-us")
}

func benchmarkFloor(b *testing.B) {
	dir, err := files.OpenDir(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	f, err := dir.Create("floor")
	if err == nil {
		err = f.Allocate(16 << 20)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var took []time.Duration
	data := make([]byte, 200)
	for b.Loop() {
		started := time.Now()
		if _, err := f.WriteAt(data, int64(len(took)*200%(16<<20-200))); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started))
	}
	reportMedian(b, took)
}

func benchmarkAppend(b *testing.B, kind *Kind) {
	o, s := openAt(b, kind, b.TempDir(), false), newSaves(200)
	defer o.Close()
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		started := time.Now()
		s.save(o)
		<-o.durable
		took = append(took, time.Since(started))
	}
	reportMedian(b, took)
}

func benchmarkInFlight(b *testing.B, kind *Kind, each bool) {
	o, s := openAt(b, kind, b.TempDir(), each), newSaves(128)
	defer o.Close()
	b.SetBytes(128)
	b.ReportAllocs()
	durable, started := uint64(0), time.Now()
	for b.Loop() {
		for s.save(o); s.next.Seq-durable >= 256; {
			durable = <-o.durable
		}
	}
	b.ReportMetric(float64(s.next.Seq)/time.Since(started).Seconds(), "saves/s")
}

func benchmarkReplay(b *testing.B, kind *Kind, entries, size int) {
	path := b.TempDir()
	o, s := openAt(b, kind, path, false), newSaves(size)
	for range entries {
		s.save(o)
	}
	if err := o.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(entries * size))
	for b.Loop() {
		o := openAt(b, kind, path, false)
		if o.state.Log.Last() != uint64(entries) {
			b.Fatalf("the log ends at %d", o.state.Log.Last())
		}
		if err := o.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if kind.Volatile {
		return
	}
	if used, err := os.ReadDir(path); err == nil {
		b.ReportMetric(float64(len(used)), "files")
	}
}
