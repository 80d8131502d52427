package cluster

import "github.com/raftbench/raftbench/raft"

// Between two looks at what a log may forget, this much is applied: little enough that the memory in use stays small also
// if entries are large, and enough that looking costs nothing.
const (
	pruneEntries = 1024
	pruneBytes   = 1 << 20
)

// Pruning tells a replica when to look at what its log may forget. It is the same for all engines, so that all work in
// the same amount of memory.
type Pruning struct {
	entries, bytes int // applied since the last look
}

// Due counts entries that were applied, and reports whether it is time to look.
func (p *Pruning) Due(e raft.Entries) bool {
	p.entries += e.Count
	p.bytes += len(e.Bytes)
	if p.entries < pruneEntries && p.bytes < pruneBytes {
		return false
	}
	*p = Pruning{}
	return true
}
