// Package floor is the engine "floor": what is physically needed, without consensus. The first replica that is asked to
// lead writes what clients propose to the others, over the same transport and in the same encoding as this project's own
// core, and answers when it and enough of them to make a majority have made that durable. Others apply what arrives. Nobody
// votes, and nobody starts again from what the storage holds.
//
// It gives what others are measured by: the disk and the fan-out's first answer for latency, streaming with an
// acknowledgement a batch for throughput and for catching up. It is no engine to use: a leader that is lost takes its log
// with it. Snapshots are taken as others take them, so that storages stay bounded, but never sent: the leader keeps in
// memory all that some follower has not acknowledged, for as long as that takes.
package floor

import (
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
)

// Engine returns the engine "floor".
func Engine() engines.Engine {
	return engines.Engine{
		Name:      "floor",
		Doc:       "no consensus: the same bytes over the same transport, a majority's first answer",
		Settings:  "batches and messages in flight as raftbench's; no votes, followers apply what arrives",
		Floor:     true,
		Configure: func(cfg *cluster.Config) { cfg.Engine = New },
		Refuse: func(u engines.Use) string {
			switch {
			case u.GivenLogs:
				return "the floor's followers keep no logs that could be given"
			case u.Snapshots:
				return "the floor's leader keeps what followers have not got, and sends no snapshots"
			case u.Elections, u.Crashes:
				return "the floor has no elections: a leader that is lost takes its log with it"
			}
			return ""
		},
	}
}
