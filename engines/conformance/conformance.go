// Package conformance is the suite that every engine passes before its figures count: what it acknowledges is on a
// majority, all replicas apply the same order, what it calls failed never happened, what it does not know it says, it
// comes back from crashes with what was durable, bears cut links, and counts what it does.
//
// It judges engines from outside, by what clients are told and what replicas apply, and measures nothing. Raft's inner
// rules, for this project's own core, are the business of check.
package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/wal"
	"github.com/raftbench/raftbench/strategies"
)

// Case is one thing that an engine must do.
type Case struct {
	Name     string
	Use      engines.Use // what it asks of the engine beside steady work
	run      func(*group) error
	replicas int // 0 for three
	// unobserved leaves the observer out, so nothing is known of what replicas apply.
	unobserved bool
	// whole keeps snapshots from being taken, so that followers get all entries.
	whole    bool
	patience time.Duration // 0 for the usual
}

// Cases are in the order of what builds upon what.
var Cases = []Case{
	{Name: "commits in one order", run: commits},
	{Name: "an isolated leader acknowledges nothing", run: isolated(cluster.SilentCut)},
	{Name: "a leader acknowledges nothing after a reset", run: isolated(cluster.ResetCut)},
	{Name: "a quorum of five is three", run: quorumOfFive, replicas: 5},
	{Name: "follows a leader after a silent cut", run: cutLink(cluster.SilentCut)},
	{Name: "follows a leader after a reset", run: cutLink(cluster.ResetCut)},
	{Name: "counts", run: counts, whole: true},
	{Name: "answers all when closed", run: closes},
	{Name: "acknowledged survives the leader", run: survivesLeader, Use: engines.Use{Elections: true, Crashes: true}},
	{Name: "acknowledged survives with one follower cut off", run: survivesMinority, Use: engines.Use{Elections: true, Crashes: true}},
	{Name: "does not call failed what it cannot know", run: ackLost, Use: engines.Use{Elections: true, Crashes: true}},
	{Name: "tells failed from unknown", run: overwritten, Use: engines.Use{Elections: true}},
	{Name: "tells the clients of a deposed leader", run: tellsDeposed, Use: engines.Use{Elections: true}},
	{Name: "counts elections although nobody observes", run: countsElections, Use: engines.Use{Elections: true}, unobserved: true},
	{Name: "crashes by an answer", run: crashesByAnswer, Use: engines.Use{Elections: true, Crashes: true}},
	{Name: "a follower comes back", run: followerReturns, Use: engines.Use{Crashes: true}},
	{Name: "catches up from a snapshot", run: beyondTheLog(cluster.SilentCut), Use: engines.Use{Snapshots: true}},
	{Name: "catches up from a snapshot after a reset", run: beyondTheLog(cluster.ResetCut), Use: engines.Use{Snapshots: true}},
	{Name: "comes back from a snapshot and its log", run: fromSnapshot, Use: engines.Use{Crashes: true, Snapshots: true}},
	{Name: "all come back", run: allReturn, Use: engines.Use{Elections: true, Crashes: true}},
}

// Run runs all cases as subtests of t, at each place. Cases that the engine refuses are skipped, with its reason. At a place
// with a folder, each group has one of its own in there.
func Run(t *testing.T, e engines.Engine, places ...engines.Place) {
	for _, at := range places {
		name := at.Transport.Name
		if at.Data != "" {
			name += " on a disk"
		}
		t.Run(name, func(t *testing.T) {
			for _, c := range Cases {
				t.Run(c.Name, func(t *testing.T) {
					if why := e.CanUse(c.Use); why != "" {
						t.Skip(why)
					}
					if err := c.Check(t.Context(), e, at); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// patience is how long a case waits for anything that must happen.
const patience = 30 * time.Second

// Snapshots are taken often, of a state of several chunks.
const snapshotEntries, snapshotTrailing, stateBytes = 100, 20, 600 << 10

const heartbeat, electionTimeout = 30 * time.Millisecond, 300 * time.Millisecond

// errDisturbed says that a leader was lost which nothing was done to: the machine was too busy for the election timeout.
var errDisturbed = errors.New("the leader was lost")

// attempts is how often a disturbed case is tried.
const attempts = 5

// Check runs the case on a group, and returns what the engine did wrong.
func (c Case) Check(ctx context.Context, e engines.Engine, at engines.Place) (err error) {
	for range attempts {
		if err = c.check(ctx, e, at); !errors.Is(err, errDisturbed) {
			return err
		}
	}
	return err
}

func (c Case) check(ctx context.Context, e engines.Engine, at engines.Place) error {
	strategy, err := strategies.Parse("eager")
	if err != nil {
		return err
	}
	replicas := cmp.Or(c.replicas, 3)
	g := &group{ctx: ctx, record: newRecord(replicas), patience: cmp.Or(c.patience, patience)}
	cfg := cluster.Config{Replicas: replicas, Strategy: strategy, Heartbeat: heartbeat, ElectionTimeout: electionTimeout,
		PreVote: true, CheckQuorum: true, Seed: 1, Observer: g.record,
		SnapshotEntries: snapshotEntries, SnapshotTrailing: snapshotTrailing, StateBytes: stateBytes}
	if c.unobserved {
		cfg.Observer = nil
	}
	if at.Data != "" {
		if at.Data, err = os.MkdirTemp(at.Data, ""); err != nil {
			return err
		}
	}
	if c.whole {
		cfg.SnapshotEntries = 0
	}
	if g.Cluster, err = Open(e, at, cfg); err != nil {
		return err
	}
	err = c.run(g)
	if closed := g.Close(); err == nil {
		err = closed
	}
	if err == nil && !c.unobserved {
		err = g.verdict()
	}
	return err
}

// Open opens a group of an engine, under the live driver if it needs one: in the place's folder with the project's log, if
// there is a folder.
func Open(e engines.Engine, at engines.Place, cfg cluster.Config) (cluster.Cluster, error) {
	if e.Configure != nil {
		e.Configure(&cfg)
	}
	if e.Open != nil {
		return e.Open(at, cfg)
	}
	if at.Data != "" {
		cfg.OpenStorage = func(o storage.Options) (storage.Storage, error) {
			return wal.Open(filepath.Join(at.Data, fmt.Sprintf("replica-%d", o.Replica)), o, segmentBytes)
		}
	}
	return live.New(live.Config{Config: cfg, Transport: at.Transport, Host: at.Host, Ports: at.Ports})
}

// segmentBytes is small, so that groups that live for a second leave little behind.
const segmentBytes = 1 << 20

// group is a group under test, with a record of all that was proposed and applied.
type group struct {
	cluster.Cluster
	ctx      context.Context
	record   *record
	patience time.Duration
}

func (g *group) wait(what string, cond func() bool) error {
	if err := g.Wait(g.ctx, g.patience, cond); err != nil {
		var states string
		for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
			s := g.Status(id)
			states += fmt.Sprintf("; replica %d up %v, %v of term %d, commit %d, applied %d of %d", id, s.Up, s.Role, s.Term, s.Commit, s.Applied, s.Last)
		}
		return fmt.Errorf("waiting until %s: %w%s", what, err, states)
	}
	return nil
}

// elect makes replica 1 stand, and returns who leads.
func (g *group) elect() (raft.ID, error) {
	g.Campaign(1)
	leader, err := cluster.WaitLeader(g.ctx, g, patience)
	if err != nil {
		return 0, fmt.Errorf("no leader: %w", err)
	}
	return leader, nil
}

// settled returns who leads once the group has committed a little, and all replicas have applied it.
func (g *group) settled() (leader raft.ID, err error) {
	if leader, err = g.elect(); err != nil {
		return 0, err
	}
	if err := g.commit(3); err != nil {
		return 0, err
	}
	return leader, g.level()
}

// other returns the last replica that is not this one.
func (g *group) other(id raft.ID) raft.ID {
	if last := raft.ID(g.Size()); last != id {
		return last
	}
	return raft.ID(g.Size() - 1)
}

// newLeader waits for a leader other than the old one that can commit.
func (g *group) newLeader(old raft.ID) (leader raft.ID, err error) {
	err = g.wait("there is another leader", func() bool {
		for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
			if s := g.Status(id); id != old && s.Up && s.Role == raft.Leader {
				leader = id
				return true
			}
		}
		return false
	})
	return leader, err
}

// propose makes n proposals to a replica at once.
func (g *group) propose(to raft.ID, n int) []*entry {
	var list []*entry
	for range n {
		e := g.record.entry()
		list = append(list, e)
		g.Propose(to, &e.proposal)
	}
	return list
}

// commit makes n proposals, one after the other was answered, to whoever leads, and again if they are refused.
func (g *group) commit(n int) error {
	for range n {
		for until := time.Now().Add(patience); ; {
			if leader := g.leader(); leader != 0 {
				e := g.propose(leader, 1)[0]
				if err := g.answered([]*entry{e}); err != nil {
					return err
				}
				if outcome, _ := e.outcome(); outcome == cluster.Committed {
					break
				}
			}
			if time.Now().After(until) {
				return errors.New("no proposal was committed")
			}
			if err := cluster.Sleep(g.ctx, g, heartbeat/4); err != nil {
				return err
			}
		}
	}
	return nil
}

// leader returns the leader of the highest term that can be reached by somebody.
func (g *group) leader() raft.ID { return cluster.Leader(g) }

func (g *group) answered(list []*entry) error {
	return g.wait("all proposals are answered", func() bool {
		for _, e := range list {
			if _, times := e.outcome(); times == 0 {
				return false
			}
		}
		return true
	})
}

// level waits until all replicas have applied the same log.
func (g *group) level() error {
	return g.wait("all replicas have applied the same log", func() bool {
		first := g.Status(1)
		for id := raft.ID(1); id <= raft.ID(g.Size()); id++ {
			if s := g.Status(id); !s.Up || s.Applied != s.Last || s.Last != first.Last || s.Digest != first.Digest {
				return false
			}
		}
		return true
	})
}

// allCommitted asks that a leader which was not disturbed has committed all of the proposals.
func (g *group) allCommitted(leader raft.ID, term uint64, list []*entry) error {
	if err := g.answered(list); err != nil {
		return err
	}
	err := atLeast(len(list), list)
	if s := g.Status(leader); err != nil && (s.Role != raft.Leader || s.Term != term) {
		return fmt.Errorf("%w: %w", errDisturbed, err)
	}
	return err
}

// atLeast asks that so many of the proposals were committed.
func atLeast(n int, list []*entry) error {
	committed := 0
	for _, e := range list {
		if outcome, _ := e.outcome(); outcome == cluster.Committed {
			committed++
		}
	}
	if committed < n {
		return fmt.Errorf("%d of %d proposals were committed, want at least %d", committed, len(list), n)
	}
	return nil
}
