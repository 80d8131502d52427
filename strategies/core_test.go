package strategies

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// A leader and a follower of the real core, with messages delivered at once and no time passing, need as many
// rejections as the helper says, and end with equal logs.
func TestCoreSearchesAsTheHelper(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		p := randomPair(random)
		if p.leader.Last() == 0 || p.leader.LastTerm() < p.follower.LastTerm() ||
			p.leader.LastTerm() == p.follower.LastTerm() && p.leader.Last() < p.follower.Last() {
			continue // this leader would not be elected by this follower
		}
		for _, k := range backups {
			want, _ := search(t, k.backup, p.leader, p.follower)
			s := standard()
			s.Backup = k.backup
			nodes := map[raft.ID]*raft.Node{1: newNode(t, 1, s, p.leader), 2: newNode(t, 2, s, p.follower)}
			nodes[1].Campaign(0)
			got := 0
			for busy := true; busy; {
				busy = false
				for _, id := range []raft.ID{1, 2} {
					out := nodes[id].Take()
					busy = busy || !out.Empty()
					for _, e := range out.Events {
						if e.Kind == raft.EventRejected && e.Probe {
							got++
						}
					}
					for _, m := range out.Messages {
						nodes[m.To].Step(0, &m)
					}
					if out.Save.Seq > 0 {
						nodes[id].Saved(0, out.Save.Seq)
					}
				}
			}
			if got != want {
				t.Fatalf("%s: the core needed %d rejections, the helper %d", k.backup, got, want)
			}
			a, b := nodes[1].Log(), nodes[2].Log()
			if a.Last() > p.shared && a.Last() != b.Last() {
				t.Fatalf("%s: the leader's log ends at %d, the follower's at %d", k.backup, a.Last(), b.Last())
			}
			for i := uint64(1); i <= a.Last(); i++ {
				x, _ := a.Term(i)
				if y, _ := b.Term(i); x != y {
					t.Fatalf("%s: entry %d is of term %d on the leader and %d on the follower", k.backup, i, x, y)
				}
			}
		}
	}
}

func newNode(t *testing.T, id raft.ID, s raft.Strategy, log *raft.Log) *raft.Node {
	t.Helper()
	n, err := raft.New(0, raft.Config{ID: id, Voters: []raft.ID{1, 2}, Strategy: s, Heartbeat: 100 * time.Millisecond,
		ElectionTimeout: time.Second, Seed: 1, Events: true}, raft.Saved{Term: 100, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Any point of the space commits what is proposed, in a group of three of which one may be dead, and every live replica
// applies the same: a strategy changes when, never what.
func TestAnyPointCommits(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	points := List()
	for range 100 {
		points = append(points, randomPoint(random))
	}
	for i, s := range points {
		// No gate here should hold the test up for minutes of virtual time; how long is for other tests.
		patience := 30 * time.Second
		for _, axis := range everyGate {
			switch g := (*gateAt(&s, axis)).(type) {
			case Every:
				patience += 40 * time.Duration(g)
			case Batch:
				patience += 40 * g.Hold
			}
		}
		for _, dead := range []raft.ID{0, 3} {
			w := world{t: t, nodes: map[raft.ID]*raft.Node{}, applied: map[raft.ID][]byte{}, dead: dead}
			for id := raft.ID(1); id <= 3; id++ {
				n, err := raft.New(0, raft.Config{ID: id, Voters: []raft.ID{1, 2, 3}, Strategy: s, Heartbeat: 100 * time.Millisecond,
					ElectionTimeout: time.Second, Seed: uint64(i)}, raft.Saved{})
				if err != nil {
					t.Fatal(err)
				}
				w.nodes[id] = n
			}
			w.nodes[1].Campaign(0)
			want := []byte{}
			for k := range byte(30) {
				for w.nodes[1].Status().Role != raft.Leader {
					w.step()
				}
				if _, _, err := w.nodes[1].Propose(w.now, []byte{k}); err != nil {
					t.Fatalf("%s: %v", String(s), err)
				}
				want = append(want, k)
				for range random.IntN(40) {
					w.step()
				}
			}
			for done := false; !done; w.step() {
				done = true
				for id := range w.nodes {
					done = done && (id == dead || len(w.applied[id]) == len(want))
				}
				if w.now > raft.Time(0).Add(patience) {
					t.Fatalf("%s with %d dead: after %v, applied are %d, %d and %d of %d", String(s), dead, patience,
						len(w.applied[1]), len(w.applied[2]), len(w.applied[3]), len(want))
				}
			}
			for id := range w.nodes {
				if id != dead && string(w.applied[id]) != string(want) {
					t.Fatalf("%s with %d dead: replica %d applied %v", String(s), dead, id, w.applied[id])
				}
			}
		}
	}
}

// world runs a group in virtual time: a message takes 1 ms, a save none.
type world struct {
	t       *testing.T
	now     raft.Time
	nodes   map[raft.ID]*raft.Node
	dead    raft.ID // is never called
	flying  []flying
	applied map[raft.ID][]byte // the first byte of every entry
}

type flying struct {
	at raft.Time
	m  raft.Message
}

// step carries out what the nodes want done and goes on to when something happens next.
func (w *world) step() {
	next := w.now.Add(time.Hour)
	for id := raft.ID(1); id <= 3; id++ {
		if id == w.dead {
			continue
		}
		n := w.nodes[id]
		for {
			out := n.Take()
			for _, m := range out.Messages {
				// What Output holds is used again by the node.
				w.flying = append(w.flying, flying{w.now.Add(time.Millisecond), m.Clone()})
			}
			for _, run := range out.Apply {
				for e := range run.All() {
					w.applied[id] = append(w.applied[id], e.Data[0])
				}
			}
			if out.Save.Seq == 0 {
				break
			}
			n.Saved(w.now, out.Save.Seq)
		}
		next = min(next, n.Deadline())
	}
	for _, f := range w.flying {
		next = min(next, f.at)
	}
	w.now = max(w.now, next)
	for len(w.flying) > 0 && w.flying[0].at <= w.now {
		m := w.flying[0].m
		w.flying = w.flying[1:]
		if m.To != w.dead {
			w.nodes[m.To].Step(w.now, &m)
		}
	}
	for id, n := range w.nodes {
		if id != w.dead && n.Deadline() <= w.now {
			n.Tick(w.now)
		}
	}
}
