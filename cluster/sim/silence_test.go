package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports"
)

// forEachStrategy gives a test each named strategy, each Send gate and each backup.
func forEachStrategy(t *testing.T, test func(t *testing.T, s raft.Strategy)) {
	texts := []string{"fast,send=ride", "fast,send=now", "fast,send=batch(8,1ms)", "fast,send=every(3ms)", "fast,send=window(1)",
		"fast,send=window(4)", "fast,send=barrier"}
	for _, s := range strategies.List() {
		texts = append(texts, s.Name)
	}
	for _, b := range strategies.Backups() {
		texts = append(texts, b.Name)
	}
	for _, text := range texts {
		s, err := strategies.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) { test(t, s) })
	}
}

const (
	silenceBeat = 50 * time.Millisecond
	silenceTrip = 2 * time.Millisecond
)

// silence is a group whose leader, replica 1, commits an entry each millisecond, and what it sends to replica 3.
type silence struct {
	*sim.Cluster
	t       *testing.T
	frames  []sim.Frame // from 1 to 3, handed to the transport or refused by a cut
	answers int
}

func newSilence(t *testing.T, s raft.Strategy, transport string) *silence {
	g := &silence{t: t}
	c, err := sim.New(sim.Config{
		Config: cluster.Config{Replicas: 3, Strategy: s, Heartbeat: silenceBeat, ElectionTimeout: time.Second, PreVote: true,
			CheckQuorum: true, Seed: 3},
		Transport: transport,
		Links:     all(sim.Link{Delay: silenceTrip / 2}),
		OnFrame: func(f sim.Frame) {
			if f.From == 1 && f.To == 3 && (f.Fate == sim.FrameSent || f.Fate == sim.FrameDropped && f.Number == 0) {
				f.Bytes = append([]byte(nil), f.Bytes...)
				g.frames = append(g.frames, f)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Cluster = c
	t.Cleanup(func() { c.Close() })
	c.Campaign(1)
	if _, err := cluster.WaitLeader(t.Context(), c, time.Second); err != nil {
		t.Fatal(err)
	}
	c.At(c.Now(), func(now raft.Time) raft.Time {
		c.Propose(1, &cluster.Proposal{Data: make([]byte, 200), Done: func(*cluster.Proposal) { g.answers++ }})
		return now.Add(time.Millisecond)
	})
	return g
}

func (g *silence) run(d time.Duration) {
	g.t.Helper()
	if err := cluster.Sleep(g.t.Context(), g, d); err != nil {
		g.t.Fatal(err)
	}
}

// A follower that is gone costs one AppendEntries without entries a heartbeat, whatever the strategy, while others commit.
func TestADeadFollowerIsNotFlooded(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, s raft.Strategy) {
		for name, gone := range map[string]func(*silence){
			"cut":     func(g *silence) { cluster.Isolate(g, 3, cluster.SilentCut) },
			"crashed": func(g *silence) { g.Crash(3) },
		} {
			g := newSilence(t, s, "datagram")
			g.run(3 * silenceBeat)
			gone(g)
			g.run(5 * silenceBeat)
			g.frames, g.answers = nil, 0
			const beats = 100
			g.run(beats * silenceBeat)
			bytes := 0
			for _, f := range g.frames {
				bytes += len(f.Bytes)
			}
			if len(g.frames) != beats || bytes > 64*beats {
				t.Errorf("%s: %d messages and %d bytes in %d heartbeats, want one of at most 64 bytes each", name, len(g.frames), bytes, beats)
			}
			if g.answers < 4000 {
				t.Errorf("%s: meanwhile %d proposals were answered", name, g.answers)
			}
		}
	})
}

// Catch-up after a silent cut begins with the answer to the first heartbeat, as soon as the Send gate lets it; its first
// message is a probe or has entries. So it is within one heartbeat interval and one round trip for gates that do not wait.
func TestCatchUpBeginsWithinAHeartbeat(t *testing.T) {
	longest := map[string]time.Duration{"ride": silenceBeat, "batch": time.Millisecond, "every": 3 * time.Millisecond}
	forEachStrategy(t, func(t *testing.T, s raft.Strategy) {
		gate, _, _ := strings.Cut(s.Send.String(), "(")
		wait := longest[gate]
		for _, transport := range []string{"datagram", "tcp"} {
			for phase := range 5 {
				g := newSilence(t, s, transport)
				g.run(3 * silenceBeat)
				cluster.Isolate(g, 3, cluster.SilentCut)
				g.run(10*silenceBeat + time.Duration(phase)*silenceBeat/5)
				g.frames = nil
				healed := g.Now()
				cluster.Rejoin(g, 3)
				g.run(2*silenceBeat + wait)
				began := raft.Time(-1)
				for _, f := range g.frames {
					var m raft.Message
					if err := transports.DecodeMessage(f.Bytes, &m); err != nil {
						t.Fatal(err)
					}
					if m.Type == raft.AppendEntries && m.Entries.Count > 0 && began < 0 {
						began = f.At
					}
				}
				if took := began.Sub(healed); began < 0 || took > silenceBeat+silenceTrip+wait {
					t.Errorf("%s: the first entries left %v after the healing, want at most %v", transport, took, silenceBeat+silenceTrip+wait)
				}
				g.run(2 * silenceBeat)
				if one, three := g.Status(1).Commit, g.Status(3).Commit; three+150 < one {
					t.Errorf("%s: some heartbeats later the follower has committed %d of %d", transport, three, one)
				}
			}
		}
	})
}

// kinds notes how links are cut.
type kinds struct {
	*sim.Cluster
	seen map[cluster.CutKind]int
}

func (k kinds) Cut(from, to raft.ID, kind cluster.CutKind) {
	k.seen[kind]++
	k.Cluster.Cut(from, to, kind)
}

// Scenarios cut as their cells say.
func TestScenariosCutAsTold(t *testing.T) {
	s, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	for _, preset := range []string{"grid", "leaders"} {
		m := bench.Matrix{Strategies: []raft.Strategy{s}, Transports: []string{"tcp"}, Scenarios: []string{"lag", "diverge"}, Nodes: []int{3},
			Payloads: []int{100}, Clients: []int{1}, Repeat: 1, Virtual: true, Name: strategies.String, Choices: strategies.Choices,
			Cuts: []cluster.CutKind{cluster.SilentCut, cluster.ResetCut},
			Common: bench.Settings{Warmup: 10 * time.Millisecond, Duration: time.Second, Foreground: 100, Heartbeat: 50 * time.Millisecond,
				ElectionTimeout: 500 * time.Millisecond, PreVote: true, CheckQuorum: true, MaxAppendBytes: raft.DefaultMaxAppendBytes,
				Params: map[string]string{"diverge-preset": preset}}}
		plan, err := m.Plan()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[cluster.CutKind]int{}
		run := bench.Run{Plan: plan, Repeat: 1, Seed: 1, Virtual: true,
			Open: func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
				c, err := sim.New(sim.Config{Config: cfg, Transport: transport})
				return kinds{c, seen}, err
			},
			Done: func(r results.Trial) error {
				want := cluster.CutKinds[cluster.SilentCut]
				if seen[cluster.ResetCut] > 0 {
					want = cluster.CutKinds[cluster.ResetCut]
				}
				if got := plan[r.Cell].Cell.Params[results.ParamCut]; len(seen) != 1 || got != want || r.Status != results.OK {
					t.Errorf("%s with %s cuts is %s %s, links were cut %v", plan[r.Cell].Cell.Scenario, got, r.Status, r.Reason, seen)
				}
				clear(seen)
				return nil
			}}
		if err := run.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
