package strategies

import "github.com/raftbench/raftbench/raft"

// Exponential goes 1, 2, 4, 8 ... indexes back: the galloping search of Bentley and Yao (1976), without its second
// half, since the core ends a search with the first index that is not rejected. With n entries after the last shared
// one it needs at most log2(n)+1 rejections and sends fewer than 2n+1 entries. It needs nothing but the rejections.
type Exponential struct{}

func (Exponential) Next(_ *raft.Log, r raft.Reject) uint64 {
	step := uint64(1) << min(max(r.Round-1, 0), 63)
	if step > r.PrevLogIndex {
		return 0
	}
	return r.PrevLogIndex + 1 - step
}

func (Exponential) String() string { return "exponential" }
