package raft

// What tests outside the package may see of its inside.

// NewLogOfSegments returns an empty log with segments of that many bytes, and so has every node that starts from it:
// small ones let short logs cross many of their borders.
func NewLogOfSegments(first, prevTerm uint64, bytes int) *Log { return newLog(first, prevTerm, bytes) }

// Match returns the last index that a leader knows a follower to agree up to.
func (n *Node) Match(id ID) uint64 { return n.peer(id).match }

// Rouse makes the next Take look at everything, though nothing came in since the last.
func (n *Node) Rouse() { n.idle = false }
