package raft_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// behind is a group of three whose replica 3 is cut off and whose leader, replica 1, has compacted its log beyond what 3
// has.
func behind(t *testing.T, change func(*raft.Config)) *group {
	t.Helper()
	g := newGroup(t, 3, using(func(c *raft.Config) {
		c.ChunkBytes, c.MaxChunks, c.PreVote = 20, 3, true // the one that is cut off must not depose anybody
		change(c)
	}))
	g.elect(1)
	g.mustPropose(1, "a", "b")
	g.run(2 * heartbeat)
	g.isolate(3)
	for i := range 10 {
		g.mustPropose(1, fmt.Sprint("c", i))
		g.run(heartbeat)
	}
	g.compact(1, 12)
	if first := g.status(1).First; first != 13 {
		t.Fatalf("the leader's log begins at %d, want 13: a silent follower must keep nothing", first)
	}
	g.sent = map[raft.MessageType]int{}
	return g
}

// wantLevel checks that a replica has applied what the leader has.
func (g *group) wantLevel(id raft.ID) {
	g.t.Helper()
	if got, want := g.appliedBy(id), g.appliedBy(g.leader()); got != want {
		g.t.Errorf("replica %d has applied %q, want %q", id, got, want)
	}
}

func unchanged(*raft.Config) {}

func snapshotForWhatIsGone(t *testing.T) {
	g := behind(t, unchanged)
	g.heal()
	g.mustPropose(1, "last")
	g.run(3 * heartbeat)
	g.wantLevel(3)
	size := int(g.replica(1).disk.snapshot.Bytes)
	if want := (size + 19) / 20; g.sent[raft.InstallSnapshot] != want {
		t.Errorf("%d chunks of 20 bytes for %d, want %d", g.sent[raft.InstallSnapshot], size, want)
	}
	if s := g.status(3); s.First != 13 {
		t.Errorf("the log goes on at %d, want 13, after the snapshot", s.First)
	}
}

func chunksLost(t *testing.T) {
	for lost := range 12 {
		g := behind(t, unchanged)
		g.heal()
		seen := 0
		for i := 0; i < 300 && g.appliedBy(3) != g.appliedBy(1); i++ {
			g.deliver(func(m *raft.Message) bool {
				return m.Type != raft.InstallSnapshot && m.Type != raft.InstallSnapshotReply
			})
			for _, m := range g.net {
				if seen++; seen-1 != lost {
					g.step(m)
				}
				g.net = g.net[1:]
			}
			g.advance(heartbeat / 4)
		}
		g.wantLevel(3)
	}
}

func chunksOutOfOrder(t *testing.T) {
	for seed := range uint64(50) {
		g, random := behind(t, unchanged), newRandom(seed)
		g.heal()
		for i := 0; i < 400 && g.appliedBy(3) != g.appliedBy(1); i++ {
			for range 10 {
				if len(g.net) > 0 {
					m := g.net[random.IntN(len(g.net))]
					if random.IntN(2) == 0 {
						m = g.take(random.IntN(len(g.net)))
					}
					g.step(m)
				}
			}
			g.advance(heartbeat / 4)
		}
		g.deliverAll()
		g.run(5 * heartbeat)
		g.wantLevel(3)
	}
}

// part delivers everything until the follower has received so many chunks.
func (g *group) part(id raft.ID, chunks int) {
	g.t.Helper()
	for r, i := g.replica(id), 0; r.chunks < chunks; i++ {
		if i == 1000 {
			g.t.Fatalf("replica %d has received %d chunks, want %d", id, r.chunks, chunks)
		}
		if len(g.net) == 0 {
			g.advance(heartbeat / 2)
		} else {
			g.step(g.take(0))
		}
	}
}

func leaderChangesMidway(t *testing.T) {
	g := behind(t, unchanged)
	g.compact(2, 11)
	g.heal()
	g.part(3, 3)
	g.crash(1)
	g.drop()
	g.campaign(2)
	g.run(4 * heartbeat)
	g.mustPropose(2, "new term")
	g.run(4 * heartbeat)
	g.wantLevel(3)
}

func crashMidway(t *testing.T) {
	g := behind(t, unchanged)
	g.heal()
	g.part(3, 3)
	g.crash(3)
	g.drop()
	g.restart(3)
	g.run(10 * heartbeat)
	g.wantLevel(3)

	g = behind(t, unchanged)
	g.replica(3).slow = true // whole, but not durable
	g.heal()
	g.run(5 * heartbeat)
	if s := g.status(3); s.Commit > 2 {
		t.Fatalf("installed before it is durable: %+v", s)
	}
	g.crash(3)
	g.restart(3)
	g.replica(3).slow = false
	g.run(10 * heartbeat)
	g.wantLevel(3)
}

// notOvertaken replays hashicorp/raft issue 697: the log is compacted past the snapshot that is being sent, again and
// again. Each transfer must be the last.
func notOvertaken(t *testing.T) {
	g := behind(t, func(c *raft.Config) { c.SnapshotEntries = 1 })
	g.heal()
	size := 0
	for i := 0; g.status(3).Applied < 40; i++ {
		if i == 200 {
			t.Fatalf("never level: %d chunks, %+v", g.replica(3).chunks, g.status(3))
		}
		g.mustPropose(1, fmt.Sprint("meanwhile", i))
		// A chunk arrives for each commit between the other two.
		g.deliver(func(m *raft.Message) bool { return m.From != 3 && m.To != 3 })
		g.deliver(func(m *raft.Message) bool { return m.From != 3 && m.To != 3 })
		if p := g.node(1).AppendProgress(nil)[1]; p.Snapshot == 0 && g.replica(3).chunks == 0 {
			g.advance(heartbeat / 2)
		} else if size == 0 {
			size = int(g.replica(1).disk.snapshot.Bytes)
		}
		g.deliver(on(1, 3))
		g.deliver(on(3, 1))
	}
	if got, want := g.replica(3).chunks, (size+19)/20+1; got > want {
		t.Errorf("%d chunks, want at most %d: one transfer", got, want)
	}
}

func deadKeepsNothing(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.SnapshotEntries, c.SnapshotTrailing = 10, 5 }))
	g.elect(1)
	g.mustPropose(1, "a")
	g.run(2 * heartbeat)
	g.isolate(3)
	for i := range 300 {
		g.mustPropose(1, fmt.Sprint(i))
		g.run(heartbeat / 2)
		if s := g.status(1); i > 40 && s.Last > s.First+30 {
			t.Fatalf("with a follower that is gone for ever the log holds %d to %d", s.First, s.Last)
		}
	}
	g.heal()
	g.run(20 * electionTimeout)
	g.wantLevel(3)
}

// slowKeepsSome: a follower that answers is kept the log for, within MaxLagBytes.
func slowKeepsSome(t *testing.T) {
	for _, limit := range []int{1000, 100_000} {
		g := newGroup(t, 3, using(func(c *raft.Config) { c.SnapshotEntries, c.MaxLagBytes = 1, limit }))
		g.elect(1)
		g.mustPropose(1, "a")
		g.run(2 * heartbeat)
		for i := range 200 { // its acknowledgements are late, and heartbeats are answered
			g.mustPropose(1, fmt.Sprintf("%20d", i))
			g.deliver(func(m *raft.Message) bool {
				return m.From != 3 && m.To != 3 || m.To == 3 && m.Entries.Count == 0 || m.From == 3 && (m.Match <= 1 || m.Success && m.Type == raft.InstallSnapshotReply)
			})
			g.deliver(func(m *raft.Message) bool { return m.From != 3 && m.To != 3 })
			g.advance(heartbeat / 8)
		}
		s := g.status(1)
		if held := int(s.Last-s.First+1) * 32; limit == 1000 && held > 3000 {
			t.Errorf("the log holds %d bytes for a slow follower, with a limit of %d", held, limit)
		}
		g.run(10 * heartbeat)
		g.wantLevel(3)
	}
}

func catchUpChoice(t *testing.T) {
	for _, choice := range catchUps {
		g := newGroup(t, 3, using(func(c *raft.Config) {
			c.Strategy.CatchUp, c.SnapshotTrailing, c.ChunkBytes, c.PreVote = choice, 100, 1000, true
		}))
		g.elect(1)
		g.mustPropose(1, "a")
		g.run(2 * heartbeat)
		g.isolate(3)
		for i := range 20 {
			g.mustPropose(1, fmt.Sprint(i))
			g.run(heartbeat)
		}
		g.compact(1, 15)
		g.sent = map[raft.MessageType]int{}
		g.heal()
		g.run(5 * heartbeat)
		g.wantLevel(3)
		want := 0
		if choice != nil && choice.String() == "snapshot" {
			want = 1 // "cheapest" sends the log: a snapshot holds what the follower has as well
		}
		if got := g.sent[raft.InstallSnapshot]; got != want {
			t.Errorf("%v: %d chunks, want %d", choice, got, want)
		}
	}
}

// slowLinkNotFlooded: chunks that take longer than an election timeout are sent few times, and the transfer ends.
func slowLinkNotFlooded(t *testing.T) {
	g := behind(t, unchanged)
	g.heal()
	delay, arrives := 3*electionTimeout, map[raft.Time][]raft.Message{}
	for i := 0; i < 600 && g.appliedBy(3) != g.appliedBy(1); i++ {
		g.deliver(func(m *raft.Message) bool { return m.Type != raft.InstallSnapshot })
		for len(g.net) > 0 {
			at := g.now.Add(delay)
			arrives[at] = append(arrives[at], g.take(0))
		}
		for at, list := range arrives {
			if at <= g.now {
				delete(arrives, at)
				for _, m := range list {
					g.step(m)
				}
			}
		}
		g.advance(heartbeat)
	}
	g.wantLevel(3)
	chunks := (int(g.replica(1).disk.snapshot.Bytes) + 19) / 20
	if got := g.sent[raft.InstallSnapshot]; got > 5*chunks {
		t.Errorf("%d chunks sent for %d", got, chunks)
	}
}

// deadFollowerOfTransfer: who dies in the middle of a transfer costs one heartbeat a period, and keeps no log.
func deadFollowerOfTransfer(t *testing.T) {
	g := behind(t, func(c *raft.Config) { c.SnapshotEntries = 5 })
	g.heal()
	g.part(3, 2)
	g.crash(3)
	g.run(3 * electionTimeout)
	before := g.sent[raft.InstallSnapshot]
	for i := range 50 {
		g.mustPropose(1, fmt.Sprint("on", i))
		g.run(heartbeat)
	}
	if more := g.sent[raft.InstallSnapshot] - before; more > 0 {
		t.Errorf("%d chunks to a follower that is dead", more)
	}
	if s := g.status(1); s.Last > s.First+20 {
		t.Errorf("the log holds %d to %d for it", s.First, s.Last)
	}
	g.restart(3)
	g.run(5 * heartbeat)
	g.wantLevel(3)
}

// newestFirst: a transfer whose first chunk waits for a heartbeat begins with what is the newest snapshot then. The one that
// was so when the follower was found behind may be gone: a driver keeps old ones from their first chunk on.
func newestFirst(t *testing.T) {
	var wait time.Duration
	g := behind(t, func(c *raft.Config) {
		c.Strategy.Send = gate{"switch", func(raft.Waiting) time.Duration { return wait }}
	})
	g.mustPropose(1, "last")
	g.run(heartbeat)
	wait = raft.NextBeat
	g.heal()
	for i := 0; g.node(1).Sending(3) == 0; i++ {
		if i == 1000 {
			t.Fatal("no transfer begins")
		}
		if len(g.net) == 0 {
			g.advance(heartbeat / 10)
		} else {
			g.step(g.take(0))
		}
	}
	if n := g.sent[raft.InstallSnapshot]; n != 0 || g.node(1).Sending(3) != 12 {
		t.Fatalf("%d chunks of snapshot %d were sent, want none yet of 12", n, g.node(1).Sending(3))
	}
	g.compact(1, 13)
	g.advance(heartbeat)
	if n := g.sent[raft.InstallSnapshot]; n == 0 || g.node(1).Sending(3) != 13 {
		t.Errorf("%d chunks of snapshot %d were sent, want some of 13", n, g.node(1).Sending(3))
	}
	g.run(5 * heartbeat)
	g.wantLevel(3)
}

// TestSnapshotRestart: a replica goes on from its snapshot and the log after it, wherever a crash left the two.
func TestSnapshotRestart(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, last uint64 // of the saved log; its entries have term 2
		snapshot    raft.Snapshot
		from, to    uint64 // of the log that it goes on with
		err         bool
	}{
		{"log goes on", 4, 9, raft.Snapshot{Index: 5, Term: 2}, 4, 9, false},
		{"log ends with it", 4, 5, raft.Snapshot{Index: 5, Term: 2}, 4, 5, false},
		{"log ends before it", 1, 3, raft.Snapshot{Index: 5, Term: 2}, 6, 5, false},
		{"another entry in its place", 1, 9, raft.Snapshot{Index: 5, Term: 3}, 6, 5, false},
		{"log begins after a gap", 7, 9, raft.Snapshot{Index: 5, Term: 2}, 0, 0, true},
		{"no snapshot", 2, 9, raft.Snapshot{}, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := raft.NewLog(c.first, 2)
			for log.Last() < c.last {
				log.Append(2, nil)
			}
			n, err := raft.New(0, raft.Config{ID: 1, Voters: []raft.ID{1}, Strategy: plain, Heartbeat: heartbeat,
				ElectionTimeout: electionTimeout}, raft.Saved{Term: 3, Log: log, Snapshot: c.snapshot})
			if (err != nil) != c.err {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			s := n.Status()
			if s.First != c.from || s.Last != c.to || s.Commit != 5 || s.Applied != 5 {
				t.Errorf("%+v", s)
			}
			n.Tick(raft.Time(time.Hour)) // a save: what has to go from the disk goes with it
			if out := n.Take(); (out.Save.Reset == c.snapshot) != (c.from == 6) {
				t.Errorf("%+v", out.Save)
			}
		})
	}
}

// TestLaterSnapshotSaved: the driver tells of the newest snapshot, which may be later than the one that was asked for; the
// next is due after that one nevertheless.
func TestLaterSnapshotSaved(t *testing.T) {
	n, err := raft.New(0, raft.Config{ID: 1, Voters: []raft.ID{1}, Strategy: plain, Heartbeat: heartbeat,
		ElectionTimeout: electionTimeout, SnapshotEntries: 2}, raft.Saved{})
	if err != nil {
		t.Fatal(err)
	}
	n.Campaign(1)
	asked := uint64(0)
	settle := func() {
		for out := n.Take(); !out.Empty(); out = n.Take() {
			asked = max(asked, out.Snapshot.Index)
			if out.Save.Seq != 0 {
				n.Saved(1, out.Save.Seq)
			}
		}
	}
	settle()
	for range 3 {
		if _, _, err := n.Propose(1, []byte("x")); err != nil {
			t.Fatal(err)
		}
		settle()
	}
	n.SnapshotSaved(1, raft.Snapshot{Index: 3, Term: 1, Bytes: 1})
	for range 3 {
		if _, _, err := n.Propose(1, []byte("x")); err != nil {
			t.Fatal(err)
		}
		settle()
	}
	if asked != 5 {
		t.Errorf("the last snapshot that was asked for is of %d entries, want 5", asked)
	}
}
