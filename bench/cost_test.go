package bench

import (
	"reflect"
	"testing"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/results"
)

// What was spent before a span began is not among its costs.
func TestCostIsOfItsSpan(t *testing.T) {
	counters := func(n uint64) cluster.Counters {
		return cluster.Counters{Messages: 1 * n, AppendEntries: 2 * n, EntriesSent: 3 * n, Bytes: 4 * n,
			Elections: 5 * n, Rejections: 6 * n, Dropped: 7 * n, Writes: 8 * n}
	}
	before := meter{counters: counters(100), cpu: 900, allocations: 1000, allocatedBytes: 1100}
	after := meter{counters: counters(107), cpu: 907, allocations: 1008, allocatedBytes: 1109}
	elections, rejections := uint64(35), uint64(42)
	want := &results.Cost{Messages: 7, AppendEntries: 14, EntriesSent: 21, Bytes: 28, Elections: &elections, Rejections: &rejections,
		Dropped: 49, Writes: 56, CPU: 7, Allocations: 8, AllocatedBytes: 9}
	if got := after.since(before, false); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	want.Elections, want.Rejections = nil, nil
	if got := after.since(before, true); !reflect.DeepEqual(got, want) {
		t.Errorf("without events: %+v, want %+v", got, want)
	}
}
