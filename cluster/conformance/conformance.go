// Package conformance is the suite of tests that every kind of group passes: what cluster.Cluster promises, tried out
// on small groups, without knowing whether their time is real.
//
// It measures nothing, and does not judge Raft itself: that is the business of check.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// Open makes a group.
type Open func(cluster.Config) (cluster.Cluster, error)

// Run runs all cases as subtests of t.
func Run(t *testing.T, open Open) { run(t, suite{open: open}) }

// RunOnPackets is Run for links whose silent cut loses packets, a connection's acknowledgements among them: what is sent
// the other way comes to a stand as well when as much is on its way as may be (RFC 5681).
func RunOnPackets(t *testing.T, open Open) { run(t, suite{open: open, packets: true}) }

func run(t *testing.T, s suite) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := s
			s.TB = t
			c.run(&s)
		})
	}
}

// cases are in the order of what builds upon what.
var cases = []struct {
	name string
	run  func(*suite)
}{
	{"elects who campaigns", electsWhoCampaigns},
	{"elects somebody by itself", electsByItself},
	{"commits in order", commitsInOrder},
	{"tells of each proposal once", tellsOnce},
	{"refuses where there is no leader", refuses},
	{"cuts one way, silently", cutsOneWay(cluster.SilentCut)},
	{"cuts one way, by a reset", cutsOneWay(cluster.ResetCut)},
	{"replaces a leader that is cut off silently", replacesIsolatedLeader(cluster.SilentCut)},
	{"replaces a leader that is cut off by a reset", replacesIsolatedLeader(cluster.ResetCut)},
	{"keeps what was durable in a crash", keepsDurable},
	{"keeps what all had in a crash of all", keepsAfterCrashOfAll},
	{"leaves proposals unknown in a crash", leavesUnknown},
	{"pauses a follower", pausesFollower},
	{"pauses a leader", pausesLeader},
	{"crashes while paused", crashesWhilePaused},
	{"crashes by an answer", crashesByAnswer},
	{"pauses by an answer", pausesByAnswer},
	{"tells the clients of a deposed leader", tellsDeposed},
	{"boots from given logs", bootsFromLogs},
	{"loses messages on demand", losesOnDemand},
	{"holds replies on demand", holdsOnDemand},
	{"counts", func(s *suite) { counts(s, quiet{}, false) }},
	{"counts without events", func(s *suite) { counts(s, quiet{}, true) }},
	{"counts without an observer", func(s *suite) { counts(s, nil, false) }},
	{"forgets what all have applied", forgets},
	{"takes steps in time", takesSteps},
	{"ends waiting", endsWaiting},
	{"answers all when closed", answersAllWhenClosed},
}

// patience is how long a case waits for anything that must happen.
const patience = 30 * time.Second

type suite struct {
	testing.TB
	open    Open
	packets bool // a silent cut loses packets
	cluster.Cluster
	ctx context.Context
}

const heartbeat, electionTimeout = 10 * time.Millisecond, 300 * time.Millisecond

// timed lets the replicas stand for election by themselves.
func timed(c *cluster.Config) {
	c.ElectionTimeout, c.PreVote, c.CheckQuorum = electionTimeout, true, true
}

// group opens a group that the test closes at its end. Unless change, which may be nil, says otherwise, only Campaign
// makes a leader: however busy the machine is, it stays.
func (s *suite) group(n int, change func(*cluster.Config)) {
	s.Helper()
	strategy, err := strategies.Parse("eager")
	if err != nil {
		s.Fatal(err)
	}
	cfg := cluster.Config{Replicas: n, Strategy: strategy, Heartbeat: heartbeat, ElectionTimeout: time.Hour, Seed: 1}
	if change != nil {
		change(&cfg)
	}
	if s.Cluster, err = s.open(cfg); err != nil {
		s.Fatal(err)
	}
	s.ctx = context.Background()
	s.Cleanup(func() {
		if err := s.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
}

// until waits for something that must happen.
func (s *suite) until(what string, cond func() bool) {
	s.Helper()
	if err := s.Wait(s.ctx, patience, cond); err != nil {
		for id := raft.ID(1); id <= raft.ID(s.Size()); id++ {
			s.Logf("replica %d: %+v", id, s.Status(id))
		}
		s.Fatalf("waiting until %s: %v", what, err)
	}
}

// elect makes a replica the leader.
func (s *suite) elect(id raft.ID) {
	s.Helper()
	s.Campaign(id)
	s.until("a replica leads", func() bool { return cluster.Leader(s) == id })
	if leader, err := cluster.WaitLeader(s.ctx, s, patience); err != nil || leader != id {
		s.Fatalf("replica %d leads instead of %d: %v", leader, id, err)
	}
}

// call is one proposal's fate.
type call struct {
	cluster.Proposal
	done atomic.Int32
}

func (s *suite) propose(to raft.ID, text string) *call {
	c := &call{}
	c.Data, c.Due = []byte(text), s.Now()
	c.Done = func(*cluster.Proposal) { c.done.Add(1) }
	s.Propose(to, &c.Proposal)
	return c
}

// commit commits n proposals at a leader, each with the next.
func (s *suite) commit(leader raft.ID, n int) (last *call) {
	s.Helper()
	for i := range n {
		last = s.propose(leader, fmt.Sprintf("value %d", i))
		s.until("a proposal is answered", func() bool { return last.done.Load() > 0 })
		if last.Outcome != cluster.Committed {
			s.Fatalf("proposal %d is %v: %v", i, last.Outcome, last.Err)
		}
	}
	return last
}

// serve commits n proposals at whoever leads, where leaders may change.
func (s *suite) serve(n int) {
	s.Helper()
	for n > 0 {
		c := s.propose(s.leader(), fmt.Sprintf("value %d", n))
		s.until("a proposal is answered", func() bool { return c.done.Load() > 0 })
		if c.Outcome == cluster.Committed {
			n--
		} else if err := cluster.Sleep(s.ctx, s, heartbeat); err != nil {
			s.Fatal(err)
		}
	}
}

// level waits until the replicas named, or all of them, have applied the same log, of at least so many entries.
func (s *suite) level(atLeast uint64, ids ...raft.ID) {
	s.Helper()
	if len(ids) == 0 {
		for id := range raft.ID(s.Size()) {
			ids = append(ids, id+1)
		}
	}
	s.until("all have applied the same", func() bool {
		first := s.Status(ids[0])
		for _, id := range ids {
			if st := s.Status(id); !st.Up || st.Applied != first.Applied || st.Last != st.Applied || st.Applied < atLeast {
				return false
			}
		}
		return true
	})
	first := s.Status(ids[0])
	for _, id := range ids {
		if st := s.Status(id); st.Applied == first.Applied && st.Digest != first.Digest {
			s.Fatalf("replicas %d and %d applied different logs: %+v and %+v", ids[0], id, first, st)
		}
	}
}

func electsWhoCampaigns(s *suite) {
	s.group(3, nil)
	if s.Size() != 3 {
		s.Fatalf("size %d", s.Size())
	}
	s.elect(2)
	st := s.Status(2)
	if !st.Up || st.ID != 2 || st.Role != raft.Leader || st.Term == 0 || st.Leader != 2 || st.Vote != 2 {
		s.Fatalf("the leader's status is %+v", st)
	}
}

func electsByItself(s *suite) {
	s.group(5, timed)
	start := s.Now()
	leader, err := cluster.WaitLeader(s.ctx, s, patience)
	if err != nil || cluster.Leader(s) != leader {
		s.Fatalf("leader %d, %d: %v", leader, cluster.Leader(s), err)
	}
	if took := s.Now().Sub(start); took < electionTimeout {
		s.Fatalf("a leader after %v, before an election timeout", took)
	}
}

func commitsInOrder(s *suite) {
	s.group(3, func(c *cluster.Config) { c.Observer = quiet{} })
	s.elect(1)
	var calls []*call
	for i := range 100 {
		calls = append(calls, s.propose(1, fmt.Sprint(i)))
	}
	s.until("all are answered", func() bool {
		for _, c := range calls {
			if c.done.Load() == 0 {
				return false
			}
		}
		return true
	})
	for i, c := range calls {
		if c.Outcome != cluster.Committed || c.Index != uint64(i+1) || c.Term != s.Status(1).Term || c.Replica != 1 {
			s.Fatalf("proposal %d: %v at %d in term %d of replica %d", i, c.Outcome, c.Index, c.Term, c.Replica)
		}
		st := c.Stages
		if st.Appended < c.Due || st.Sent < st.Appended || st.Acked < st.Sent || st.Committed < st.Acked || st.Applied < st.Committed {
			s.Fatalf("proposal %d was due at %d, its stages are %+v", i, c.Due, st)
		}
	}
	s.level(100)
}

// quiet observes nothing; stages are there because somebody observes.
type quiet struct{}

func (quiet) Events(raft.Time, raft.ID, []raft.Event)    {}
func (quiet) Applied(raft.Time, raft.ID, raft.Entries)   {}
func (quiet) Restored(raft.Time, raft.ID, raft.Snapshot) {}

func tellsOnce(s *suite) {
	s.group(3, nil)
	s.elect(1)
	// A client in a closed loop: each answer makes the next proposal, with the same Proposal.
	var rounds, accepted atomic.Int32
	p := &cluster.Proposal{Data: []byte("again")}
	p.Accepted = func(*cluster.Proposal) { accepted.Add(1) }
	p.Done = func(p *cluster.Proposal) {
		if p.Outcome != cluster.Committed {
			s.Errorf("%v: %v", p.Outcome, p.Err)
			return
		}
		if rounds.Add(1) < 50 {
			s.Propose(1, p)
		}
	}
	s.Propose(1, p)
	s.until("50 rounds are over", func() bool { return rounds.Load() == 50 })
	s.level(50)
	if accepted.Load() != 50 || s.Status(1).Last != 50 {
		s.Fatalf("accepted %d times, the log ends at %d", accepted.Load(), s.Status(1).Last)
	}
}

func (s *suite) refused(to raft.ID, data []byte, want error) {
	s.Helper()
	c := s.propose(to, string(data))
	s.until("a proposal is refused", func() bool { return c.done.Load() > 0 })
	if c.Outcome != cluster.Refused || !errors.Is(c.Err, want) || c.Replica != to {
		s.Fatalf("%v of replica %d: %v, want %v", c.Outcome, c.Replica, c.Err, want)
	}
}

func refuses(s *suite) {
	s.group(3, func(c *cluster.Config) { c.MaxEntryBytes = 100 })
	s.elect(1)
	s.refused(2, []byte("x"), raft.ErrNotLeader)
	s.refused(1, make([]byte, 101), raft.ErrEntryTooLarge)
	s.Crash(3)
	s.refused(3, []byte("x"), cluster.ErrDown)
	if st := s.Status(3); st.Up || st.Role == raft.Leader {
		s.Fatalf("a crashed replica's status is %+v", st)
	}
	s.commit(1, 1)
}

func cutsOneWay(kind cluster.CutKind) func(*suite) {
	return func(s *suite) {
		s.group(3, nil)
		s.elect(1)
		s.commit(1, 3)
		s.level(3)
		s.Cut(1, 3, kind)
		s.Cut(1, 3, kind) // a second time changes nothing
		s.commit(1, 5)
		s.level(8, 1, 2)
		if st := s.Status(3); st.Last != 3 {
			s.Fatalf("a follower that was cut off has %+v", st)
		}
		s.Heal(1, 3)
		s.level(8)
		// The other way: what is sent to it arrives, unless that takes a connection, and no answer does.
		s.Cut(3, 1, kind)
		s.commit(1, 2)
		s.level(10, 1, 2)
		if kind == cluster.SilentCut && !s.packets {
			s.level(10)
		}
		s.Heal(3, 1)
		s.commit(1, 1)
		s.level(11)
	}
}

func replacesIsolatedLeader(kind cluster.CutKind) func(*suite) {
	return func(s *suite) {
		s.group(3, timed)
		s.serve(3)
		s.level(3)
		old := s.leader()
		cluster.Isolate(s, old, kind)
		lost := s.propose(old, "nobody else will see this")
		s.until("another leads", func() bool { l := cluster.Leader(s); return l != 0 && l != old })
		s.until("the old leader has stepped down", func() bool { return s.Status(old).Role != raft.Leader })
		s.serve(2)
		cluster.Rejoin(s, old)
		s.level(5)
		s.until("the lost proposal is answered", func() bool { return lost.done.Load() > 0 })
		if lost.Outcome == cluster.Committed {
			s.Fatalf("the lost proposal is %v", lost.Outcome)
		}
	}
}

// leader waits until somebody leads.
func (s *suite) leader() (id raft.ID) {
	s.Helper()
	s.until("somebody leads", func() bool { id = cluster.Leader(s); return id != 0 })
	return id
}

func keepsDurable(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 5)
	s.level(5)
	s.Crash(3)
	s.Crash(3) // a second time changes nothing
	s.commit(1, 5)
	if err := errors.Join(s.Restart(3), s.Restart(3), s.Restart(1)); err != nil {
		s.Fatal(err)
	}
	if st := s.Status(3); !st.Up || st.Last < 5 || st.Term == 0 {
		s.Fatalf("a restarted replica's status is %+v", st)
	}
	s.level(10)
	s.Crash(1)
	s.elect(2)
	s.commit(2, 1)
	if err := s.Restart(1); err != nil {
		s.Fatal(err)
	}
	s.level(11)
}

func keepsAfterCrashOfAll(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 10)
	s.level(10)
	digest, term := s.Status(1).Digest, s.Status(1).Term
	for id := raft.ID(1); id <= 3; id++ {
		s.Crash(id)
	}
	for id := raft.ID(1); id <= 3; id++ {
		if err := s.Restart(id); err != nil {
			s.Fatal(err)
		}
	}
	s.elect(2)
	if got := s.Status(2).Term; got <= term {
		s.Fatalf("term %d after term %d", got, term)
	}
	s.commit(2, 1)
	s.level(11)
	if s.Status(1).Digest == digest {
		s.Fatal("the digest does not tell one entry more")
	}
}

func leavesUnknown(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 1)
	cluster.Isolate(s, 1, cluster.SilentCut)
	accepted := make(chan struct{})
	c := &call{}
	c.Data = []byte("in limbo")
	c.Accepted = func(*cluster.Proposal) { close(accepted) }
	c.Done = func(*cluster.Proposal) { c.done.Add(1) }
	s.Propose(1, &c.Proposal)
	s.until("it is accepted", func() bool {
		select {
		case <-accepted:
			return true
		default:
			return c.done.Load() > 0
		}
	})
	s.Crash(1)
	s.until("it is answered", func() bool { return c.done.Load() > 0 })
	if c.Outcome != cluster.Unknown || c.Index != 2 {
		s.Fatalf("%v at index %d", c.Outcome, c.Index)
	}
}

func pausesFollower(s *suite) {
	s.group(3, timed)
	s.serve(2)
	s.level(2)
	frozen := 1 + s.leader()%3
	before := s.Status(frozen)
	s.Pause(frozen)
	s.Pause(frozen) // a second time changes nothing
	s.serve(5)
	// Longer than any election timeout: a frozen replica's timers do not fire.
	if err := cluster.Sleep(s.ctx, s, 2*electionTimeout); err != nil {
		s.Fatal(err)
	}
	if st := s.Status(frozen); !st.Up || st.Last != before.Last || st.Term != before.Term || st.Role != before.Role {
		s.Fatalf("a frozen follower's status was %+v, and is %+v", before, st)
	}
	s.Resume(frozen)
	s.Resume(frozen)
	s.level(7)
	s.serve(1)
	s.level(8)
}

func pausesLeader(s *suite) {
	s.group(3, timed)
	s.serve(2)
	s.level(2)
	old := s.leader()
	s.Pause(old)
	waiting := s.propose(old, "asked of a frozen replica")
	// A frozen leader takes itself for one until it wakes up; a later term's counts.
	s.until("another leads", func() bool { return cluster.Leader(s) != old })
	s.serve(1)
	if waiting.done.Load() != 0 {
		s.Fatalf("a frozen replica answered: %v", waiting.Outcome)
	}
	s.Resume(old)
	s.until("it answers", func() bool { return waiting.done.Load() > 0 })
	if waiting.Outcome == cluster.Committed {
		s.Fatal("committed by a leader of the past")
	}
	s.serve(1)
	s.level(4)
}

func crashesWhilePaused(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 2)
	s.level(2)
	s.Pause(3)
	s.commit(1, 2)
	s.Crash(3)
	s.Resume(3) // it is not there
	if s.Status(3).Up {
		s.Fatal("up after a crash")
	}
	if err := s.Restart(3); err != nil {
		s.Fatal(err)
	}
	s.level(4) // it is not paused any more
}

// answered makes a proposal whose client does something while it is answered, and waits for that.
func (s *suite) answered(to raft.ID, then func()) {
	s.Helper()
	c := &call{}
	c.Data = []byte("and then")
	c.Done = func(*cluster.Proposal) {
		then()
		c.done.Add(1)
	}
	s.Propose(to, &c.Proposal)
	s.until("a proposal is answered", func() bool { return c.done.Load() > 0 })
	if c.Outcome != cluster.Committed {
		s.Fatalf("it is %v: %v", c.Outcome, c.Err)
	}
}

// A client may end replicas, the one that answers it among them.
func crashesByAnswer(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 2)
	s.level(2)
	s.answered(1, func() { s.Crash(3) })
	s.until("a follower has crashed", func() bool { return !s.Status(3).Up })
	if err := s.Restart(3); err != nil {
		s.Fatal(err)
	}
	s.level(3)
	s.answered(1, func() {
		s.Crash(1)
		s.Crash(1)
	})
	s.until("the leader has crashed", func() bool { return !s.Status(1).Up })
	next := raft.ID(2)
	if s.Status(3).Last > s.Status(2).Last {
		next = 3 // the other cannot be elected
	}
	s.elect(next)
	s.commit(next, 1)
	if err := s.Restart(1); err != nil {
		s.Fatal(err)
	}
	s.level(5)
}

// A client may freeze the replica that answers it, and let it go on.
func pausesByAnswer(s *suite) {
	s.group(3, timed)
	s.serve(2)
	s.level(2)
	old := s.leader()
	s.answered(old, func() { s.Pause(old) })
	s.until("another leads", func() bool { return cluster.Leader(s) != old })
	s.serve(1)
	s.Resume(old)
	s.level(4)
	leader := s.leader()
	s.answered(leader, func() {
		s.Pause(leader)
		s.Resume(leader)
	})
	s.serve(1)
	s.level(6)
}

// Whoever waits for a leader that was deposed is told that nobody knows, although its successor has nothing to commit.
func tellsDeposed(s *suite) {
	s.group(3, timed)
	s.serve(3)
	s.level(3)
	old := s.leader()
	cluster.Isolate(s, old, cluster.SilentCut)
	calls := []*call{s.propose(old, "one"), s.propose(old, "two"), s.propose(old, "three")}
	for i, c := range calls {
		s.until("they are answered", func() bool { return c.done.Load() > 0 })
		if c.Outcome != cluster.Unknown {
			s.Fatalf("proposal %d is %v", i, c.Outcome)
		}
	}
	if st := s.Status(old); st.Role == raft.Leader {
		s.Fatalf("it leads still: %+v", st)
	}
	cluster.Rejoin(s, old)
	s.serve(1)
	s.level(4)
}

func bootsFromLogs(s *suite) {
	entry := func(term uint64, text string) raft.Entry { return raft.Entry{Term: term, Data: []byte(text)} }
	s.group(3, func(c *cluster.Config) {
		c.Boot = map[raft.ID]cluster.Boot{
			1: {Term: 3, Vote: 1, Entries: []raft.Entry{entry(1, "a"), entry(1, "b"), entry(3, "c")}},
			2: {Term: 3, Vote: 1, Entries: []raft.Entry{entry(1, "a"), entry(1, "b"), entry(3, "c")}},
			3: {Term: 2, Entries: []raft.Entry{entry(1, "a"), entry(2, "x"), entry(2, "y"), entry(2, "z")}},
		}
	})
	if st := s.Status(1); st.Term != 3 || st.Vote != 1 || st.Last != 3 || st.Applied != 0 {
		s.Fatalf("the status is %+v", st)
	}
	s.elect(1)
	s.commit(1, 1)
	s.level(4)
}

func losesOnDemand(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 1)
	s.level(1)
	before := s.Counters().Dropped
	s.SetConditions(cluster.Conditions{RequestLoss: 1, ReplyLoss: 1})
	lost := s.propose(1, "into the void")
	s.until("messages are lost", func() bool { return s.Counters().Dropped > before+3 })
	if st := s.Status(2); st.Last != 1 {
		s.Fatalf("it arrived nevertheless: %+v", st)
	}
	s.SetConditions(cluster.Conditions{})
	s.until("it is answered", func() bool { return lost.done.Load() > 0 })
	s.until("somebody serves", func() bool { return cluster.Leader(s) != 0 })
}

func holdsOnDemand(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.SetConditions(cluster.Conditions{ReplyHold: 1, HoldMin: 10 * time.Millisecond, HoldMax: 20 * time.Millisecond,
		RequestDelay: 5 * time.Millisecond})
	start := s.Now()
	c := s.commit(1, 1)
	if took := c.Stages.Applied.Sub(start); took < 10*time.Millisecond {
		s.Fatalf("committed after %v", took)
	}
	s.SetConditions(cluster.Conditions{})
}

func counts(s *suite, observer cluster.Observer, appliedOnly bool) {
	s.group(3, func(c *cluster.Config) { c.Observer, c.AppliedOnly = observer, appliedOnly })
	s.elect(1)
	s.commit(1, 10)
	s.level(10)
	n := s.Counters()
	if n.AppendEntries < 20 || n.EntriesSent < 20 || n.Messages < 2*n.AppendEntries-20 || n.Bytes < 20*n.Messages || n.Elections != 1 || n.Writes < 20 {
		s.Fatalf("%+v", n)
	}
	s.Crash(2)
	after := s.Counters()
	s.commit(1, 1)
	if d := after.Sub(n); d.Messages > 1<<40 || d.Bytes > 1<<40 || d.Writes > 1<<40 || d.Elections > 1<<40 {
		s.Fatalf("counters fell when a replica crashed: %+v, then %+v", n, after)
	}
	if err := s.Restart(2); err != nil {
		s.Fatal(err)
	}
	s.level(11)
	if later := s.Counters(); later.Messages <= after.Messages || later.EntriesSent <= after.EntriesSent {
		s.Fatalf("%+v, then %+v", after, later)
	}
}

func forgets(s *suite) {
	s.group(3, func(c *cluster.Config) { c.SnapshotEntries, c.SnapshotTrailing = 1024, 100 })
	s.elect(1)
	var answered atomic.Int32
	const n = 5000
	p := make([]cluster.Proposal, n)
	for i := range p {
		p[i].Data = []byte("some value")
		p[i].Done = func(*cluster.Proposal) { answered.Add(1) }
	}
	for i := range p { // in pieces, so that everybody has applied most of it before the last
		s.Propose(1, &p[i])
		if i%500 == 499 {
			s.until("they are answered", func() bool { return int(answered.Load()) == i+1 })
			s.level(uint64(i + 1))
		}
	}
	for id := raft.ID(1); id <= 3; id++ {
		if st := s.Status(id); st.First <= 1 || st.First > n-100+1 {
			s.Fatalf("%d entries were applied everywhere, replica %d keeps those from %d on", n, id, st.First)
		}
	}
	s.Crash(2)
	s.commit(1, 3)
	if err := s.Restart(2); err != nil {
		s.Fatal(err)
	}
	s.level(n + 3)
}

func takesSteps(s *suite) {
	s.group(3, nil)
	start := s.Now()
	var steps, late atomic.Int32
	s.At(start.Add(10*time.Millisecond), func(now raft.Time) raft.Time {
		n := steps.Add(1)
		if now < start.Add(time.Duration(n)*10*time.Millisecond) {
			late.Add(-1000)
		}
		if n == 3 {
			return 0
		}
		return start.Add(time.Duration(n+1) * 10 * time.Millisecond)
	})
	var past atomic.Bool
	s.At(start-5, func(raft.Time) raft.Time { past.Store(true); return 0 })
	s.until("three steps were taken", func() bool { return steps.Load() == 3 })
	s.until("a step that is overdue was taken", past.Load)
	if took := s.Now().Sub(start); took > patience/2 {
		s.Fatalf("a waiter saw only after %v what a step had done", took)
	}
	if late.Load() != 0 {
		s.Fatal("a step was taken too early")
	}
	if err := cluster.Sleep(s.ctx, s, 50*time.Millisecond); err != nil {
		s.Fatal(err)
	}
	if steps.Load() != 3 {
		s.Fatalf("%d steps", steps.Load())
	}
}

func endsWaiting(s *suite) {
	s.group(3, nil)
	never := func() bool { return false }
	start := s.Now()
	if err := s.Wait(s.ctx, 20*time.Millisecond, never); !errors.Is(err, cluster.ErrTimeout) {
		s.Fatalf("Wait: %v", err)
	}
	if waited := s.Now().Sub(start); waited < 20*time.Millisecond {
		s.Fatalf("waited for %v", waited)
	}
	if err := s.Wait(s.ctx, 0, func() bool { return true }); err != nil {
		s.Fatalf("Wait: %v", err)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	s.At(s.Now().Add(5*time.Millisecond), func(raft.Time) raft.Time { cancel(why); return 0 })
	if err := s.Wait(ctx, 1000*time.Hour, never); !errors.Is(err, why) {
		s.Fatalf("Wait: %v", err)
	}
}

func answersAllWhenClosed(s *suite) {
	s.group(3, nil)
	s.elect(1)
	s.commit(1, 1)
	cluster.Isolate(s, 1, cluster.SilentCut)
	var calls []*call
	for i := range 20 {
		calls = append(calls, s.propose(1, fmt.Sprint(i)))
	}
	calls = append(calls, s.propose(2, "of a follower"))
	s.Pause(3)
	calls = append(calls, s.propose(3, "of a frozen one"))
	stepped := make(chan struct{})
	s.At(s.Now().Add(time.Hour), func(raft.Time) raft.Time { close(stepped); return 0 })
	if err := s.Close(); err != nil {
		s.Fatal(err)
	}
	for i, c := range calls {
		if c.done.Load() != 1 || c.Outcome != cluster.Unknown && c.Outcome != cluster.Refused {
			s.Fatalf("proposal %d was told %d times, it is %v", i, c.done.Load(), c.Outcome)
		}
	}
	select {
	case <-stepped:
		s.Fatal("a step was taken by Close")
	default:
	}
	late := s.propose(1, "too late")
	if late.done.Load() != 1 || late.Outcome != cluster.Refused || !errors.Is(late.Err, cluster.ErrDown) {
		s.Fatalf("a proposal after Close is %v: %v", late.Outcome, late.Err)
	}
	if err := s.Close(); err != nil {
		s.Fatal(err)
	}
}
