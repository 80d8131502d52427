package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
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

// disk is a replica's storage at work.
type disk struct {
	Disk
	stable  *cluster.Disk
	waiting []*pendingSave // in order; the first syncing of them are being synced
	syncing int
	spare   []*pendingSave
	random  *rand.Rand
	stalls  uint64 // syncs that took longer by StallFor
}

// pendingSave is a copy of a save.
type pendingSave struct {
	save raft.Save
	runs []raft.Entries
	mem  []byte
}

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
	d.waiting = append(d.waiting, p)
}

// begin starts to sync everything that waits and returns how long that takes.
func (d *disk) begin() time.Duration {
	d.syncing = len(d.waiting)
	took := d.Sync
	for _, p := range d.waiting {
		took += d.Write
		if d.BytesPerSecond > 0 {
			took += time.Duration(uint64(len(p.mem)) * uint64(time.Second) / d.BytesPerSecond)
		}
	}
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
		d.stable.Write(p.save)
		seq = p.save.Seq
		d.spare = append(d.spare, p)
	}
	d.waiting = d.waiting[:copy(d.waiting, d.waiting[n:])]
	d.syncing = 0
	return seq
}

// crash loses what was not synced, or tears it.
func (d *disk) crash() {
	if n := len(d.waiting); n > 0 && d.Torn > 0 && d.random.Float64() < d.Torn {
		d.write(d.random.IntN(n + 1))
	}
	d.waiting, d.syncing = d.waiting[:0], 0
}
