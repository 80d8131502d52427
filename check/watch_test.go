package check_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/raftbench/raftbench/check"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/strategies"
)

// disk is one that does wrong.
type disk struct {
	storage.Storage
	id   raft.ID
	save func(inner storage.Storage, s raft.Save) bool
}

func (d *disk) Save(s raft.Save) bool {
	if d.save != nil {
		return d.save(d.Storage, s)
	}
	return d.Storage.Save(s)
}

// Durable is that of the simulator's disk.
func (d *disk) Durable() storage.State {
	return d.Storage.(interface{ Durable() storage.State }).Durable()
}

// broken plays a calm group on such disks and returns the rule that was broken.
func broken(t *testing.T, plant func(*disk)) check.Rule {
	t.Helper()
	s, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	cfg := cluster.Config{Replicas: 3, Strategy: s, Heartbeat: 10 * time.Millisecond, ElectionTimeout: 100 * time.Millisecond, NoOp: true, Seed: 1}
	rules := check.Watch(&cfg)
	watched := cfg.Engine
	cfg.Engine = func(id raft.ID, cfg *cluster.Config, h cluster.Host, store storage.Storage) (cluster.Member, error) {
		bad := &disk{Storage: store, id: id}
		if plant != nil {
			plant(bad)
		}
		return watched(id, cfg, h, bad)
	}
	c, err := sim.New(sim.Config{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Campaign(1)
	for i := range 20 {
		c.At(raft.Time(i)*raft.Time(50*time.Millisecond), func(raft.Time) raft.Time {
			if leader := cluster.Leader(c); leader != 0 {
				c.Propose(leader, &cluster.Proposal{Data: []byte("x"), Done: func(*cluster.Proposal) {}})
			}
			return 0
		})
	}
	for _, id := range []raft.ID{2, 3} { // one after the other, so that what they forget shows
		at := raft.Time(id) * raft.Time(300*time.Millisecond)
		c.At(at, func(raft.Time) raft.Time { c.Crash(id); return 0 })
		c.At(at.Add(20*time.Millisecond), func(raft.Time) raft.Time {
			if err := c.Restart(id); err != nil {
				t.Error(err)
			}
			return 0
		})
	}
	if err := cluster.Sleep(context.Background(), c, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	var v *check.Violation
	if err := rules.Audit(); err != nil && !errors.As(err, &v) {
		t.Fatal(err)
	}
	if v == nil {
		if rules.Committed() < 10 {
			t.Fatalf("%d entries were committed", rules.Committed())
		}
		return ""
	}
	t.Log(v)
	return v.Rule
}

// What surrounds the core can break its promises too: the rules notice.
func TestDisksThatLie(t *testing.T) {
	if rule := broken(t, nil); rule != "" {
		t.Errorf("%s is broken and nothing was planted", rule)
	}
	for _, c := range []struct {
		about string
		plant func(*disk)
		want  check.Rule
	}{
		{"a disk that writes nothing and says it did", func(d *disk) {
			d.save = func(storage.Storage, raft.Save) bool { return true }
		}, check.QuorumDurable},
		{"a disk that forgets whom it voted for", func(d *disk) {
			d.save = func(inner storage.Storage, s raft.Save) bool { s.Vote = 0; return inner.Save(s) }
		}, check.QuorumDurable},
		{"one disk of three that loses entries", func(d *disk) {
			if d.id == 2 {
				d.save = func(inner storage.Storage, s raft.Save) bool { s.Entries = nil; return inner.Save(s) }
			}
		}, check.QuorumDurable},
	} {
		if rule := broken(t, c.plant); rule != c.want {
			t.Errorf("%s: %q is broken, want %s", c.about, rule, c.want)
		}
	}
}

// A plan is the same each time it is drawn and played.
func TestSameSeedSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		var first *check.Outcome
		for range 2 {
			p, err := check.Draw(seed, check.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			out, err := p.Play(context.Background(), 200)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = out
				continue
			}
			if out.Events != first.Events || out.Operations != first.Operations || len(out.Log) != len(first.Log) || out.Log[len(out.Log)-1] != first.Log[len(first.Log)-1] {
				t.Fatalf("seed %d: %d events and %d operations, then %d and %d", seed, first.Events, first.Operations, out.Events, out.Operations)
			}
		}
	}
}
