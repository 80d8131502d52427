package strategies

import (
	"fmt"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Window opens while fewer than this many AppendEntries to a follower are unanswered: the send window of a sliding
// window protocol, MaxInflightMsgs in etcd/raft. Window(1) is stop-and-wait. It is 1 to raft.DefaultMaxInFlight: the
// core lets no more than that be in flight, so a larger one would not be what it says.
type Window int

func (n Window) Wait(w raft.Waiting) time.Duration {
	if w.InFlight < int(n) {
		return 0
	}
	return raft.Shut
}

func (n Window) String() string { return fmt.Sprintf("window(%d)", int(n)) }

func buildWindow(args []string) (raft.Gate, error) {
	n, err := parseCount("n", args[0], raft.DefaultMaxInFlight)
	return Window(n), err
}
