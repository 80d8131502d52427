package sim_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports"
)

// saveAt makes replica 1 save an entry.
func (w *world) saveAt(d time.Duration, seq uint64) {
	w.at(d, func() {
		e := raft.Entries{First: seq}
		e.Append(1, make([]byte, 1000-raft.EntryOverhead))
		if w.probes[1].store.Save(raft.Save{Seq: seq, Term: 1, Entries: []raft.Entries{e}}) {
			w.probes[1].saved = append(w.probes[1].saved, note{w.Now(), int(seq)})
		}
		clear(e.Bytes) // it is the member's memory again
	})
}

// Saves that come while a sync is going on are written and synced together after it.
func TestGroupCommit(t *testing.T) {
	w := newWorld(t, 1, sim.Config{Disk: sim.Disk{Write: time.Millisecond, Sync: 10 * time.Millisecond, BytesPerSecond: 1_000_000}})
	w.saveAt(0, 1) // 1 to write, 1 for 1,000 bytes, 10 to sync
	w.saveAt(5*time.Millisecond, 2)
	w.saveAt(6*time.Millisecond, 3) // both from 12 on: 2 + 2 + 10
	w.run(13 * time.Millisecond)
	if last := w.Durable(1).Log.Last(); last != 1 {
		t.Fatalf("durable up to %d", last)
	}
	w.run(time.Second)
	if want := []note{{ms(12), 1}, {ms(26), 3}}; !slices.Equal(w.probes[1].saved, want) {
		t.Fatalf("saved %v, want %v", w.probes[1].saved, want)
	}
	if s := w.Durable(1); s.Log.Last() != 3 || s.Term != 1 {
		t.Fatalf("on disk up to %d in term %d", s.Log.Last(), s.Term)
	}
}

func TestInstantDisk(t *testing.T) {
	w := newWorld(t, 1, sim.Config{})
	w.saveAt(ms5, 1)
	w.run(time.Second)
	if want := []note{{ms(5), 1}}; !slices.Equal(w.probes[1].saved, want) {
		t.Fatalf("saved %v", w.probes[1].saved)
	}
}

const ms5 = 5 * time.Millisecond

func TestDiskStalls(t *testing.T) {
	w := newWorld(t, 1, sim.Config{Disk: sim.Disk{Sync: time.Millisecond, Stall: 1, StallFor: time.Second}})
	w.saveAt(0, 1)
	w.at(2*time.Millisecond, func() {
		if err := w.SetDisk(1, sim.Disk{}); err != nil {
			t.Error(err)
		}
	})
	w.saveAt(3*time.Millisecond, 2) // the disk is instant now, but what was before comes first
	w.run(2 * time.Second)
	if want := []note{{ms(1001), 1}, {ms(1001), 2}}; !slices.Equal(w.probes[1].saved, want) {
		t.Fatalf("saved %v", w.probes[1].saved)
	}
}

// A crash loses what was not synced, or leaves a part of it that has no gap.
func TestCrashTearsTheDisk(t *testing.T) {
	for _, torn := range []float64{0, 1} {
		left := map[uint64]int{}
		for range 20 {
			w := newWorld(t, 1, sim.Config{Disk: sim.Disk{Sync: 10 * time.Millisecond, Torn: torn}})
			w.saveAt(0, 1)
			for i := range 4 {
				w.saveAt(11*time.Millisecond+time.Duration(i)*time.Millisecond, uint64(i+2))
			}
			// One draw a crash: the seed is always the same, so crash at different moments of the disk's life.
			for range len(left) {
				w.at(16*time.Millisecond, func() { w.Crash(1); _ = w.Restart(1) })
			}
			w.at(17*time.Millisecond, func() { w.Crash(1) })
			w.run(time.Second)
			left[w.Durable(1).Log.Last()]++
			if len(w.probes[1].saved) > 1 {
				t.Fatalf("a crashed replica was told %v", w.probes[1].saved)
			}
		}
		if torn == 0 && left[1] != 20 {
			t.Errorf("a crash leaves entries up to %v, want 1", left)
		}
		for last := range left {
			if last < 1 || last > 5 {
				t.Errorf("a torn disk holds entries up to %d", last)
			}
		}
	}
}

// What a crash cut off is over: neither its saves nor the end of its sync concern the next life.
func TestDiskAfterACrash(t *testing.T) {
	w := newWorld(t, 1, sim.Config{Disk: sim.Disk{Sync: 10 * time.Millisecond}})
	w.saveAt(0, 1)
	w.saveAt(11*time.Millisecond, 2) // lost, with its sync that would end at 21
	w.at(15*time.Millisecond, func() { w.Crash(1); _ = w.Restart(1) })
	w.saveAt(16*time.Millisecond, 2)
	w.run(22 * time.Millisecond)
	if last := w.Durable(1).Log.Last(); last != 1 {
		t.Fatalf("durable up to %d after 22 ms", last)
	}
	w.run(time.Second)
	if want := []note{{ms(26), 2}}; !slices.Equal(w.probes[1].saved, want) || w.Durable(1).Log.Last() != 2 {
		t.Fatalf("saved %v, on disk up to %d", w.probes[1].saved, w.Durable(1).Log.Last())
	}
}

// A leader whose disk is far behind commits with the others' help; what it has not saved is not forgotten anywhere, or
// it could not go on after a crash.
func TestNothingIsForgottenBeforeItIsSaved(t *testing.T) {
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sim.New(sim.Config{Config: cluster.Config{Replicas: 3, Strategy: strategy, Heartbeat: 10 * time.Millisecond, ElectionTimeout: 100 * time.Millisecond,
		PreVote: true, CheckQuorum: true, Seed: 1, SnapshotEntries: 1024, SnapshotBytes: 1 << 20, SnapshotTrailing: 1}})
	if err != nil {
		t.Fatal(err)
	}
	c.Campaign(1)
	leader, err := cluster.WaitLeader(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const total, written = 5000, 1000
	left := total
	for range 10 {
		p := &cluster.Proposal{Data: []byte("value")}
		p.Done = func(p *cluster.Proposal) {
			if left--; left > 0 {
				c.Propose(leader, p)
			}
		}
		c.Propose(leader, p)
	}
	if err := c.Wait(t.Context(), time.Minute, func() bool { return left <= total-written }); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDisk(leader, sim.Disk{Sync: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(t.Context(), time.Minute, func() bool { return left <= 0 }); err != nil {
		t.Fatal(err)
	}
	c.Crash(leader)
	if err := errors.Join(c.SetDisk(leader, sim.Disk{}), c.Restart(leader)); err != nil {
		t.Fatal(err)
	}
	err = c.Wait(t.Context(), time.Minute, func() bool {
		now := cluster.Leader(c)
		return now != 0 && c.Status(leader).Last >= total && c.Status(leader).Last == c.Status(now).Last
	})
	if err != nil {
		t.Fatalf("the old leader is %+v: %v", c.Status(leader), err)
	}
}

// Work takes the CPU: what arrives meanwhile is handled together, and each message that follows leaves after the one
// before it.
func TestCPU(t *testing.T) {
	w := newWorld(t, 2, sim.Config{CPUPerMessage: time.Millisecond, Links: all(sim.Link{Delay: 10 * time.Millisecond})})
	p := w.probes[2]
	w.sendAt(0, appends, 100) // leaves after 1 ms in the sender's hands, arrives at 11, is handled at 12
	w.at(11*time.Millisecond, func() {
		p.send = append(p.send, func() { // with that: two messages, which take until 14
			p.host.Send(1, appends, make([]byte, 50), nil)
			p.host.Send(1, appends, make([]byte, 50), nil)
		})
	})
	// Two more arrive at 13 and 13.5 while it is busy: both from 14 on, handled at 16.
	w.at(2*time.Millisecond, func() { w.probes[1].host.Send(2, appends, []byte{2, 0, 0, 0}, nil) })
	w.at(2500*time.Microsecond, func() { w.probes[1].host.Send(2, appends, []byte{3, 0, 0, 0}, nil) })
	w.run(time.Second)
	// The sender's own count begins with each settling of its own; it never settles here, so its frames leave ever later.
	got := w.probes[2].got
	if len(got) != 3 || got[0] != (note{ms(12), 1}) {
		t.Fatalf("handled %v", got)
	}
	if answers := w.probes[1].got; len(answers) != 2 || answers[0].at != ms(12+1+10+1) || answers[1].at != ms(12+2+10+1) {
		t.Fatalf("answers %v", answers)
	}
}

// A frozen replica handles nothing, and everything in order when it goes on.
func TestPauseKeepsOrder(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Links: all(sim.Link{Delay: time.Millisecond})})
	w.at(0, func() { w.Pause(2) })
	for i := range 5 {
		w.sendAt(time.Duration(i)*time.Millisecond, appends, 100)
	}
	w.at(3*time.Millisecond, func() { w.Resume(2) }) // and handles 1 to 3, the last of which arrives now
	w.at(3500*time.Microsecond, func() { w.Pause(2); w.Resume(2); w.Pause(2) })
	w.at(20*time.Millisecond, func() { w.Resume(2); w.Resume(2) })
	w.run(time.Second)
	w.arrived(note{ms(3), 1}, note{ms(3), 2}, note{ms(3), 3}, note{ms(20), 4}, note{ms(20), 5})
}

// Frames that were sent together are settled together, as a socket would hand them over.
func TestFramesSettleTogether(t *testing.T) {
	w := newWorld(t, 3, sim.Config{Transport: "quic", Links: all(sim.Link{Delay: time.Millisecond})})
	w.at(time.Millisecond, func() {
		for range 3 {
			w.probes[1].host.Send(2, appends, make([]byte, 10), nil)
		}
		w.probes[1].host.Send(2, votes, make([]byte, 10), nil)
		w.probes[3].host.Send(2, votes, make([]byte, 10), nil)
	})
	w.run(time.Second)
	if p := w.probes[2]; len(p.got) != 5 || p.settled != 3 {
		t.Fatalf("%d frames were settled in %d rounds, want 3: one for each stream", len(p.got), p.settled)
	}
}

func TestTimers(t *testing.T) {
	w := newWorld(t, 1, sim.Config{})
	p := w.probes[1]
	wake := func(d time.Duration, deadline raft.Time) {
		w.at(d, func() { p.deadline = deadline; w.Propose(1, &cluster.Proposal{}) })
	}
	wake(0, ms(50))
	wake(ms5, ms(10)) // earlier than before
	wake(20*time.Millisecond, ms(60))
	wake(30*time.Millisecond, ms(80)) // later than before: nothing happens at 60
	w.run(time.Second)
	if want := []raft.Time{ms(10), ms(80)}; !slices.Equal(p.ticks, want) {
		t.Fatalf("ticks at %v, want %v", p.ticks, want)
	}
}

// A clock that gains fires timers early; observers and proposals are told the world's time all the same.
func TestClockRate(t *testing.T) {
	for _, ppm := range []int{0, 1, -1, 250_000, -500_000, 1_000_000, 333_333} {
		w := newWorld(t, 1, sim.Config{})
		p := w.probes[1]
		if err := w.SetClockRate(1, ppm); err != nil {
			t.Fatal(err)
		}
		// A second on its own clock.
		w.at(0, func() { p.deadline = raft.Time(time.Second); w.Propose(1, &cluster.Proposal{}) })
		var fired raft.Time
		err := w.Wait(context.Background(), time.Hour, func() bool {
			fired = w.Now()
			return len(p.ticks) > 0
		})
		if err != nil {
			t.Fatal(err)
		}
		want := raft.Time(float64(time.Second) / (1 + float64(ppm)/1e6))
		if d := fired - want; d < -1 || d > 2 {
			t.Errorf("%d ppm: fired at %d, want %d", ppm, fired, want)
		}
		if own := p.ticks[0]; own < raft.Time(time.Second) || own > raft.Time(time.Second)+12 {
			t.Errorf("%d ppm: its own clock showed %d", ppm, own)
		}
		// Later on the rate changes; its clock does not jump.
		before := p.host.Now()
		if err := w.SetClockRate(1, 0); err != nil {
			t.Fatal(err)
		}
		if after := p.host.Now(); after != before {
			t.Errorf("%d ppm: the clock jumped from %d to %d", ppm, before, after)
		}
	}
	w := newWorld(t, 1, sim.Config{})
	for _, ppm := range []int{-1_000_000, 20_000_000} {
		if w.SetClockRate(1, ppm) == nil {
			t.Errorf("%d ppm is accepted", ppm)
		}
	}
}

// What follows without time going on ends with an error, not with a process that hangs.
func TestLivelock(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Links: all(sim.Link{}), EventsPerInstant: 1000})
	w.sendAt(0, transports.ClassAppend, 100)
	w.at(0, func() {
		var again func(now raft.Time) raft.Time
		again = func(now raft.Time) raft.Time { w.At(now, again); return 0 }
		w.At(0, again)
	})
	err := w.Wait(context.Background(), time.Hour, func() bool { return false })
	if !errors.Is(err, sim.ErrLivelock) {
		t.Fatalf("Wait: %v", err)
	}
}

func TestNewFails(t *testing.T) {
	for name, cfg := range map[string]sim.Config{
		"transport": {Config: cluster.Config{Replicas: 1}, Transport: "pigeon"},
		"disk":      {Config: cluster.Config{Replicas: 1}, Disk: sim.Disk{Sync: -1}},
		"torn":      {Config: cluster.Config{Replicas: 1}, Disk: sim.Disk{Torn: 2}},
		"cpu":       {Config: cluster.Config{Replicas: 1}, CPUPerMessage: -1},
		"replicas":  {},
	} {
		if _, err := sim.New(cfg); !errors.Is(err, sim.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sim.New(sim.Config{Config: cluster.Config{Replicas: 3}}); !errors.Is(err, raft.ErrConfig) {
		t.Errorf("a group without a strategy: %v", err)
	}
}
