package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// presetLeaders is the divergence that every engine can be brought to, by what happens to real groups.
const presetLeaders = "leaders"

// divergeByLeaders makes a leader go on accepting while it is cut off, and then changes the leader twice: the first
// successor begins below the entries that conflict and overwrites them without a question; the second begins above and
// has to find out.
func (t *Trial) divergeByLeaders(ctx context.Context, d divergence) error {
	first, err := t.Elect(ctx)
	if err != nil {
		return err
	}
	if err := t.Bulk(ctx, uint64(max(1, d.common))); err != nil {
		return err
	}
	if err := t.Cluster.Wait(ctx, t.Timeout, t.level); err != nil {
		return fmt.Errorf("the group did not come to rest: %w", err)
	}
	agree := t.Cluster.Status(first).Last
	cluster.Isolate(t.Cluster, first, t.Cut)
	stuck := newLoad(t, t.PayloadBytes)
	t.loads = append(t.loads, stuck)
	stuck.Closed(d.conflicting, uint64(d.conflicting))
	want := agree + uint64(d.conflicting)
	if err := t.Cluster.Wait(ctx, t.Timeout, func() bool { return t.Cluster.Status(first).Last >= want }); err != nil {
		return fmt.Errorf("the isolated leader accepted %d of %d entries: %w",
			t.Cluster.Status(first).Last-agree, d.conflicting, err)
	}
	second, err := t.succeed(ctx, first, t.Cluster.Status(first).Term)
	if err != nil {
		return err
	}
	if err := t.Bulk(ctx, uint64(d.conflicting)); err != nil {
		return err
	}
	// Leadership is lost as it is in life: the leader's process ends, and comes back.
	term := t.Cluster.Status(second).Term
	t.watch.setCrashed(second, true)
	t.Cluster.Crash(second)
	if err := t.Cluster.Restart(second); err != nil {
		return err
	}
	t.watch.setCrashed(second, false)
	third, err := t.succeed(ctx, first, term)
	if err != nil {
		return err
	}
	load := t.Foreground()
	if err := cluster.Sleep(ctx, t.Cluster, t.Warmup); err != nil {
		return err
	}
	return t.CatchUp(ctx, load, third, first, agree, d.conflicting)
}

// succeed waits for a leader of a later term that a majority follows, other than the one that is cut off, and asks for
// one meanwhile: followers only vote once they take the old leader for lost.
func (t *Trial) succeed(ctx context.Context, away raft.ID, term uint64) (raft.ID, error) {
	next := raft.ID(1)
	if next == away {
		next = 2
	}
	for until := t.Cluster.Now().Add(t.Timeout); t.Cluster.Now() < until; {
		t.Cluster.Campaign(next)
		leader, err := t.followed(ctx, away, term)
		if err == nil {
			return leader, nil
		} else if !errors.Is(err, cluster.ErrTimeout) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no leader after term %d within %v", term, t.Timeout)
}

func (t *Trial) followed(ctx context.Context, away raft.ID, term uint64) (leader raft.ID, err error) {
	err = t.Cluster.Wait(ctx, max(t.ElectionTimeout/4, 10*time.Millisecond), func() bool {
		following := map[raft.ID]int{}
		for id := raft.ID(1); id <= raft.ID(t.Cluster.Size()); id++ {
			if s := t.Cluster.Status(id); id != away && s.Up && s.Term > term && s.Leader != 0 {
				following[s.Leader]++
			}
		}
		for leader = range following {
			if s := t.Cluster.Status(leader); s.Role == raft.Leader && following[leader] > t.Cluster.Size()/2 {
				return true
			}
		}
		return false
	})
	return leader, err
}
