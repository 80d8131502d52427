package bench

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

// A client whose proposal is not answered for long goes on without it. An answer that comes after all changes no
// figure, and does not touch what the client does by then.
func TestClientsGiveUp(t *testing.T) {
	for _, outcome := range []cluster.Outcome{cluster.Committed, cluster.Failed, cluster.Unknown, cluster.Refused} {
		for name, settings := range map[string]func(*Settings){"closed": nil, "open": openLoop(1000)} {
			t.Run(fmt.Sprint(name, " ", outcome), func(t *testing.T) {
				r := trialOf(steady, func(s *Settings) {
					if settings != nil {
						settings(s)
					}
					s.Timeout = 60 * time.Millisecond // of which clients wait for a third, and not much more
				}, func(f *fake) {
					f.late = lateAt(60, lateAnswer{as: outcome, lost: outcome == cluster.Failed || outcome == cluster.Refused})
				})
				if r.Status != results.OK {
					t.Fatalf("%s: %s", r.Status, r.Reason)
				}
				if c := r.Counts; c.Unknown != 1 || c.Failed != 0 || r.Window.Unknown != 1 {
					t.Errorf("%+v, in the span %+v", c, r.Window)
				}
				if r.Latency.Max() > time.Millisecond+retryAfter { // of a client that looked for a leader
					t.Errorf("a latency of %v", r.Latency.Max())
				}
				if text := strings.Join(r.Warnings, "\n"); !strings.Contains(text, "gave up what had no answer for 20ms") {
					t.Errorf("%q", text)
				}
				if want := uint64(150); name == "closed" && r.Window.Committed < want {
					t.Errorf("%d commits in the span, want %d or more: its client did not go on",
						r.Window.Committed, want)
				}
			})
		}
	}
}

// However long a trial is, its clients wait for a third of the timeout that was asked for, unless a commit takes so
// long.
func TestLongTrialsHaveNoMorePatience(t *testing.T) {
	for _, c := range []struct{ duration, heartbeat, want time.Duration }{
		{time.Second, 100 * time.Millisecond, 10 * time.Second},
		{time.Hour, 100 * time.Millisecond, 10 * time.Second},
		{time.Hour, time.Minute, 3 * time.Minute},
	} {
		m := estimated(t, "fast-loop", "steady")
		m.Common.Timeout, m.Common.Duration = 30*time.Second, c.duration
		m.Common.Heartbeat, m.Common.ElectionTimeout = c.heartbeat, 10*c.heartbeat
		s := planned(t, m)[0].Settings
		if s.Patience < c.want || s.Patience > 4*c.want || s.Timeout < 3*s.Patience {
			t.Errorf("%+v: clients wait for %v, and everybody for %v", c, s.Patience, s.Timeout)
		}
	}
	r := trialOf(steady, func(s *Settings) { s.Timeout, s.Patience = time.Minute, 20*time.Millisecond }, func(f *fake) {
		f.late = lateAt(60, lateAnswer{as: cluster.Committed})
	})
	if text := strings.Join(r.Warnings, "\n"); !strings.Contains(text, "gave up what had no answer for 20ms") {
		t.Errorf("%s: %s: %q", r.Status, r.Reason, text)
	}
}

// lateAt answers the proposal that is committed at an index so late that its client has given it up.
func lateAt(index uint64, a lateAnswer) func(*cluster.Proposal) *lateAnswer {
	a.after = 50 * time.Millisecond
	return func(p *cluster.Proposal) *lateAnswer {
		if p.Index != index {
			return nil
		}
		return &a
	}
}

// A late answer must be true nevertheless.
func TestLateAnswersAreChecked(t *testing.T) {
	for _, c := range []struct {
		about  string
		late   lateAnswer
		reason string
	}{
		{"committed, and it is not", lateAnswer{as: cluster.Committed, lost: true}, "replica 1 never applied it"},
		{"failed, and it has not", lateAnswer{as: cluster.Failed}, "answered as failed, but replica 1 applied it"},
		{"twice", lateAnswer{as: cluster.Committed, twice: true}, "was answered twice, after"},
		{"never", lateAnswer{as: cluster.Pending}, "not all clients were answered"},
	} {
		r := trialOf(steady, func(s *Settings) { s.Timeout = 60 * time.Millisecond }, func(f *fake) {
			f.late = lateAt(60, c.late)
		})
		if r.Status != results.Invalid || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: %s: %s", c.about, r.Status, r.Reason)
		}
	}
}

// The whole process stands still for far longer than a client's patience: nobody could be answered, so nobody gives up.
func TestClockJump(t *testing.T) {
	for name, settings := range map[string]func(*Settings){"closed": nil, "open": openLoop(1000)} {
		r := trialOf(steady, settings, func(f *fake) {
			f.latency = func(raft.Time) time.Duration { return 1500 * time.Microsecond }
			f.at(raft.Time(50*time.Millisecond), func() { f.now = f.now.Add(20 * time.Second) })
		})
		if r.Status != results.OK || r.Counts.Unknown > 0 || r.Latency.Max() < 20*time.Second {
			t.Errorf("%s: %s: %s, %+v, latencies up to %v", name, r.Status, r.Reason, r.Counts, r.Latency.Max())
		}
	}
}

// freezing is the steady scenario with something that freezes in its middle.
func freezing(freeze func(t *Trial, leader raft.ID, sleep func()) (goOn bool), span time.Duration) Scenario {
	sc := steady
	sc.Run = func(ctx context.Context, t *Trial) error {
		leader, err := t.Elect(ctx)
		if err != nil {
			return err
		}
		load := t.Foreground()
		t.Measure(load)
		if err := cluster.Sleep(ctx, t.Cluster, time.Second); err != nil {
			return err
		}
		goOn := freeze(t, leader, func() { cluster.Sleep(ctx, t.Cluster, span) })
		if goOn {
			err = cluster.Sleep(ctx, t.Cluster, time.Second)
		}
		t.EndMeasure()
		return err
	}
	return sc
}

// pausing freezes some replicas, by their distance from the leader.
func pausing(distances ...raft.ID) func(*Trial, raft.ID, func()) bool {
	return func(t *Trial, leader raft.ID, sleep func()) bool {
		for _, d := range distances {
			t.Cluster.Pause((leader-1+d)%3 + 1)
		}
		sleep()
		for _, d := range distances {
			t.Cluster.Resume((leader-1+d)%3 + 1)
		}
		return true
	}
}

func cutOff(t *Trial, leader raft.ID, sleep func()) bool {
	cluster.Isolate(t.Cluster, leader, cluster.SilentCut)
	sleep()
	cluster.Rejoin(t.Cluster, leader)
	return true
}

// twoByTurn freezes the leader, and then its successor until the trial ends.
func twoByTurn(t *Trial, leader raft.ID, sleep func()) bool {
	t.Cluster.Pause(leader)
	sleep()
	t.Cluster.Resume(leader)
	t.Cluster.Pause(cluster.Leader(t.Cluster))
	sleep()
	return false
}

// The group freezes, as a whole or in part, for less and for more than a client's patience, under load, with and
// without what a leader needs to find out that it leads no more: every trial has figures.
func TestFreezes(t *testing.T) {
	eager, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	loads := map[string]func(*Settings){
		"open":                  openLoop(500),
		"closed":                func(s *Settings) { s.Clients = 8 },
		"without check quorum ": func(s *Settings) { s.Clients, s.CheckQuorum = 8, false },
	}
	long := 20 * time.Second
	var seed uint64
	for _, c := range []struct {
		about   string
		freeze  func(*Trial, raft.ID, func()) bool
		another bool // leader takes over, so that clients who give up are served
	}{
		{"all", pausing(0, 1, 2), false}, {"the leader", pausing(0), true}, {"a follower", pausing(1), false},
		{"a majority", pausing(0, 1), false}, {"the followers", pausing(1, 2), false}, {"cut off", cutOff, true},
		{"two by turn", twoByTurn, true},
	} {
		for _, span := range []time.Duration{time.Second, 3 * time.Second, long} {
			for name, load := range loads {
				p := plan(freezing(c.freeze, span), func(s *Settings) {
					s.ElectionTimeout, s.Heartbeat, s.Timeout = 500*time.Millisecond, 50*time.Millisecond, 30*time.Second
					s.PreVote, s.CheckQuorum, s.Strategy = true, true, eager
					load(s)
				})
				want := uint64(100)
				if span == long && c.another {
					want = 3000
				}
				seed++
				r := runTrial(context.Background(), p, seed, true, simulated)
				if r.Status != results.OK || r.Window.Committed < want {
					t.Errorf("%s for %v, %s, seed %d: %s: %s %+v",
						c.about, span, name, seed, r.Status, r.Reason, r.Window)
				}
			}
		}
	}
}

// simulated opens groups in virtual time, 2 ms apart.
func simulated(_ string, cfg cluster.Config) (cluster.Cluster, error) {
	link := netem.LAN()
	link.Delay = 2 * time.Millisecond
	return sim.New(sim.Config{Config: cfg, Transport: "tcp", Links: func(_, _ raft.ID) sim.Link { return link }})
}

// What a load measures and counts is compared with what was known beforehand, and with what others counted: figures
// that agree with each other are not enough.
func TestLoadIsChecked(t *testing.T) {
	for _, c := range []struct {
		about  string
		spoil  func(l *Load)
		reason string
	}{
		{"nothing", func(*Load) {}, ""},
		{"counts from another moment than when it was due", func(l *Load) {
			l.schedule.start = l.schedule.start.Add(time.Microsecond)
		}, "and was made as if at"},
		{"leaves out a place of the schedule", func(l *Load) { l.offered++ }, "and was made as if at"},
		{"forgets when what is under way was due", func(l *Load) {
			for _, cl := range l.clients {
				if cl.offered {
					cl.due -= raft.Time(time.Microsecond)
				}
			}
		}, "proposals took"},
		{"leaves a latency out", func(l *Load) {
			for _, cl := range l.clients {
				if cl.offered {
					cl.member = 0
				}
			}
			l.windows[0].counts.Proposed--
			l.windows[0].open--
		}, "proposals of the open loop were due in the measured span, and"},
		{"takes an unknown one for a commit", func(l *Load) {
			l.windows[0].counts.Proposed++
			l.windows[0].counts.Committed++
		}, "were due in the measured span"},
		{"counts a commit twice", func(l *Load) { l.counts.Proposed++; l.counts.Committed++ }, "the load counted"},
		{"counts a commit as failed", func(l *Load) { l.counts.Committed--; l.counts.Failed++ }, "the load counted"},
		{"counts a commit as unknown", func(l *Load) { l.counts.Committed--; l.counts.Unknown++ }, "the load counted"},
		{"forgets a commit", func(l *Load) { l.counts.Proposed--; l.counts.Committed-- }, "the load counted"},
		{"invents an unknown one", func(l *Load) { l.counts.Proposed++; l.counts.Unknown++ }, "the load counted"},
	} {
		sc := steady
		sc.Run = func(ctx context.Context, t *Trial) error {
			if _, err := t.Elect(ctx); err != nil {
				return err
			}
			load := t.Foreground()
			t.Measure(load)
			sleep := func() error { return cluster.Sleep(ctx, t.Cluster, 20*time.Millisecond+300*time.Microsecond) }
			if err := sleep(); err != nil {
				return err
			}
			load.mu.Lock()
			c.spoil(load)
			load.mu.Unlock()
			if err := sleep(); err != nil {
				return err
			}
			t.EndMeasure()
			return nil
		}
		r := trialOf(sc, openLoop(1000), nil)
		status := results.Invalid
		if c.reason == "" {
			status = results.OK
		}
		if r.Status != status || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: %s: %s", c.about, r.Status, r.Reason)
		}
	}
}

// overload makes a trial at 1000/s in which ten proposals at most are open and each takes the latency to commit.
func overload(latency time.Duration) results.Trial {
	sc := steady
	sc.Run = func(ctx context.Context, t *Trial) error {
		if _, err := t.Elect(ctx); err != nil {
			return err
		}
		load := newLoad(t, t.PayloadBytes)
		load.payload = maxOpenBytes / 10 // as if ten were all that may be open
		t.loads = append(t.loads, load)
		load.Open(1000)
		if err := cluster.Sleep(ctx, t.Cluster, time.Second); err != nil {
			return err
		}
		t.Measure(load)
		if err := cluster.Sleep(ctx, t.Cluster, 100*time.Millisecond); err != nil {
			return err
		}
		t.EndMeasure()
		return nil
	}
	return trialOf(sc, openLoop(1000), func(f *fake) {
		f.latency = func(raft.Time) time.Duration { return latency }
	})
}

// A group that is far behind the rate commits a lot in the measured span, but nothing that was due in it: the trial says
// what was reached, not that it was too short.
func TestOverload(t *testing.T) {
	r := overload(40 * time.Millisecond)
	want := fmt.Sprintf("the offered rate of 1,000/s was not reached: the group committed %.0f/s, and none of what was due "+
		"in the measured 100ms was answered before the trial's end: lower the rate below that", r.ThroughputPerSec)
	if r.Status != results.Inconclusive || r.Reason != want || r.ThroughputPerSec < 200 || r.ThroughputPerSec > 300 {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

// So it does if nothing at all is committed in the measured span.
func TestOverloadWithoutACommit(t *testing.T) {
	r := overload(300 * time.Millisecond) // answers come around 0.3, 0.6, 0.9 and 1.2 s; the span is from 1 s to 1.1 s
	want := "the offered rate of 1,000/s was not reached: nothing was committed in the measured 100ms: lower the rate, or raise --duration"
	if r.Status != results.Inconclusive || r.Reason != want {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

// A schedule's places and moments belong together at any rate.
func TestSchedule(t *testing.T) {
	for _, perSecond := range []float64{0.001, 0.3, 1, 3, 7, 999.5, 1000, 3333, 1e6, 7e6} {
		s := schedule{start: 12345, interval: float64(time.Second) / perSecond}
		for _, place := range []uint64{0, 1, 2, 3, 7, 10, 999, 1000, 123_456, 9_999_999} {
			if float64(place)/perSecond > 1e9 {
				continue // decades
			}
			at := s.at(place)
			if exact := 12345 + float64(place)/perSecond*1e9; float64(at) > exact+0.01 || float64(at) < exact-1.01 {
				t.Errorf("at %v a second, place %d is at %d, want %.3f", perSecond, place, at, exact)
			}
			if n := s.before(at); n != place {
				t.Errorf("at %v a second, %d are before place %d", perSecond, n, place)
			}
			if n := s.before(at + 1); n != place+1 {
				t.Errorf("at %v a second, %d are not after place %d", perSecond, n, place)
			}
		}
	}
}
