package strategies

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Ride opens when a message goes out anyway, at the latest the next heartbeat, so that it never costs a message. As a
// Send gate it is the classroom's loop, which sends once per period and nothing in between; as an Announce gate it is
// Raft as in the paper (section 5.3): followers learn leaderCommit from the next AppendEntries. As an Apply gate it
// opens on a follower with the next AppendEntries that comes in.
type Ride struct{}

func (Ride) Wait(raft.Waiting) time.Duration { return raft.NextMessage }
func (Ride) String() string                  { return "ride" }
