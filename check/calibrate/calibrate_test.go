package calibrate_test

import (
	"testing"

	"github.com/raftbench/raftbench/check/calibrate"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestVirtual(t *testing.T) {
	rows, err := calibrate.Virtual(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.OK() {
			t.Log(r.Cells())
		} else {
			t.Error(r.Cells())
		}
	}
}

// TestLive runs the other half for its sake, not for its figures: those need a quiet machine, see raftbench check
// --calibrate. What is a count must agree anywhere.
func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	rows, err := calibrate.Live(t.Context(), []transports.Kind{mem.Kind(), tcp.Plain()})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Tolerance == 0 && !r.OK() {
			t.Error(r.Cells())
		} else {
			t.Log(r.Cells())
		}
	}
}
