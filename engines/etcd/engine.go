// Package etcd is the engine "etcd": the Raft library of etcd, go.etcd.io/raft/v3, with a driver as good as a careful
// user's. RawNode runs as a cluster.Core, under the same driver, transports and storage as this project's own core.
//
// What the driver does for it: proposals that arrived together are one MsgProp with many entries; a Ready's messages are
// marshalled into memory that is used again and go out together, one write a peer; a leader's go out before its own disk
// has its entries; an append without entries is left out where one with entries follows at once; the log is a
// MemoryStorage beside the group's storage. Limits are those of the group: bytes in a message, messages in flight. Committed
// entries are applied without a limit a Ready.
//
// Snapshots are taken and the log is shortened by the group's rule, except that what follows a snapshot on its way stays,
// as in etcd's server. The library's MsgSnap carries a whole state, so here it is one frame, and a state that does not fit
// into one is refused. One that nobody answers is reported as failed after two election timeouts, then after twice as long
// each time; the library begins again. A follower writes its content to the storage before the library sees the message.
//
// The library draws election timeouts from a source that cannot be seeded, so this package keeps the election timer
// itself, by the library's rules (a time drawn evenly from one to two timeouts, begun again by the leader's messages, a
// granted vote and a new term), and tells the library when it has run out. Ticks go to leaders only, one a heartbeat. It
// does not use membership changes or reads.
package etcd

import (
	"fmt"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/transports"
)

// maxStateBytes leaves a frame room for what a snapshot has beside the state: a digest, a page that is not full, and the
// message around it.
const maxStateBytes = transports.DefaultMaxFrameBytes - 8<<10

const settings = "go.etcd.io/raft/v3: RawNode, one MsgProp a batch, MemoryStorage, MaxSizePerMsg and MaxInflightMsgs as raftbench's, " +
	"no limit on committed entries a Ready"

// Yielding returns the engine "etcd-yield": the same with a yield to other goroutines before each batch. That lifts a
// driver which takes proposals one by one two and a half times; under this project's, whose batches form by themselves,
// both measure alike. It is here so that nobody has to believe that.
func Yielding() engines.Engine {
	e := Engine()
	e.Name, e.Doc = "etcd-yield", "as etcd, with a yield before each batch"
	e.Configure = func(cfg *cluster.Config) { cfg.Engine, cfg.Yield = New, true }
	return e
}

// Engine returns the engine "etcd".
func Engine() engines.Engine {
	return engines.Engine{
		Name:      "etcd",
		Doc:       "etcd's raft library, run by this project's driver",
		Settings:  settings,
		Configure: func(cfg *cluster.Config) { cfg.Engine = New },
		Refuse: func(u engines.Use) string {
			if u.StateBytes > maxStateBytes {
				return fmt.Sprintf("etcd's snapshots are one message: a state of %d bytes does not fit into a frame of %d",
					u.StateBytes, transports.DefaultMaxFrameBytes)
			}
			return ""
		},
	}
}
