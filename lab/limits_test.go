package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/transports"
)

// Each limit fails its test when it is broken, with the figure and the limit.
func TestLimits(t *testing.T) {
	free := func(cfg cluster.Config, _ *Meter) (cluster.Cluster, error) {
		return sim.New(sim.Config{Config: cfg}) // work costs nothing: nothing gathers while a replica works
	}
	chatty := func(times int) func(cluster.Config, *Meter) (cluster.Cluster, error) {
		return func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
			cfg.Engine = repeating(cfg.Engine, m, times)
			return sim.New(sim.Config{Config: cfg})
		}
	}
	for _, c := range []struct {
		what, test, strategy string
		change               func(*Settings)
		want                 []string
	}{
		{"an AppendEntries for each proposal and a heartbeat for each commit, none of them gathered", "Count", "eager",
			func(s *Settings) { s.Open = free }, []string{"RPCs for twelve proposals in a row: 48", "the limit is 42"}},
		{"heartbeats of 20 ms", "Count", "fast-signal",
			func(s *Settings) { s.Heartbeat = 20 * time.Millisecond }, []string{"RPCs", "the limit is"}},
		{"heartbeats of 30 ms", "Count", "fast-signal",
			func(s *Settings) { s.Heartbeat = 30 * time.Millisecond }, []string{"RPCs", "the limit is"}},
		{"a loop of 220 ms that backs up one index per rejection", "Backup", "linear-loop",
			func(s *Settings) { s.Heartbeat, s.ElectionTimeout = 220*time.Millisecond, 440*time.Millisecond }, []string{"agreement of 3 replicas", "the limit is 10s"}},
		{"each message four times", "RPCBytes", "eager",
			func(s *Settings) { s.Open = chatty(4) }, []string{"bytes for ten commands of 5,000 bytes: ", "the limit is 200000"}},
		{"each message ten times", "Count", "eager",
			func(s *Settings) { s.Open = chatty(10) }, []string{"RPCs to elect the first leader: ", "the limit is 30"}},
		{"elections that take too long", "InitialElection", "eager",
			func(s *Settings) { s.ElectionTimeout = 10 * time.Second }, []string{"no leader", "the limit is 5 s"}},
		{"a loop slower than two seconds", "BasicAgree", "fast-loop",
			func(s *Settings) { s.Heartbeat, s.ElectionTimeout = 1900*time.Millisecond, 2*time.Second }, []string{"agreement of 3 replicas", "the limit is 2s"}},
	} {
		test, ok := FindTest(c.test)
		if !ok {
			t.Fatal(c.test)
		}
		s := settings(t, c.strategy, 1)
		c.change(&s)
		r := Play(t.Context(), test, s)
		if r.Status != results.Invalid {
			t.Errorf("%s: %s passes, or is %s (%s), want it to fail", c.what, c.test, r.Status, r.Reason)
		}
		for _, want := range append(c.want, c.test+": ") {
			if !strings.Contains(r.Reason, want) {
				t.Errorf("%s: the reason is %q, want %q in it", c.what, r.Reason, want)
			}
		}
		t.Logf("%s: %s", c.what, r.Reason)
	}
}

// repeating is an engine that sends every message several times, and counts them.
func repeating(inner cluster.Engine, m *Meter, times int) cluster.Engine {
	return func(id raft.ID, cfg *cluster.Config, host cluster.Host, disk *cluster.Disk) (cluster.Member, error) {
		return inner(id, cfg, repeatingHost{host, m, times}, disk)
	}
}

type repeatingHost struct {
	cluster.Host
	meter *Meter
	times int
}

func (h repeatingHost) Send(to raft.ID, class transports.Class, head, body []byte) {
	h.Host.Send(to, class, head, body)
	for range h.times - 1 {
		if !transports.IsReply(head) {
			h.meter.Request(len(head) + len(body))
		}
		h.Host.Send(to, class, head, body)
	}
}

// A machine that is too late for heartbeats makes a broken limit inconclusive, never what is unsafe.
func TestLateMachineIsInconclusive(t *testing.T) {
	test, _ := FindTest("BasicAgree")
	s := settings(t, "fast-loop", 1)
	s.Heartbeat, s.ElectionTimeout = 1900*time.Millisecond, 2*time.Second
	s.Open = func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
		c, err := onLoopback(cfg, m)
		return &lateCluster{Cluster: c}, err
	}
	if r := Play(t.Context(), test, s); r.Status != results.Inconclusive || !strings.Contains(r.Reason, "late by") {
		t.Errorf("%s: %s, want inconclusive", r.Status, r.Reason)
	}
	open := s.Open
	s.Open = func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
		w := cfg.Observer.(*watch)
		w.leads(1, 1)
		w.leads(2, 1)
		return open(cfg, m)
	}
	if r := Play(t.Context(), test, s); r.Status != results.Invalid || !strings.Contains(r.Reason, "two leaders") {
		t.Errorf("%s: %s, want the two leaders", r.Status, r.Reason)
	}
}

// lateCluster's clock jumps once by far more than a heartbeat may be late.
type lateCluster struct {
	cluster.Cluster
}

func (c *lateCluster) Now() raft.Time {
	now := c.Cluster.Now()
	if now > raft.Time(time.Second) {
		now = now.Add(300 * time.Millisecond)
	}
	return now
}
