package strategies

import "github.com/raftbench/raftbench/raft"

// Hint skips terms on both sides, as etcd/raft since version 3.5 (its raft.go, stepLeader, and log.go,
// findConflictByTerm): the follower answers with its last entry before PrevLogIndex whose term is not above
// PrevLogTerm, and the leader goes to its own last entry before that whose term is not above the one in the answer.
// What either skips cannot be shared, so it finds exactly the last shared entry.
//
// Each probe that is rejected has a term of its own in the part of the leader's log that conflicts, and each rejection
// but the last names another term of the part of the follower's that does: it needs at most as many rejections as the
// first has terms, and at most one more than the second has.
type Hint struct{}

func (Hint) Next(log *raft.Log, r raft.Reject) uint64 {
	last, _ := log.LastUpTo(r.HintIndex, r.HintTerm)
	return last + 1
}

func (Hint) String() string { return "hint" }
