package lab

import "time"

// Part 2B: replication on a network that loses nothing.
var agreements = []Test{
	{Name: "BasicAgree", Suite: "2B", Replicas: 3, Typical: time.Second,
		Doc: "three agreements at indexes 1, 2 and 3", play: basicAgree},
	{Name: "RPCBytes", Suite: "2B", Replicas: 3, Typical: 2500 * time.Millisecond,
		Doc: "each replica is sent each command once", play: rpcBytes},
	{Name: "FollowerFailure", Suite: "2B", Replicas: 3, Typical: 5 * time.Second,
		Doc: "followers are cut off one after the other: with one left agreement goes on, with none it stops", play: followerFailure},
	{Name: "LeaderFailure", Suite: "2B", Replicas: 3, Typical: 5500 * time.Millisecond,
		Doc: "leaders are cut off one after the other", play: leaderFailure},
	{Name: "FailAgree", Suite: "2B", Replicas: 3, Typical: 4 * time.Second,
		Doc: "a follower that was cut off gets what it missed", play: failAgree},
	{Name: "FailNoAgree", Suite: "2B", Replicas: 5, Typical: 4 * time.Second,
		Doc: "nothing commits while three of five are cut off", play: failNoAgree},
	{Name: "ConcurrentStarts", Suite: "2B", Replicas: 3, Typical: time.Second,
		Doc: "five proposals at once in one term are all committed", play: concurrentStarts},
	{Name: "Rejoin", Suite: "2B", Replicas: 3, Typical: 6 * time.Second,
		Doc: "a leader that was cut off comes back with entries nobody else has", play: rejoin},
	{Name: "Backup", Suite: "2B", Replicas: 5, Typical: 35 * time.Second,
		Doc: "replicas come back with 50 entries that must go, twice; 102 agreements", play: backup},
	{Name: "Count", Suite: "2B", Replicas: 3, Typical: 2500 * time.Millisecond,
		Doc: "few RPCs for an election, for twelve proposals at once, and for an idle second", play: count},
}

func basicAgree(g *group) {
	for index := uint64(1); index <= 3; index++ {
		g.notCommitted(index, "nothing was proposed yet")
		g.agreeAt(index, g.command(), g.n)
	}
}

func rpcBytes(g *group) {
	const commands, size, slack = 10, 5000, 50_000
	g.agreeAt(1, g.command(), g.n)
	before := g.meter.Bytes()
	for i := range commands {
		g.agreeAt(uint64(2+i), g.commandOf(size), g.n)
	}
	g.limit("bytes for ten commands of 5,000 bytes", g.meter.Bytes()-before, uint64(g.n*commands*size+slack))
}

func followerFailure(g *group) {
	g.agree(g.command(), g.n, false)
	leader := g.oneLeader()
	g.cut(g.after(leader, 1))
	g.agree(g.command(), g.n-1, false)
	g.sleep(electionSpan)
	g.agree(g.command(), g.n-1, false)

	leader = g.oneLeader()
	g.cut(g.after(leader, 1), g.after(leader, 2))
	p := g.take(leader, 4, 4)
	g.sleep(2 * electionSpan)
	g.notCommitted(p.index, "both followers are cut off")
}

func leaderFailure(g *group) {
	g.agree(g.command(), g.n, false)
	g.cut(g.oneLeader())
	g.agree(g.command(), g.n-1, false)
	g.sleep(electionSpan)
	g.agree(g.command(), g.n-1, false)

	g.cut(g.oneLeader())
	for _, id := range g.all() {
		g.propose(id, g.command())
	}
	g.sleep(2 * electionSpan)
	g.notCommitted(4, "no two replicas are connected")
}

func failAgree(g *group) {
	g.agree(g.command(), g.n, false)
	follower := g.after(g.oneLeader(), 1)
	g.cut(follower)
	g.agree(g.command(), g.n-1, false)
	g.agree(g.command(), g.n-1, false)
	g.sleep(electionSpan)
	g.agree(g.command(), g.n-1, false)
	g.agree(g.command(), g.n-1, false)

	g.connect(follower)
	g.agree(g.command(), g.n, true)
	g.sleep(electionSpan)
	g.agree(g.command(), g.n, true)
}

func failNoAgree(g *group) {
	g.agree(g.command(), g.n, false)
	leader := g.oneLeader()
	majority := g.those(leader, 1, 2, 3)
	g.cut(majority...)
	p := g.take(leader, 2, 2)
	g.sleep(2 * electionSpan)
	g.notCommitted(p.index, "three of five replicas are cut off")

	g.connect(majority...)
	// Those that were cut off may have a leader of their own, who does not know the entry at 2.
	g.take(g.oneLeader(), 2, 3)
	g.agree(g.command(), g.n, true)
}

// attempts is how often a test that needs one term begins anew when the term moves.
const attempts = 5

// inOneTerm plays a part of a test that only counts if the term stays: it returns false if it moved.
func (g *group) inOneTerm(part func() bool) {
	for i := range attempts {
		if i > 0 {
			g.sleep(3 * time.Second) // for things to settle
		}
		if part() {
			return
		}
	}
	g.fail("the term moved in each of %d attempts, although nothing failed", attempts)
}

// allIn reports whether all replicas are in a term.
func (g *group) allIn(term uint64) bool {
	for _, id := range g.all() {
		if g.c.Status(id).Term != term {
			return false
		}
	}
	return true
}

// awaitProposed waits until all replicas have applied what one of them took; false if the term moved. Terms are looked
// at after the value: as long as nobody is in a later one, no other value can have been committed there.
func (g *group) awaitProposed(p proposed, command []byte) bool {
	value, ok := g.await(p.index, g.n, p.term)
	if !ok || !g.allIn(p.term) {
		return false
	}
	if value != string(command) {
		g.unsafe("index %d has another value than was proposed there", p.index)
	}
	return true
}

func concurrentStarts(g *group) {
	const clients = 5
	g.inOneTerm(func() bool {
		leader := g.oneLeader()
		first := g.propose(leader, g.command())
		if !first.ok {
			return false
		}
		// Whoever comes first, the leader takes one proposal after the other, and each may be sent before the next
		// comes.
		commands, taken := make([][]byte, clients), make([]proposed, clients)
		for i := range clients {
			commands[i] = g.command()
			taken[i] = g.propose(leader, commands[i])
		}
		if !g.allIn(first.term) {
			return false
		}
		for i, p := range taken {
			if !p.ok || p.term != first.term {
				g.fail("replica %d, which leads, does not take command %s of one of five clients",
					leader, show(string(commands[i])))
			}
			if !g.awaitProposed(p, commands[i]) {
				return false
			}
		}
		return true
	})
}

func rejoin(g *group) {
	g.agree(g.command(), g.n, true)
	first := g.oneLeader()
	g.cut(first)
	for range 3 {
		g.propose(first, g.command())
	}
	g.agree(g.command(), g.n-1, true)

	second := g.oneLeader()
	g.cut(second)
	g.connect(first)
	g.agree(g.command(), g.n-1, true)
	g.connect(second)
	g.agree(g.command(), g.n, true)
}

func backup(g *group) {
	const entries = 50
	g.agree(g.command(), g.n, true)

	// The leader and one follower are alone, with entries that cannot commit.
	first := g.oneLeader()
	pair, trio := g.those(first, 0, 1), g.those(first, 2, 3, 4)
	g.cut(trio...)
	for range entries {
		g.propose(first, g.command())
	}
	g.sleep(electionSpan / 2)

	// Now only the other three talk, and agree on others.
	g.cut(pair...)
	g.connect(trio...)
	for range entries {
		g.agree(g.command(), 3, true)
	}

	// One of them misses what the remaining two cannot commit.
	second := g.oneLeader()
	absent := trio[0]
	if absent == second {
		absent = trio[1]
	}
	g.cut(absent)
	for range entries {
		g.propose(second, g.command())
	}
	g.sleep(electionSpan / 2)

	// The first pair comes back, with that one alone: they have everything to learn from it.
	g.cut(g.all()...)
	g.connect(append(pair, absent)...)
	for range entries {
		g.agree(g.command(), 3, true)
	}

	g.connect(g.all()...)
	g.agree(g.command(), g.n, true)
}

func count(g *group) {
	const most, batch = 30, 12
	g.oneLeader()
	if n := g.meter.RPCs(); n < 1 {
		g.fail("RPCs to elect the first leader: %d, want 1 to %d", n, most)
	} else {
		g.limit("RPCs to elect the first leader", n, most)
	}

	var after uint64
	g.inOneTerm(func() bool {
		leader := g.oneLeader()
		before := g.meter.RPCs()
		var commands [][]byte
		var taken []proposed
		for i := range batch {
			commands = append(commands, g.command())
			p := g.propose(leader, commands[i])
			taken = append(taken, p)
			if !p.ok || p.term != taken[0].term {
				return false
			}
			if want := taken[0].index + uint64(i); p.index != want {
				g.unsafe("one of twelve proposals in a row got index %d, want %d", p.index, want)
			}
		}
		for i, p := range taken {
			if !g.awaitProposed(p, commands[i]) {
				return false
			}
		}
		after = g.meter.RPCs()
		g.limit("RPCs for twelve proposals in a row", after-before, (10+1+3)*3)
		return true
	})

	g.sleep(electionSpan)
	g.limit("RPCs of an idle second", g.meter.RPCs()-after, 3*20)
}
