// Package raftbench is the engine of this project itself: the core in raft/, run by cluster.Replica. It has no
// code beside that.
package raftbench

import "github.com/raftbench/raftbench/engines"

// Engine returns the engine "raftbench".
func Engine() engines.Engine {
	return engines.Engine{
		Name:       "raftbench",
		Doc:        "this project's own core, timed by a strategy",
		Strategies: true,
	}
}
