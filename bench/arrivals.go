package bench

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// The names of the ways in which an open loop's proposals may arrive.
const (
	ArrivalsUniform = "uniform" // evenly spaced
	ArrivalsPoisson = "poisson" // independent of each other, as those of many users are
)

// Arrivals lists the ways in which an open loop's proposals may arrive, the default first.
var Arrivals = []string{ArrivalsUniform, ArrivalsPoisson}

// arrivals is the moments at which an open loop's proposals are due. They are known beforehand: whatever becomes of a
// proposal moves none of them.
type arrivals struct {
	interval float64 // nanoseconds between two proposals, in the mean
	start    raft.Time
	taken    uint64    // proposals made
	random   *rand.PCG // of a Poisson process; nil if proposals are evenly spaced
	due      raft.Time // of a Poisson process: the next one
}

// newArrivals begins at start. A seed makes a Poisson process, whose gaps are exponentially distributed; without one
// proposals are evenly spaced, the first at start itself.
func newArrivals(perSecond float64, start raft.Time, seed *uint64) arrivals {
	a := arrivals{interval: float64(time.Second) / perSecond, start: start}
	if seed != nil {
		a.random = rand.NewPCG(*seed, 0x6172726976616c)
		a.due = start.Add(gap(a.random, a.interval))
	}
	return a
}

// gap draws the time between two arrivals of a Poisson process.
func gap(random *rand.PCG, interval float64) time.Duration {
	return time.Duration(rand.New(random).ExpFloat64() * interval)
}

// next returns when the next proposal is due.
func (a *arrivals) next() raft.Time {
	if a.random != nil {
		return a.due
	}
	return a.start.Add(time.Duration(float64(a.taken) * a.interval))
}

// take counts a proposal as made.
func (a *arrivals) take() {
	a.taken++
	if a.random != nil {
		a.due = a.due.Add(gap(a.random, a.interval))
	}
}

// before returns how many proposals are due before t, or have been made already if those are more.
func (a *arrivals) before(t raft.Time) uint64 {
	if a.random == nil {
		return max(a.taken, uint64(math.Ceil(float64(max(0, t.Sub(a.start)))/a.interval)))
	}
	n, due, ahead := a.taken, a.due, *a.random
	for ; due < t; n++ {
		due = due.Add(gap(&ahead, a.interval))
	}
	return n
}
