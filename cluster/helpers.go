package cluster

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Leader returns the leader of the highest term among the replicas that are up, 0 if there is none.
func Leader(c Cluster) raft.ID {
	var leader raft.ID
	var term uint64
	for id := raft.ID(1); id <= raft.ID(c.Size()); id++ {
		if s := c.Status(id); s.Up && s.Role == raft.Leader && s.Term > term {
			leader, term = id, s.Term
		}
	}
	return leader
}

// WaitLeader waits until there is a leader that at least a majority of all replicas follows in its term, and returns
// it. Errors are those of Wait.
func WaitLeader(ctx context.Context, c Cluster, timeout time.Duration) (raft.ID, error) {
	var leader raft.ID
	err := c.Wait(ctx, timeout, func() bool {
		if leader = Leader(c); leader == 0 {
			return false
		}
		term, following := c.Status(leader).Term, 0
		for id := raft.ID(1); id <= raft.ID(c.Size()); id++ {
			if s := c.Status(id); s.Up && s.Term == term && s.Leader == leader {
				following++
			}
		}
		return following > c.Size()/2
	})
	return leader, err
}

// Isolate cuts all links of a replica, both ways.
func Isolate(c Cluster, id raft.ID, kind CutKind) {
	for other := raft.ID(1); other <= raft.ID(c.Size()); other++ {
		if other != id {
			c.Cut(other, id, kind)
			c.Cut(id, other, kind)
		}
	}
}

// Rejoin heals all links of a replica: first those that lead away from it, so that the answer to what the others send
// at once finds its way.
func Rejoin(c Cluster, id raft.ID) {
	for other := raft.ID(1); other <= raft.ID(c.Size()); other++ {
		if other != id {
			c.Heal(id, other)
		}
	}
	for other := raft.ID(1); other <= raft.ID(c.Size()); other++ {
		if other != id {
			c.Heal(other, id)
		}
	}
}

// Sleep lets the cluster run for a while.
func Sleep(ctx context.Context, c Cluster, d time.Duration) error {
	until := c.Now().Add(d)
	err := c.Wait(ctx, d, func() bool { return c.Now() >= until })
	if errors.Is(err, ErrTimeout) {
		return nil
	}
	return err
}

// LookEvery is how often a waiter looks at most: looking must not slow down what is looked at.
const LookEvery = time.Millisecond

// Poll is Wait for a driver on the wall clock that is told of nothing: it looks by itself.
func Poll(ctx context.Context, timeout time.Duration, cond func() bool) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	look := time.NewTicker(LookEvery)
	defer look.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			if cond() {
				return nil
			}
			return ErrTimeout
		case <-look.C:
		}
	}
	return nil
}

// Tells is the function that clients are called by, for CalledBy.
const Tells = "cluster.(*Proposal).Tell"

// CalledBy reports whether the calling goroutine is within a function whose full name, as in a stack trace, ends so. A
// driver asks it whether Crash or Pause is called by a client that is being answered: it must not wait then for the
// replica to finish. It takes some microseconds.
func CalledBy(function string) bool {
	var pcs [32]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		for frames, more := runtime.CallersFrames(pcs[:n]), true; more; {
			var frame runtime.Frame
			if frame, more = frames.Next(); strings.HasSuffix(frame.Function, function) {
				return true
			}
		}
	}
}
