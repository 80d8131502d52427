package check_test

import (
	"context"
	"testing"
	"time"

	"github.com/raftbench/raftbench/check"
)

func TestExplore(t *testing.T) {
	for _, b := range []check.Bounds{
		{Replicas: 3, Terms: 2, Proposals: 1},
		{Replicas: 3, Terms: 2, Proposals: 0, Crashes: 1},
		{Replicas: 3, Terms: 2, Proposals: 1, Crashes: 1},
		{Replicas: 3, Terms: 2, Proposals: 2},
	} {
		ctx, c := context.WithTimeout(context.Background(), 60*time.Second)
		e, err := check.Explore(ctx, b, 2, nil)
		c()
		if err != nil {
			t.Fatal(err)
		}
		if e.Violation != nil {
			for _, l := range e.Path {
				t.Log(l)
			}
			t.Fatal(e.Violation)
		}
		t.Log(b, e.States, "states,", e.Transitions, "transitions, at most", e.Deepest, "events in a row,", e.Took, e.Complete)
	}
}
