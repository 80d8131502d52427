package calibrate_test

import (
	"math"
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
			t.Log(r.Cells(), r.Rule)
		} else {
			t.Error(r.Cells(), r.Rule)
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
		if r.Tolerance > r.Expected/2 {
			t.Errorf("%v: with that tolerance nothing could be off", r.Cells())
		}
		if r.Tolerance == 0 && !r.OK() {
			t.Error(r.Cells(), r.Rule)
		} else {
			t.Log(r.Cells(), r.Rule)
		}
	}
}

func TestRow(t *testing.T) {
	for _, c := range []struct {
		row     calibrate.Row
		ok      bool
		verdict string
	}{
		{calibrate.Row{Expected: 4, Measured: 4}, true, "ok"},
		{calibrate.Row{Expected: 4, Measured: 4.1}, false, "OFF"},
		{calibrate.Row{Expected: 4, Measured: 5.9, Tolerance: 2}, true, "ok"},
		{calibrate.Row{Expected: 4, Measured: 1.9, Tolerance: 2}, false, "OFF"},
		{calibrate.Row{Expected: 4, Measured: math.NaN(), Tolerance: 2}, false, "OFF"},
		{calibrate.Row{Expected: 4, Measured: 40, Tolerance: 2, Lacks: "something"}, true, "not judged"},
	} {
		cells := c.row.Cells()
		if got := cells[len(cells)-1]; c.row.OK() != c.ok || got != c.verdict {
			t.Errorf("%+v: OK is %v, the verdict %q, want %v and %q", c.row, c.row.OK(), got, c.ok, c.verdict)
		}
	}
}
