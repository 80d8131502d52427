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
