package wakeup_test

import (
	"context"
	"testing"
	"time"

	"github.com/raftbench/raftbench/internal/wakeup"
)

func TestSteps(t *testing.T) {
	origin := time.Now()
	now := func() time.Duration { return time.Since(origin) }
	ctx, cancel := context.WithCancel(t.Context())
	var due []time.Duration
	at := time.Millisecond
	wakeup.Steps(ctx, now, at, func(moment time.Duration) time.Duration {
		if moment < at {
			t.Errorf("a step that was due at %v came at %v", at, moment)
		}
		due = append(due, at)
		switch at = moment + time.Millisecond; len(due) {
		case 3:
			return 0
		default:
			return at
		}
	})
	if len(due) != 3 {
		t.Errorf("%d steps, want 3", len(due))
	}
	// The end of the context ends the wait for one that is far away.
	time.AfterFunc(time.Millisecond, cancel)
	wakeup.Steps(ctx, now, now()+time.Hour, func(time.Duration) time.Duration {
		t.Error("a step an hour early")
		return 0
	})
}
