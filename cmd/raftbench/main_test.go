package main

import (
	"slices"
	"testing"

	"github.com/raftbench/raftbench/cluster/sim"
)

// TestTransportsAreListed: whatever can be run can be found in raftbench list transports.
func TestTransportsAreListed(t *testing.T) {
	for _, name := range append(transportNames(), sim.Transports()...) {
		if !slices.Contains(allTransports(), name) {
			t.Errorf("%s is not among %v", name, allTransports())
		}
	}
}
