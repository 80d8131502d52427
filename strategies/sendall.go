package strategies

import "github.com/raftbench/raftbench/raft"

// SendAll searches nothing: after one rejection it sends the log from its first entry. It bounds the others: no search
// needs fewer rejections, none sends more bytes.
type SendAll struct{}

func (SendAll) Next(log *raft.Log, _ raft.Reject) uint64 { return log.First() }
func (SendAll) String() string                           { return "sendall" }
