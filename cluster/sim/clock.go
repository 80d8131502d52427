package sim

import (
	"math"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// forever is the deadline of a member that has nothing to do.
const forever raft.Time = math.MaxInt64

// clock is what a replica takes for the time: it goes faster or slower than the world's, but never back.
type clock struct {
	ppm         int64     // parts per million that it gains
	world, own  raft.Time // that were the same moment when ppm was last changed
	everTouched bool
}

// at returns what the clock shows at a moment of the world.
func (c *clock) at(t raft.Time) raft.Time {
	if !c.everTouched {
		return t
	}
	return c.own.Add(scale(t.Sub(c.world), c.ppm))
}

// scale returns d in a clock that gains so many parts per million. It is exact to a nanosecond and uses no floating
// point, which processors round differently.
func scale(d time.Duration, ppm int64) time.Duration {
	const million = 1_000_000
	return d + d/million*time.Duration(ppm) + d%million*time.Duration(ppm)/million
}

// when returns the first moment of the world, from now on, at which the clock shows own or more.
func (c *clock) when(own raft.Time, now raft.Time) raft.Time {
	if !c.everTouched || own == forever {
		return own
	}
	ahead := own.Sub(c.at(now))
	if ahead <= 0 {
		return now
	}
	// A guess, and from there to the very nanosecond.
	t := now.Add(time.Duration(float64(ahead) / (1 + float64(c.ppm)/1e6)))
	for c.at(t-1) >= own {
		t--
	}
	for c.at(t) < own {
		t++
	}
	return t
}

// worldAt returns when the clock showed own, if its rate was then what it is now.
func (c *clock) worldAt(own, now raft.Time) raft.Time {
	if !c.everTouched || own == 0 {
		return own
	}
	behind := c.at(now).Sub(own)
	return now.Add(-time.Duration(float64(behind) / (1 + float64(c.ppm)/1e6)))
}

// set changes the rate from now on.
func (c *clock) set(ppm int64, now raft.Time) {
	c.own, c.world, c.ppm, c.everTouched = c.at(now), now, ppm, true
}
