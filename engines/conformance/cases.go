package conformance

import (
	"fmt"
	"slices"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// commits: everything that is proposed to a leader that stays is committed, everywhere in one order.
func commits(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	term := g.Status(leader).Term
	var all []*entry
	for range 40 {
		all = append(all, g.propose(leader, 50)...)
	}
	if err := g.allCommitted(leader, term, all); err != nil {
		return err
	}
	// A replica that does not lead refuses.
	for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
		if id == leader {
			continue
		}
		refused := g.propose(id, 1)
		if err := g.answered(refused); err != nil {
			return err
		}
		if told, _ := refused[0].outcome(); told != cluster.Refused {
			return fmt.Errorf("a follower answered a proposal with %v", told)
		}
	}
	return g.level()
}

// isolated: a leader that reaches nobody cannot commit, so it must not acknowledge.
func isolated(kind cluster.CutKind) func(*group) error {
	return func(g *group) error {
		leader, err := g.elect()
		if err != nil {
			return err
		}
		if err := g.commit(3); err != nil {
			return err
		}
		cluster.Isolate(g, leader, kind)
		stuck := g.propose(leader, 10)
		// Long enough for anything that would be acknowledged too early, and shorter than its lease.
		if err := cluster.Sleep(g.ctx, g, electionTimeout/4); err != nil {
			return err
		}
		for _, e := range stuck {
			if told, times := e.outcome(); times > 0 && told == cluster.Committed {
				return fmt.Errorf("a leader without followers acknowledged proposal %d", e.number)
			}
		}
		cluster.Rejoin(g, leader)
		if err := g.commit(1); err != nil {
			return err
		}
		if err := g.answered(stuck); err != nil {
			return err
		}
		return g.level()
	}
}

// cutLink: a follower that was cut off gets everything once the link is healed, and nobody waits for it meanwhile.
func cutLink(kind cluster.CutKind) func(*group) error {
	return func(g *group) error {
		leader, err := g.elect()
		if err != nil {
			return err
		}
		follower := g.other(leader)
		if err := g.commit(3); err != nil {
			return err
		}
		if err := g.level(); err != nil {
			return err
		}
		cluster.Isolate(g, follower, kind)
		before, term := g.Status(follower).Applied, g.Status(leader).Term
		if err := g.allCommitted(leader, term, g.propose(leader, 500)); err != nil {
			return err
		}
		if now := g.Status(follower).Applied; now != before {
			return fmt.Errorf("a follower that is cut off went on from index %d to %d", before, now)
		}
		cluster.Rejoin(g, follower)
		return g.level()
	}
}

// counts: what is sent for n entries of a known size.
func counts(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	const n = 200
	before, term := g.Counters(), g.Status(leader).Term
	if err := g.allCommitted(leader, term, g.propose(leader, n)); err != nil {
		return err
	}
	if err := g.level(); err != nil {
		return err
	}
	d := g.Counters().Sub(before)
	if d.Elections > 0 {
		return fmt.Errorf("%w: %d elections", errDisturbed, d.Elections)
	}
	followers := uint64(g.Size() - 1)
	size := uint64(len(g.record.entries[0].proposal.Data))
	switch {
	case d.EntriesSent < n*followers || d.EntriesSent > 4*n*followers:
		return fmt.Errorf("%d entries were sent for %d to %d followers", d.EntriesSent, n, followers)
	case d.Bytes < n*followers*size || d.Bytes > d.EntriesSent*(size+perEntry)+d.Messages*perMessage:
		return fmt.Errorf("%d bytes were sent in %d messages with %d entries of %d bytes to %d followers", d.Bytes, d.Messages, d.EntriesSent, size, followers)
	case d.AppendEntries < followers || d.AppendEntries > 2*d.EntriesSent+100: // each entry, and news that it is committed, by itself
		return fmt.Errorf("%d AppendEntries were sent to %d followers with %d entries", d.AppendEntries, followers, d.EntriesSent)
	case d.Messages < d.AppendEntries || d.Messages > 2*d.AppendEntries+8*followers: // at most an answer each
		return fmt.Errorf("%d messages were sent, %d of them AppendEntries", d.Messages, d.AppendEntries)
	case d.Writes == 0:
		return fmt.Errorf("nothing was written")
	}
	return nil
}

// What an engine's encoding may add to the value of an entry, and to a message, in bytes.
const perEntry, perMessage = 120, 300

// quorumOfFive: three replicas of five are enough, two are not.
func quorumOfFive(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	if err := g.commit(1); err != nil {
		return err
	}
	term := g.Status(leader).Term
	others := []raft.ID{1, 2, 3, 4, 5}
	others = slices.DeleteFunc(others, func(id raft.ID) bool { return id == leader })
	cluster.Isolate(g, others[0], cluster.SilentCut)
	cluster.Isolate(g, others[1], cluster.SilentCut)
	if err := g.allCommitted(leader, term, g.propose(leader, 10)); err != nil {
		return err
	}
	cluster.Isolate(g, others[2], cluster.SilentCut)
	stuck := g.propose(leader, 10)
	if err := cluster.Sleep(g.ctx, g, electionTimeout/4); err != nil {
		return err
	}
	for _, e := range stuck {
		if told, times := e.outcome(); times > 0 && told == cluster.Committed {
			return fmt.Errorf("a leader with one follower of four acknowledged proposal %d", e.number)
		}
	}
	for _, id := range others[:3] {
		cluster.Rejoin(g, id)
	}
	if err := g.commit(1); err != nil {
		return err
	}
	if err := g.answered(stuck); err != nil {
		return err
	}
	return g.level()
}

// closes: whoever waits is told when the group ends.
func closes(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	cluster.Isolate(g, leader, cluster.SilentCut)
	stuck := g.propose(leader, 20)
	if err := g.Close(); err != nil {
		return err
	}
	for _, e := range stuck {
		if told, times := e.outcome(); times != 1 || told == cluster.Committed {
			return fmt.Errorf("proposal %d was answered %d times, in the end with %v", e.number, times, told)
		}
	}
	return nil
}

// survivesLeader: the leader crashes at the very moment when it has acknowledged something, several times over.
func survivesLeader(g *group) error {
	if _, err := g.elect(); err != nil {
		return err
	}
	for range 3 {
		if err := g.commit(1); err != nil {
			return err
		}
		leader := g.leader()
		if leader == 0 {
			return errDisturbed
		}
		list := g.propose(leader, 100)
		if err := g.wait("something is acknowledged", func() bool {
			return atLeast(1, list) == nil || g.Status(leader).Role != raft.Leader
		}); err != nil {
			return err
		}
		g.Crash(leader)
		if err := g.answered(list); err != nil {
			return err
		}
		if _, err := g.newLeader(leader); err != nil {
			return err
		}
		if err := g.commit(1); err != nil {
			return err
		}
		if err := g.Restart(leader); err != nil {
			return err
		}
		if err := g.level(); err != nil {
			return err
		}
	}
	return nil
}

// survivesMinority: what was acknowledged while one follower was cut off must be found by the group that it is then
// needed in.
func survivesMinority(g *group) error {
	leader, err := g.settled()
	if err != nil {
		return err
	}
	behind := g.other(leader)
	cluster.Isolate(g, behind, cluster.SilentCut)
	term := g.Status(leader).Term
	if err := g.allCommitted(leader, term, g.propose(leader, 20)); err != nil {
		return err
	}
	g.Crash(leader)
	cluster.Rejoin(g, behind)
	if _, err := g.newLeader(leader); err != nil {
		return err
	}
	if err := g.commit(1); err != nil {
		return err
	}
	if err := g.Restart(leader); err != nil {
		return err
	}
	return g.level()
}

// ackLost: a leader crashes before it hears that its followers have what it sent. Whether that is committed is then for
// others to say.
func ackLost(g *group) error {
	leader, err := g.settled()
	if err != nil {
		return err
	}
	for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
		if id != leader {
			g.Cut(id, leader, cluster.SilentCut)
		}
	}
	list := g.propose(leader, 5)
	// As long as a message may take; some engines cannot send while answers are cut off.
	if err := cluster.Sleep(g.ctx, g, electionTimeout/4); err != nil {
		return err
	}
	g.Crash(leader)
	if err := g.answered(list); err != nil {
		return err
	}
	cluster.Rejoin(g, leader)
	if _, err := g.newLeader(leader); err != nil {
		return err
	}
	if err := g.commit(1); err != nil {
		return err
	}
	if err := g.Restart(leader); err != nil {
		return err
	}
	return g.level()
}

// overwritten: a leader that is cut off goes on accepting; its successor fills the same places with other entries.
func overwritten(g *group) error {
	leader, err := g.settled()
	if err != nil {
		return err
	}
	cluster.Isolate(g, leader, cluster.SilentCut)
	stuck := g.propose(leader, 10)
	next, err := g.newLeader(leader)
	if err != nil {
		return err
	}
	var kept []*entry
	if err := g.wait("the new leader commits", func() bool {
		if g.Status(next).Role != raft.Leader {
			return true // another took over: commit below finds it
		}
		if len(kept) == 0 {
			kept = g.propose(next, 30)
		}
		return atLeast(len(kept), kept) == nil
	}); err != nil {
		return err
	}
	cluster.Rejoin(g, leader)
	if err := g.commit(1); err != nil {
		return err
	}
	if err := g.answered(append(stuck, kept...)); err != nil {
		return err
	}
	for _, e := range stuck {
		if told, _ := e.outcome(); told == cluster.Committed {
			return fmt.Errorf("proposal %d of the isolated leader was acknowledged, and its place is taken", e.number)
		}
	}
	return g.level()
}

// tellsDeposed: whoever waits for a leader that was deposed is told something, although nobody proposes anything more.
func tellsDeposed(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	if err := g.commit(3); err != nil {
		return err
	}
	cluster.Isolate(g, leader, cluster.SilentCut)
	stuck := g.propose(leader, 20)
	if _, err := g.newLeader(leader); err != nil {
		return err
	}
	if err := g.answered(stuck); err != nil {
		return err
	}
	for _, e := range stuck {
		if told, _ := e.outcome(); told == cluster.Committed {
			return fmt.Errorf("a leader without followers acknowledged proposal %d", e.number)
		}
	}
	cluster.Rejoin(g, leader)
	if err := g.commit(1); err != nil {
		return err
	}
	return g.level()
}

// countsElections: counters are the engine's own, not an observer's.
func countsElections(g *group) error {
	if _, err := g.elect(); err != nil {
		return err
	}
	if n := g.Counters().Elections; n == 0 {
		return fmt.Errorf("there is a leader, and %d elections were counted", n)
	}
	return nil
}

// crashesByAnswer: a client may end the replica that answers it.
func crashesByAnswer(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	e := g.record.entry()
	note := e.proposal.Done
	e.proposal.Done = func(p *cluster.Proposal) {
		g.Crash(leader)
		note(p)
	}
	g.Propose(leader, &e.proposal)
	if err := g.answered([]*entry{e}); err != nil {
		return err
	}
	if err := g.wait("the replica has crashed", func() bool { return !g.Status(leader).Up }); err != nil {
		return err
	}
	if _, err := g.newLeader(leader); err != nil {
		return err
	}
	if err := g.Restart(leader); err != nil {
		return err
	}
	if err := g.commit(1); err != nil {
		return err
	}
	return g.level()
}

// followerReturns: a follower crashes, misses something, and comes back.
func followerReturns(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	follower := g.other(leader)
	for range 3 {
		if err := g.commit(20); err != nil {
			return err
		}
		counted := g.Counters()
		g.Crash(follower)
		if g.Status(follower).Up {
			return fmt.Errorf("replica %d is up after its crash", follower)
		}
		down := g.propose(follower, 1)
		if err := g.answered(down); err != nil {
			return err
		}
		if told, _ := down[0].outcome(); told != cluster.Refused {
			return fmt.Errorf("a crashed replica answered a proposal with %v", told)
		}
		if err := g.commit(20); err != nil {
			return err
		}
		if now := g.Counters(); now.Messages < counted.Messages || now.Bytes < counted.Bytes {
			return fmt.Errorf("counters fell in a crash: %+v after %+v", now, counted)
		}
		if err := g.Restart(follower); err != nil {
			return err
		}
		if err := g.level(); err != nil {
			return err
		}
	}
	return nil
}

// allReturn: everybody crashes. What was acknowledged is there afterwards.
func allReturn(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	// Enough for logs to have been shortened.
	for range 30 {
		if err := g.answered(g.propose(leader, 100)); err != nil {
			return err
		}
	}
	if err := g.level(); err != nil {
		return err
	}
	last := g.Status(1).Applied
	for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
		g.Crash(id)
	}
	for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
		if err := g.Restart(id); err != nil {
			return err
		}
	}
	if err := g.commit(1); err != nil {
		return err
	}
	if err := g.level(); err != nil {
		return err
	}
	if now := g.Status(1).Applied; now <= last {
		return fmt.Errorf("after all had crashed the log ends at %d, it had ended at %d", now, last)
	}
	return nil
}

// beyondTheLog: a follower is cut off until the leader's log no longer goes back to what it has. Nobody waits for it, it
// goes on from a snapshot, and then it is like the others.
func beyondTheLog(kind cluster.CutKind) func(*group) error {
	return func(g *group) error {
		leader, err := g.settled()
		if err != nil {
			return err
		}
		follower := g.other(leader)
		cluster.Isolate(g, follower, kind)
		behind := g.Status(follower).Applied
		if err := g.outgrow(leader, behind); err != nil {
			return err
		}
		cluster.Rejoin(g, follower)
		if err := g.level(); err != nil {
			return err
		}
		if at := g.record.restoredFrom(follower); at <= behind {
			return fmt.Errorf("replica %d, which had %d entries, went on without a snapshot of those that were gone", follower, behind)
		}
		if err := g.commit(3); err != nil {
			return err
		}
		return g.level()
	}
}

// outgrow proposes to a leader that is not disturbed until its log no longer holds what follows an index.
func (g *group) outgrow(leader raft.ID, index uint64) error {
	term := g.Status(leader).Term
	for range 5 {
		if err := g.allCommitted(leader, term, g.propose(leader, 2*snapshotEntries)); err != nil {
			return err
		}
	}
	return g.wait("the leader's log is shortened", func() bool { return g.Status(leader).First > index+1 })
}

// fromSnapshot: a follower that crashes begins with its snapshot and applies only what follows it; so do all.
func fromSnapshot(g *group) error {
	leader, err := g.elect()
	if err != nil {
		return err
	}
	if err := g.outgrow(leader, 0); err != nil {
		return err
	}
	if err := g.level(); err != nil {
		return err
	}
	follower := g.other(leader)
	if err := g.wait("the follower's log is shortened", func() bool { return g.Status(follower).First > 1 }); err != nil {
		return err
	}
	before := g.Status(follower)
	g.Crash(follower)
	if err := g.Restart(follower); err != nil {
		return err
	}
	if err := g.level(); err != nil {
		return err
	}
	switch at := g.record.restoredFrom(follower); {
	case at+1 < before.First:
		return fmt.Errorf("replica %d began with a snapshot of %d entries, and its log began at %d", follower, at, before.First)
	case g.Status(follower).Digest != before.Digest && g.Status(follower).Applied == before.Applied:
		return fmt.Errorf("replica %d has another state than before its crash", follower)
	}
	if err := g.commit(3); err != nil {
		return err
	}
	return g.level()
}
