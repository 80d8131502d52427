// Package labadapter drives the raft core as the MIT 6.824 lab wants a Raft to look: Make, Start, GetState, Kill, a
// persister, an apply channel, and remote calls whose reply answers the very call. It is an example: it shows all that
// such a driver has to do, snapshots (part 2D) included.
//
// To put the core under the course's own tests, let a *labrpc.ClientEnd be the Peer, the course's Persister the
// Persister, and Handle the method that is called:
//
//	func (e end) Call(request, reply *raft.Message) bool { return e.ClientEnd.Call("Raft.Handle", request, reply) }
//
// The core sends messages, not calls: each request travels in a call of its own, in a goroutine of its own, so that one
// which hangs for seconds blocks nothing. A reply repeats the number of its request (raft.Message.Seq). Since saving is
// done before anything is sent, it is there as soon as the request has been handled.
package labadapter

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Peer is another replica. Call sends a request and waits for its reply; false says that none came.
type Peer interface {
	Call(request, reply *raft.Message) bool
}

// Persister keeps a replica's state, and its service's newest snapshot, over its crashes: both together or neither.
type Persister interface {
	Save(state, snapshot []byte)
	ReadRaftState() []byte // as it was last saved; empty if it never was
	ReadSnapshot() []byte
}

// ApplyMsg tells the service that a command is committed, or that it goes on from a snapshot of another replica's service.
// What it had saved itself it reads from the Persister when it starts.
type ApplyMsg struct {
	CommandValid bool
	Command      any
	CommandIndex int

	SnapshotValid bool
	Snapshot      []byte
	SnapshotTerm  int
	SnapshotIndex int
}

// Config is what the lab leaves to the implementation: see raft.Config.
type Config struct {
	Strategy                   raft.Strategy
	Heartbeat, ElectionTimeout time.Duration
	Seed                       uint64
	MaxLagBytes                int
}

// state is what is saved beside the service's snapshot.
type state struct {
	Term     uint64
	Vote     raft.ID
	PrevTerm uint64       // of the entry before Entries
	Entries  raft.Entries // begin at the latest after the snapshot
	Snapshot raft.Snapshot
}

// encode writes what is saved, and commands.
func encode(v any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		panic(fmt.Sprintf("labadapter: %T cannot be encoded: %v", v, err))
	}
	return b.Bytes()
}
