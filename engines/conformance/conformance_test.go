package conformance

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The suite is only worth something if it refuses what is wrong. Each plant is this project's own core with one fault,
// and names the case that must find it.
func TestFaultyEnginesAreRefused(t *testing.T) {
	for _, plant := range []struct {
		name, found, words string
		engine             cluster.Engine
	}{
		{"acknowledges before commit", "an isolated leader acknowledges nothing", "acknowledged proposal", hasty},
		{"forgets in a crash", "all come back", "", forgetful},
		{"applies out of order", "commits in one order", "different entries", disorderly},
		{"calls failed what is committed", "commits in one order", "were committed", pessimist},
		{"calls failed what it cannot know", "does not call failed what it cannot know", "was told to have failed", know},
		{"leaves clients without an answer", "answers all when closed", "was answered 0 times", silent},
		{"never tells that it does not know", "tells the clients of a deposed leader", "all proposals are answered", patient},
		{"counts for observers only", "counts elections although nobody observes", "0 elections", observed},
		{"answers twice", "commits in one order", "was answered 2 times", twice},
		{"does not count", "counts", "entries were sent", uncounted},
		{"counts bytes five times", "counts", "bytes were sent", counting(func(c *cluster.Counters) { c.Bytes *= 5 })},
		{"counts requests three times", "counts", "AppendEntries", counting(func(c *cluster.Counters) { c.AppendEntries *= 3 })},
		{"counts messages three times", "counts", "messages were sent", counting(func(c *cluster.Counters) { c.Messages *= 3 })},
		{"acknowledges before commit in a group of five", "a quorum of five is three", "one follower of four", hastyOfFive},
		{"never takes a snapshot", "catches up from a snapshot", "the leader's log is shortened", endless},
		{"sends another state", "catches up from a snapshot", "the same log", spoils},
		{"starts with another state", "comes back from a snapshot and its log", "the same log", spoils},
		{"overlooks its snapshot", "comes back from a snapshot and its log", "the saved log begins at", overlooks},
		{"acknowledges what a leader appends, once it is the follower's turn", "commits in one order", "", anywhere},
	} {
		t.Run(plant.name, func(t *testing.T) {
			e := engines.Engine{Name: "faulty", Configure: func(cfg *cluster.Config) { cfg.Engine = plant.engine }}
			for _, c := range Cases {
				if c.Name != plant.found {
					continue
				}
				switch plant.words {
				case "all proposals are answered", "the leader's log is shortened", "the same log":
					c.patience = 5 * time.Second // it is waited out
				}
				err := c.Check(t.Context(), e, engines.Place{Transport: mem.Kind()})
				if err == nil {
					t.Fatalf("%q does not find it", c.Name)
				}
				if !strings.Contains(err.Error(), plant.words) {
					t.Fatalf("%q finds something else: %v", c.Name, err)
				}
				return
			}
			t.Fatalf("there is no case %q", plant.found)
		})
	}
}

// wrapped is a member with something changed.
type wrapped struct {
	cluster.Member
	propose func(now raft.Time, p *cluster.Proposal)
}

func (w wrapped) Propose(now raft.Time, p *cluster.Proposal) { w.propose(now, p) }

// behind makes a proposal that goes to the member in the place of p, and passes on what done says.
func behind(p *cluster.Proposal, done func(*cluster.Proposal)) *cluster.Proposal {
	return &cluster.Proposal{Data: p.Data, Due: p.Due, Done: func(q *cluster.Proposal) {
		p.Outcome, p.Err, p.Replica, p.Index, p.Term, p.Stages = q.Outcome, q.Err, q.Replica, q.Index, q.Term, q.Stages
		done(p)
	}}
}

func hasty(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return wrapped{m, func(now raft.Time, p *cluster.Proposal) {
		refused := false
		q := behind(p, func(*cluster.Proposal) { refused = true })
		m.Propose(now, q)
		if refused {
			p.Done(p)
			return
		}
		p.Outcome, p.Index, p.Term = cluster.Committed, q.Index, q.Term
		p.Done(p)
	}}, err
}

// unwritten claims to have saved.
type unwritten struct{ storage.Storage }

func (unwritten) Save(raft.Save) bool { return true }

func forgetful(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	own := *cfg
	own.SnapshotEntries = 0 // there is nothing in its storage that could be shortened
	return cluster.NewReplica(id, &own, host, unwritten{store})
}

// endless never takes a snapshot.
func endless(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	own := *cfg
	own.SnapshotEntries = 0
	return cluster.NewReplica(id, &own, host, store)
}

// rotten changes a byte of the state in each snapshot that is read.
type rotten struct{ storage.Storage }

func (s rotten) OpenSnapshot() (storage.SnapshotReader, error) {
	r, err := s.Storage.OpenSnapshot()
	return rottenReader{r}, err
}

type rottenReader struct{ storage.SnapshotReader }

func (r rottenReader) ReadAt(b []byte, at int64) (int, error) {
	n, err := r.SnapshotReader.ReadAt(b, at)
	if at == 0 && n > digestPlace {
		b[digestPlace]++
	}
	return n, err
}

// digestPlace is a byte of the digest's state, at the beginning of a snapshot, behind the magic number.
const digestPlace = 12

func spoils(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	return cluster.NewReplica(id, cfg, host, rotten{store})
}

// unseen has no snapshots when it is opened.
type unseen struct{ storage.Storage }

func (s unseen) Load() (storage.State, error) {
	state, err := s.Storage.Load()
	state.Snapshot = storage.Snapshot{}
	return state, err
}

func overlooks(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	return cluster.NewReplica(id, cfg, host, unseen{store})
}

func pessimist(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return wrapped{m, func(now raft.Time, p *cluster.Proposal) {
		m.Propose(now, behind(p, func(p *cluster.Proposal) {
			if p.Outcome == cluster.Committed && p.Index%10 == 0 {
				p.Outcome = cluster.Failed
			}
			p.Done(p)
		}))
	}}, err
}

func know(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return wrapped{m, func(now raft.Time, p *cluster.Proposal) {
		m.Propose(now, behind(p, func(p *cluster.Proposal) {
			if p.Outcome == cluster.Unknown {
				p.Outcome = cluster.Failed
			}
			p.Done(p)
		}))
	}}, err
}

func twice(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return wrapped{m, func(now raft.Time, p *cluster.Proposal) {
		m.Propose(now, behind(p, func(p *cluster.Proposal) {
			p.Done(p)
			p.Done(p)
		}))
	}}, err
}

// anywhere lets followers take proposals, which go nowhere.
func anywhere(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return wrapped{m, func(now raft.Time, p *cluster.Proposal) {
		m.Propose(now, behind(p, func(p *cluster.Proposal) {
			if p.Outcome == cluster.Refused {
				p.Outcome = cluster.Committed
			}
			p.Done(p)
		}))
	}}, err
}

type mute struct{ cluster.Member }

func (mute) Abandon() {}

func silent(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return mute{m}, err
}

// patient keeps to itself what it does not know, until it ends.
func patient(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	w := &waits{Member: m}
	w.wrapped = wrapped{m, func(now raft.Time, p *cluster.Proposal) {
		m.Propose(now, behind(p, func(p *cluster.Proposal) {
			if p.Outcome == cluster.Unknown && !w.over {
				w.held = append(w.held, p)
				return
			}
			p.Done(p)
		}))
	}}
	return w, err
}

type waits struct {
	cluster.Member
	wrapped wrapped
	held    []*cluster.Proposal
	over    bool
}

func (w *waits) Propose(now raft.Time, p *cluster.Proposal) { w.wrapped.Propose(now, p) }

func (w *waits) Abandon() {
	w.over = true
	w.Member.Abandon()
	for _, p := range w.held {
		p.Done(p)
	}
}

func observed(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	if cfg.Observer != nil {
		return cluster.NewReplica(id, cfg, host, store)
	}
	return uncounted(id, cfg, host, store)
}

type unaware struct{ cluster.Member }

func (unaware) Counters() cluster.Counters { return cluster.Counters{} }

func uncounted(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	m, err := cluster.NewReplica(id, cfg, host, store)
	return unaware{m}, err
}

type miscounted struct {
	cluster.Member
	change func(*cluster.Counters)
}

func (m miscounted) Counters() cluster.Counters {
	c := m.Member.Counters()
	m.change(&c)
	return c
}

func counting(change func(*cluster.Counters)) cluster.Engine {
	return func(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		m, err := cluster.NewReplica(id, cfg, host, store)
		return miscounted{m, change}, err
	}
}

// hastyOfFive is right in groups of three.
func hastyOfFive(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	if cfg.Replicas == 5 {
		return hasty(id, cfg, host, store)
	}
	return cluster.NewReplica(id, cfg, host, store)
}

// swapping shows the first two values of a batch in each other's place.
type swapping struct{ cluster.Observer }

func (s swapping) Applied(now raft.Time, id raft.ID, run raft.Entries) {
	if run.Count > 1 {
		var list []raft.Entry
		for e := range run.All() {
			list = append(list, raft.Entry{Term: e.Term, Data: bytes.Clone(e.Data)})
		}
		list[0], list[1] = list[1], list[0]
		run = raft.Entries{First: run.First}
		for _, e := range list {
			run.Append(e.Term, e.Data)
		}
	}
	s.Observer.Applied(now, id, run)
}

func disorderly(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	if id == 2 {
		own := *cfg
		own.Observer = swapping{cfg.Observer}
		cfg = &own
	}
	return cluster.NewReplica(id, cfg, host, store)
}
