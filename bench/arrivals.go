package bench

import (
	"math"
	"math/rand/v2"
	"slices"
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

// grid is when the proposals of an open loop are due. It is known beforehand: whatever becomes of a proposal moves none of
// them.
type grid struct {
	start    raft.Time
	interval float64     // nanoseconds between two proposals, in the mean
	random   *rand.Rand  // of a Poisson process; nil if proposals are evenly spaced
	drawn    []raft.Time // of a Poisson process, as far as it was looked at
}

// newGrid begins at start. A seed makes a Poisson process, whose gaps are exponentially distributed; without one proposals
// are evenly spaced, the first at start itself.
func newGrid(start raft.Time, perSecond float64, seed *uint64) grid {
	g := grid{start: start, interval: float64(time.Second) / perSecond}
	if seed != nil {
		g.random = rand.New(rand.NewPCG(*seed, 0x6172726976616c))
	}
	return g
}

// at returns when the proposal at a place, from 0 on, is due.
func (g *grid) at(place uint64) raft.Time {
	if g.random == nil {
		return g.start.Add(time.Duration(float64(place) * g.interval))
	}
	for uint64(len(g.drawn)) <= place {
		g.draw()
	}
	return g.drawn[place]
}

// draw draws when the next proposal of a Poisson process is due.
func (g *grid) draw() {
	last := g.start
	if n := len(g.drawn); n > 0 {
		last = g.drawn[n-1]
	}
	g.drawn = append(g.drawn, last.Add(time.Duration(g.random.ExpFloat64()*g.interval)))
}

// before returns how many proposals are due before t.
func (g *grid) before(t raft.Time) uint64 {
	if g.random != nil {
		for len(g.drawn) == 0 || g.drawn[len(g.drawn)-1] < t {
			g.draw()
		}
		n, _ := slices.BinarySearch(g.drawn, t)
		return uint64(n)
	}
	n := uint64(math.Ceil(float64(max(0, t.Sub(g.start))) / g.interval))
	for n > 0 && g.at(n-1) >= t {
		n--
	}
	for g.at(n) < t {
		n++
	}
	return n
}
