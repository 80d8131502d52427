package lab

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Part 2C: what a replica has saved survives its crash.
var persistence = []Test{
	{Name: "Persist1", Suite: "2C", Replicas: 3, Typical: 6 * time.Second,
		Doc: "all replicas, the leader, and those that missed an entry are restarted", play: persist1},
	{Name: "Persist2", Suite: "2C", Replicas: 5, Typical: 25 * time.Second,
		Doc: "five rounds in which first two, then the other three are out of the group and come back", play: persist2},
	{Name: "Persist3", Suite: "2C", Replicas: 3, Typical: 4 * time.Second,
		Doc: "a leader and a follower crash while the third is cut off", play: persist3},
	{Name: "Figure8", Suite: "2C", Replicas: 5, Typical: 35 * time.Second,
		Doc: "leaders crash before and after their entries commit (Raft paper, figure 8), 1,000 times", play: figure8},
	{Name: "UnreliableAgree", Suite: "2C", Replicas: 5, Typical: 15 * time.Second, Network: unreliable,
		Doc: "246 agreements, up to five at a time, on a network that loses messages", play: unreliableAgree},
	{Name: "Figure8Unreliable", Suite: "2C", Replicas: 5, Typical: 40 * time.Second, Network: unreliable,
		Doc: "as Figure8, with leaders cut off on a network that loses and then reorders messages", play: figure8Unreliable},
	{Name: "ReliableChurn", Suite: "2C", Replicas: 5, Typical: 17 * time.Second,
		Doc: "three clients while replicas are cut off, crash and come back", play: churn},
	{Name: "UnreliableChurn", Suite: "2C", Replicas: 5, Typical: 17 * time.Second, Network: unreliable,
		Doc: "as ReliableChurn, on a network that loses messages", play: churn},
}

func persist1(g *group) {
	g.agree(g.command(), g.n, true)
	g.restart(g.all()...)
	g.connect(g.all()...)
	g.agree(g.command(), g.n, true)

	leader := g.oneLeader()
	g.restart(leader)
	g.connect(leader)
	g.agree(g.command(), g.n, true)

	leader = g.oneLeader()
	g.leave(leader)
	g.agree(g.command(), g.n-1, true)
	g.restart(leader)
	g.connect(leader)
	g.await(4, g.n, 0) // it has caught up before the next one goes

	follower := g.after(g.oneLeader(), 1)
	g.leave(follower)
	g.agree(g.command(), g.n-1, true)
	g.restart(follower)
	g.connect(follower)
	g.agree(g.command(), g.n, true)
}

func persist2(g *group) {
	for range 5 {
		g.agree(g.command(), g.n, true)
		leader := g.oneLeader()
		two, three := g.those(leader, 1, 2), g.those(leader, 0, 3, 4)
		g.leave(two...)
		g.agree(g.command(), g.n-2, true)

		// Two that miss the last entry come back, and of the three that have it one.
		g.leave(three...)
		g.restart(two...)
		g.connect(two...)
		g.sleep(electionSpan)
		back := g.after(leader, 3)
		g.restart(back)
		g.connect(back)
		g.agree(g.command(), g.n-2, true)
		g.comeBack(three...)
	}
	g.agree(g.command(), g.n, true)
}

func persist3(g *group) {
	g.agree(g.command(), g.n, true)
	leader := g.oneLeader()
	follower, absent := g.after(leader, 1), g.after(leader, 2)
	g.cut(absent)
	g.agree(g.command(), 2, true)

	g.crash(leader, follower)
	g.connect(absent)
	g.restart(leader)
	g.connect(leader)
	g.agree(g.command(), 2, true)

	g.restart(follower)
	g.connect(follower)
	g.agree(g.command(), g.n, true)
}

// rounds is how often the tests named after figure 8 make trouble.
const rounds = 1000

// moment is how long they let a proposal travel: mostly too short to commit, sometimes long.
func (g *group) moment() {
	longest := 13 // ms
	if g.random.IntN(10) == 0 {
		longest = 500
	}
	g.sleep(time.Duration(g.random.IntN(longest)) * time.Millisecond)
}

func figure8(g *group) {
	g.agree(g.command(), 1, true)
	up := g.n
	for range rounds {
		var leader raft.ID
		for _, id := range g.all() {
			if g.up(id) && g.propose(id, g.command()).ok {
				leader = id
			}
		}
		g.must(g.watch.check())
		g.moment()
		if leader != 0 {
			g.crash(leader)
			up--
		}
		if id := g.anyone(); up < 3 && !g.up(id) {
			g.restart(id)
			g.connect(id)
			up++
		}
	}
	g.comeBack(g.all()...)
	g.agree(g.command(), g.n, true)
}

func figure8Unreliable(g *group) {
	g.agree(g.command(), 1, true)
	connected := g.n
	for round := range rounds {
		if round == rounds/5 {
			g.c.SetConditions(reordering)
		}
		var leader raft.ID
		for _, id := range g.all() {
			if g.propose(id, g.command()).ok && g.connected[id-1] {
				leader = id
			}
		}
		g.must(g.watch.check())
		g.moment()
		if leader != 0 && g.random.IntN(2) == 0 {
			g.cut(leader)
			connected--
		}
		if id := g.anyone(); connected < 3 && !g.connected[id-1] {
			g.connect(id)
			connected++
		}
	}
	g.connect(g.all()...)
	g.agree(g.command(), g.n, true)
}

func unreliableAgree(g *group) {
	for range 49 {
		for range 4 {
			g.spawn(func() { g.agree(g.command(), 1, true) })
		}
		g.agree(g.command(), 1, true)
	}
	g.c.SetConditions(reliable)
	g.join()
	g.agree(g.command(), g.n, true)
}

func churn(g *group) {
	stop := false
	var seen []string // by a client, as committed
	for client := range 3 {
		g.spawn(func() {
			for !stop {
				seen = append(seen, g.try(client)...)
			}
		})
	}
	chance := func(ofTen int) bool { return g.random.IntN(10) < ofTen }
	for range 20 {
		if chance(2) {
			g.cut(g.anyone())
		}
		if chance(5) {
			g.comeBack(g.anyone())
		}
		if chance(2) {
			g.crash(g.anyone())
		}
		// Long enough to elect a leader, mostly; too short for everything to settle.
		g.sleep(electionSpan * 7 / 10)
	}

	g.sleep(electionSpan)
	g.c.SetConditions(reliable)
	g.comeBack(g.all()...)
	stop = true
	g.join()
	g.sleep(electionSpan)
	last := g.agree(g.command(), g.n, true)
	final := map[string]bool{}
	for index := uint64(1); index <= last; index++ {
		value, _ := g.await(index, g.n, 0)
		final[value] = true
	}
	for _, value := range seen {
		if !final[value] {
			g.unsafe("command %s was committed before a client's eyes and is not in the final log", show(value))
		}
	}
}

// try is a client that offers one command and does not wait for ever. It returns the command if it saw it committed.
func (g *group) try(client int) []string {
	command := g.command()
	var p proposed
	for _, id := range g.all() {
		if g.up(id) {
			if q := g.propose(id, command); q.ok {
				p = q // the last that took it: several may believe that they lead
			}
		}
	}
	if !p.ok {
		g.sleep(time.Duration(79+17*client) * time.Millisecond)
		return nil
	}
	for _, ms := range []time.Duration{10, 20, 50, 100, 200} {
		if n, value := g.committed(p.index); n > 0 {
			if value == string(command) {
				return []string{value}
			}
			return nil
		}
		g.sleep(ms * time.Millisecond)
	}
	return nil
}
