package bench

import (
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// catchUp follows how one follower gets what its leader has, from the moment its links are healed.
type catchUp struct {
	leader, follower raft.ID
	healed           raft.Time
	target           uint64 // the index to reach: the leader's commitIndex when the links were healed

	sent, found, stored, learned, applied raft.Time // ends of the phases; 0 if not yet

	result results.CatchUp
	high   uint64 // it has had all entries up to here: those that agree, and what was sent to it since
}

func (u *catchUp) observe(now raft.Time, id raft.ID, e *raft.Event) {
	switch {
	case u.complete():
	case id == u.leader && e.Peer == u.follower:
		u.observeLeader(now, e)
	case id == u.follower && e.Kind == raft.EventCommitted && e.Index >= u.target:
		setOnce(&u.learned, now)
	case id == u.follower && e.Kind == raft.EventApplied && e.Index >= u.target:
		setOnce(&u.applied, now)
	}
}

func (u *catchUp) observeLeader(now raft.Time, e *raft.Event) {
	switch e.Kind {
	case raft.EventSent:
		if e.Probe || e.Count > 0 {
			setOnce(&u.sent, now) // a heartbeat goes to a follower that is not there, too
		}
		u.result.Messages++
		u.result.Bytes += uint64(e.Bytes)
		if e.Probe {
			u.result.ProbeRounds++
		}
		if e.Count > 0 {
			if !e.Probe {
				setOnce(&u.found, now) // entries follow only a place that is known to agree, but in other engines' probes
			}
			if first := e.Index + 1 - uint64(e.Count); first <= u.high {
				twice := min(u.high, e.Index) - first + 1
				u.result.TwiceBytes += uint64(e.Bytes) * twice / uint64(e.Count)
			}
			u.high = max(u.high, e.Index)
		}
	case raft.EventChunk:
		setOnce(&u.sent, now)
		setOnce(&u.found, now) // a snapshot needs no place of agreement
		u.result.Messages++
		u.result.Bytes += uint64(e.Bytes)
		u.result.SnapshotBytes += uint64(e.Bytes)
	case raft.EventRejected:
		u.result.Rejections++
	case raft.EventAccepted:
		if e.Probe {
			setOnce(&u.found, now)
		}
		if e.Index >= u.target {
			setOnce(&u.stored, now)
		}
	}
}

func setOnce(t *raft.Time, now raft.Time) {
	if *t == 0 {
		*t = now
	}
}

// complete reports whether the follower has everything and the leader knows it.
func (u *catchUp) complete() bool { return u.stored != 0 && u.learned != 0 && u.applied != 0 }

// finish splits the time into phases. A phase that was over before the one before it, as when the commitIndex arrives
// with the last entries, took no time.
func (u *catchUp) finish() *results.CatchUp {
	r := u.result
	r.Follower = int(u.follower)
	end := max(u.stored, u.learned, u.applied)
	at := u.healed
	for _, phase := range []struct {
		took *int64
		end  raft.Time
	}{
		{(*int64)(&r.Detect), u.sent}, {(*int64)(&r.Probe), u.found}, {(*int64)(&r.Transfer), u.stored},
		{(*int64)(&r.Learn), u.learned}, {(*int64)(&r.Apply), end},
	} {
		to := min(max(phase.end, at), end)
		*phase.took = int64(to - at)
		at = to
	}
	r.Total = end.Sub(u.healed)
	return &r
}

// watchCatchUp begins to follow a follower whose links are about to be healed.
func (w *watch) watchCatchUp(u *catchUp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.catchUp = u
}

// caughtUp reports whether that follower has everything.
func (w *watch) caughtUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.catchUp.complete()
}

// takeCatchUp ends the watching and returns what was seen.
func (w *watch) takeCatchUp() *results.CatchUp {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.catchUp
	w.catchUp = nil
	return u.finish()
}
