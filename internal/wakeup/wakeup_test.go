package wakeup

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clocks are all that a Timer may be made of here.
func clocks() map[string]func() clock {
	all := map[string]func() clock{"time.Timer": func() clock { return newCoarse() }}
	if c, ok := newPrecise(); ok {
		c.Close()
		all["timerfd"] = func() clock { c, _ := newPrecise(); return c }
	}
	return all
}

func each(t *testing.T, test func(t *testing.T, c clock)) {
	for name, make := range clocks() {
		t.Run(name, func(t *testing.T) {
			c := make()
			defer c.Close()
			test(t, c)
		})
	}
}

func TestFiresNotBeforeItsTime(t *testing.T) {
	each(t, func(t *testing.T, c clock) {
		for _, d := range []time.Duration{-time.Second, 0, 1, time.Microsecond, time.Millisecond, 3 * time.Millisecond} {
			began := time.Now()
			c.Set(d)
			if !c.Wait() {
				t.Fatal("closed")
			}
			if took := time.Since(began); took < d {
				t.Errorf("set to %v, fired after %v", d, took)
			}
		}
	})
}

func TestSetAgain(t *testing.T) {
	each(t, func(t *testing.T, c clock) {
		began := time.Now()
		c.Set(time.Hour)
		c.Set(time.Millisecond) // earlier
		c.Wait()
		c.Set(time.Nanosecond)
		c.Set(5 * time.Millisecond) // later, although the earlier time may have passed already
		c.Wait()
		if took := time.Since(began); took < 5*time.Millisecond {
			t.Errorf("fired after %v", took)
		}
	})
}

// What fired while nobody waited is not missed.
func TestFiredBefore(t *testing.T) {
	each(t, func(t *testing.T, c clock) {
		c.Set(time.Microsecond)
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
		if !c.Wait() {
			t.Error("closed")
		}
	})
}

func TestSetWhileWaiting(t *testing.T) {
	each(t, func(t *testing.T, c clock) {
		done := make(chan bool)
		go func() { done <- c.Wait() }()
		c.Set(time.Microsecond)
		if !<-done {
			t.Error("closed")
		}
	})
}

func TestCloseEndsWait(t *testing.T) {
	each(t, func(t *testing.T, c clock) {
		done := make(chan bool)
		go func() { done <- c.Wait() }()
		c.Close()
		c.Close()
		if <-done {
			t.Error("fired")
		}
		c.Set(0)
		if c.Wait() {
			t.Error("fired after Close")
		}
	})
}

func TestSetAllocatesNothing(t *testing.T) {
	each(t, func(t *testing.T, c clock) {
		if n := testing.AllocsPerRun(100, func() { c.Set(time.Hour) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// How late a goroutine wakes, for each kind of timer, while nothing else is going on.
func BenchmarkLateness(b *testing.B) {
	for name, make := range clocks() {
		for _, d := range []time.Duration{300 * time.Microsecond, 1300 * time.Microsecond, 10 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/%v", name, d), func(b *testing.B) {
				c := make()
				defer c.Close()
				var late []time.Duration
				for range b.N {
					began := time.Now()
					c.Set(d)
					c.Wait()
					late = append(late, time.Since(began)-d)
				}
				slices.Sort(late)
				b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-late-us")
				b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-late-us")
			})
		}
	}
}

func BenchmarkSet(b *testing.B) {
	for name, make := range clocks() {
		b.Run(name, func(b *testing.B) {
			c := make()
			defer c.Close()
			for b.Loop() {
				c.Set(time.Hour)
			}
		})
	}
}
