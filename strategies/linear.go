package strategies

import "github.com/raftbench/raftbench/raft"

// Linear goes one index back per rejection (Raft paper, section 5.3: "the leader decrements nextIndex and retries").
// It needs exactly as many rejections as the leader has entries after the last that both logs share.
type Linear struct{}

// The rejected nextIndex was PrevLogIndex+1.
func (Linear) Next(_ *raft.Log, r raft.Reject) uint64 { return r.PrevLogIndex }
func (Linear) String() string                         { return "linear" }
