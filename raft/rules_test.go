package raft_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// rules are the rules of Raft, each with the test that shows it kept. The invariants of figure 3 are checked after every
// step of each (invariants_test.go).
var rules = []struct {
	name   string
	source string // in the Raft paper, the thesis, or where an implementation got it wrong
	test   func(*testing.T)
}{
	{"one vote a term, first come first served", "section 5.2", oneVoteATerm},
	{"a vote survives a crash together with its term", "section 5.1, figure 2", voteSurvives},
	{"votes go to logs that are at least as up to date", "section 5.4.1", upToDate},
	{"a vote for an earlier campaign is not counted", "little-raft issue 44", staleVote},
	{"a higher term makes anybody a follower", "section 5.1", higherTerm},
	{"a past term is refused", "section 5.1", pastTerm},
	{"a candidate follows the leader of its term", "section 5.2", candidateFollows},
	{"stepping down within a term keeps the vote", "etcd issue 2461", keepsVote},
	{"the election timer restarts for the leader and for a vote given, for nothing else", "section 5.2", timerRestarts},
	{"election timeouts are drawn anew", "section 5.2", timeoutsDrawn},
	{"a leader makes itself known at once and keeps its period", "section 5.2", heartbeats},
	{"a leader never removes its own entries", "section 5.3, Leader Append-Only", appendOnly},
	{"a follower keeps what a late message does not contain", "section 5.3, figure 2", keepsSuffix},
	{"a conflict removes all that follows", "section 5.3, figure 2", removesConflict},
	{"an acknowledgement covers what the message proved", "CCF issue 6001", provesOnly},
	{"commitIndex moves no further than the message proves", "figure 2; copycat issue 265", commitBounded},
	{"committing takes a majority", "section 5.3", majority},
	{"entries of earlier terms are not committed by counting", "section 5.4.2, figure 8", noCountingOldTerms},
	{"a no-op commits what earlier terms left", "section 8", noOpCommits},
	{"matchIndex is unknown to a new leader", "section 5.3, figure 2; copycat issue 29", matchForgotten},
	{"news of a commit outlasts a late message", "figure 2", commitRemembered},
	{"what is acknowledged is not sent again", "", notSentAgain},
	{"matchIndex and nextIndex do not fall for late answers", "etcd issues 1207 and 1761", lateAnswers},
	{"a search takes no more rounds than its backup needs", "section 5.3", searchRounds},
	{"a batch has no hole", "logcabin issue 160", noHole},
	{"what was truncated is no longer durable", "ra issue 637", truncatedNotDurable},
	{"a deposed leader says nothing in the new term", "NuRaft issue 293", deposedSilent},
	{"what was compacted away matches", "openraft", compactedMatches},
	{"what was compacted away and not heard of is asked for once", "", compactedUnheard},
	{"a leader whose disk stalls still serves", "thesis, section 10.2.1", stalledLeaderDisk},
	{"a replica cut off from the others does not depose their leader", "thesis, section 9.6", noDisruption},
	{"a leader without a quorum steps down", "thesis, section 6.2", stepsDown},
	{"a half-connected leader does not keep others from electing", "openraft issue 2080", halfConnected},
	{"nothing waits without need", "openraft issue 54", noWaiting},
	{"what a gate holds goes when its time comes", "", gateOpensInTime},
	{"a new connection makes nothing wait longer that was not sent", "", waitsOn},
	{"over a new connection a follower is told again what it could have missed", "", newsAgain},
	{"a dead follower costs a barrier one heartbeat", "", barrierOnce},
	{"a proposal costs one message a follower and one answer", "", messagesPerProposal},
	{"a dead follower is not flooded", "", deadFollower},
	{"a follower that lost its disk starts no storm", "", lostDisk},
	{"limits hold", "", limits},
	{"an empty message waits for the end of the round, and no longer", "", waitsForTheRound},
	{"who needs what is gone gets the snapshot, then the log", "section 7", snapshotForWhatIsGone},
	{"lost chunks and lost answers are made up for", "", chunksLost},
	{"chunks may be doubled and change places", "", chunksOutOfOrder},
	{"a new leader begins a transfer anew", "section 7", leaderChangesMidway},
	{"a snapshot counts once it is durable", "", crashMidway},
	{"compaction does not overtake a transfer", "hashicorp/raft issue 697", notOvertaken},
	{"a dead follower keeps no log", "", deadKeepsNothing},
	{"a slow follower keeps the log within bounds", "", slowKeepsSome},
	{"the choice between log and snapshot is asked", "", catchUpChoice},
	{"a slow link is not flooded with chunks", "", slowLinkNotFlooded},
	{"a follower that dies in a transfer costs nothing more", "", deadFollowerOfTransfer},
	{"a transfer that has waited begins with the newest snapshot", "", newestFirst},
}

func TestRules(t *testing.T) {
	for _, rule := range rules {
		t.Run(rule.name, rule.test)
	}
}

func wantRole(t *testing.T, g *group, id raft.ID, role raft.Role, term uint64) {
	t.Helper()
	if s := g.status(id); s.Role != role || s.Term != term {
		t.Errorf("replica %d is %v in term %d, want %v in term %d", id, s.Role, s.Term, role, term)
	}
}

func wantTerms(t *testing.T, g *group, id raft.ID, want ...uint64) {
	t.Helper()
	if got := g.terms(id); !slices.Equal(got, want) {
		t.Errorf("replica %d holds terms %v, want %v", id, got, want)
	}
}

func wantCommit(t *testing.T, g *group, id raft.ID, want uint64) {
	t.Helper()
	if got := g.status(id).Commit; got != want {
		t.Errorf("replica %d has commitIndex %d, want %d", id, got, want)
	}
}

// answer delivers a message to a replica and returns its only answer.
func answer(t *testing.T, g *group, m raft.Message) raft.Message {
	t.Helper()
	g.drop()
	g.step(m)
	if len(g.net) != 1 {
		t.Fatalf("replica %d answers %+v with %d messages", m.To, m, len(g.net))
	}
	return g.take(0)
}

// entries returns a run from index first on; its data is "index/term".
func entries(first uint64, terms ...uint64) raft.Entries {
	e := raft.Entries{First: first}
	for i, term := range terms {
		e.Append(term, fmt.Appendf(nil, "%d/%d", first+uint64(i), term))
	}
	return e
}

// follower returns a group whose replica 1 holds entries of these terms, the last of which it is in.
func follower(t *testing.T, terms ...uint64) *group {
	g := newGroup(t, 3, holding(1, terms[len(terms)-1], terms...))
	g.rules.off = true // the test plays the leader
	return g
}

func oneVoteATerm(t *testing.T) {
	g := newGroup(t, 4)
	g.campaign(1)
	g.campaign(2)
	g.deliver(on(1, 3))
	g.deliver(on(2, 4))
	g.deliverAll()
	wantRole(t, g, 1, raft.Candidate, 1)
	wantRole(t, g, 2, raft.Candidate, 1)
	again := answer(t, g, raft.Message{Type: raft.RequestVote, From: 1, To: 3, Term: 1, Seq: 9})
	if !again.VoteGranted {
		t.Error("a request that comes twice is refused the second time")
	}
}

func voteSurvives(t *testing.T) {
	for _, reached := range []int{0, 1} {
		g := newGroup(t, 3)
		g.replica(3).slow = true
		g.campaign(1)
		g.deliver(on(1, 3))
		if n := len(g.replica(3).writes); n != 1 {
			t.Fatalf("a vote takes %d writes, want 1: a crash between them would lose it", n)
		}
		if len(g.find(3, 1)) > 0 {
			t.Fatal("the vote is told before it is durable")
		}
		g.crash(3, reached)
		g.restart(3)
		if s := g.status(3); s.Term != uint64(reached) || s.Vote != raft.ID(reached) {
			t.Errorf("after a crash with %d writes done: %+v", reached, s)
		}
	}
}

func upToDate(t *testing.T) {
	for _, c := range []struct {
		index, term uint64
		granted     bool
	}{{3, 2, true}, {4, 2, true}, {2, 3, true}, {2, 2, false}, {5, 1, false}, {0, 0, false}} {
		g := follower(t, 1, 1, 2)
		m := answer(t, g, raft.Message{Type: raft.RequestVote, From: 2, To: 1, Term: 5, LastLogIndex: c.index, LastLogTerm: c.term})
		if m.VoteGranted != c.granted {
			t.Errorf("a candidate whose log ends at %d/%d, a voter whose log ends at 3/2: granted is %v", c.index, c.term, m.VoteGranted)
		}
	}
}

func staleVote(t *testing.T) {
	g := newGroup(t, 5, using(func(c *raft.Config) { c.PreVote = true }))
	g.timeout(1)
	g.deliver(ofType(raft.RequestVote))
	polls := slices.Clone(g.net)
	g.drop()
	g.timeout(1) // a new poll about the same term; the answers to the old one say nothing about now
	g.drop()
	for _, m := range polls {
		g.step(m)
	}
	wantRole(t, g, 1, raft.PreCandidate, 0)

	g.campaign(1)
	g.deliver(ofType(raft.RequestVote))
	votes := slices.Clone(g.net)
	g.drop()
	g.campaign(1)
	for _, m := range votes {
		g.step(m)
		m.Term = 2
		g.step(m)
	}
	wantRole(t, g, 1, raft.Candidate, 2)
}

func higherTerm(t *testing.T) {
	for _, m := range []raft.Message{
		{Type: raft.AppendEntries}, {Type: raft.AppendEntriesReply}, {Type: raft.RequestVote}, {Type: raft.RequestVoteReply},
		{Type: raft.RequestVoteReply, PreVote: true},
	} {
		for _, role := range []raft.Role{raft.Follower, raft.PreCandidate, raft.Candidate, raft.Leader} {
			g := newGroup(t, 3, using(func(c *raft.Config) { c.PreVote = role == raft.PreCandidate }))
			switch role {
			case raft.PreCandidate:
				g.timeout(1)
			case raft.Candidate:
				g.campaign(1)
			case raft.Leader:
				g.elect(1)
			}
			g.rules.off = true
			m.From, m.To, m.Term = 2, 1, 7
			g.step(m)
			wantRole(t, g, 1, raft.Follower, 7)
			if g.replica(1).disk.term != 7 {
				t.Errorf("the new term is not saved after %v", m.Type)
			}
		}
	}
}

func pastTerm(t *testing.T) {
	g := follower(t, 3)
	g.step(raft.Message{Type: raft.AppendEntries, From: 3, To: 1, Term: 3}) // it follows 3
	for _, m := range []raft.Message{
		{Type: raft.AppendEntries, Entries: entries(1, 1)}, {Type: raft.RequestVote, LastLogIndex: 9, LastLogTerm: 2},
	} {
		m.From, m.To, m.Term = 2, 1, 2
		if r := answer(t, g, m); r.Success || r.VoteGranted || r.Term != 3 {
			t.Errorf("%+v is answered with %+v, want a refusal that tells term 3", m, r)
		}
	}
	wantTerms(t, g, 1, 3)
	if s := g.status(1); s.Leader != 3 {
		t.Errorf("it follows %d, want 3", s.Leader)
	}
}

func candidateFollows(t *testing.T) {
	g := newGroup(t, 3)
	g.campaign(2)
	g.drop()
	g.elect(1) // in term 1, too: 3 votes for it
	wantRole(t, g, 2, raft.Follower, 1)
	if s := g.status(2); s.Vote != 2 || s.Leader != 1 {
		t.Errorf("the candidate that lost: %+v, want its vote kept, and leader 1", s)
	}
}

func keepsVote(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.CheckQuorum = true }))
	g.elect(1)
	g.isolate(1)
	for i := 0; i < 50 && g.status(1).Role == raft.Leader; i++ {
		g.timeout(1)
	}
	if s := g.status(1); s.Role != raft.Follower || s.Term != 1 || s.Vote != 1 {
		t.Errorf("a leader that steps down for want of a quorum: %+v, want term 1 and vote 1", s)
	}
}

func timerRestarts(t *testing.T) {
	for _, c := range []struct {
		name     string
		m        raft.Message
		restarts bool
	}{
		{"the leader", raft.Message{Type: raft.AppendEntries, Term: 2}, true},
		{"the leader, though entries are missing", raft.Message{Type: raft.AppendEntries, Term: 2, PrevLogIndex: 9}, true},
		{"a leader of the past", raft.Message{Type: raft.AppendEntries, Term: 1}, false},
		{"a vote given", raft.Message{Type: raft.RequestVote, Term: 2, LastLogIndex: 1, LastLogTerm: 2}, true},
		{"a vote refused", raft.Message{Type: raft.RequestVote, Term: 2}, false},
		{"a vote refused in a new term", raft.Message{Type: raft.RequestVote, Term: 9}, false},
		{"a poll granted", raft.Message{Type: raft.RequestVote, Term: 3, LastLogIndex: 1, LastLogTerm: 2, PreVote: true}, false},
	} {
		g := follower(t, 2)
		before := g.node(1).Deadline()
		g.now = before - 1
		c.m.From, c.m.To = 2, 1
		g.step(c.m)
		if restarted := g.node(1).Deadline() != before; restarted != c.restarts {
			t.Errorf("%s: the timer restarts: %v, want %v", c.name, restarted, c.restarts)
		}
	}
}

func timeoutsDrawn(t *testing.T) {
	g := newGroup(t, 3)
	g.isolate(1)
	seen := map[time.Duration]bool{}
	for range 20 {
		began := g.now
		g.timeout(1)
		d := g.now.Sub(began)
		if d < electionTimeout || d >= 2*electionTimeout {
			t.Errorf("a timeout of %v, want %v to twice that", d, electionTimeout)
		}
		seen[d] = true
	}
	if len(seen) < 20 {
		t.Errorf("20 timeouts have %d different values", len(seen))
	}
	other := newGroup(t, 3)
	if g.node(2).Deadline() == g.node(3).Deadline() || g.node(2).Deadline() != other.node(2).Deadline() {
		t.Error("timeouts differ between replicas, and not between two runs with one seed")
	}
}

func heartbeats(t *testing.T) {
	g := newGroup(t, 5)
	g.campaign(1)
	g.deliver()
	g.deliver()
	if n := len(g.net); n != 4 {
		t.Fatalf("a new leader sends %d messages, want 4", n)
	}
	g.run(50 * heartbeat)
	g.sent[raft.AppendEntries] = 0
	g.run(100 * heartbeat)
	if n := g.sent[raft.AppendEntries]; n != 400 {
		t.Errorf("an idle leader of 5 sends %d AppendEntries in 100 periods, want 400", n)
	}
	if len(g.rules.leaders) != 1 {
		t.Errorf("%d elections, want 1", len(g.rules.leaders))
	}
}

func appendOnly(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.mustPropose(1, "a")
	g.rules.off = true
	g.step(raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 1, Entries: entries(1, 1, 1)})
	wantRole(t, g, 1, raft.Leader, 1)
	wantTerms(t, g, 1, 1)
}

func keepsSuffix(t *testing.T) {
	g := follower(t, 1, 2, 2, 3)
	for _, m := range []raft.Message{
		{},
		{Entries: entries(1, 1)},
		{PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 2)},
		{PrevLogIndex: 3, PrevLogTerm: 2},
	} {
		m.Type, m.From, m.To, m.Term = raft.AppendEntries, 2, 1, 3
		answer(t, g, m)
		wantTerms(t, g, 1, 1, 2, 2, 3)
	}
}

func removesConflict(t *testing.T) {
	g := follower(t, 1, 2, 2, 3)
	answer(t, g, raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 4, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 2, 4)})
	wantTerms(t, g, 1, 1, 2, 4)
	if d := g.replica(1).disk.log; d.Last() != 3 || string(d.Entry(3).Data) != "3/4" {
		t.Errorf("the disk holds entries up to %d", d.Last())
	}
}

func provesOnly(t *testing.T) {
	g := follower(t, 1, 2, 2, 3)
	for _, c := range []struct {
		m     raft.Message
		match uint64
	}{
		{raft.Message{}, 0},
		{raft.Message{PrevLogIndex: 2, PrevLogTerm: 2}, 2},
		{raft.Message{PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 2)}, 2},
	} {
		c.m.Type, c.m.From, c.m.To, c.m.Term = raft.AppendEntries, 2, 1, 5
		if r := answer(t, g, c.m); !r.Success || r.Match != c.match {
			t.Errorf("%+v is answered with %+v, want match %d", c.m, r, c.match)
		}
	}
}

func commitBounded(t *testing.T) {
	g := follower(t, 1, 2, 2, 3)
	m := raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 5, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 2), Commit: 9}
	answer(t, g, m)
	wantCommit(t, g, 1, 2)
	m.Commit = 1
	answer(t, g, m)
	wantCommit(t, g, 1, 2)
}

func majority(t *testing.T) {
	for n := 1; n <= 8; n++ {
		g := newGroup(t, n)
		if n == 1 {
			g.campaign(1)
		} else {
			g.elect(1)
		}
		for id := 2; id <= n; id++ {
			g.replica(raft.ID(id)).slow = true
		}
		g.mustPropose(1, "a")
		g.deliver()
		for holders := 1; holders <= n; holders++ {
			if holders > 1 {
				g.finish(raft.ID(holders))
				g.deliver(on(raft.ID(holders), 1))
			}
			if committed := g.status(1).Commit == 1; committed != (holders > n/2) {
				t.Errorf("%d of %d hold the entry: committed is %v", holders, n, committed)
			}
		}
	}
}

func noCountingOldTerms(t *testing.T) {
	g := newGroup(t, 3, holding(1, 2, 1, 2))
	g.elect(1)
	g.run(20 * heartbeat)
	wantTerms(t, g, 3, 1, 2)
	wantCommit(t, g, 1, 0) // though all hold it
	g.mustPropose(1, "own")
	g.deliverAll()
	wantCommit(t, g, 1, 3)
}

func noOpCommits(t *testing.T) {
	g := newGroup(t, 3, holding(1, 2, 1, 2), using(func(c *raft.Config) { c.NoOp = true }))
	g.elect(1)
	wantCommit(t, g, 1, 3)
	if e := g.replica(1).applied[2]; len(e.Data) != 0 || e.Term != 3 {
		t.Errorf("the no-op is %+v", e)
	}
}

func matchForgotten(t *testing.T) {
	g := newGroup(t, 5)
	only := func(from, to raft.ID) func(*raft.Message) bool {
		return func(m *raft.Message) bool { return on(from, to)(m) || on(to, from)(m) }
	}
	exchange := func(from, to raft.ID) {
		for range 5 {
			g.deliver(only(from, to))
		}
	}
	// Replica 1 leads term 1, and 2 acknowledges three entries.
	g.elect(1)
	g.mustPropose(1, "a", "b", "c")
	exchange(1, 2)
	g.drop()
	if m := g.node(1).Match(2); m != 3 {
		t.Fatalf("match of 2 is %d, want 3", m)
	}
	// Replica 3 leads term 2 and replaces the three entries by one, on replica 1 at least.
	g.campaign(3)
	exchange(3, 4)
	exchange(3, 5)
	g.mustPropose(3, "x")
	exchange(3, 1)
	wantTerms(t, g, 1, 2)
	g.drop()
	// Replica 1 leads term 3. That 2 holds entry 2 of its own is known of no one but 4.
	g.campaign(1)
	exchange(1, 4)
	exchange(1, 5)
	g.mustPropose(1, "y")
	exchange(1, 4)
	wantRole(t, g, 1, raft.Leader, 3)
	wantCommit(t, g, 1, 0)
}

func commitRemembered(t *testing.T) {
	g := follower(t, 1)
	g.replica(1).slow = true
	m := raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 1, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 1), Commit: 2}
	g.step(m)
	m.Entries, m.Commit = raft.Entries{}, 1
	g.step(m)
	g.finish(1)
	wantCommit(t, g, 1, 2)
}

func notSentAgain(t *testing.T) {
	g := newGroup(t, 2, using(func(c *raft.Config) { c.Strategy.Send = ride }))
	g.elect(1)
	g.mustPropose(1, "a")
	g.advance(heartbeat)
	g.deliver(on(1, 2))
	g.node(1).Reachable(g.now, 2) // it would send the entry again with the next heartbeat, but the answer is faster
	g.settle(1)
	g.deliver(on(2, 1))
	g.drop()
	g.advance(heartbeat)
	if m := g.find(1, 2); len(m) != 1 || m[0].Entries.Count != 0 {
		t.Errorf("the heartbeat is %+v, want no entries", m)
	}
}

func lateAnswers(t *testing.T) {
	g := newGroup(t, 2, holding(2, 1, 1, 1), holding(1, 2, 2, 2, 2))
	g.campaign(1)
	var old []raft.Message
	for range 10 {
		g.deliver(on(1, 2))
		old = append(old, g.find(2, 1)...)
		g.deliver(on(2, 1))
	}
	g.mustPropose(1, "a")
	g.deliverAll()
	wantCommit(t, g, 1, 4)
	g.sent[raft.AppendEntries] = 0
	for _, m := range old {
		g.step(m)
	}
	g.deliverAll()
	if n := g.sent[raft.AppendEntries]; n != 0 || g.node(1).Match(2) != 4 {
		t.Errorf("%d late answers make the leader send %d messages; match is %d", len(old), n, g.node(1).Match(2))
	}
	g.mustPropose(1, "b")
	if m := g.find(1, 2); len(m) != 1 || m[0].PrevLogIndex != 4 {
		t.Errorf("the next message is %+v, want one after entry 4", m)
	}
}

func searchRounds(t *testing.T) {
	var same, ours, theirs []uint64
	for i := range uint64(100) {
		same = append(same, 1)
		ours = append(ours, 9+i/50) // 2 terms
		theirs = append(theirs, 2+i/20)
	}
	for _, c := range []struct {
		backup raft.Backup
		max    int
	}{{linear, 100}, {fast, 5 + 1}, {hint, 3}, {wild, 100}} {
		g := newGroup(t, 2, using(func(cfg *raft.Config) { cfg.Strategy.Backup = c.backup }),
			holding(1, 10, append(same, ours...)...), holding(2, 8, append(same, theirs...)...))
		g.elect(1)
		rejected := g.replica(1).rejected
		if n := len(rejected); n == 0 || n > c.max {
			t.Errorf("%v: %d rejections, want at most %d", c.backup, n, c.max)
		}
		if !slices.IsSortedFunc(rejected, func(a, b uint64) int { return int(b) - int(a) }) || len(slices.Compact(rejected)) != len(rejected) {
			t.Errorf("%v: the search goes back and forth: %v", c.backup, rejected)
		}
		wantTerms(t, g, 2, g.terms(1)...)
	}
	// No log at all: one step, and no more rejections than one for any length.
	g := newGroup(t, 2, holding(1, 10, same...))
	g.elect(1)
	if n := len(g.replica(1).rejected); n != 1 {
		t.Errorf("an empty follower rejects %d times, want 1", n)
	}
	wantTerms(t, g, 2, same...)
}

func noHole(t *testing.T) {
	g := newGroup(t, 2, using(func(c *raft.Config) { c.MaxAppendBytes = 60 }))
	g.elect(1)
	g.mustPropose(1, "a", "b", strings.Repeat("large", 100), "c", "d", strings.Repeat("more", 10), "e")
	next := uint64(1)
	for _, m := range g.find(1, 2) {
		if m.Entries.First != next || m.Entries.DataBytes() > 60 && m.Entries.Count > 1 {
			t.Errorf("a message with %d entries from %d, %d bytes, want from %d", m.Entries.Count, m.Entries.First, m.Entries.DataBytes(), next)
		}
		next = m.Entries.Last() + 1
	}
	if next != 8 {
		t.Errorf("messages go up to %d, want 7", next-1)
	}
	g.deliverAll()
	wantCommit(t, g, 1, 7)
}

func truncatedNotDurable(t *testing.T) {
	g := follower(t, 1)
	g.replica(1).slow = true
	append3 := raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 2, 2, 2)}
	g.step(append3) // write 1
	g.step(raft.Message{Type: raft.AppendEntries, From: 3, To: 1, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 3)})
	g.finish(1, 1)
	if s := g.status(1); s.Durable != 1 || len(g.net) != 0 {
		t.Errorf("the write of entries that were removed since is done: durable is %d, want 1; %d messages", s.Durable, len(g.net))
	}
	g.finish(1)
	if s := g.status(1); s.Durable != 2 || len(g.net) != 1 || g.net[0].Match != 2 {
		t.Errorf("the write of the entry that replaced them is done: durable is %d, want 2; messages %+v", s.Durable, g.net)
	}
	g.crash(1)
	g.restart(1)
	wantTerms(t, g, 1, 1, 3)
}

func deposedSilent(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	n := g.node(1)
	if _, _, err := n.Propose(g.now, []byte("a")); err != nil {
		t.Fatal(err)
	}
	n.Tick(g.now.Add(heartbeat))
	n.Step(g.now, &raft.Message{Type: raft.RequestVote, From: 2, To: 1, Term: 2}) // all before one Take
	g.settle(1)
	for _, m := range g.net {
		if m.Type == raft.AppendEntries {
			t.Errorf("%+v from a deposed leader", m)
		}
	}
	if _, _, err := n.Propose(g.now, []byte("b")); err != raft.ErrNotLeader {
		t.Errorf("a deposed leader's Propose returns %v", err)
	}
}

func compactedMatches(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.mustPropose(1, "a", "b", "c", "d")
	g.run(3 * heartbeat)
	g.compact(2, 3)
	if s := g.status(2); s.First != 4 {
		t.Fatalf("the log begins at %d, want 4", s.First)
	}
	g.rules.off = true
	for prev, match := range map[uint64]uint64{0: 3, 1: 4, 2: 5} {
		m := raft.Message{Type: raft.AppendEntries, From: 1, To: 2, Term: 1, PrevLogIndex: prev, PrevLogTerm: min(prev, 1), Entries: entries(prev+1, 1, 1, 1)}
		if r := answer(t, g, m); !r.Success || r.Match != match {
			t.Errorf("after %d, compacted up to 3: %+v, want match %d", prev, r, match)
		}
	}
	if r := answer(t, g, raft.Message{Type: raft.AppendEntries, From: 1, To: 2, Term: 9, PrevLogIndex: 3}); r.Success {
		t.Error("term 0 of a compacted entry matches")
	}
	if got := g.appliedBy(2); got != "a b c d" {
		t.Errorf("applied is %q", got)
	}
	g.crash(2)
	g.restart(2)
	if s := g.status(2); s.First != 4 || s.Commit != 3 || s.Applied != 3 {
		t.Errorf("restarted: %+v", s)
	}
}

func compactedUnheard(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Send, c.Strategy.Announce = hold3ms, now })) // so that the search has to wait
	g.elect(1)
	g.mustPropose(1, "a", "b")
	g.run(3 * heartbeat)
	g.cut[link{2, 1}] = true // its answers are lost
	g.mustPropose(1, "c", "d")
	g.run(8 * heartbeat) // until the leader takes it for silent
	g.compact(1, 4)
	if p := g.node(1).AppendProgress(nil)[0]; p.Match != 2 || g.status(1).First != 5 {
		t.Fatalf("the leader takes 2 for having entries up to %d, and its log begins at %d", p.Match, g.status(1).First)
	}
	g.heal()
	g.node(1).Reachable(g.now, 2)
	g.settle(1)
	if n := len(g.find(1, 2)); n > 1 {
		t.Errorf("it has %d messages for a follower of whom it knows only what it has forgotten itself", n)
	}
	g.run(3 * heartbeat)
	if p := g.node(1).AppendProgress(nil)[0]; p.Match != 4 {
		t.Errorf("it has found out that 2 has entries up to %d, want 4", p.Match)
	}
}

func stalledLeaderDisk(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.replica(1).slow = true
	g.mustPropose(1, "a")
	g.deliverAll()
	wantCommit(t, g, 1, 1)
	if s := g.status(1); s.Durable != 0 || s.Applied != 1 {
		t.Errorf("%+v, want it applied and not durable here", s)
	}
	g.crash(1)
	g.restart(1)
	g.run(20 * electionTimeout)
	if id := g.leader(); id == 0 || g.status(id).Last != 1 {
		t.Errorf("after the crash %d leads", id)
	}
}

func noDisruption(t *testing.T) {
	for _, checkQuorum := range []bool{true, false} {
		g := newGroup(t, 3, using(func(c *raft.Config) { c.PreVote, c.CheckQuorum = true, checkQuorum }))
		g.elect(1)
		for range 10 {
			g.isolate(3)
			g.run(5 * electionTimeout)
			g.heal()
			g.run(electionTimeout / 2)
		}
		wantRole(t, g, 1, raft.Leader, 1)
		wantRole(t, g, 3, raft.Follower, 1)
	}
}

func stepsDown(t *testing.T) {
	g := newGroup(t, 5, using(func(c *raft.Config) { c.CheckQuorum = true }))
	g.elect(1)
	g.isolate(4)
	g.isolate(5)
	g.run(10 * electionTimeout)
	wantRole(t, g, 1, raft.Leader, 1) // three of five answer
	g.isolate(3)
	g.run(2 * electionTimeout)
	if s := g.status(1); s.Role == raft.Leader {
		t.Errorf("two of five answer: %+v", s)
	}
}

func halfConnected(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.CheckQuorum, c.PreVote = true, true }))
	g.elect(1)
	g.cut[link{2, 1}], g.cut[link{3, 1}] = true, true // its messages arrive, no answer does, and that never heals
	g.run(10 * electionTimeout)
	id := g.leader()
	if id == 0 || id == 1 {
		t.Fatalf("leader is %d", id)
	}
	g.mustPropose(id, "a")
	g.deliverAll()
	wantCommit(t, g, id, 1)
}

func noWaiting(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Announce = now }))
	g.elect(1)
	for i := range uint64(50) {
		g.mustPropose(1, "x")
		g.deliverAll()
		for id := raft.ID(1); id <= 3; id++ {
			if s := g.status(id); s.Applied != i+1 {
				t.Fatalf("without any time passing replica %d has applied %d, want %d", id, s.Applied, i+1)
			}
		}
	}
}

func waitsOn(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Send = hold3ms }))
	g.elect(1)
	g.run(heartbeat)
	g.mustPropose(1, "a")
	g.advance(2 * time.Millisecond)
	g.node(1).Reachable(g.now, 2) // of what waits nothing was under way
	g.settle(1)
	g.advance(time.Millisecond)
	if n := g.node(1).AppendProgress(nil)[0].InFlight; n != 1 {
		t.Errorf("after 3ms, with a new connection after 2ms, %d messages are in flight, want 1", n)
	}
}

func newsAgain(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Announce = now }))
	g.elect(1)
	g.mustPropose(1, "a")
	g.deliver(on(1, 2))
	g.deliver(on(2, 1))
	g.drop() // the news of the commit among them
	g.node(1).Reachable(g.now, 2)
	g.settle(1)
	g.deliver(on(1, 2))
	wantCommit(t, g, 2, 1)
}

func gateOpensInTime(t *testing.T) {
	for _, gate := range []string{"Send", "Commit", "Announce", "Apply"} {
		g := newGroup(t, 3, using(func(c *raft.Config) {
			c.Heartbeat, c.ElectionTimeout = time.Second, time.Minute
			s := &c.Strategy
			s.Announce = now
			*map[string]*raft.Gate{"Send": &s.Send, "Commit": &s.Commit, "Announce": &s.Announce, "Apply": &s.Apply}[gate] = hold3ms
		}))
		g.elect(1)
		g.run(1100 * time.Millisecond) // past a heartbeat, the next is nearly a second away
		g.now = g.node(1).Deadline()
		g.tick()
		g.deliverAll()
		for want := uint64(1); want <= 3; want++ { // one after the other: each waits for its own time
			g.mustPropose(1, "a")
			done := func() bool {
				return g.status(1).Applied == want && g.status(2).Applied == want && g.status(3).Applied == want
			}
			g.run(3*time.Millisecond - 1)
			if done() {
				t.Errorf("%s: open too early for entry %d", gate, want)
			}
			g.run(1)
			g.run(3 * time.Millisecond) // a follower's Apply gate opens as long after the leader's
			if !done() {
				t.Errorf("%s: shut after its time for entry %d", gate, want)
			}
		}
	}
}

func barrierOnce(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Commit = barrier }))
	g.elect(1)
	g.run(2 * heartbeat)
	g.crash(3)
	g.mustPropose(1, "a")
	g.deliverAll()
	wantCommit(t, g, 1, 0)
	g.run(2 * heartbeat)
	wantCommit(t, g, 1, 1)
	for i := range uint64(100) {
		g.mustPropose(1, "b")
		g.deliverAll()
		wantCommit(t, g, 1, i+2)
		g.run(heartbeat / 3)
	}
}

func messagesPerProposal(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Announce = now }))
	g.elect(1)
	clear(g.sent)
	g.mustPropose(1, "a", "b", "c")
	g.deliverAll()
	// A round of entries and one of news, to two followers.
	if a, r := g.sent[raft.AppendEntries], g.sent[raft.AppendEntriesReply]; a != 4 || r != 4 {
		t.Errorf("two-phase: %d AppendEntries and %d answers, want 4 and 4", a, r)
	}
	g = newGroup(t, 3)
	g.elect(1)
	clear(g.sent)
	for range 10 {
		g.mustPropose(1, "a")
		g.deliverAll()
	}
	if a, r := g.sent[raft.AppendEntries], g.sent[raft.AppendEntriesReply]; a != 20 || r != 20 {
		t.Errorf("one-phase: %d AppendEntries and %d answers for 10 proposals, want 20 and 20", a, r)
	}
	// News that opens the Announce gate takes along entries that would have waited for a ride, in one message.
	g = newGroup(t, 3, using(func(c *raft.Config) { c.Strategy.Announce, c.Strategy.Send = now, ride }))
	g.elect(1)
	g.mustPropose(1, "a")
	g.advance(heartbeat)
	g.deliver(on(1, 2))
	g.mustPropose(1, "b")
	clear(g.sent)
	g.deliver(on(2, 1))
	if m := g.find(1, 2); len(m) != 1 || m[0].Entries.Count != 1 || m[0].Commit != 1 {
		t.Errorf("news and an entry travel as %+v, want one message", m)
	}
}

func deadFollower(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.crash(3)
	g.run(3 * electionTimeout)
	bytes := 0
	for range 100 {
		g.mustPropose(1, strings.Repeat("x", 1000))
		for _, m := range g.find(1, 3) {
			bytes += len(m.Entries.Bytes)
		}
		g.run(heartbeat)
	}
	if bytes > 100*1100 {
		t.Errorf("%d bytes offered to a dead follower of 100 entries of 1000 bytes", bytes)
	}
	g.restart(3)
	g.node(1).Reachable(g.now, 3)
	g.settle(1)
	g.deliverAll()
	if g.status(3).Last != 100 {
		t.Errorf("back again it has %d entries of 100", g.status(3).Last)
	}
}

func lostDisk(t *testing.T) {
	g := newGroup(t, 3)
	g.elect(1)
	g.mustPropose(1, "a", "b")
	g.run(2 * heartbeat)
	g.crash(3)
	g.replica(3).disk.log.TruncateFrom(1)
	g.restart(3)
	g.rules.off = true
	clear(g.sent)
	for range 100 {
		g.mustPropose(1, "c")
		g.run(heartbeat)
	}
	wantCommit(t, g, 1, 102)
	if n := g.sent[raft.AppendEntries]; n > 500 {
		t.Errorf("%d AppendEntries for 100 proposals in 100 periods, want at most 500", n)
	}
}

func limits(t *testing.T) {
	g := newGroup(t, 3, using(func(c *raft.Config) { c.MaxEntryBytes, c.MaxUncommittedBytes, c.MaxInFlight = 100, 200, 4 }))
	g.elect(1)
	if _, _, err := g.node(1).Propose(g.now, make([]byte, 101)); err == nil || !strings.Contains(err.Error(), "101 bytes, at most 100") {
		t.Errorf("an entry of 101 bytes: %v", err)
	}
	accepted := 0
	for g.propose(1, strings.Repeat("x", 50)) == nil {
		accepted++
	}
	if err := g.propose(1, "x"); err != raft.ErrBusy || accepted != 4 {
		t.Errorf("%d entries of 62 bytes accepted, then %v; want 4 and ErrBusy", accepted, err)
	}
	if n := len(g.find(1, 2)); n != 4 {
		t.Errorf("%d messages in flight, want 4", n)
	}
	g.deliverAll()
	g.mustPropose(1, "x")
	g.deliverAll()
	wantCommit(t, g, 1, 5)

	// Entries larger than an AppendEntries should be: as many bytes as four full ones, one entry each.
	g = newGroup(t, 3, using(func(c *raft.Config) { c.MaxAppendBytes, c.MaxInFlight = 50, 4 }))
	g.elect(1)
	for range 4 {
		g.mustPropose(1, strings.Repeat("x", 100))
	}
	if n := len(g.find(1, 2)); n != 2 {
		t.Errorf("%d messages of 100 bytes in flight, want 2", n)
	}
	g.deliverAll()
	wantCommit(t, g, 1, 4)

	// What earlier terms left uncommitted leaves room for the entry that commits it.
	g = newGroup(t, 3, using(func(c *raft.Config) { c.MaxUncommittedBytes = 20 }), holding(1, 2, 1, 1, 2, 2))
	g.elect(1)
	g.mustPropose(1, "x")
	g.deliverAll()
	wantCommit(t, g, 1, 5)

	// A disk that is stuck while the node goes on.
	g = newGroup(t, 3, using(func(c *raft.Config) { c.MaxHeld = 4 }))
	g.replica(1).slow = true
	for range 100 {
		g.timeout(1)
	}
	if q := g.node(1).Queues(); q.PendingSaves > 4 || q.Held > 4 {
		t.Errorf("after 100 campaigns that no disk has seen: %+v, want at most 4 of each", q)
	}
	g.finish(1)
	if q := g.node(1).Queues(); q.PendingSaves != 0 {
		t.Errorf("with all of them durable: %+v", q)
	}
}

// waitsForTheRound: while the driver is about to bring more, an AppendEntries without entries waits, is left out if one
// with entries says the same, and goes otherwise, however often the driver asks.
func waitsForTheRound(t *testing.T) {
	for _, more := range []bool{false, true} {
		g := newGroup(t, 3, using(func(c *raft.Config) { c.Strategy = eager }))
		g.elect(1)
		g.mustPropose(1, "a")
		g.deliverAll()
		n := g.node(1)
		g.now = max(g.now, n.Deadline())
		n.Tick(g.now)
		for range 3 {
			if out := n.TakeMore(); len(out.Messages) > 0 {
				t.Fatalf("sends %+v while more is to come", out.Messages)
			}
		}
		if more {
			if _, _, err := n.Propose(g.now, []byte("b")); err != nil {
				t.Fatal(err)
			}
		}
		var sent []int
		for range 3 {
			for _, m := range n.Take().Messages {
				sent = append(sent, m.EntryCount())
			}
		}
		if want := []int{0, 0}; !more && !slices.Equal(sent, want) || more && !slices.Equal(sent, []int{1, 1}) {
			t.Errorf("more %t: messages with %v entries", more, sent)
		}
	}
}
