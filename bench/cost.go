package bench

import (
	"runtime/metrics"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/results"
)

// meter reads what a span of a trial costs.
type meter struct {
	counters       cluster.Counters
	cpu            time.Duration
	allocations    uint64
	allocatedBytes uint64
}

// readMeter reads the cluster's counters and, on the wall clock, the process's.
func readMeter(c cluster.Cluster, virtual bool) meter {
	m := meter{counters: c.Counters()}
	if virtual {
		return m // the process's costs say nothing about what is simulated
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	m.cpu, m.allocations, m.allocatedBytes = cpuTime(), samples[0].Value.Uint64(), samples[1].Value.Uint64()
	return m
}

// since returns what was spent since an earlier reading. How many commits that was for is told by the load. Elections
// and rejections are counted from events, which an unmeasured trial leaves out: what was not counted is absent, not
// zero.
func (m meter) since(earlier meter, unmeasured bool) *results.Cost {
	d := m.counters.Sub(earlier.counters)
	cost := &results.Cost{
		Messages: d.Messages, AppendEntries: d.AppendEntries, EntriesSent: d.EntriesSent, Bytes: d.Bytes,
		Writes: d.Writes, Dropped: d.Dropped,
		CPU: m.cpu - earlier.cpu, Allocations: m.allocations - earlier.allocations,
		AllocatedBytes: m.allocatedBytes - earlier.allocatedBytes,
	}
	if !unmeasured {
		cost.Elections, cost.Rejections = &d.Elections, &d.Rejections
	}
	return cost
}
