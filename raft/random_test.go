package raft_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

var (
	seeds     = flag.Int("seeds", 400, "random schedules that TestRandom plays")
	firstSeed = flag.Uint64("seed", 1, "first seed of TestRandom")
)

// TestRandom plays random schedules: messages are lost, doubled, late and out of order, replicas crash with half of
// their writes done, links are cut, disks are slow. The invariants hold after each step, and once all is healed the
// group serves again and everybody has the same log. What a seed does never changes between two runs.
func TestRandom(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newChaos(t, seed)
			for range 400 {
				w.act()
			}
			w.converge()
		})
	}
}

// chaos is a group in which anything can happen.
type chaos struct {
	*group
	random    *rand.Rand
	proposals int
	late      []raft.Message // in flight for long
}

func newChaos(t *testing.T, seed uint64) *chaos {
	random := newRandom(seed)
	w := &chaos{random: random}
	w.group = newGroup(t, 1+random.IntN(5), func(g *group) {
		c := &g.cfg
		c.Seed = seed
		c.Strategy = raft.Strategy{Name: "random", Backup: pick(random, allBackups), Send: pick(random, sendGates),
			Commit: pick(random, commitGates), Announce: pick(random, announceGates), Apply: pick(random, applyGates)}
		c.PreVote, c.CheckQuorum, c.NoOp = random.IntN(2) == 0, random.IntN(2) == 0, random.IntN(2) == 0
		if random.IntN(2) == 0 {
			c.MaxAppendBytes, c.MaxInFlight, c.MaxHeld = 40, 1+random.IntN(4), len(g.replicas)+random.IntN(8)
		}
		if random.IntN(2) == 0 {
			c.SnapshotEntries, c.SnapshotTrailing = 1+random.IntN(8), random.IntN(6)
			c.ChunkBytes, c.MaxChunks, c.MaxLagBytes = 1+random.IntN(100), 1+random.IntN(4), 1+random.IntN(500)
		}
		c.Strategy.CatchUp = pick(random, catchUps)
		for _, r := range g.replicas {
			r.disk.log = raft.NewLogOfSegments(1, 0, 50+random.IntN(200))
		}
	})
	return w
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// act does one random thing.
func (w *chaos) act() {
	w.t.Helper()
	r := pick(w.random, w.replicas)
	up := r.node != nil
	switch dice := w.random.IntN(1000); {
	case dice < 500:
		if len(w.net) > 0 {
			w.step(w.take(w.someMessage()))
		}
	case dice < 520:
		if up {
			w.burst(r)
		}
	case dice < 535:
		if len(w.net) > 0 {
			w.late = append(w.late, w.take(w.someMessage())) // it will come, terms later maybe
		}
	case dice < 550:
		if len(w.late) > 0 {
			i := w.random.IntN(len(w.late))
			w.net = append(w.net, w.late[i])
			w.late = append(w.late[:i], w.late[i+1:]...)
		}
	case dice < 590:
		if len(w.net) > 0 {
			w.take(w.someMessage()) // lost
		}
	case dice < 630:
		if len(w.net) > 0 {
			w.net = append(w.net, w.net[w.someMessage()]) // doubled
		}
	case dice < 760:
		w.advance(time.Duration(w.random.IntN(int(heartbeat))))
	case dice < 790:
		w.advance(time.Duration(w.random.IntN(int(electionTimeout))))
	case dice < 890:
		if id := w.leader(); id != 0 {
			r = w.replica(id)
			for range 1 + w.random.IntN(3) {
				w.proposals++
				w.propose(r.id, fmt.Sprint("p", w.proposals))
			}
		}
	case dice < 910:
		r.slow = !r.slow
	case dice < 960:
		if up {
			w.finish(r.id, 1+w.random.IntN(3))
		}
	case dice < 966:
		if up {
			w.crash(r.id, w.random.IntN(len(r.writes)+1))
		}
	case dice < 976:
		if !up {
			w.restart(r.id)
		}
	case dice < 982:
		from, to := pick(w.random, w.replicas), pick(w.random, w.replicas)
		w.cut[link{from.id, to.id}] = true // one way
	case dice < 985:
		w.isolate(r.id)
	case dice < 992:
		w.heal()
	case dice < 995:
		if other := pick(w.random, w.replicas); up && other != r {
			r.node.Reachable(w.now, other.id)
			w.settle(r.id)
		}
	case dice < 998:
		if up {
			w.compact(r.id, w.random.Uint64N(100))
		}
	default:
		if up {
			w.campaign(r.id)
		}
	}
}

// burst brings a replica several things before it is asked what it wants: what two of them do to one save, one batch of
// messages or one gate shows only so.
func (w *chaos) burst(r *replica) {
	w.t.Helper()
	for range 2 + w.random.IntN(6) {
		switch dice := w.random.IntN(20); {
		case dice < 12:
			for i := range w.net {
				if m := w.net[i]; m.To == r.id && w.random.IntN(3) > 0 {
					if w.take(i); !w.cut[link{m.From, m.To}] {
						r.node.Step(w.now, &m)
					}
					break
				}
			}
		case dice < 15:
			w.proposals++
			_, _, _ = r.node.Propose(w.now, fmt.Append(nil, "p", w.proposals)) // refused by others than the leader
		case dice < 18:
			if n := len(r.writes); n > 0 {
				w.write(r, 1+w.random.IntN(n))
			}
		case dice < 19:
			if other := pick(w.random, w.replicas); other != r {
				r.node.Reachable(w.now, other.id)
			}
		default:
			if r.node.Deadline() <= w.now {
				r.node.Tick(w.now)
			} else {
				r.node.Campaign(w.now)
			}
		}
	}
	w.settle(r.id)
}

// someMessage chooses one in flight: mostly the oldest.
func (w *chaos) someMessage() int {
	if w.random.IntN(4) > 0 {
		return 0
	}
	return w.random.IntN(len(w.net))
}

// converge ends all faults; then the group must serve.
func (w *chaos) converge() {
	w.t.Helper()
	w.heal()
	for _, r := range w.replicas {
		if r.slow = false; r.node == nil {
			w.restart(r.id)
		}
		w.finish(r.id)
	}
	w.run(20 * electionTimeout)
	id := w.leader()
	if id == 0 {
		w.t.Fatalf("no leader after everything was healed, with %+v", w.cfg)
	}
	w.mustPropose(id, "last")
	w.run(10 * heartbeat)
	lead := w.node(id)
	for _, r := range w.replicas {
		s := r.node.Status()
		if s.Last != lead.Log().Last() || s.Commit != s.Last || s.Applied != s.Last || s.Durable != s.Last || s.Leader != id {
			w.t.Errorf("replica %d has not caught up with %+v: %+v, with %+v", r.id, lead.Status(), s, w.cfg.Strategy)
		}
		for i := s.First; i <= s.Last; i++ {
			e, c := r.node.Log().Entry(i), w.rules.committed[i-1]
			if on := r.disk.log.Entry(i); e.Term != c.term || string(e.Data) != string(w.rules.entries[c].Data) ||
				on.Term != e.Term || string(on.Data) != string(e.Data) {
				w.t.Fatalf("replica %d has %v in memory and %v on disk for entry %d, committed is %v", r.id, e, on, i, c)
			}
		}
	}
}
