package etcd_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/engines/etcd"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// watcher checks that replicas apply one log, each without a gap but for snapshots.
type watcher struct {
	t        *testing.T
	log      map[uint64][]byte // by index: term and data
	last     map[raft.ID]uint64
	restored int
}

func (w *watcher) Events(raft.Time, raft.ID, []raft.Event) {}

func (w *watcher) Applied(_ raft.Time, id raft.ID, run raft.Entries) {
	for e := range run.All() {
		value := append(binary.LittleEndian.AppendUint64(nil, e.Term), e.Data...)
		if before, there := w.log[e.Index]; there && !bytes.Equal(before, value) {
			w.t.Errorf("replica %d applies another entry at index %d than was applied before", id, e.Index)
		}
		w.log[e.Index] = value
		if e.Index != w.last[id]+1 {
			w.t.Errorf("replica %d applies index %d after %d", id, e.Index, w.last[id])
		}
		w.last[id] = e.Index
	}
}

func (w *watcher) Restored(_ raft.Time, id raft.ID, s raft.Snapshot) {
	w.restored++
	w.last[id] = s.Index
}

// restart starts a replica if it is down: it begins before the first entry, or with a snapshot.
func (w *watcher) restart(c *sim.Cluster, id raft.ID) {
	if !c.Status(id).Up {
		w.last[id] = 0
	}
	if err := c.Restart(id); err != nil {
		w.t.Fatal(err)
	}
}

// Replicas crash, with disks that lose what was not synced, links are cut and lose messages, and the log is shortened to
// almost nothing: what is acknowledged is in the one log that all apply in the end.
func TestCrashesAndSnapshotsInVirtualTime(t *testing.T) {
	restored := 0
	for seed := range uint64(40) {
		restored += crashes(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if restored < 40 {
		t.Errorf("%d snapshots were gone on from in 40 groups", restored)
	}
}

func crashes(t *testing.T, seed uint64) int {
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, log: map[uint64][]byte{}, last: map[raft.ID]uint64{}}
	cfg := cluster.Config{Replicas: 3, Strategy: strategy, Heartbeat: 50 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond,
		PreVote: true, CheckQuorum: true, Seed: seed, SnapshotEntries: 20, SnapshotTrailing: int(seed % 3), StateBytes: 20 << 10, Observer: w}
	etcd.Engine().Configure(&cfg)
	c, err := sim.New(sim.Config{Config: cfg, Transport: "datagram",
		Disk: sim.Disk{Sync: 2 * time.Millisecond, SyncJitter: 20 * time.Millisecond, Torn: 0.5},
		Links: func(raft.ID, raft.ID) sim.Link {
			return sim.Link{Delay: time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.05}
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Campaign(1)
	acknowledged := map[uint64]uint64{} // by index, the number that was proposed
	number := uint64(0)
	offer := func() {
		if leader := cluster.Leader(c); leader != 0 {
			number++
			n := number
			c.Propose(leader, &cluster.Proposal{Data: binary.LittleEndian.AppendUint64(nil, n), Done: func(p *cluster.Proposal) {
				if p.Outcome == cluster.Committed {
					acknowledged[p.Index] = n
				}
			}})
		}
	}
	random := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		id := raft.ID(random.IntN(3) + 1)
		switch random.IntN(5) {
		case 0:
			c.Crash(id)
		case 1:
			cluster.Isolate(c, id, cluster.CutKind(random.IntN(2)))
		case 2:
			cluster.Rejoin(c, id)
		default:
			w.restart(c, id)
		}
		for range 30 {
			offer()
			if err := cluster.Sleep(t.Context(), c, time.Duration(random.IntN(20))*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	level(t, c, w, offer)
	for index, n := range acknowledged {
		if value := w.log[index]; len(value) != 16 || binary.LittleEndian.Uint64(value[8:]) != n {
			t.Errorf("proposal %d was acknowledged at index %d, and is not there", n, index)
		}
	}
	if len(acknowledged) < 100 {
		t.Errorf("%d proposals were acknowledged", len(acknowledged))
	}
	return w.restored
}

// level brings all replicas up and waits until they agree on a log that has grown.
func level(t *testing.T, c *sim.Cluster, w *watcher, offer func()) {
	for id := raft.ID(1); id <= 3; id++ {
		w.restart(c, id)
		cluster.Rejoin(c, id)
	}
	if _, err := cluster.WaitLeader(t.Context(), c, time.Minute); err != nil {
		t.Fatal(err)
	}
	offer()
	err := c.Wait(t.Context(), time.Minute, func() bool {
		first := c.Status(1)
		for id := raft.ID(1); id <= 3; id++ {
			if s := c.Status(id); !s.Up || s.Applied != s.Last || s.Last != first.Last || s.Digest != first.Digest {
				return false
			}
		}
		return first.Applied > 0
	})
	if err != nil {
		for id := raft.ID(1); id <= 3; id++ {
			t.Logf("%+v", c.Status(id))
		}
		t.Fatal(err)
	}
}
