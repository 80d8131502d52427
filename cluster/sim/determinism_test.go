package sim_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// story plays a group through everything that can happen, and returns a digest of all events and frames, and how many
// events there were.
func story(t testing.TB, transport string, seed uint64, replicas int) (digest, events uint64) {
	t.Helper()
	strategy, err := strategies.Parse("fast,send=batch(4,2ms),commit=every(5ms),announce=now,apply=now")
	if err != nil {
		t.Fatal(err)
	}
	h := xxhash.New()
	var buf []byte
	note := func(numbers ...uint64) {
		buf = buf[:0]
		for _, n := range numbers {
			buf = binary.LittleEndian.AppendUint64(buf, n)
		}
		h.Write(buf)
	}
	links := sim.Link{Delay: 2 * time.Millisecond, Jitter: time.Millisecond, Distribution: netem.Normal, Loss: 0.02, LossBurst: 2,
		Duplicate: 0.02, Reorder: 0.05, Rate: 100_000_000}
	c, err := sim.New(sim.Config{
		Config: cluster.Config{Replicas: replicas, Strategy: strategy, Heartbeat: 20 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond,
			PreVote: true, CheckQuorum: true, NoOp: true, Seed: seed, SnapshotEntries: 1024, SnapshotBytes: 1 << 20, SnapshotTrailing: 500},
		Transport: transport, Links: all(links), CPUPerMessage: 3 * time.Microsecond,
		Disk:       sim.Disk{Write: 20 * time.Microsecond, Sync: 300 * time.Microsecond, SyncJitter: 200 * time.Microsecond, Stall: 0.01, StallFor: 50 * time.Millisecond, Torn: 0.5},
		AfterEvent: func(e sim.Event) { note(uint64(e.At), e.Number, uint64(e.Kind), uint64(e.Replica), uint64(e.Peer)) },
		OnFrame: func(f sim.Frame) {
			note(uint64(f.At), uint64(f.Fate), f.Number, uint64(f.From), uint64(f.To), uint64(f.Class))
			h.Write(f.Bytes)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Campaign(1)
	ctx := context.Background()
	leader, err := cluster.WaitLeader(ctx, c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const clients = 10
	for range clients {
		p := &cluster.Proposal{Data: make([]byte, 200)}
		offer := func(raft.Time) raft.Time {
			if leader = cluster.Leader(c); leader == 0 {
				return c.Now().Add(time.Millisecond)
			}
			c.Propose(leader, p)
			return 0
		}
		p.Done = func(p *cluster.Proposal) {
			fmt.Fprintln(h, c.Now(), p.Outcome, p.Index, p.Term, p.Stages)
			c.At(c.Now().Add(time.Millisecond), offer)
		}
		c.At(c.Now(), offer)
	}
	step := func(d time.Duration) {
		if err := cluster.Sleep(ctx, c, d); err != nil {
			t.Fatal(err)
		}
	}
	for round := range raft.ID(3) {
		who := 1 + round%raft.ID(replicas)
		step(200 * time.Millisecond)
		c.Crash(who)
		step(100 * time.Millisecond)
		if err := c.Restart(who); err != nil {
			t.Fatal(err)
		}
		if err := c.SetClockRate(who, int(round)*50_000); err != nil {
			t.Fatal(err)
		}
		step(100 * time.Millisecond)
		c.Pause(who)
		step(300 * time.Millisecond)
		c.Resume(who)
		cluster.Isolate(c, who, cluster.SilentCut)
		c.SetConditions(cluster.Conditions{RequestLoss: 0.05, ReplyHold: 0.1, HoldMin: time.Millisecond, HoldMax: 5 * time.Millisecond})
		step(300 * time.Millisecond)
		cluster.Rejoin(c, who)
		c.SetConditions(cluster.Conditions{})
	}
	step(time.Second)
	for id := raft.ID(1); id <= raft.ID(replicas); id++ {
		fmt.Fprintln(h, c.Status(id))
	}
	fmt.Fprintln(h, c.Counters())
	if c.Status(cluster.Leader(c)).Commit < 100 {
		t.Fatalf("only %+v came about", c.Status(cluster.Leader(c)))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return h.Sum64(), c.Events()
}

// The same seed gives the same story to the last byte, another seed another one.
func TestSameSeedSameBytes(t *testing.T) {
	for _, transport := range sim.Transports() {
		first, _ := story(t, transport, 1, 5)
		again, _ := story(t, transport, 1, 5)
		other, _ := story(t, transport, 2, 5)
		if first != again {
			t.Errorf("%s: two runs of one seed differ", transport)
		}
		if first == other {
			t.Errorf("%s: two seeds give the same run", transport)
		}
	}
}

// A hundred replicas over ten regions elect a leader and commit in a moment of real time.
func TestHundredReplicas(t *testing.T) {
	top, err := netem.LoadTopology("ibm-cloud")
	if err != nil {
		t.Fatal(err)
	}
	strategy, err := strategies.Parse("fast-signal-commit")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sim.New(sim.Config{Config: cluster.Config{Replicas: 101, Strategy: strategy, Heartbeat: 100 * time.Millisecond,
		ElectionTimeout: time.Second, PreVote: true, CheckQuorum: true, Seed: 1}, Transport: "quic", Links: top.Links(sim.Link{})})
	if err != nil {
		t.Fatal(err)
	}
	leader, err := cluster.WaitLeader(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	left := 20
	p := &cluster.Proposal{Data: make([]byte, 128)}
	p.Done = func(p *cluster.Proposal) {
		if left--; left > 0 {
			c.Propose(leader, p)
		}
	}
	c.Propose(leader, p)
	if err := c.Wait(t.Context(), time.Minute, func() bool { return left == 0 }); err != nil {
		t.Fatal(err)
	}
	t.Logf("replica %d leads; %d events, %v of virtual time", leader, c.Events(), time.Duration(c.Now()))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkStory tells how many events a second there are with everything on, but for a group of five over tcp; the
// hashing of every event and frame is a part of it.
func BenchmarkStory(b *testing.B) {
	var events uint64
	for b.Loop() {
		_, n := story(b, "tcp", 1, 5)
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEvents tells the same of a closed loop of 16 clients, with nobody looking.
func BenchmarkEvents(b *testing.B) {
	for _, transport := range []string{"mem", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			strategy, err := strategies.Parse("eager")
			if err != nil {
				b.Fatal(err)
			}
			c, err := sim.New(sim.Config{Config: cluster.Config{Replicas: 5, Strategy: strategy, Heartbeat: 100 * time.Millisecond,
				ElectionTimeout: time.Second, PreVote: true, CheckQuorum: true, Seed: 1, SnapshotEntries: 1024, SnapshotBytes: 1 << 20, SnapshotTrailing: 8192}, Transport: transport})
			if err != nil {
				b.Fatal(err)
			}
			c.Campaign(1)
			leader, err := cluster.WaitLeader(b.Context(), c, time.Minute)
			if err != nil {
				b.Fatal(err)
			}
			committed := 0
			for range 16 {
				p := &cluster.Proposal{Data: make([]byte, 128)}
				p.Done = func(p *cluster.Proposal) {
					if committed++; p.Outcome == cluster.Committed {
						c.Propose(leader, p)
					}
				}
				c.Propose(leader, p)
			}
			before := c.Events()
			b.ReportAllocs()
			for b.Loop() {
				target := committed + 1
				if err := c.Wait(b.Context(), time.Minute, func() bool { return committed >= target }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.Events()-before)/b.Elapsed().Seconds(), "events/s")
			committed = -1 << 60
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
