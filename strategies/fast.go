package strategies

import "github.com/raftbench/raftbench/raft"

// Fast skips a term of the follower's per rejection, from what the follower says: the term of its entry at
// PrevLogIndex, the first index that it has of that term, and its last index (Raft paper, end of section 5.3; XTerm,
// XIndex and XLen in the MIT 6.824 lecture notes "Raft 2", "fast backup").
//
// It finds exactly the last shared entry and needs at most one rejection per term in the part of the follower's log
// that conflicts, and one more if that log is shorter than the leader's:
//   - It is too short: its last entry is the next that can be shared.
//   - The leader has entries of XTerm: all of them are before PrevLogIndex, since entries of one term at one index are
//     the same entry, and the follower has them all (Log Matching, paper, section 5.3). So the leader's last of XTerm
//     is shared, and nextIndex is the one after it (the notes' nextIndex, that entry itself, sends it once more).
//   - It has none: nothing that the follower has of XTerm is shared, so the entry before is the next that can be.
type Fast struct{}

func (Fast) Next(log *raft.Log, r raft.Reject) uint64 {
	if r.XTerm == 0 {
		return r.XLen + 1
	}
	if last, ok := log.LastOfTerm(r.XTerm); ok {
		return last + 1
	}
	return r.XIndex
}

func (Fast) String() string { return "fast" }
