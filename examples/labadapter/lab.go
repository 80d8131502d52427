// Package labadapter drives the raft core as the MIT 6.824 lab wants a Raft to look: Make, Start, GetState, Kill, a
// persister, an apply channel, and remote calls whose reply answers the very call. It is an example: it shows all that
// such a driver has to do, and leaves out snapshots (part 2D).
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

// Persister keeps a replica's state over its crashes.
type Persister interface {
	SaveRaftState(state []byte)
	ReadRaftState() []byte // as it was last saved; empty if it never was
}

// ApplyMsg tells the service that a command is committed.
type ApplyMsg struct {
	CommandValid bool
	Command      any
	CommandIndex int
}

// Config is what the lab leaves to the implementation: see raft.Config.
type Config struct {
	Strategy                   raft.Strategy
	Heartbeat, ElectionTimeout time.Duration
	Seed                       uint64
}

// state is what is saved. Entries begin at index 1.
type state struct {
	Term    uint64
	Vote    raft.ID
	Entries raft.Entries
}

// encode writes what is saved, and commands.
func encode(v any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		panic(fmt.Sprintf("labadapter: %T cannot be encoded: %v", v, err))
	}
	return b.Bytes()
}
