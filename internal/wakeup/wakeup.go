// Package wakeup wakes a goroutine at a moment, more precisely than package time does where the system allows it.
//
// An idle Go program waits in epoll_wait, whose timeout is in whole milliseconds, so a time.Timer fires up to a
// millisecond late: as much as whatever raftbench measures, many times over. On Linux a Timer is a timerfd, which makes
// the poller return when it is due. Elsewhere, and where no descriptor is to be had, it is a time.Timer.
//
// It does not spin: what remains is how long the scheduler takes to run a goroutine that has become ready.
package wakeup

import (
	"sync"
	"time"
)

// Timer wakes one goroutine, the one in Wait. Set and Close may be called from any.
type Timer struct{ clock }

// clock is what a Timer is made of.
type clock interface {
	// Set makes the timer fire once, d from now, at once if d is not above 0, instead of what was set before.
	Set(d time.Duration)
	// Wait waits until the timer fires, and returns false if it is closed first. A timer that fired before Wait was
	// called, and has not been set again, is not missed.
	Wait() bool
	// Close ends the timer, and a Wait that is under way. It may be called more than once.
	Close()
}

// New returns a timer that is not set.
func New() *Timer {
	if c, ok := newPrecise(); ok {
		return &Timer{c}
	}
	return &Timer{newCoarse()}
}

// coarse is a time.Timer.
type coarse struct {
	mu    sync.Mutex
	timer *time.Timer
	ended bool
	done  chan struct{} // closed by Close
}

func newCoarse() *coarse {
	c := &coarse{timer: time.NewTimer(time.Hour), done: make(chan struct{})}
	c.timer.Stop()
	return c
}

func (c *coarse) Set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.timer.Reset(d)
	}
}

func (c *coarse) Wait() bool {
	select {
	case <-c.timer.C:
		return true
	case <-c.done:
		return false
	}
}

func (c *coarse) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		c.timer.Stop()
		close(c.done)
	}
}
