// Package engines says what a consensus engine is that can be measured, and holds a group for engines whose replicas have
// goroutines of their own (Open, Node). The folders below it hold one engine each: raftbench (this project's own core),
// etcd and hashicorp (what a user would otherwise pick) and floor (what is physically needed, without consensus);
// conformance is the suite that all of them pass.
//
// It lists no engines: the command's table does. It measures nothing.
package engines

import (
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/transports"
)

// Engine is one way to get an order agreed on. There are two kinds: a pure state machine, which is a cluster.Core in a
// cluster.Shell and runs wherever members run (over every transport and storage, and in virtual time), and an engine with
// goroutines and a clock of its own, which opens whole groups itself.
type Engine struct {
	Name string // as on the command line
	Doc  string // one sentence
	// Settings says in a sentence what it is run with.
	Settings string

	// Strategies says that a raft.Strategy decides when things happen. Other engines have their own way: they are
	// measured once, whatever strategies are.
	Strategies bool
	// Floor says that the engine gives no guarantees: others are measured by it.
	Floor bool

	// Refuse returns why the engine cannot be used so, in one line; "" if it can. nil refuses nothing.
	Refuse func(Use) string
	// Configure makes a group's configuration one of this engine; for engines whose members a driver runs.
	Configure func(*cluster.Config)
	// Open opens a group at a place; nil for engines whose members a driver runs. Errors are those of the configuration,
	// or the system's, about a port for example.
	Open func(Place, cluster.Config) (cluster.Cluster, error)
}

// Place is where a group on the wall clock is.
type Place struct {
	Transport transports.Kind
	Host      string // address that replicas listen on; "" for 127.0.0.1
	Ports     []int  // the replicas' ports, in order of ID; empty for any free ones
	// Data is the folder for what survives the process, in the engine's own format; "" for memory. Engines whose members a
	// driver runs do without it: their storage is cluster.Config's.
	Data string
}

// Use is what is asked of an engine beyond proposing, committing and applying.
type Use struct {
	Transport string
	Virtual   bool // the group's time is not the wall clock's
	GivenLogs bool // replicas start with logs that a scenario makes up
	Elections bool // leaders change
	Crashes   bool // replicas stop and start again from what they had made durable
	Snapshots bool // followers fall so far behind that only a snapshot helps
	// Storage is its name, "" or InMemory for memory.
	Storage string
	// StateBytes is the size of the state machine's state, which snapshots have too.
	StateBytes int
}

// InMemory is the name of the storage that does not outlive the process.
const InMemory = "mem"

// OnDisk reports whether the storage outlives the process.
func (u *Use) OnDisk() bool { return u.Storage != "" && u.Storage != InMemory }

// CanUse returns why the engine cannot be used so; "" if it can.
func (e *Engine) CanUse(u Use) string {
	if e.Open != nil && u.Virtual {
		return "it has goroutines and a clock of its own, which virtual time cannot hold"
	}
	if e.Refuse == nil {
		return ""
	}
	return e.Refuse(u)
}
