package live_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen; it is far above what it takes on the slowest machine.
const patience = time.Minute

var kinds = []transports.Kind{mem.Kind(), tcp.Plain(), quic.PerClass()}

// group is a live cluster in a test.
type group struct {
	*live.Cluster
	t *testing.T
}

// config is a group in which nobody campaigns by itself.
func config(strategy string) live.Config {
	s, err := strategies.Parse(strategy)
	if err != nil {
		panic(err)
	}
	return live.Config{Transport: mem.Kind(), Config: cluster.Config{Replicas: 3, Strategy: s, Heartbeat: 5 * time.Millisecond,
		ElectionTimeout: time.Hour, Seed: 1}}
}

func start(t *testing.T, cfg live.Config) *group {
	t.Helper()
	c, err := live.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := &group{c, t}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *group) wait(what string, cond func() bool) {
	g.t.Helper()
	if err := g.Wait(g.t.Context(), patience, cond); err != nil {
		for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
			g.t.Logf("%+v", g.Status(id))
		}
		g.t.Fatalf("%s: %v", what, err)
	}
}

func (g *group) elect(id raft.ID) {
	g.t.Helper()
	g.Campaign(id)
	g.wait("election", func() bool { return cluster.Leader(g) == id })
	if _, err := cluster.WaitLeader(g.t.Context(), g, patience); err != nil {
		g.t.Fatal(err)
	}
}

// offer proposes n values at once, and returns what counts those that were answered.
func (g *group) offer(to raft.ID, n int) *tally {
	t := &tally{}
	for i := range n {
		g.Propose(to, &cluster.Proposal{Data: binary.LittleEndian.AppendUint64(nil, uint64(i)), Done: t.done})
	}
	return t
}

// tally counts answers.
type tally struct{ outcomes [5]atomic.Int64 }

func (t *tally) done(p *cluster.Proposal)          { t.outcomes[p.Outcome].Add(1) }
func (t *tally) count(o cluster.Outcome) int       { return int(t.outcomes[o].Load()) }
func (t *tally) all(o cluster.Outcome, n int) bool { return t.count(o) == n }

// commit proposes n values and waits until the replica has answered all.
func (g *group) commit(to raft.ID, n int) {
	g.t.Helper()
	t := g.offer(to, n)
	g.wait(fmt.Sprintf("commit of %d", n), func() bool { return t.all(cluster.Committed, n) })
}

// level waits until all replicas have applied the same log, and returns its digest.
func (g *group) level() uint64 {
	g.t.Helper()
	seen := make([]cluster.Status, g.Size())
	g.wait("equal logs", func() bool {
		for i := range seen {
			seen[i] = g.Status(raft.ID(i + 1))
			if s := seen[i]; !s.Up || s.Applied != s.Last || s.Last != seen[0].Last {
				return false
			}
		}
		return true
	})
	for i := range seen {
		if seen[i].Digest != seen[0].Digest {
			g.t.Fatalf("replicas 1 and %d applied different logs", i+1)
		}
	}
	return seen[0].Digest
}

func each(t *testing.T, test func(t *testing.T, kind transports.Kind)) {
	for _, kind := range kinds {
		t.Run(kind.Name, func(t *testing.T) { test(t, kind) })
	}
}

func TestElectAndCommit(t *testing.T) {
	each(t, func(t *testing.T, kind transports.Kind) {
		cfg := config("eager")
		cfg.Transport = kind
		g := start(t, cfg)
		g.elect(2)
		g.commit(2, 500)
		g.level()
		if s := g.Status(2); s.Term != 1 || s.Last != 500 || s.Role != raft.Leader {
			t.Errorf("%+v", s)
		}
		if c := g.Counters(); c.Elections != 1 { // although nobody observes
			t.Errorf("%+v", c)
		} else if c.EntriesSent < 1000 || c.Messages <= c.AppendEntries || c.Bytes == 0 || c.Writes == 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Without a push, timers elect a leader.
func TestElectionByTimeout(t *testing.T) {
	cfg := config("eager")
	cfg.ElectionTimeout, cfg.PreVote, cfg.CheckQuorum = 50*time.Millisecond, true, true
	g := start(t, cfg)
	if _, err := cluster.WaitLeader(t.Context(), g, patience); err != nil {
		t.Fatal(err)
	}
}

func TestCrashAndRestart(t *testing.T) {
	each(t, func(t *testing.T, kind transports.Kind) {
		cfg := config("fast-signal-commit")
		cfg.Transport = kind
		g := start(t, cfg)
		g.elect(1)
		g.commit(1, 100)
		for range 3 { // on the same port each time
			g.Crash(3)
			if g.Status(3).Up {
				t.Fatal("up after its crash")
			}
			g.commit(1, 100)
			if err := g.Restart(3); err != nil {
				t.Fatal(err)
			}
			g.level()
		}
		before := g.Status(1)
		g.Crash(1)
		g.elect(2)
		g.commit(2, 100)
		if err := g.Restart(1); err != nil {
			t.Fatal(err)
		}
		g.level()
		if s := g.Status(1); s.Applied != before.Applied+100 || s.Term <= before.Term {
			t.Errorf("%+v after %+v", s, before)
		}
	})
}

// A replica that was down while the others forgot the beginning of their logs gets what it lacks.
func TestCompactionWaitsForTheSlowest(t *testing.T) {
	cfg := config("eager")
	cfg.SnapshotEntries, cfg.SnapshotTrailing = 1024, 100
	g := start(t, cfg)
	g.elect(1)
	for _, away := range []struct{ leave, rejoin func() }{
		{func() { g.Crash(3) }, func() {
			if err := g.Restart(3); err != nil {
				t.Fatal(err)
			}
		}},
		{func() { cluster.Isolate(g, 3, cluster.SilentCut) }, func() { cluster.Rejoin(g, 3) }},
	} {
		g.commit(1, 5000)
		g.level()
		away.leave()
		g.commit(1, 5000)
		away.rejoin()
		g.level()
	}
	g.commit(1, 3000)
	g.level()
	g.wait("compaction", func() bool { return g.Status(1).First > 10_000 })
}

func TestCutOneWay(t *testing.T) {
	each(t, func(t *testing.T, kind transports.Kind) {
		cfg := config("eager")
		cfg.Transport = kind
		g := start(t, cfg)
		g.elect(1)
		g.commit(1, 10)
		g.level()
		g.Cut(1, 3, cluster.SilentCut)
		g.commit(1, 10)
		if s := g.Status(3); s.Applied != 10 {
			t.Errorf("replica 3 applied %d entries through a cut link", s.Applied)
		}
		g.Heal(1, 3)
		g.level()
		// The other way: what it gets, it cannot acknowledge.
		g.Cut(3, 1, cluster.SilentCut)
		g.commit(1, 10)
		g.Heal(3, 1)
		g.level()
	})
}

// A transport carries the largest AppendEntries that the group's limit allows, though it is above the transport's default.
func TestFramesAreAsLargeAsAppends(t *testing.T) {
	cfg := config("eager")
	cfg.MaxAppendBytes, cfg.Transport = 24<<20, tcp.Plain()
	g := start(t, cfg)
	g.elect(1)
	g.Cut(1, 3, cluster.SilentCut)
	var answers tally
	for range 6 {
		g.Propose(1, &cluster.Proposal{Data: make([]byte, 4<<20), Done: answers.done})
	}
	g.wait("commit without one", func() bool { return answers.all(cluster.Committed, 6) })
	g.Heal(1, 3)
	g.level()
	if n := transports.MaxFrameBytes(24<<20, 0); n <= transports.DefaultMaxFrameBytes {
		t.Errorf("a frame of %d bytes proves nothing", n)
	}
}

func TestPause(t *testing.T) {
	each(t, func(t *testing.T, kind transports.Kind) {
		cfg := config("eager")
		cfg.Transport = kind
		g := start(t, cfg)
		g.elect(1)
		g.commit(1, 10)
		g.level()
		g.Pause(3)
		g.Pause(3)
		g.commit(1, 10)
		if s := g.Status(3); s.Applied != 10 || !s.Up {
			t.Errorf("%+v while it is paused", s)
		}
		g.Resume(3)
		g.level()
		g.Resume(3)
	})
}

// A paused leader is succeeded, and what clients had offered to it is answered once it goes on.
func TestPausedLeader(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	g.commit(1, 10)
	g.level()
	g.Pause(1)
	late := g.offer(1, 5)
	g.Campaign(2)
	g.wait("succession", func() bool { return g.Status(2).Role == raft.Leader })
	g.commit(2, 10)
	if late.count(cluster.Pending) != 0 || late.count(cluster.Committed) != 0 {
		t.Error("a paused replica answered")
	}
	g.Resume(1)
	// Appended before it heard of its successor, its entries give way; offered after that, they are refused.
	g.wait("answers", func() bool { return late.count(cluster.Failed)+late.count(cluster.Refused) == 5 })
	g.level()
}

// Nothing that a scenario does to a paused replica waits for it.
func TestPausedReplicaBlocksNobody(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	g.wait("following", func() bool { return g.Status(3).Leader == 1 })
	g.Pause(3)
	cluster.Isolate(g, 3, cluster.SilentCut)
	cluster.Rejoin(g, 3)
	g.SetConditions(cluster.Conditions{RequestDelay: time.Microsecond})
	g.SetConditions(cluster.Conditions{})
	g.Counters()
	g.Warnings()
	g.Campaign(3)
	g.commit(1, 10)
	if s := g.Status(3); s.Term != 1 {
		t.Errorf("a paused replica campaigned: %+v", s)
	}
	g.Resume(3)
	g.wait("campaign", func() bool { return g.Status(1).Term == 2 && g.Status(2).Term == 2 && g.Status(3).Term == 2 })
	g.Pause(3)
	g.Crash(3)
	g.Pause(3) // of a crashed one: nothing
	if err := g.Restart(3); err != nil {
		t.Fatal(err)
	}
	g.elect(1)
	g.commit(1, 1)
	g.level()
	g.Pause(2) // and Close does not wait for it either
}

// A paused replica that crashes has handled nothing of what piled up.
func TestCrashWhilePaused(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	g.commit(1, 10)
	g.level()
	g.Pause(1)
	late := g.offer(1, 10)
	g.Crash(1)
	if s := g.Status(1); s.Last != 10 || !late.all(cluster.Refused, 10) {
		t.Errorf("%+v, %d refused", s, late.count(cluster.Refused))
	}
	if err := g.Restart(1); err != nil {
		t.Fatal(err)
	}
	if s := g.Status(1); s.Last != 10 {
		t.Errorf("%+v after the restart", s)
	}
}

// What a leader has appended and not committed when it crashes nobody knows.
func TestCrashLeavesUnknown(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	g.commit(1, 10)
	cluster.Isolate(g, 1, cluster.SilentCut)
	open := g.offer(1, 10)
	g.wait("append", func() bool { return g.Status(1).Last == 20 })
	g.Crash(1)
	if !open.all(cluster.Unknown, 10) {
		t.Errorf("%d unknown", open.count(cluster.Unknown))
	}
}

// An old leader's proposals fail when others take their place, also when it leads again in between.
func TestOrphans(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	g.commit(1, 10)
	g.level()
	cluster.Isolate(g, 1, cluster.SilentCut)
	lost := g.offer(1, 10)
	g.wait("append", func() bool { return g.Status(1).Last == 20 })
	g.elect2(2, 1)
	g.commit(2, 15)
	cluster.Rejoin(g, 1)
	g.wait("failures", func() bool { return lost.all(cluster.Failed, 10) })
	g.level()
	if s := g.Status(1); s.Last != 25 {
		t.Errorf("%+v", s)
	}

	// Kept across a leadership of somebody else that leaves them alone.
	cluster.Isolate(g, 2, cluster.SilentCut)
	kept := g.offer(2, 3)
	g.wait("append", func() bool { return g.Status(2).Last == 28 })
	g.Campaign(2)
	cluster.Rejoin(g, 2)
	g.wait("election", func() bool { return g.Status(2).Role == raft.Leader && g.Status(1).Leader == 2 })
	g.commit(2, 1)
	g.wait("old proposals", func() bool { return kept.all(cluster.Committed, 3) })
	g.level()
}

// elect2 elects while one replica cannot follow.
func (g *group) elect2(id, away raft.ID) {
	g.t.Helper()
	g.Campaign(id)
	g.wait("election", func() bool {
		following := 0
		for other := raft.ID(1); other <= raft.ID(g.Size()); other++ {
			if other != away && g.Status(other).Leader == id {
				following++
			}
		}
		return following == g.Size()-1
	})
}

// Figure 7 of the Raft paper: the leader's log, and the six followers that it may find.
func TestFigure7(t *testing.T) {
	logs := [][]uint64{
		{1, 1, 1, 4, 4, 5, 5, 6, 6, 6}, {1, 1, 1, 4, 4, 5, 5, 6, 6}, {1, 1, 1, 4}, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
		{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, {1, 1, 1, 4, 4, 4, 4}, {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
	}
	for _, backup := range []string{"linear", "fast", "hint", "bisect", "exponential", "sendall"} {
		t.Run(backup, func(t *testing.T) {
			cfg := config(backup)
			cfg.Replicas, cfg.Boot = len(logs), map[raft.ID]cluster.Boot{}
			for i, terms := range logs {
				b := cluster.Boot{Term: 7}
				for _, term := range terms {
					b.Entries = append(b.Entries, raft.Entry{Term: term, Data: fmt.Appendf(nil, "of term %d", term)})
				}
				cfg.Boot[raft.ID(i+1)] = b
			}
			g := start(t, cfg)
			for i, terms := range logs {
				if s := g.Status(raft.ID(i + 1)); s.Term != 7 || s.Last != uint64(len(terms)) {
					t.Fatalf("%+v", s)
				}
			}
			// (c) and (d) have longer logs than the leader; (a), (b) and (e) elect it.
			cluster.Isolate(g, 4, cluster.SilentCut)
			cluster.Isolate(g, 5, cluster.SilentCut)
			g.elect(1)
			cluster.Rejoin(g, 4)
			cluster.Rejoin(g, 5)
			g.commit(1, 1)
			g.level()
			if s := g.Status(5); s.Last != 11 || s.Term != 8 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	ask := func(to raft.ID, size int) error {
		done := make(chan error, 1)
		g.Propose(to, &cluster.Proposal{Data: make([]byte, size), Done: func(p *cluster.Proposal) { done <- p.Err }})
		return <-done
	}
	if err := ask(2, 8); !errors.Is(err, raft.ErrNotLeader) {
		t.Error(err)
	}
	if err := ask(1, raft.DefaultMaxEntryBytes+1); !errors.Is(err, raft.ErrEntryTooLarge) {
		t.Error(err)
	}
	g.Crash(3)
	if err := ask(3, 8); !errors.Is(err, cluster.ErrDown) {
		t.Error(err)
	}
	if err := ask(1, 8); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := ask(1, 8); !errors.Is(err, cluster.ErrDown) {
		t.Error(err)
	}
	if err := g.Restart(3); err == nil {
		t.Error("restarted after Close")
	}
}

// No proposal waits for a heartbeat, whatever else takes the replica's lock: there are none for an hour.
func TestNoLostWakeUp(t *testing.T) {
	each(t, func(t *testing.T, kind transports.Kind) {
		cfg := config("eager")
		cfg.Transport, cfg.Heartbeat, cfg.ElectionTimeout = kind, time.Hour, 2*time.Hour
		g := start(t, cfg)
		g.elect(1)
		// One client and one follower: whatever else arrived would see to a forgotten proposal.
		g.Pause(3)
		ctx, cancel := context.WithCancel(t.Context())
		var others sync.WaitGroup
		others.Go(func() { // this changes nothing at the leader, but may take its lock
			for ctx.Err() == nil {
				g.Heal(1, 2)
				g.SetConditions(cluster.Conditions{})
			}
		})
		defer others.Wait()
		defer cancel()
		done := make(chan cluster.Outcome, 1)
		p := &cluster.Proposal{Data: make([]byte, 8), Done: func(p *cluster.Proposal) { done <- p.Outcome }}
		stuck := time.After(patience)
		for range 2000 {
			g.Propose(1, p)
			select {
			case <-done:
			case <-stuck:
				t.Fatalf("stuck at %+v", g.Status(1))
			}
		}
	})
}

// lateMember calls back when its replica looks for the last time before it lets go of its lock.
type lateMember struct {
	cluster.Member
	late func()
}

func (m *lateMember) Deadline() raft.Time {
	m.late()
	return m.Member.Deadline()
}

// A proposal that is queued when its replica has looked at the queue, and not yet let go of the lock, is not overlooked:
// nothing else comes that would see to it.
func TestQueuedBeforeTheLockIsFree(t *testing.T) {
	var g *group
	var late atomic.Pointer[cluster.Proposal]
	cfg := config("eager")
	cfg.Heartbeat, cfg.ElectionTimeout = time.Hour, 2*time.Hour
	cfg.Engine = func(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		m, err := cluster.NewReplica(id, cfg, host, store)
		return &lateMember{m, func() {
			if p := late.Load(); id == 1 && p != nil && late.CompareAndSwap(p, nil) {
				g.Propose(1, p)
			}
		}}, err
	}
	g = start(t, cfg)
	g.elect(1)
	g.Pause(2)
	g.Pause(3)
	before := g.Status(1).Last
	var answers tally
	late.Store(&cluster.Proposal{Data: make([]byte, 8), Done: answers.done})
	g.Propose(1, &cluster.Proposal{Data: make([]byte, 8), Done: answers.done})
	g.wait("the late proposal's entry", func() bool { return g.Status(1).Last == before+2 })
}

// Everyone who waits is woken by the one thing that happens.
func TestManyWaiters(t *testing.T) {
	cfg := config("eager")
	cfg.Heartbeat, cfg.ElectionTimeout = time.Hour, 2*time.Hour
	g := start(t, cfg)
	g.elect(1)
	g.commit(1, 1)
	g.level()
	var ready, done sync.WaitGroup
	for range 10 {
		ready.Add(1)
		looked := false
		done.Go(func() {
			err := g.Wait(t.Context(), patience, func() bool {
				if !looked {
					looked = true
					ready.Done()
				}
				return g.Status(1).Applied == 2
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	g.commit(1, 1)
	done.Wait()
}

func TestWaitEnds(t *testing.T) {
	g := start(t, config("eager"))
	never := func() bool { return false }
	if err := g.Wait(t.Context(), time.Millisecond, never); !errors.Is(err, cluster.ErrTimeout) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := g.Wait(ctx, patience, never); err == nil || err.Error() != "enough" {
		t.Error(err)
	}
	if err := g.Wait(ctx, patience, func() bool { return true }); err != nil {
		t.Error(err)
	}
}

func TestAt(t *testing.T) {
	g := start(t, config("eager"))
	var times []raft.Time
	done := make(chan struct{})
	due := g.Now().Add(time.Millisecond)
	g.At(due, func(now raft.Time) raft.Time {
		if now < due {
			t.Errorf("due at %d, called at %d", due, now)
		}
		if times = append(times, now); len(times) == 5 {
			close(done)
			return 0
		}
		due = now.Add(100 * time.Microsecond)
		return due
	})
	<-done
	past := make(chan struct{})
	g.At(1, func(raft.Time) raft.Time { close(past); return 0 })
	<-past
	g.At(g.Now().Add(time.Hour), func(raft.Time) raft.Time { t.Error("called"); return 0 })
	g.At(g.Now(), func(now raft.Time) raft.Time { return now }) // for ever: Close ends it
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	g.At(1, func(raft.Time) raft.Time { t.Error("called after Close"); return 0 })
	if !slices.IsSorted(times) {
		t.Error(times)
	}
}

// Close in the middle of work: it returns, and every proposal has been answered once.
func TestCloseUnderLoad(t *testing.T) {
	each(t, func(t *testing.T, kind transports.Kind) {
		cfg := config("eager")
		cfg.Transport = kind
		g := start(t, cfg)
		g.elect(1)
		g.Pause(3)
		g.Cut(1, 3, cluster.SilentCut)
		g.SetConditions(cluster.Conditions{ReplyHold: 0.5, HoldMin: time.Microsecond, HoldMax: time.Hour})
		const clients = 32
		var committed atomic.Int64
		var stopped sync.WaitGroup
		stopped.Add(clients)
		for range clients {
			p := &cluster.Proposal{Data: make([]byte, 100)}
			p.Done = func(p *cluster.Proposal) {
				if p.Outcome != cluster.Committed {
					stopped.Done() // more often than once panics
					return
				}
				if committed.Add(1) == 100 {
					g.SetConditions(cluster.Conditions{})
				}
				g.Propose(1, p)
			}
			g.Propose(1, p)
		}
		g.wait("load", func() bool { return committed.Load() > 1000 })
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		stopped.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A step of At may do to replicas what it likes, also while the group is being closed.
func TestCloseWhileStepsCrashAndRestart(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	rounds := make(chan struct{}, 1)
	g.At(g.Now(), func(now raft.Time) raft.Time {
		g.Crash(3)
		g.Restart(3) // fails in the end, when the group is closed
		select {
		case rounds <- struct{}{}:
		default:
		}
		return now
	})
	for range 3 {
		<-rounds
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for id := raft.ID(1); id <= 3; id++ {
		if g.Status(id).Up {
			t.Errorf("replica %d is up after Close", id)
		}
	}
}

func TestConditions(t *testing.T) {
	g := start(t, config("eager"))
	g.elect(1)
	g.commit(1, 10)
	g.level()
	g.SetConditions(cluster.Conditions{ReplyLoss: 1})
	open := g.offer(1, 10)
	g.wait("losses", func() bool { return g.Counters().Dropped > 10 })
	if open.count(cluster.Committed) > 0 {
		t.Error("committed without an answer")
	}
	g.SetConditions(cluster.Conditions{RequestLoss: 0.1, RequestDelay: time.Millisecond, ReplyLoss: 0.1, ReplyHold: 0.5,
		HoldMin: time.Millisecond, HoldMax: 2 * time.Millisecond})
	g.wait("commits", func() bool { return open.all(cluster.Committed, 10) })
	g.SetConditions(cluster.Conditions{})
	g.level()
}

func TestNewFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config("eager")
	cfg.Transport, cfg.Ports = tcp.Plain(), []int{0, l.Addr().(*net.TCPAddr).Port, 0}
	if _, err := live.New(cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	cfg.Ports = cfg.Ports[:2]
	if _, err := live.New(cfg); err == nil {
		t.Error("too few ports")
	}
	cfg = config("eager")
	cfg.Heartbeat = 0
	if _, err := live.New(cfg); !errors.Is(err, raft.ErrConfig) {
		t.Errorf("heartbeat: %v", err)
	}
	cfg.Replicas = 0
	if _, err := live.New(cfg); !errors.Is(err, raft.ErrConfig) {
		t.Errorf("replicas: %v", err)
	}
}

// A strategy changes when, never what: the same script ends in the same log under every one of them.
func TestSameLogUnderEveryStrategy(t *testing.T) {
	names := []string{"linear,send=batch(8,1ms),commit=every(3ms),announce=batch(4,2ms),apply=every(2ms)", "hint,send=window(1),apply=confirmed"}
	for _, s := range strategies.List() {
		names = append(names, s.Name)
	}
	want := uint64(0)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			g := start(t, config(name))
			g.elect(1)
			g.commit(1, 30)
			cluster.Isolate(g, 3, cluster.SilentCut)
			g.commit(1, 30)
			cluster.Rejoin(g, 3)
			g.level()
			g.Crash(1)
			g.elect(2)
			g.commit(2, 30)
			if err := g.Restart(1); err != nil {
				t.Fatal(err)
			}
			g.commit(2, 30)
			got := g.level()
			if want == 0 {
				want = got
			}
			if got != want {
				t.Errorf("log %016x, under %s %016x", got, names[0], want)
			}
		})
	}
}

// A client that proposes again whenever it is answered, at a member that answers at once, keeps a goroutine busy for
// ever: not the one that proposed first, and neither timers, nor frames in both directions, nor Close wait for it.
func TestNobodyIsStarved(t *testing.T) {
	members := map[raft.ID]*instant{}
	var mu sync.Mutex
	cfg := config("eager")
	cfg.Replicas = 2
	cfg.Engine = func(id raft.ID, _ *cluster.Config, host cluster.Host, _ storage.Storage) (cluster.Member, error) {
		mu.Lock()
		defer mu.Unlock()
		members[id] = &instant{id: id, host: host}
		return members[id], nil
	}
	g := start(t, cfg)
	var commits, refused atomic.Int64
	p := &cluster.Proposal{Data: []byte("again")}
	p.Done = func(p *cluster.Proposal) {
		if p.Outcome == cluster.Refused {
			refused.Add(1)
			return
		}
		commits.Add(1)
		g.Propose(1, p)
	}
	g.Propose(1, p)
	g.wait("all are served", func() bool {
		return commits.Load() > 10_000 && members[1].ticks.Load() > 3 && members[1].received.Load() > 3 && members[2].received.Load() > 3
	})
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if refused.Load() != 1 {
		t.Errorf("after Close the client was refused %d times", refused.Load())
	}
}

// Propose returns although nothing else ever wants the replica.
func TestProposeReturns(t *testing.T) {
	cfg := config("eager")
	cfg.Replicas = 1
	cfg.Engine = func(id raft.ID, _ *cluster.Config, host cluster.Host, _ storage.Storage) (cluster.Member, error) {
		return &instant{id: id, host: host, due: cluster.Never}, nil
	}
	g := start(t, cfg)
	var commits atomic.Int64
	p := &cluster.Proposal{Data: []byte("again")}
	p.Done = func(p *cluster.Proposal) {
		if p.Outcome == cluster.Committed {
			commits.Add(1)
			g.Propose(1, p)
		}
	}
	g.Propose(1, p)
	returned := commits.Load()
	g.wait("others go on", func() bool { return commits.Load() > returned+10_000 })
}

// instant is a member without any Raft: it commits whatever it is offered at once, and sends a frame with each tick.
type instant struct {
	cluster.Member
	id              raft.ID
	host            cluster.Host
	offered         []*cluster.Proposal
	due             raft.Time
	ticks, received atomic.Int64
}

func (m *instant) Propose(_ raft.Time, p *cluster.Proposal) { m.offered = append(m.offered, p) }
func (m *instant) Reachable(raft.Time, raft.ID)             {}
func (m *instant) Deadline() raft.Time                      { return m.due }
func (m *instant) Status() cluster.Status                   { return cluster.Status{Up: true} }
func (m *instant) Counters() cluster.Counters               { return cluster.Counters{} }
func (m *instant) Abandon()                                 {}

func (m *instant) Receive(raft.Time, raft.ID, []byte) error {
	m.received.Add(1)
	return nil
}

func (m *instant) Tick(now raft.Time) {
	if now >= m.due {
		m.ticks.Add(1)
		m.due = now.Add(time.Millisecond)
		m.host.Send(3-m.id, transports.ClassHeartbeat, []byte("tick"), nil)
	}
}

func (m *instant) Settle(raft.Time) {
	batch := m.offered
	m.offered = nil
	for _, p := range batch {
		p.Outcome = cluster.Committed
		p.Done(p)
	}
}
