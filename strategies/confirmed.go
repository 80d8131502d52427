package strategies

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Confirmed opens on the leader once a quorum has acknowledged the commit, and on a follower at once: the client's
// answer waits for the second phase of a two-phase protocol, which Raft saves by counting acknowledgements of the
// entries alone (paper, section 5.3). Without announce=now that phase rides with the heartbeats.
type Confirmed struct{}

func (Confirmed) Wait(w raft.Waiting) time.Duration {
	if w.Owed == 0 {
		return 0
	}
	return raft.Shut
}

func (Confirmed) String() string { return "confirmed" }
