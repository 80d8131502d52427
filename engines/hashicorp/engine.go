// Package hashicorp is the engine "hashicorp": github.com/hashicorp/raft, with the goroutines and timers that it brings.
//
// It is a whole group (a cluster.Cluster), not a member: the library's NetworkTransport runs over the byte streams of
// this project's transports, and its state machine takes batches. In memory its log store is a ring; on a disk it is
// what the library's users have: raft-boltdb behind a cache of 512 entries, and a file a snapshot. Proposals are the library's Apply, called by whoever offers them; one goroutine a replica
// waits for the answers, in order. Where the library's users have a choice it is the faster one: BatchApplyCh, batches of
// 64 or 512 entries (the two engines of this package), pipelining with 2 requests in flight, which is the library's
// default (130, as it had until 1.4.1, measured no faster), no logging. Timers are the group's: HeartbeatTimeout and
// ElectionTimeout are the election timeout, heartbeats go out every tenth to fifth of it, the leader's lease is half of
// it, and followers learn what is committed at the latest after CommitTimeout, which is 1 ms (see commitTimeout).
//
// What differs from the other engines: it measures entries in a message by number, not bytes. Its calls travel
// on byte streams, of which nothing can be missing in the middle: what is sent across a silent cut waits in its connection,
// and arrives when TCP would have sent it again after the healing (0.2 s after the first attempt, then 0.4 s, ...). A reset
// of one direction cuts both, since no connection is made: connections break, and new ones are refused until it is healed.
// Messages cannot be delayed or lost one by one. Snapshots are due by the number of entries alone (SnapshotBytes counts for
// nothing), which is looked at every 10 to 20 ms; a follower gets one as a stream. A leader cannot
// tell a failed proposal from one of unknown fate when it loses its leadership: all are unknown.
package hashicorp

import (
	"fmt"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
)

// Options are the library's settings that users weigh.
type Options struct {
	MaxAppendEntries int // in one AppendEntries: 64 by default
	MaxInFlight      int // AppendEntries to one follower: 2 by default
}

// Engine returns the engine "hashicorp", with the library's own batch size.
func Engine() engines.Engine {
	return engine("hashicorp", Options{MaxAppendEntries: 64, MaxInFlight: 2})
}

// Large returns the engine "hashicorp-512", with larger batches.
func Large() engines.Engine {
	return engine("hashicorp-512", Options{MaxAppendEntries: 512, MaxInFlight: 2})
}

func engine(name string, o Options) engines.Engine {
	return engines.Engine{
		Name: name,
		Doc:  fmt.Sprintf("github.com/hashicorp/raft, batches of up to %d entries", o.MaxAppendEntries),
		Settings: fmt.Sprintf("MaxAppendEntries %d, MaxRPCsInFlight %d, BatchApplyCh, a batching FSM, CommitTimeout 1ms, "+
			"log store in memory", o.MaxAppendEntries, o.MaxInFlight),
		Refuse: func(u engines.Use) string {
			if u.GivenLogs {
				return "hashicorp's log store cannot be given logs that no leader wrote"
			}
			if u.OnDisk() {
				return "on a disk, over raft-boltdb, its replicas did not always end level in our tests, and why is not known: use --storage mem"
			}
			return ""
		},
		Open: func(at engines.Place, cfg cluster.Config) (cluster.Cluster, error) { return Open(at, cfg, o) },
	}
}
