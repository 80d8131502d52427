package check_test

import (
	"context"
	"testing"

	"github.com/raftbench/raftbench/check"
)

// TestExplore searches groups that are small enough for a test.
func TestExplore(t *testing.T) {
	for _, text := range []string{"terms=1,proposals=1,crashes=1", "terms=1,proposals=1,crashes=1,slow-disk", "terms=1,proposals=1,beats=1"} {
		b, err := check.ParseBounds(text)
		if err != nil {
			t.Fatal(err)
		}
		e, err := check.Explore(context.Background(), b, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		if e.Violation != nil {
			for _, l := range e.Path {
				t.Log(l)
			}
			t.Fatal(e.Violation)
		}
		if !e.Complete || e.States < 1000 {
			t.Errorf("%s: %+v", text, e)
		}
		t.Log(b, ":", e.States, "states,", e.Transitions, "events,", e.Took)
	}
}
