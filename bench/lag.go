package bench

import (
	"context"
	"time"

	"github.com/raftbench/raftbench/cluster"
)

var lag = Scenario{
	Name: "lag",
	Doc:  "a follower is cut off while entries commit without it, and healed: how long until it has them?",
	Params: []Param{
		{Name: "lag-entries", Default: "2000", Doc: "entries that commit while the follower is cut off"},
	},
	Cuts: true,
	Prepare: func(s *Settings, group *cluster.Config) error {
		entries, err := s.count("lag-entries", 1)
		s.keepLog(group, entries) // so that the strategy's catch-up is a choice
		if s.SnapshotEntries == 0 && s.SnapshotBytes == 0 && group.SnapshotEntries+group.SnapshotBytes > 0 {
			// A snapshot that holds most of what the follower lacks, whatever the lag.
			group.SnapshotEntries, group.SnapshotBytes = max(leastBetween, entries/snapshotsInLag), 0
		}
		return err
	},
	Entries: func(s *Settings) int {
		n, _ := s.count("lag-entries", 1)
		return n
	},
	Estimate: func(s *Settings) time.Duration {
		n, _ := s.count("lag-entries", 1)
		return s.Warmup + foregroundBefore + s.Heartbeat + repeated(n/bulkClients+1, s.beatPerCommit()) + s.beatPerSend()
	},
	Run: func(ctx context.Context, t *Trial) error {
		leader, err := t.Elect(ctx)
		if err != nil {
			return err
		}
		entries, _ := t.count("lag-entries", 1)
		follower := t.Other(leader)
		load := t.Foreground()
		if err := cluster.Sleep(ctx, t.Cluster, t.Warmup); err != nil {
			return err
		}
		cluster.Isolate(t.Cluster, follower, t.Cut)
		if err := t.Bulk(ctx, uint64(entries)); err != nil {
			return err
		}
		return t.CatchUp(ctx, load, leader, follower, t.Cluster.Status(follower).Last, 0)
	},
}

// A replica takes so many snapshots while the follower is cut off, and none after fewer entries than leastBetween.
const snapshotsInLag, leastBetween = 8, 200

// bulkClients is how many proposals are under way at a time when entries are only to be made, not measured.
const bulkClients = 512

// foregroundBefore is how long the foreground load is watched before a follower is healed, so that what catching up
// does to it shows.
const foregroundBefore = 200 * time.Millisecond
