package calibrate_test

import (
	"testing"

	"github.com/raftbench/raftbench/check/calibrate"
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
