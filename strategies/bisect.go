package strategies

import "github.com/raftbench/raftbench/raft"

// Bisect tries the middle between the last index known to agree and the rejected one. The core ends a search with the
// first index that is not rejected, so this halves from above only: from n indexes it needs at most log2(n)+1
// rejections, and what is sent again is at most half of the span that was left. It needs nothing but the rejection.
// openraft searches so (its progress/entry, since "bsearch to find matching log").
type Bisect struct{}

func (Bisect) Next(log *raft.Log, r raft.Reject) uint64 {
	low := max(r.Match, log.First()-1)
	return low + (r.PrevLogIndex-low)/2 + 1
}

func (Bisect) String() string { return "bisect" }
