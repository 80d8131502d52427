// Package etcd is the engine "etcd": the Raft library of etcd, go.etcd.io/raft/v3, with a driver as good as a careful
// user's. RawNode runs as a cluster.Member, under the same driver, transports and disk as this project's own core.
//
// What the driver does for it: proposals that arrived together are one MsgProp with many entries; a Ready's messages are
// marshalled into memory that is used again and go out together, one write a peer; a leader's go out before its own disk
// has its entries; the log is a MemoryStorage, compacted by the same rule as everybody's. Limits are those of the group:
// bytes in a message, messages in flight. Committed entries are applied without a limit a Ready.
//
// The library draws election timeouts from a source that cannot be seeded, so this package keeps the election timer
// itself, by the library's rules (a time drawn evenly from one to two timeouts, begun again by the leader's messages, a
// granted vote and a new term), and tells the library when it has run out. Ticks go to leaders only, one a heartbeat. It
// does not use snapshots, membership changes or reads.
package etcd

import (
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
)

const settings = "go.etcd.io/raft/v3: RawNode, one MsgProp a batch, MemoryStorage, MaxSizePerMsg and MaxInflightMsgs as raftbench's, " +
	"no limit on committed entries a Ready"

// Engine returns the engine "etcd".
func Engine() engines.Engine {
	return engines.Engine{
		Name:      "etcd",
		Doc:       "etcd's raft library, run by this project's driver",
		Settings:  settings,
		Configure: func(cfg *cluster.Config) { cfg.Engine = New },
	}
}
