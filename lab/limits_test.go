package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/mem"
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
		{"a log that nothing is forgotten of", "SnapshotBasic", "eager",
			func(s *Settings) { s.Open = configured(func(cfg *cluster.Config) { cfg.SnapshotEntries = 0 }) },
			[]string{"bytes of the largest saved Raft state: ", "the limit is 1999"}},
		{"a log that keeps a hundred entries before a snapshot", "SnapshotInstall", "fast-signal",
			func(s *Settings) { s.Open = configured(func(cfg *cluster.Config) { cfg.SnapshotTrailing = 100 }) },
			[]string{"bytes of the largest saved Raft state: ", "the limit is 1999"}},
		{"replicas that start anew with nothing", "SnapshotAllCrash", "eager", func(s *Settings) { s.Open = configured(forgetful) },
			[]string{"at index 1, another had applied"}},
		{"replicas that start anew with nothing", "SnapshotInit", "eager", func(s *Settings) { s.Open = configured(forgetful) },
			[]string{"at index 1, another had applied"}},
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

// configured makes groups on loopback with another configuration.
func configured(change func(*cluster.Config)) func(cluster.Config, *Meter) (cluster.Cluster, error) {
	return func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
		change(&cfg)
		return onLoopback(cfg, m)
	}
}

// forgetful gives replicas an empty storage in each life.
func forgetful(cfg *cluster.Config) {
	inner := cfg.Engine
	cfg.Engine = func(id raft.ID, cfg *cluster.Config, host cluster.Host, _ storage.Storage) (cluster.Member, error) {
		empty, err := mem.Open(mem.NewDisk(raft.NewLog(1, 0)))
		if err != nil {
			return nil, err
		}
		return inner(id, cfg, host, empty)
	}
}

// What is metered of a storage is what it holds, through all that changes that: a replica's term and vote, and its log.
func TestMeterOfState(t *testing.T) {
	entries := func(first uint64, n int) raft.Entries {
		e := raft.Entries{First: first}
		for range n {
			e.Append(1, []byte("12345678"))
		}
		return e
	}
	log := raft.NewLog(1, 0)
	log.AppendEntries(entries(1, 3))
	disk, m := mem.NewDisk(log), &Meter{}
	inner, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	s := &meteredStorage{Storage: inner, meter: m, id: 1}
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	w, err := s.CreateSnapshot(4, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what string
		do   func()
		want int // entries
	}{
		{"load", func() {}, 3},
		{"append", func() { s.Save(raft.Save{Seq: 1, Entries: []raft.Entries{entries(4, 2), entries(6, 1)}}) }, 6},
		{"compact", func() { s.Compact(4) }, 2},
		{"truncate", func() { s.Save(raft.Save{Seq: 2, TruncateFrom: 6, Entries: []raft.Entries{entries(6, 3)}}) }, 4},
		{"truncate all", func() { s.Save(raft.Save{Seq: 3, TruncateFrom: 5, Entries: []raft.Entries{entries(5, 1)}}) }, 1},
		{"reset", func() { s.Reset(20, 1); s.Save(raft.Save{Seq: 4, Entries: []raft.Entries{entries(21, 2)}}) }, 2},
	} {
		step.do()
		held := disk.State().Log
		if got := int(held.Last() + 1 - held.First()); got != step.want {
			t.Errorf("%s: the storage holds %d entries, want %d", step.what, got, step.want)
		}
		if got, want := m.LargestState(), uint64(hardStateBytes+20*step.want); got != want {
			t.Errorf("%s: %d bytes metered, want %d", step.what, got, want)
		}
	}
	m.State(2, 1000)
	m.State(3, 10)
	if got := m.LargestState(); got != 1000 {
		t.Errorf("the largest of all is %d, want 1000", got)
	}
}

// Bytes are those of whole frames: ten commands of 5,000 bytes to two followers, and little else.
func TestBytesAreOfWholeFrames(t *testing.T) {
	test, _ := FindTest("RPCBytes")
	r := Play(t.Context(), test, settings(t, "eager", 1))
	if r.Status != results.OK || r.Lab.RequestBytes < 100_000 || r.Lab.RequestBytes > 110_000 {
		t.Errorf("%s: %d bytes of requests, want 100,000 to 110,000: %s", r.Status, r.Lab.RequestBytes, r.Reason)
	}
}

// repeating is an engine that sends every message several times, and counts them.
func repeating(inner cluster.Engine, m *Meter, times int) cluster.Engine {
	return func(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		return inner(id, cfg, repeatingHost{host, m, times}, store)
	}
}

type repeatingHost struct {
	cluster.Host
	meter *Meter
	times int
}

func (h repeatingHost) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) {
	h.Host.Send(to, class, head, body...)
	for range h.times - 1 {
		if !transports.IsReply(head) {
			h.meter.Request(transports.FrameSize(head, body))
		}
		h.Host.Send(to, class, head, body...)
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

// A replica that has never heard of the leader is in term 0, and so in another than the others, also if it is looked at
// first.
func TestReplicaInTermZeroIsNoticed(t *testing.T) {
	test, _ := FindTest("InitialElection")
	for seed := range uint64(5) {
		s := settings(t, "eager", seed)
		s.Open = func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
			inner, err := onLoopback(cfg, m)
			return &deafCluster{inner}, err
		}
		if r := Play(t.Context(), test, s); r.Status != results.Invalid || !strings.Contains(r.Reason, "replicas are in different terms") {
			t.Errorf("seed %d: %s: %s, want it to fail", seed, r.Status, r.Reason)
		}
	}
}

// deafCluster says of the first replica that does not lead that it is in term 0.
type deafCluster struct{ cluster.Cluster }

func (c *deafCluster) Status(id raft.ID) cluster.Status {
	s := c.Cluster.Status(id)
	deaf := raft.ID(1)
	if c.Cluster.Status(deaf).Role == raft.Leader {
		deaf = 2
	}
	if id == deaf {
		s.Term = 0
	}
	return s
}

// A broken limit does not hide what is unsafe, even if that comes to light last.
func TestUnsafeComesBeforeALimit(t *testing.T) {
	test, _ := FindTest("Figure8Unreliable")
	for _, name := range []string{"linear-loop", "linear-signal"} {
		for lie, want := range map[bool]string{false: "the limit is 10s", true: "term 1000000 has two leaders"} {
			s := settings(t, name, 1)
			s.Open = func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
				c, err := onLoopback(cfg, m)
				return &lyingAtTheEnd{c, cfg.Observer.(*watch), lie}, err
			}
			if r := Play(t.Context(), test, s); r.Status != results.Invalid || !strings.Contains(r.Reason, want) {
				t.Errorf("%s: %s: %s, want %q", name, r.Status, r.Reason, want)
			}
		}
	}
}

// lyingAtTheEnd has two leaders of one term when it is closed.
type lyingAtTheEnd struct {
	cluster.Cluster
	watch *watch
	lie   bool
}

func (c *lyingAtTheEnd) Close() error {
	if c.lie {
		c.watch.leads(1, 1_000_000)
		c.watch.leads(2, 1_000_000)
	}
	return c.Cluster.Close()
}

// What no lateness can excuse fails however late the machine was: each test's own checks, with a group that lies.
func TestUnsafeIsNeverInconclusive(t *testing.T) {
	once := func(lie func()) func(bool) {
		done := false
		return func(now bool) {
			if now && !done {
				done = true
				lie()
			}
		}
	}
	nobodys := func(c *lateCluster, id raft.ID) {
		nothing := func(*cluster.Proposal) {}
		c.Cluster.Propose(id, &cluster.Proposal{Data: []byte("nobody's"), Accepted: nothing, Done: nothing})
	}
	for _, c := range []struct {
		what, test string
		lie        func(c *lateCluster, w *watch)
		want       string
	}{
		{"a replica that leads another's term", "InitialElection", func(c *lateCluster, _ *watch) {
			c.status = func(id raft.ID, s cluster.Status) cluster.Status {
				for other := raft.ID(1); other <= 3; other++ {
					if o := c.Cluster.Status(other); o.Role == raft.Leader {
						s.Role, s.Term = o.Role, o.Term
					}
				}
				return s
			}
		}, "term 1 has two leaders"},
		{"a commit without a quorum", "FollowerFailure", func(c *lateCluster, w *watch) {
			taken := 0
			c.propose = func(id raft.ID, p *cluster.Proposal) {
				if c.Cluster.Status(id).Role != raft.Leader {
					return
				}
				if taken++; taken == 4 {
					entries := raft.Entries{First: 4}
					entries.Append(1, p.Data)
					w.Applied(0, id, entries)
				}
			}
		}, "1 replicas applied index 4, want none"},
		{"an entry that nobody proposed", "BasicAgree", func(c *lateCluster, _ *watch) {
			lie := once(func() {
				for id := raft.ID(1); id <= 3; id++ {
					nobodys(c, id)
				}
			})
			c.propose = func(id raft.ID, _ *cluster.Proposal) { lie(c.Cluster.Status(id).Role == raft.Leader) }
		}, "agreement at index 2, want 1"},
		{"a leader that puts a proposal after another's", "FollowerFailure", func(c *lateCluster, _ *watch) {
			taken := 0
			c.propose = func(id raft.ID, p *cluster.Proposal) {
				if c.Cluster.Status(id).Role != raft.Leader {
					return
				}
				if taken++; taken == 4 {
					nobodys(c, id)
				}
			}
		}, "took a proposal at index 5, want 4"},
		{"another value than was proposed", "Count", func(c *lateCluster, _ *watch) {
			lie := 0
			c.propose = func(id raft.ID, p *cluster.Proposal) {
				if lie++; lie == 5 {
					p.Data = []byte("somebody else's")
				}
			}
		}, "index 5 has another value than was proposed there"},
		{"another value than one of five clients proposed", "ConcurrentStarts", func(c *lateCluster, _ *watch) {
			lie := 0
			c.propose = func(id raft.ID, p *cluster.Proposal) {
				if lie++; lie == 5 {
					p.Data = []byte("somebody else's")
				}
			}
		}, "index 5 has another value than was proposed there"},
		{"an index in a row left out", "Count", func(c *lateCluster, _ *watch) {
			lie := 0
			c.propose = func(id raft.ID, p *cluster.Proposal) {
				if lie++; lie == 5 {
					nobodys(c, id)
				}
			}
		}, "one of twelve proposals in a row got index 6, want 5"},
		{"a log that loses what was committed", "ReliableChurn", func(c *lateCluster, w *watch) {
			// Once the clients have stopped, the test offers one more.
			var settled raft.Time
			conditions := 0
			c.conditions = func() {
				if conditions++; conditions == 2 {
					settled = c.Cluster.Now().Add(electionSpan)
				}
			}
			lie := once(func() {
				for i := range w.agreed {
					w.agreed[i] = "lost"
				}
			})
			c.propose = func(raft.ID, *cluster.Proposal) { lie(conditions == 2 && c.Cluster.Now() > settled) }
		}, "was committed before a client's eyes and is not in the final log"},
	} {
		test, ok := FindTest(c.test)
		if !ok {
			t.Fatal(c.test)
		}
		s := settings(t, "eager", 1)
		var late *lateCluster
		s.Open = func(cfg cluster.Config, m *Meter) (cluster.Cluster, error) {
			inner, err := onLoopback(cfg, m)
			late = &lateCluster{Cluster: inner}
			c.lie(late, cfg.Observer.(*watch))
			return late, err
		}
		r := Play(t.Context(), test, s)
		if r.Lab.LateMax < s.ElectionTimeout-s.Heartbeat {
			t.Errorf("%s: late by %v only", c.what, r.Lab.LateMax)
		}
		if r.Status != results.Invalid || !strings.Contains(r.Reason, c.want) {
			t.Errorf("%s: %s: %s, want it to fail with %q", c.what, r.Status, r.Reason, c.want)
		}
	}
}

// lateCluster's clock jumps once by far more than a heartbeat may be late. Its functions, if not nil, lie to a test.
type lateCluster struct {
	cluster.Cluster
	status     func(raft.ID, cluster.Status) cluster.Status
	propose    func(raft.ID, *cluster.Proposal)
	conditions func()
}

func (c *lateCluster) Now() raft.Time {
	now := c.Cluster.Now()
	if now > raft.Time(300*time.Millisecond) {
		now = now.Add(300 * time.Millisecond)
	}
	return now
}

func (c *lateCluster) Status(id raft.ID) cluster.Status {
	s := c.Cluster.Status(id)
	if c.status != nil {
		s = c.status(id, s)
	}
	return s
}

func (c *lateCluster) Propose(to raft.ID, p *cluster.Proposal) {
	if c.propose != nil {
		c.propose(to, p)
	}
	c.Cluster.Propose(to, p)
}

func (c *lateCluster) SetConditions(conditions cluster.Conditions) {
	if c.conditions != nil {
		c.conditions()
	}
	c.Cluster.SetConditions(conditions)
}
