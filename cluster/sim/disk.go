package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/mem"
)

// Disk says how long a replica's storage takes to make a save durable: writing it, then a sync that covers everything
// written before it began. What is saved meanwhile is written and synced together afterwards (group commit). The zero
// value is durable at once.
type Disk struct {
	Write          time.Duration // for each save
	BytesPerSecond uint64        // of entries, on top; 0 is no limit
	Sync           time.Duration // for each sync
	SyncJitter     time.Duration // a sync takes up to this much longer, evenly
	Stall          float64       // chance from 0 to 1 that a sync takes longer by StallFor
	StallFor       time.Duration
	// Torn is the chance from 0 to 1 that a crash leaves some of the saves that were not synced: an even draw of how
	// many, in order. Otherwise it loses all of them. A single save is there or not, as a log with checksums has it.
	Torn float64
}

// Check returns an error of one line if a value is out of range.
func (d *Disk) Check() error {
	switch {
	case d.Write < 0 || d.Sync < 0 || d.SyncJitter < 0 || d.StallFor < 0:
		return fmt.Errorf("a disk that writes in %v, syncs in %v with a jitter of %v and stalls for %v: want 0 or more each", d.Write, d.Sync, d.SyncJitter, d.StallFor)
	case !(d.Stall >= 0 && d.Stall <= 1) || !(d.Torn >= 0 && d.Torn <= 1):
		return fmt.Errorf("a disk that stalls with a chance of %g and tears with %g: want 0 to 1", d.Stall, d.Torn)
	}
	return nil
}

func (d *Disk) instant() bool {
	return d.Write == 0 && d.BytesPerSecond == 0 && d.Sync == 0 && d.SyncJitter == 0 && d.Stall == 0
}

// disk is a replica's storage at work: what is durable is in memory that survives the replica's crash, and gets there when
// the disk is through with it.
type disk struct {
	Disk
	replica   *replica
	durable   *mem.Disk
	stable    storage.Storage // open on durable while the replica is up
	waiting   []*pendingSave  // in order; the first syncing of them are being synced
	syncing   int
	spare     []*pendingSave
	reset     raft.Snapshot // goes with the next save; Index 0 if there is none
	tasks     []task        // in the background, in order of their beginning
	busyUntil raft.Time     // with them
	random    *rand.Rand
	stalls    uint64 // syncs that took longer by StallFor
}

// task is work of a member in the background, which takes effect when the disk has done with it.
type task struct {
	work func()
	then func(raft.Time)
}

// pendingSave is a copy of a save.
type pendingSave struct {
	save  raft.Save
	reset raft.Snapshot
	runs  []raft.Entries
	mem   []byte
}

// format makes the disk hold what a replica starts from.
func (d *disk) format(b cluster.Boot) error {
	log := raft.NewLog(1, 0)
	if b.SmallLog {
		log = raft.NewSmallLog(1, 0)
	}
	d.durable = mem.NewDisk(log)
	if err := d.open(); err != nil {
		return err
	}
	d.stable.Save(b.Save())
	return d.stable.Close()
}

// open begins a life of the replica.
func (d *disk) open() (err error) {
	d.stable, err = mem.Open(d.durable)
	return err
}

// Load returns what is durable: storage.Storage.
func (d *disk) Load() (storage.State, error) { return d.stable.Load() }

// Save makes s durable, at once or later: storage.Storage.
func (d *disk) Save(s raft.Save) bool {
	if d.instant() && len(d.waiting) == 0 {
		return d.stable.Save(s)
	}
	d.keep(s)
	if d.syncing == 0 {
		d.replica.sync()
	}
	return false
}

// Durable returns what is durable as it stands, for looking only, also while the replica is down.
func (d *disk) Durable() storage.State { return d.durable.State() }

// Compact forgets what is durable: storage.Storage.
func (d *disk) Compact(index uint64) { d.stable.Compact(index) }

// Reset goes with the save that follows it: storage.Storage.
func (d *disk) Reset(index, term uint64) {
	if d.instant() && len(d.waiting) == 0 {
		d.stable.Reset(index, term)
		return
	}
	d.reset = raft.Snapshot{Index: index, Term: term}
}

// CreateSnapshot and OpenSnapshot are the memory's: how long a snapshot takes is said by Background.
func (d *disk) CreateSnapshot(index, term uint64) (storage.SnapshotWriter, error) {
	return d.stable.CreateSnapshot(index, term)
}

// OpenSnapshot opens the newest durable snapshot: storage.Storage.
func (d *disk) OpenSnapshot() (storage.SnapshotReader, error) { return d.stable.OpenSnapshot() }

// Close is never called: a replica's life ends with crash.
func (d *disk) Close() error { return nil }

// keep queues a copy of s.
func (d *disk) keep(s raft.Save) {
	p := &pendingSave{}
	if n := len(d.spare); n > 0 {
		p, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	p.runs, p.mem = p.runs[:0], p.mem[:0]
	for _, e := range s.Entries {
		p.mem = append(p.mem, e.Bytes...)
	}
	at := 0
	for _, e := range s.Entries {
		end := at + len(e.Bytes)
		p.runs = append(p.runs, raft.Entries{First: e.First, Count: e.Count, Bytes: p.mem[at:end:end]})
		at = end
	}
	p.save, p.save.Entries = s, p.runs
	p.reset, d.reset = d.reset, raft.Snapshot{}
	d.waiting = append(d.waiting, p)
}

// begin starts to sync everything that waits and returns how long that takes.
func (d *disk) begin() time.Duration {
	d.syncing = len(d.waiting)
	bytes := 0
	for _, p := range d.waiting {
		bytes += len(p.mem)
	}
	return time.Duration(d.syncing)*d.Write + d.transfer(bytes) + d.sync()
}

// transfer returns how long it takes to write so many bytes.
func (d *disk) transfer(bytes int) time.Duration {
	if d.BytesPerSecond == 0 {
		return 0
	}
	return time.Duration(uint64(bytes) * uint64(time.Second) / d.BytesPerSecond)
}

// sync draws how long a sync takes.
func (d *disk) sync() time.Duration {
	took := d.Sync
	if d.SyncJitter > 0 {
		took += time.Duration(d.random.Int64N(int64(d.SyncJitter) + 1))
	}
	if d.Stall > 0 && d.random.Float64() < d.Stall {
		took += d.StallFor
		d.stalls++
	}
	return took
}

// synced makes what was being synced durable and returns the number of the last save.
func (d *disk) synced() (seq uint64) {
	return d.write(d.syncing)
}

func (d *disk) write(n int) (seq uint64) {
	for _, p := range d.waiting[:n] {
		if p.reset.Index != 0 {
			d.stable.Reset(p.reset.Index, p.reset.Term)
		}
		d.stable.Save(p.save)
		seq = p.save.Seq
		d.spare = append(d.spare, p)
	}
	d.waiting = d.waiting[:copy(d.waiting, d.waiting[n:])]
	d.syncing = 0
	return seq
}

// crash loses what was not synced, or tears it; what was done in the background is finished or not.
func (d *disk) crash(now raft.Time) {
	tears := func() bool { return d.Torn > 0 && d.random.Float64() < d.Torn }
	if n := len(d.waiting); n > 0 && tears() {
		d.write(d.random.IntN(n + 1))
	}
	tasks := d.tasks
	d.tasks = nil
	for _, t := range tasks {
		if tears() {
			t.work()
		}
		t.then(now)
	}
	d.waiting, d.syncing, d.reset, d.busyUntil = d.waiting[:0], 0, raft.Snapshot{}, 0
	d.stable.Close()
}
