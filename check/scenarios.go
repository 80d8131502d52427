package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// Scenario is a run whose course is fixed, for what random faults show seldom or never: faults that never heal, and
// costs when nothing fails.
type Scenario struct {
	Name string
	Doc  string // one sentence
	run  func(ctx context.Context, g *stage) error
}

// Scenarios is the table of all of them.
func Scenarios() []Scenario {
	return []Scenario{
		{"distance", "at 25 ms one way and with nothing else in the way, each commit takes exactly 50 ms", distance},
		{"calm", "while nothing fails the first leader stays, and a commit costs what the strategy says", calm},
		{"rejoin", "a replica that was cut off for long and comes back does not depose the leader", rejoin},
		{"silence", "a silent follower costs a heartbeat each and no more, and the first one that it answers tells that it is back", silence},
		{"deaf leader", "a leader that is heard and hears nobody, for good, makes room for another", deafLeader},
		{"stalled leader", "a leader whose disk never finishes a sync goes on serving through the others, or makes room", stalledLeader},
		{"dead follower", "with any gate at any place commits take as long when a minority is dead as when all live", deadFollower},
		{"slow follower", "a follower that is slow, and loses nothing, is sent entries once", slowFollower},
	}
}

// Play runs the scenario and returns what it broke, nil if nothing.
func (s Scenario) Play(ctx context.Context) (v *Violation) {
	defer func() {
		if broken := recover(); broken != nil {
			var known *Violation
			if err, ok := broken.(error); ok && errors.As(err, &known) {
				v = known
				return
			}
			v = &Violation{Rule: Broken, What: fmt.Sprint(broken)}
		}
	}()
	if err := s.run(ctx, &stage{}); err != nil && !errors.As(err, &v) {
		v = &Violation{Rule: Live, What: fmt.Sprintf("scenario %s: %v", s.Name, err)}
	}
	return v
}

// stage is what a scenario plays on.
type stage struct {
	ctx       context.Context
	c         *sim.Cluster
	v         *Invariants
	cfg       cluster.Config
	transport string // mem if empty
}

// open starts a group that is calm, and waits until replica 1 leads it.
func (g *stage) open(ctx context.Context, replicas int, strategy string, link sim.Link, disk sim.Disk) error {
	s, err := strategies.Parse(strategy)
	if err != nil {
		return err
	}
	g.ctx = ctx
	g.cfg = cluster.Config{Replicas: replicas, Strategy: s, Heartbeat: 100 * time.Millisecond, ElectionTimeout: time.Second,
		PreVote: true, CheckQuorum: true, NoOp: true, Seed: 1}
	watched := g.cfg
	g.v = Watch(&watched)
	g.c, err = sim.New(sim.Config{Config: watched, Transport: g.transport, Links: func(raft.ID, raft.ID) sim.Link { return link }, Disk: disk})
	if err != nil {
		return err
	}
	g.c.Campaign(1)
	if _, err := cluster.WaitLeader(ctx, g.c, 10*g.cfg.ElectionTimeout); err != nil {
		return g.fail(Live, "no leader at the start: %v", err)
	}
	return g.sleep(g.cfg.ElectionTimeout)
}

func (g *stage) fail(rule Rule, format string, args ...any) error {
	return &Violation{Rule: rule, At: g.c.Now(), What: fmt.Sprintf(format, args...)}
}

func (g *stage) wait(d time.Duration, cond func() bool) error {
	err := g.c.Wait(g.ctx, d, func() bool { return g.v.err != nil || cond() })
	if g.v.err != nil {
		return g.v.err
	}
	return err
}

func (g *stage) sleep(d time.Duration) error {
	until := g.c.Now().Add(d)
	if err := g.wait(d, func() bool { return g.c.Now() >= until }); err != nil && !errors.Is(err, cluster.ErrTimeout) {
		return err
	}
	return nil
}

// commit offers a proposal to whoever leads, and another if there is no answer for long, until one is committed. It
// returns how long that one took.
func (g *stage) commit(within time.Duration) (time.Duration, error) {
	var done *cluster.Proposal
	over := false
	offer := func(now raft.Time) raft.Time {
		if over {
			return 0
		}
		if leader := cluster.Leader(g.c); leader != 0 {
			p := &cluster.Proposal{Data: []byte("a proposal"), Due: now}
			p.Done = func(p *cluster.Proposal) {
				if p.Outcome == cluster.Committed && done == nil {
					done = p
				}
			}
			g.c.Propose(leader, p)
		}
		return now.Add(g.cfg.ElectionTimeout / 2)
	}
	g.c.At(offer(g.c.Now()), offer)
	err := g.wait(within, func() bool { return done != nil })
	over = true
	if errors.Is(err, cluster.ErrTimeout) {
		return 0, g.fail(Live, "nothing was committed within %v", within)
	} else if err != nil {
		return 0, err
	}
	g.v.acknowledged(done)
	return done.Stages.Applied.Sub(done.Due), g.v.Err()
}

func distance(ctx context.Context, g *stage) error {
	for _, strategy := range []string{"fast-signal-commit", "eager", "linear"} {
		if err := g.open(ctx, 3, strategy, sim.Link{Delay: 25 * time.Millisecond}, sim.Disk{}); err != nil {
			return err
		}
		for range 20 {
			took, err := g.commit(g.cfg.ElectionTimeout)
			if err != nil {
				return err
			}
			if took != 50*time.Millisecond {
				return g.fail(WakeUp, "with %s and 25ms one way a commit takes %v, want 50ms", strategy, took)
			}
			if err := g.sleep(7 * time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

func calm(ctx context.Context, g *stage) error {
	for _, want := range []struct {
		strategy string
		messages uint64 // AppendEntries for each commit and follower, heartbeats aside
	}{{"fast-signal-commit", 1}, {"eager", 2}, {"two-phase", 2}} {
		if err := g.open(ctx, 5, want.strategy, sim.Link{Delay: time.Millisecond}, sim.Disk{Sync: time.Millisecond}); err != nil {
			return err
		}
		before, from := g.c.Counters(), g.c.Now()
		const commits = 100
		for range commits {
			if _, err := g.commit(g.cfg.ElectionTimeout); err != nil {
				return err
			}
			if err := g.sleep(100 * time.Millisecond); err != nil {
				return err
			}
		}
		n := g.c.Counters().Sub(before)
		beats := uint64(g.c.Now().Sub(from)/g.cfg.Heartbeat) + 1
		if most := 4 * (commits*want.messages + beats); n.AppendEntries > most {
			return g.fail(Cost, "with %s %d commits cost %d AppendEntries, want at most %d", want.strategy, commits, n.AppendEntries, most)
		}
		if n.EntriesSent != 4*commits {
			return g.fail(Cost, "with %s %d entries were sent for %d commits, want one to each of 4 followers", want.strategy, n.EntriesSent, commits)
		}
		if n.Elections > 0 || n.Rejections > 0 || g.c.Status(1).Term != 1 {
			return g.fail(Cost, "with %s and no fault there were %d elections and %d rejections; the term is %d, want 1", want.strategy, n.Elections, n.Rejections, g.c.Status(1).Term)
		}
	}
	return nil
}

func rejoin(ctx context.Context, g *stage) error {
	if err := g.open(ctx, 5, "eager", sim.Link{Delay: time.Millisecond}, sim.Disk{}); err != nil {
		return err
	}
	term := g.c.Status(1).Term
	cluster.Isolate(g.c, 5, cluster.SilentCut)
	if err := g.sleep(20 * g.cfg.ElectionTimeout); err != nil {
		return err
	}
	if _, err := g.commit(g.cfg.ElectionTimeout); err != nil {
		return err
	}
	cluster.Rejoin(g.c, 5)
	if err := g.sleep(5 * g.cfg.ElectionTimeout); err != nil {
		return err
	}
	if s := g.c.Status(1); s.Role != raft.Leader || s.Term != term {
		return g.fail(Cost, "the leader of term %d is %v in term %d after a replica came back that was cut off", term, s.Role, s.Term)
	}
	if s := g.c.Status(5); s.Leader != 1 || s.Commit != g.c.Status(1).Commit {
		return g.fail(Live, "the replica that came back follows %d and has committed %d of %d", s.Leader, s.Commit, g.c.Status(1).Commit)
	}
	return nil
}

// silence cuts a follower off silently while entries commit, and heals it.
func silence(ctx context.Context, g *stage) error {
	for _, strategy := range []string{"fast-signal-commit", "eager", "linear,send=window(1)"} {
		link := sim.Link{Delay: time.Millisecond}
		if err := g.open(ctx, 3, strategy, link, sim.Disk{}); err != nil {
			return err
		}
		cluster.Isolate(g.c, 3, cluster.SilentCut)
		if err := g.serve(8); err != nil { // the silence begins
			return err
		}
		const commits = 100
		before, from := g.c.Counters(), g.c.Now()
		if err := g.serve(commits); err != nil {
			return err
		}
		n := g.c.Counters().Sub(before)
		beats := uint64(g.c.Now().Sub(from)/g.cfg.Heartbeat) + 1
		if n.EntriesSent != commits || n.AppendEntries > 2*commits+2*beats {
			return g.fail(Cost, "with %s and a silent follower, %d entries in %d AppendEntries were sent for %d commits in %d heartbeats, want each entry once, to the other follower",
				strategy, n.EntriesSent, n.AppendEntries, commits, beats)
		}

		// Healed right after a heartbeat, the leader hears of it with the next.
		beat := g.v.replica(1).node.Deadline()
		if err := g.sleep(beat.Sub(g.c.Now()) + link.Delay); err != nil {
			return err
		}
		have := g.c.Status(3).Last
		cluster.Rejoin(g.c, 3)
		if err := g.sleep(g.cfg.Heartbeat / 2); err != nil {
			return err
		}
		if now := g.c.Status(3).Last; now != have {
			return g.fail(Cost, "with %s the leader is told that a silent cut is healed: the follower has %d entries before a heartbeat, it had %d", strategy, now, have)
		}
		within := g.cfg.Heartbeat/2 + 20*link.Delay
		if g.wait(within, func() bool { return g.c.Status(3).Last == g.c.Status(1).Last }) != nil {
			return g.fail(Live, "with %s a follower has %d of %d entries a heartbeat after a silent cut was healed", strategy, g.c.Status(3).Last, g.c.Status(1).Last)
		}
	}
	return nil
}

// serve commits so many proposals, several in a heartbeat interval.
func (g *stage) serve(commits int) error {
	for range commits {
		if _, err := g.commit(g.cfg.ElectionTimeout); err != nil {
			return err
		}
		if err := g.sleep(g.cfg.Heartbeat / 3); err != nil {
			return err
		}
	}
	return nil
}

func deafLeader(ctx context.Context, g *stage) error {
	if err := g.open(ctx, 5, "eager", sim.Link{Delay: time.Millisecond}, sim.Disk{}); err != nil {
		return err
	}
	for id := raft.ID(2); id <= 5; id++ {
		g.c.Cut(id, 1, cluster.SilentCut)
	}
	_, err := g.commit(10 * g.cfg.ElectionTimeout)
	return err
}

func stalledLeader(ctx context.Context, g *stage) error {
	if err := g.open(ctx, 3, "eager", sim.Link{Delay: time.Millisecond}, sim.Disk{Sync: time.Millisecond}); err != nil {
		return err
	}
	if err := g.c.SetDisk(1, sim.Disk{Sync: time.Millisecond, Stall: 1, StallFor: forGood}); err != nil {
		return err
	}
	for range 5 {
		if _, err := g.commit(10 * g.cfg.ElectionTimeout); err != nil {
			return err
		}
	}
	return nil
}
