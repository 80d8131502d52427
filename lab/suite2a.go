package lab

import "time"

// Part 2A: elections, without any proposal.
var elections = []Test{
	{Name: "InitialElection", Suite: "2A", Replicas: 3, Typical: 3500 * time.Millisecond,
		Doc: "a leader comes up and stays", play: initialElection},
	{Name: "ReElection", Suite: "2A", Replicas: 3, Typical: 5 * time.Second,
		Doc: "leaders are cut off and come back; without a quorum there is none", play: reElection},
	{Name: "ManyElections", Suite: "2A", Replicas: 7, Typical: 6 * time.Second,
		Doc: "three of seven replicas are cut off at random, nine times", play: manyElections},
}

func initialElection(g *group) {
	g.oneLeader()
	g.sleep(50 * time.Millisecond) // for all to have heard
	before := g.sameTerm()
	if before == 0 {
		g.fail("a leader in term 0, want 1 or more")
	}
	g.sleep(2 * electionSpan)
	if after := g.sameTerm(); after != before {
		g.warn("the term went from %d to %d although nothing failed", before, after)
	}
	g.oneLeader()
}

func reElection(g *group) {
	first := g.oneLeader()
	g.cut(first)
	g.oneLeader()

	g.connect(first) // the others' leader stays, or another is elected
	second := g.oneLeader()

	third := g.after(second, 1)
	g.cut(second, third)
	g.sleep(2 * electionSpan)
	g.noLeader()

	g.connect(third)
	g.oneLeader()
	g.connect(second)
	g.oneLeader()
}

func manyElections(g *group) {
	g.oneLeader()
	for range 9 {
		cut := g.some(3)
		g.cut(cut...)
		g.oneLeader()
		g.connect(cut...)
	}
	g.oneLeader()
}
