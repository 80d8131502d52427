package strategies

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Barrier opens when every follower that the round went to has answered, or with the next heartbeat, so that a dead
// follower costs one period and no more. It is the sync.WaitGroup of the classroom: as a Commit gate, commitIndex moves
// once all of a round's replies are in; as a Send gate, the next round begins then.
type Barrier struct{}

func (Barrier) Wait(w raft.Waiting) time.Duration {
	if w.Owed == 0 {
		return 0
	}
	return raft.NextBeat
}

func (Barrier) String() string { return "barrier" }
