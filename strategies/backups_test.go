package strategies

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

// logOf makes a log from runs of (term, entries).
func logOf(runs ...[2]int) *raft.Log {
	l := raft.NewLog(1, 0)
	for _, r := range runs {
		for range r[1] {
			l.Append(uint64(r[0]), nil)
		}
	}
	return l
}

// search drives a backup over a leader's and a follower's log as the core does (stepAppendEntries and rejectAppend in
// raft/follower.go, rejected in raft/leader.go), without messages: how many rejections it takes, and the nextIndex from
// which entries are sent then. TestCoreSearchesAsTheHelper holds it to the core.
func search(t *testing.T, b raft.Backup, leader, follower *raft.Log) (rejections int, next uint64) {
	t.Helper()
	match := uint64(0)
	next = leader.Last() + 1
	for {
		prev := next - 1
		prevTerm, _ := leader.Term(prev)
		has, ok := follower.Term(prev)
		if ok && has == prevTerm {
			return rejections, next
		}
		rejections++
		r := raft.Reject{PrevLogIndex: prev, PrevLogTerm: prevTerm, Match: match, Round: rejections, XLen: follower.Last()}
		if ok {
			r.XTerm, r.XIndex = has, follower.FirstOfTermAt(prev)
		}
		r.HintIndex, r.HintTerm = follower.LastUpTo(prev, prevTerm)
		next = max(min(b.Next(leader, r), prev), match+1, leader.First())
		if next == match+1 {
			return rejections, next
		}
		if next > prev {
			t.Fatalf("%s makes no progress at %d", b, prev)
		}
	}
}

// pair is a leader's and a follower's log, as Raft can produce them.
type pair struct {
	leader, follower *raft.Log
	shared           uint64 // the last index that both have
	leaderTerms      int    // in the part of the leader's log that is not shared
	followerTerms    int    // in the part of the follower's
}

// randomPair makes two logs. Log Matching (paper, section 5.3) says what Raft can produce: a shared beginning, and then
// no term in both, since a term has one leader, whose entries are one chain. One of them may go on with the last term
// of the beginning.
func randomPair(random *rand.Rand) pair {
	p := pair{leader: raft.NewLog(1, 0), follower: raft.NewLog(1, 0)}
	term := uint64(0)
	run := func(longest int, logs ...*raft.Log) {
		for range 1 + random.IntN(longest) {
			for _, l := range logs {
				l.Append(term, nil)
			}
		}
	}
	for range random.IntN(5) {
		term += uint64(1 + random.IntN(2))
		run(20, p.leader, p.follower)
	}
	p.shared = p.leader.Last()
	longest := 1 + random.IntN(40)
	runs := random.IntN(12)
	for i := range runs {
		// The first run may belong to the term before, if there is one.
		if i > 0 || term == 0 || random.IntN(3) > 0 {
			term += uint64(1 + random.IntN(2))
		}
		if random.IntN(2) == 0 {
			run(longest, p.leader)
			p.leaderTerms++
		} else {
			run(longest, p.follower)
			p.followerTerms++
		}
	}
	return p
}

// worst is the largest number of rejections that a backup promises.
func worst(b raft.Backup, p pair) int {
	entries := p.leader.Last() - p.shared
	switch b.(type) {
	case Linear:
		return int(entries)
	case Fast:
		return p.followerTerms + 1
	case Hint:
		return min(p.followerTerms+1, p.leaderTerms)
	case Bisect:
		return bits.Len64(p.leader.Last()) // log2, rounded down, +1
	case Exponential:
		return bits.Len64(entries)
	case SendAll:
		return 1
	}
	return math.MaxInt // one that came later brings tests of its own
}

// Every search ends at the last shared entry or before it, within its promise; linear, fast and hint find it exactly.
func TestSearches(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for range 2_000 {
		p := randomPair(random)
		if p.leader.Last() == 0 {
			continue // the core takes empty logs for equal
		}
		entries := p.leader.Last() - p.shared
		for _, k := range backups {
			b := k.backup
			rejections, next := search(t, b, p.leader, p.follower)
			exact, most := false, p.leader.Last()
			switch b.(type) {
			case Linear:
				exact = true
				if rejections != int(entries) {
					t.Fatalf("linear: %d rejections for %d entries", rejections, entries)
				}
			case Fast, Hint:
				exact = true
			case Exponential:
				most = 2 * entries // sent: entries, and fewer than that once more
			}
			sent := p.leader.Last() + 1 - next
			if next > p.shared+1 || exact && next != p.shared+1 || sent > most || rejections > worst(b, p) {
				t.Fatalf("%s: sends from %d after %d rejections (%d allowed), shared up to %d of the leader's %d and the follower's %d entries, in %d and %d terms after that",
					b, next, rejections, worst(b, p), p.shared, p.leader.Last(), p.follower.Last(), p.leaderTerms, p.followerTerms)
			}
			if entries == 0 && rejections > 0 {
				t.Fatalf("%s: %d rejections of a follower that lacks nothing", b, rejections)
			}
		}
	}
}

// A follower with t terms of l conflicting entries, and a leader with as many entries of its own: the diverge scenario.
func TestSearchesDiverged(t *testing.T) {
	const shared = 10
	for _, terms := range []int{1, 2, 5, 10} {
		for _, each := range []int{1, 10, 200} {
			entries := terms * each
			runs := [][2]int{{1, shared}}
			for i := range terms {
				runs = append(runs, [2]int{2 + i, each})
			}
			follower := logOf(runs...)
			leader := logOf([2]int{1, shared}, [2]int{2 + terms, entries})
			for _, c := range []struct {
				backup raft.Backup
				want   int
			}{
				{Linear{}, entries},
				{Fast{}, terms},
				{Hint{}, 1}, // all of the leader's conflicting entries are of one term
				{Exponential{}, bits.Len(uint(entries))},
				{SendAll{}, 1},
			} {
				if got, next := search(t, c.backup, leader, follower); got != c.want || next > shared+1 {
					t.Errorf("%d terms of %d entries: %s needs %d rejections and sends from %d, want %d and at most %d",
						terms, each, c.backup, got, next, c.want, shared+1)
				}
			}
			if got, _ := search(t, Bisect{}, leader, follower); got > bits.Len(uint(shared+entries)) {
				t.Errorf("%d terms of %d entries: bisect needs %d rejections", terms, each, got)
			}
		}
	}
}

// The cases of the MIT lecture notes on fast backup; the leader's log is 4 6 6 6 in each.
func TestFastLectureNotes(t *testing.T) {
	leader := logOf([2]int{4, 1}, [2]int{6, 3})
	for _, c := range []struct {
		about    string
		follower *raft.Log
		want     uint64
	}{
		{"the leader has no XTerm", logOf([2]int{4, 1}, [2]int{5, 2}, [2]int{5, 1}), 2},
		{"the leader has XTerm", logOf([2]int{4, 4}), 2},
		{"the follower's log is too short", logOf([2]int{4, 1}), 2},
	} {
		if rejections, next := search(t, Fast{}, leader, c.follower); rejections != 1 || next != c.want {
			t.Errorf("%s: sends from %d after %d rejections, want %d after 1", c.about, next, rejections, c.want)
		}
	}
}

// Which index is tried next by those that need nothing but the rejection.
func TestNextOfBlindSearches(t *testing.T) {
	full, compacted := logOf([2]int{1, 1000}), logOf([2]int{1, 1000})
	compacted.Compact(50)
	for _, c := range []struct {
		backup raft.Backup
		log    *raft.Log
		r      raft.Reject
		want   uint64
	}{
		{Linear{}, full, raft.Reject{PrevLogIndex: 1000, Round: 1}, 1000},
		{Linear{}, full, raft.Reject{PrevLogIndex: 1, Round: 1000}, 1},
		{Bisect{}, full, raft.Reject{PrevLogIndex: 1000, Round: 1}, 501},
		{Bisect{}, full, raft.Reject{PrevLogIndex: 1000, Round: 1, Match: 500}, 751},
		{Bisect{}, full, raft.Reject{PrevLogIndex: 3, Round: 1}, 2},
		{Bisect{}, full, raft.Reject{PrevLogIndex: 501, Round: 1, Match: 500}, 501},
		{Bisect{}, compacted, raft.Reject{PrevLogIndex: 100, Round: 1}, 76},
		{Exponential{}, full, raft.Reject{PrevLogIndex: 1000, Round: 1}, 1000},
		{Exponential{}, full, raft.Reject{PrevLogIndex: 999, Round: 2}, 998},
		{Exponential{}, full, raft.Reject{PrevLogIndex: 997, Round: 3}, 994},
		{Exponential{}, full, raft.Reject{PrevLogIndex: 3, Round: 3}, 0},
		{Exponential{}, full, raft.Reject{PrevLogIndex: 900, Round: 900}, 0},
		{SendAll{}, full, raft.Reject{PrevLogIndex: 1000, Round: 1}, 1},
		{SendAll{}, compacted, raft.Reject{PrevLogIndex: 1000, Round: 1}, 51},
	} {
		if got := c.backup.Next(c.log, c.r); got != c.want {
			t.Errorf("%s after %+v tries %d, want %d", c.backup, c.r, got, c.want)
		}
	}
}

// Figure 7 of the Raft paper: the leader's log, and the six followers it may find.
func TestSearchesFigure7(t *testing.T) {
	leader := logOf([2]int{1, 3}, [2]int{4, 2}, [2]int{5, 2}, [2]int{6, 3})
	for _, c := range []struct {
		name      string
		follower  *raft.Log
		shared    uint64
		fast, two int // rejections of fast and of hint
	}{
		{"a", logOf([2]int{1, 3}, [2]int{4, 2}, [2]int{5, 2}, [2]int{6, 2}), 9, 1, 1},
		{"b", logOf([2]int{1, 3}, [2]int{4, 1}), 4, 1, 1},
		{"c", logOf([2]int{1, 3}, [2]int{4, 2}, [2]int{5, 2}, [2]int{6, 4}), 10, 0, 0},
		{"d", logOf([2]int{1, 3}, [2]int{4, 2}, [2]int{5, 2}, [2]int{6, 3}, [2]int{7, 2}), 10, 0, 0},
		{"e", logOf([2]int{1, 3}, [2]int{4, 4}), 5, 2, 1},
		{"f", logOf([2]int{1, 3}, [2]int{2, 3}, [2]int{3, 5}), 3, 2, 1},
	} {
		for _, s := range []struct {
			b    raft.Backup
			want int
		}{{Linear{}, int(10 - c.shared)}, {Fast{}, c.fast}, {Hint{}, c.two}} {
			if got, next := search(t, s.b, leader, c.follower); got != s.want || next != c.shared+1 {
				t.Errorf("follower %s: %s sends from %d after %d rejections, want %d after %d", c.name, s.b, next, got, c.shared+1, s.want)
			}
		}
	}
}

// Whatever a follower says, true or not, a search neither panics nor leaves the log: the core keeps the answer in
// bounds, the backup has only to give one. The leader's log may begin late.
func TestBackupsTakeAnyHint(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	hint := func() uint64 {
		return []uint64{0, 1, 2, math.MaxUint64, math.MaxUint64 - 1, random.Uint64N(40), random.Uint64N(40), random.Uint64()}[random.IntN(8)]
	}
	for range 1_000 {
		leader := logOf([2]int{1, 1 + random.IntN(9)}, [2]int{3, random.IntN(9)}, [2]int{7, random.IntN(9)})
		if i := random.Uint64N(leader.Last() + 1); random.IntN(2) == 0 {
			leader.Compact(i)
		}
		last := leader.Last()
		for _, k := range backups {
			k.backup.Next(leader, raft.Reject{PrevLogIndex: hint(), PrevLogTerm: hint(), Match: hint(), Round: int(hint()),
				XTerm: hint(), XIndex: hint(), XLen: hint(), HintIndex: hint(), HintTerm: hint()})
			if leader.Last() != last {
				t.Fatalf("%s changed the log", k.backup)
			}
		}
	}
}

// A leader that has compacted its log searches what it still has, and each search ends.
func TestSearchesCompacted(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		p := randomPair(random)
		if p.leader.Last() == 0 {
			continue
		}
		p.leader.Compact(random.Uint64N(p.shared + 1)) // what is compacted is committed, and so is shared
		for _, k := range backups {
			if rejections, next := search(t, k.backup, p.leader, p.follower); next > p.shared+1 || next < p.leader.First() || rejections > worst(k.backup, p) {
				t.Fatalf("%s: sends from %d after %d rejections, shared up to %d, the leader's log begins at %d",
					k.backup, next, rejections, p.shared, p.leader.First())
			}
		}
	}
}
