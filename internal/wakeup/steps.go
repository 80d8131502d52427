package wakeup

import (
	"context"
	"time"
)

// Steps calls step when the clock now, in nanoseconds, shows at, and again at whatever moment step returns, until that is
// 0 or the context ends.
func Steps[T ~int64](ctx context.Context, now func() T, at T, step func(now T) T) {
	var timer *Timer
	for at != 0 && ctx.Err() == nil {
		moment := now()
		if wait := time.Duration(at - moment); wait > 0 {
			if timer == nil {
				timer = New()
				defer timer.Close()
				defer context.AfterFunc(ctx, timer.Close)()
			}
			timer.Set(wait)
			timer.Wait()
			continue
		}
		at = step(moment)
	}
}
