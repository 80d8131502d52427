package bench

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

func trialOf(scenario Scenario, settings func(*Settings), change func(*fake)) results.Trial {
	return runTrial(context.Background(), plan(scenario, settings), 1, true, opener(change))
}

// Each planted fault makes the trial invalid, for the reason that it is.
func TestPlantedFaultsAreInvalid(t *testing.T) {
	for _, c := range []struct {
		about  string
		plant  func(*fake)
		reason string
	}{
		{"acknowledges before commit", func(f *fake) { f.ackEarly = true }, "was acknowledged at index"},
		{"loses what it acknowledged", func(f *fake) { f.loseEvery = 50 }, "acknowledged"},
		{"applies a proposal twice", func(f *fake) { f.duplicateEvery = 50 }, "twice"},
		{"answers a proposal twice", func(f *fake) { f.answerTwice = 50 }, "was answered"},
		{"answers as failed what is committed", func(f *fake) { f.failEvery = 50 }, "answered as failed, but replica 1 applied it"},
		{"never answers", func(f *fake) { f.neverAnswer = 50 }, "not all clients were answered"},
		{"different logs", func(f *fake) {
			f.alter = func(id raft.ID, e *entry) {
				if id == 3 {
					e.term++
				}
			}
		}, "replicas 1 and 3 applied different logs"},
		{"different logs, equal digests", func(f *fake) {
			f.sameDigests = true
			f.alter = func(id raft.ID, e *entry) {
				if id == 3 {
					e.term++
				}
			}
		}, "replicas 1 and 3 applied different entries"},
		{"entries in another order, equal digests", func(f *fake) {
			f.sameDigests = true
			f.alter = func(id raft.ID, e *entry) {
				if number := numberOf(e.data); id == 3 && number < 40 {
					e.data[0] ^= 1 // neighbours change places
				}
			}
		}, "replicas 1 and 3 applied different entries"},
		{"a value that nobody proposed", func(f *fake) {
			f.alter = func(_ raft.ID, e *entry) { e.data[9] ^= 1 }
		}, "a value that nobody proposed"},
		{"a number that was never issued", func(f *fake) {
			f.alter = func(_ raft.ID, e *entry) { e.data[7] = 0x7f }
		}, "a value that nobody proposed"},
		{"no data where there was some", func(f *fake) {
			f.alter = func(id raft.ID, e *entry) {
				if id == 2 && numberOf(e.data) == 50 {
					e.data = nil
				}
			}
			f.sameDigests = true
		}, "never applied"},
		{"an answer from before it was due", func(f *fake) {
			f.stamp = func(p *cluster.Proposal) { p.Stages.Applied = p.Due - 1 }
		}, "out of range"},
		{"a latency beyond the histogram", func(f *fake) {
			f.stamp = func(p *cluster.Proposal) { p.Stages.Applied = p.Due.Add(results.MaxLatency + 1) }
		}, "out of range"},
		{"a stage that ends before it begins", func(f *fake) {
			f.stamp = func(p *cluster.Proposal) { p.Stages.Acked = p.Stages.Sent - 1 }
		}, "out of range"},
		{"followers that know of a commit before it happens", func(f *fake) {
			f.stamp = func(p *cluster.Proposal) {
				p.Stages.Committed, p.Stages.Applied = p.Stages.Applied+5, p.Stages.Applied+5
			}
		}, "out of range"},
	} {
		t.Run(c.about, func(t *testing.T) {
			r := trialOf(steady, nil, c.plant)
			if r.Status != results.Invalid || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("%s: %s", r.Status, r.Reason)
			}
			if strings.Contains(r.Reason, "\n") {
				t.Errorf("more than one line: %q", r.Reason)
			}
		})
	}
	if r := trialOf(steady, nil, nil); r.Status != results.OK {
		t.Errorf("without any fault: %s: %s", r.Status, r.Reason)
	}
}

// Whatever a scenario writes is checked before it is handed over.
func TestResultIsChecked(t *testing.T) {
	lying := steady
	run := steady.Run
	lying.Run = func(ctx context.Context, t *Trial) error {
		t.Result.CatchUp = &results.CatchUp{Total: 2, Detect: 1}
		return run(ctx, t)
	}
	if r := trialOf(lying, nil, nil); r.Status != results.Invalid || !strings.Contains(r.Reason, "add up") {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

// A closed loop over a group with a latency of exactly a millisecond: each figure is known, and the warm-up, in which
// everything took ten times as long, is in none of them.
func TestClosedLoopExactly(t *testing.T) {
	r := trialOf(steady, nil, func(f *fake) {
		f.lag = 300 * time.Microsecond
		f.latency = func(now raft.Time) time.Duration {
			if now < raft.Time(20*time.Millisecond) {
				return 10 * time.Millisecond
			}
			return time.Millisecond
		}
		f.stamp = func(p *cluster.Proposal) { p.Due = p.Stages.Applied } // not the cluster's business
	})
	if r.Status != results.OK || len(r.Warnings) > 0 {
		t.Fatalf("%s: %s %v", r.Status, r.Reason, r.Warnings)
	}
	if r.Measured != 100*time.Millisecond || r.Window.Committed != 200 || r.ThroughputPerSec != 2000 || r.Cost.Commits != 200 {
		t.Errorf("%v, %+v, %v/s, %d", r.Measured, r.Window, r.ThroughputPerSec, r.Cost.Commits)
	}
	same := func(name string, h *results.Histogram, want time.Duration) {
		if h.Count() != 200 || h.Min() != want || h.Max() != want {
			t.Errorf("%s: %d from %v to %v, want 200 of %v", name, h.Count(), h.Min(), h.Max(), want)
		}
	}
	same("latency", r.Latency, time.Millisecond)
	same(results.StageQueue, r.Stages[results.StageQueue], 0)
	same(results.StageSend, r.Stages[results.StageSend], 0)
	same(results.StageAck, r.Stages[results.StageAck], time.Millisecond)
	same(results.StageCommit, r.Stages[results.StageCommit], 0)
	same(results.StageApply, r.Stages[results.StageApply], 0)
	same(results.StageAnnounce, r.Stages[results.StageAnnounce], 300*time.Microsecond)
	same(results.StageAll, r.Stages[results.StageAll], 1300*time.Microsecond)
	if c := r.Counts; c.Failed+c.Unknown > 0 || c.Proposed <= 200 {
		t.Errorf("%+v", c)
	}
}

func openLoop(perSecond float64) func(*Settings) {
	return func(s *Settings) { s.Clients, s.PerSecond = 0, perSecond }
}

// The harness is held up for 30 ms, as by a stall of the machine: what was due meanwhile is made late, and all of its
// wait counts.
func TestLatencyCountsFromWhenItWasDue(t *testing.T) {
	stall, over := raft.Time(50*time.Millisecond), raft.Time(80*time.Millisecond)
	r := trialOf(steady, openLoop(1000), func(f *fake) {
		f.held = func(t raft.Time) raft.Time {
			if t >= stall && t < over {
				return over
			}
			return t
		}
	})
	if r.Status != results.OK {
		t.Fatalf("%s: %s", r.Status, r.Reason)
	}
	// 30 proposals were due while nothing moved: the first 30 ms early, the last 1 ms.
	if r.Latency.Count() != 100 || r.Latency.Max() < 30*time.Millisecond || r.Latency.Quantile(0.5) > 1002*time.Microsecond {
		t.Errorf("%d latencies, up to %v, p50 %v", r.Latency.Count(), r.Latency.Max(), r.Latency.Quantile(0.5))
	}
	if got, want := r.Latency.Sum(), 100*time.Millisecond+(30*31/2)*time.Millisecond; math.Abs(float64(got-want)) > float64(time.Millisecond) {
		t.Errorf("latencies add up to %v, want about %v", got, want)
	}
	if h := r.Stages[results.StagePacer]; h.Count() != 100 || h.Max() < 29*time.Millisecond {
		t.Errorf("pacer: %d, late by up to %v", h.Count(), h.Max())
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "after they were due at p99") {
		t.Errorf("%q", r.Warnings)
	}
}

// A stall that the measured span ends in: what was due before its end is made and counted all the same.
func TestStallAtTheEnd(t *testing.T) {
	stall, over := raft.Time(110*time.Millisecond), raft.Time(140*time.Millisecond)
	r := trialOf(steady, openLoop(1000), func(f *fake) {
		f.held = func(t raft.Time) raft.Time {
			if t >= stall && t < over {
				return over
			}
			return t
		}
	})
	if r.Status != results.OK || r.Window.Proposed != 100 || r.Window.Committed != 100 || r.Latency.Max() < 29*time.Millisecond {
		t.Errorf("%s: %s, %+v, up to %v", r.Status, r.Reason, r.Window, r.Latency.Max())
	}
}

// A group that answers nothing for 30 ms: an open loop goes on, and everybody's wait counts.
func TestOpenLoopIsNotHeldUpByTheGroup(t *testing.T) {
	stall, over := raft.Time(50*time.Millisecond), raft.Time(80*time.Millisecond)
	r := trialOf(steady, openLoop(1000), func(f *fake) {
		f.latency = func(now raft.Time) time.Duration {
			if now >= stall && now < over {
				return over.Sub(now)
			}
			return time.Millisecond
		}
	})
	if r.Status != results.OK || r.Latency.Count() != 100 || r.Latency.Max() < 29*time.Millisecond {
		t.Errorf("%s %s: %d latencies up to %v", r.Status, r.Reason, r.Latency.Count(), r.Latency.Max())
	}
	if h := r.Stages[results.StagePacer]; h.Max() != 0 {
		t.Errorf("the pacer was late by up to %v", h.Max())
	}
}

// A rate that is not reached is said to be so, and what was due and never made is unknown, not forgotten.
func TestRateNotReached(t *testing.T) {
	r := trialOf(steady, openLoop(1000), func(f *fake) {
		f.latency = func(now raft.Time) time.Duration { return time.Duration(now) } // ever slower
	})
	if r.Status != results.OK {
		t.Fatalf("%s: %s", r.Status, r.Reason)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "the offered rate of 1,000/s was not reached") {
		t.Errorf("%q", r.Warnings)
	}
}

func TestMissedProposalsAreUnknown(t *testing.T) {
	sc := steady
	sc.Run = func(ctx context.Context, t *Trial) error {
		if _, err := t.Elect(ctx); err != nil {
			return err
		}
		load := newLoad(t, t.PayloadBytes)
		load.payload = maxOpenBytes / 10 // as if ten were all that may be open
		t.loads = append(t.loads, load)
		load.Open(1000)
		t.Measure(load)
		if err := cluster.Sleep(ctx, t.Cluster, 100*time.Millisecond); err != nil {
			return err
		}
		t.EndMeasure()
		return nil
	}
	r := trialOf(sc, openLoop(1000), func(f *fake) {
		f.latency = func(raft.Time) time.Duration { return 90 * time.Millisecond }
	})
	if r.Status != results.OK {
		t.Fatalf("%s: %s", r.Status, r.Reason)
	}
	if w := r.Window; w.Proposed < 99 || w.Proposed > 100 || w.Committed < 19 || w.Committed > 20 || w.Unknown != w.Proposed-w.Committed {
		t.Errorf("%+v", w)
	}
	if text := strings.Join(r.Warnings, "\n"); !strings.Contains(text, "were never made") || !strings.Contains(text, "not reached") {
		t.Errorf("%q", r.Warnings)
	}
}

// A loop of heartbeats answers in bursts: the rate is reached all the same.
func TestBurstsReachTheRate(t *testing.T) {
	r := trialOf(steady, func(s *Settings) {
		openLoop(1000)(s)
		s.Strategy.Send = beats{}
	}, func(f *fake) {
		f.latency = func(now raft.Time) time.Duration {
			beat, phase := 10*time.Millisecond, 2*time.Millisecond // the measured span ends 1 ms before a beat
			return beat - (time.Duration(now)+beat-phase)%beat
		}
	})
	if r.Status != results.OK || len(r.Warnings) > 0 {
		t.Errorf("%s: %s %q", r.Status, r.Reason, r.Warnings)
	}
}

// beats is a gate that waits for the next heartbeat.
type beats struct{ noWait }

func (beats) Wait(raft.Waiting) time.Duration { return raft.NextBeat }

// What a leader had not answered when it crashed is unknown: not failed, not forgotten.
func TestUnknownIsNotFailed(t *testing.T) {
	sc := steady
	sc.Run = func(ctx context.Context, t *Trial) error {
		if _, err := t.Elect(ctx); err != nil {
			return err
		}
		load := t.Foreground()
		t.Measure(load)
		if err := cluster.Sleep(ctx, t.Cluster, 10*time.Millisecond+500*time.Microsecond); err != nil {
			return err
		}
		t.Cluster.Crash(1)
		t.Cluster.Campaign(2)
		if err := cluster.Sleep(ctx, t.Cluster, 10*time.Millisecond); err != nil {
			return err
		}
		t.EndMeasure()
		return t.Cluster.Restart(1)
	}
	r := trialOf(sc, nil, nil)
	if r.Status != results.OK || r.Window.Unknown != 2 || r.Window.Failed != 0 || r.Counts.Unknown != 2 || r.Counts.Failed != 0 {
		t.Errorf("%s: %s, %+v of %+v", r.Status, r.Reason, r.Window, r.Counts)
	}
}

// A leader may change on a proposal's way, and its stages are not known then.
func TestSomeWithoutStages(t *testing.T) {
	r := trialOf(steady, nil, func(f *fake) { f.noStages = 10 })
	if n := r.Stages[results.StageQueue].Count(); r.Status != results.OK || n == 0 || n >= r.Latency.Count() {
		t.Errorf("%s: %s, %d of %d", r.Status, r.Reason, n, r.Latency.Count())
	}
}

// Spans that follow one another share no proposal and lose none, although their ends lie on the very moments at which
// things happen.
func TestWindowsPartition(t *testing.T) {
	for _, settings := range []func(*Settings){nil, openLoop(1000)} {
		sc := steady
		var whole, first, second *window
		sc.Run = func(ctx context.Context, t *Trial) error {
			if _, err := t.Elect(ctx); err != nil {
				return err
			}
			load := t.Foreground()
			sleep := func() error { return cluster.Sleep(ctx, t.Cluster, 20*time.Millisecond) }
			if err := sleep(); err != nil {
				return err
			}
			t.Measure(load)
			whole, first = t.window, load.openWindow(false)
			if err := sleep(); err != nil {
				return err
			}
			load.closeWindow(first)
			second = load.openWindow(false)
			if err := sleep(); err != nil {
				return err
			}
			load.closeWindow(second)
			t.EndMeasure()
			return sleep()
		}
		r := trialOf(sc, settings, nil)
		if r.Status != results.OK {
			t.Fatalf("%s: %s", r.Status, r.Reason)
		}
		for name, n := range map[string][3]uint64{
			"proposed":  {first.counts.Proposed, second.counts.Proposed, whole.counts.Proposed},
			"committed": {first.counts.Committed, second.counts.Committed, whole.counts.Committed},
			"finished":  {first.finished, second.finished, whole.finished},
			"latencies": {first.latency.Count(), second.latency.Count(), whole.latency.Count()},
		} {
			if n[0]+n[1] != n[2] || n[0] == 0 || n[1] == 0 {
				t.Errorf("%s: %d + %d, in the whole span %d", name, n[0], n[1], n[2])
			}
		}
	}
}

func TestLeaderLostBeforeItWasToCrash(t *testing.T) {
	e := &election{old: 1, crashed: 100, terms: map[uint64]bool{}}
	role := func(at raft.Time, id raft.ID, role raft.Role, term uint64) {
		e.observe(at, id, &raft.Event{Kind: raft.EventRole, Role: role, Term: term})
	}
	w := &watch{}
	if _, err := e.finish(w, 300); err == nil {
		t.Error("nobody was elected")
	}
	role(90, 1, raft.Follower, 2) // of the old leader nothing counts
	role(120, 2, raft.PreCandidate, 1)
	role(130, 2, raft.Candidate, 2)
	role(150, 3, raft.Candidate, 3)
	role(160, 3, raft.Leader, 3)
	role(170, 2, raft.Candidate, 4) // after it
	f, err := e.finish(w, 300)
	if err != nil || *f != (results.Failover{Detect: 20, Elect: 40, Leaderless: 60, FirstWrite: 200, Elections: 2}) {
		t.Errorf("%+v, %v", f, err)
	}
	e.leader = 95
	if _, err := e.finish(w, 300); err == nil {
		t.Error("the successor was elected before the crash")
	}
}

func TestFailoverExactly(t *testing.T) {
	sc := failover
	r := trialOf(sc, openLoop(1000), func(f *fake) {
		f.latency = func(raft.Time) time.Duration { return 1500 * time.Microsecond }
		f.at(raft.Time(30*time.Millisecond), func() { f.Campaign(2) })
	})
	if r.Status != results.OK || r.Failover == nil {
		t.Fatalf("%s: %s", r.Status, r.Reason)
	}
	// Elected after 1 ms, warmed up for 20 ms.
	crashed := raft.Time(1).Add(21 * time.Millisecond)
	if want := raft.Time(30 * time.Millisecond).Sub(crashed); r.Failover.Detect != want || r.Failover.Elect != time.Millisecond {
		t.Errorf("%+v, want detect %v and elect 1ms", r.Failover, want)
	}
	if c := r.Counts; c.Unknown == 0 || c.Failed > 0 {
		t.Errorf("%+v", c)
	}
}

// Stages that do not tell the same story as the latency are no stages.
func TestStagesAreJudged(t *testing.T) {
	for _, c := range []struct {
		about string
		spoil func(w *window)
		ok    bool
	}{
		{"as they should be", func(*window) {}, true},
		{"one is missing", func(w *window) { w.apply = results.NewHistogram() }, false},
		{"one is counted twice", func(w *window) { w.ack.Record(3) }, false},
		{"they take longer", func(w *window) { w.ack = histogramOf(4, 3) }, false},
		{"they take less", func(w *window) { w.ack = histogramOf(3, 2) }, false},
		{"less, but one has none", func(w *window) { w.latency.Record(7) }, true},
	} {
		w := &window{latency: histogramOf(15, 15), queue: histogramOf(3, 3), send: histogramOf(3, 3), ack: histogramOf(3, 3),
			commit: histogramOf(3, 3), apply: histogramOf(3, 3)}
		c.spoil(w)
		trial := &Trial{watch: newWatch(newLedger(3, 8), 3)}
		if err := trial.judgeStages(w); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.about, err)
		}
	}
}

func histogramOf(values ...time.Duration) *results.Histogram {
	h := results.NewHistogram()
	for _, v := range values {
		if err := h.Record(v); err != nil {
			panic(err)
		}
	}
	return h
}

// What a histogram cannot hold is not made to fit.
func TestNothingIsClipped(t *testing.T) {
	for _, latency := range []time.Duration{-1, results.MaxLatency + 1} {
		l := &Load{}
		w := newWindow(1, false)
		l.record(w, &tally{n: 1, due: 100, stages: cluster.Stages{Applied: raft.Time(100).Add(latency)}})
		if !errors.Is(l.err, results.ErrOutOfRange) || w.latency.Count() != 0 {
			t.Errorf("%v: %v, %d recorded", latency, l.err, w.latency.Count())
		}
	}
}

// A trial that measured nothing says so, and is no success.
func TestNothingMeasuredIsInconclusive(t *testing.T) {
	slow := func(f *fake) { f.latency = func(raft.Time) time.Duration { return 200 * time.Millisecond } }
	for name, r := range map[string]results.Trial{
		"a round trip beyond the span": trialOf(steady, nil, slow),
		"a rate below one in the span": trialOf(steady, openLoop(1), nil),
		"an answer after the span":     trialOf(steady, openLoop(20), slow),
		"unmeasured":                   trialOf(steady, func(s *Settings) { s.Unmeasured = true }, slow),
	} {
		if r.Status != results.Inconclusive || r.Reason != "no proposal was due and answered in the measured 100ms: raise --duration" {
			t.Errorf("%s: %s: %s", name, r.Status, r.Reason)
		}
	}
	r := trialOf(failover, openLoop(0.001), func(f *fake) {
		f.at(raft.Time(30*time.Millisecond), func() { f.Campaign(2) })
	})
	if r.Status != results.OK {
		t.Errorf("a failover beside next to no load: %s: %s", r.Status, r.Reason)
	}
}

// Nobody waits for the pacer of a load that is over: at a low rate it sleeps far longer than a trial may take.
func TestALowRateSettles(t *testing.T) {
	r := trialOf(steady, func(s *Settings) {
		openLoop(0.001)(s)
		s.Warmup = 0
	}, nil)
	if r.Status != results.OK || r.Window.Committed != 1 {
		t.Errorf("%s: %s: %+v", r.Status, r.Reason, r.Window)
	}
}
