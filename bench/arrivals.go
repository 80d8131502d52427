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

// schedule is when the proposals of an open loop are due. It is known beforehand: whatever becomes of a proposal moves
// none of them.
type schedule struct {
	start    raft.Time
	interval float64     // nanoseconds between two proposals, in the mean
	random   *rand.Rand  // of a Poisson process; nil if proposals are evenly spaced
	drawn    []raft.Time // of a Poisson process, as far as it was looked at
}

// newSchedule begins at start. A seed makes a Poisson process, whose gaps are exponentially distributed; without one
// proposals are evenly spaced, the first at start itself.
func newSchedule(start raft.Time, perSecond float64, seed *uint64) schedule {
	s := schedule{start: start, interval: float64(time.Second) / perSecond}
	if seed != nil {
		s.random = rand.New(rand.NewPCG(*seed, 0x6172726976616c))
	}
	return s
}

// at returns when the proposal at a place, from 0 on, is due.
func (s *schedule) at(place uint64) raft.Time {
	if s.random == nil {
		return s.start.Add(time.Duration(float64(place) * s.interval))
	}
	for uint64(len(s.drawn)) <= place {
		s.draw()
	}
	return s.drawn[place]
}

// draw draws when the next proposal of a Poisson process is due.
func (s *schedule) draw() {
	last := s.start
	if n := len(s.drawn); n > 0 {
		last = s.drawn[n-1]
	}
	s.drawn = append(s.drawn, last.Add(time.Duration(s.random.ExpFloat64()*s.interval)))
}

// before returns how many proposals are due before t.
func (s *schedule) before(t raft.Time) uint64 {
	if s.random != nil {
		for len(s.drawn) == 0 || s.drawn[len(s.drawn)-1] < t {
			s.draw()
		}
		n, _ := slices.BinarySearch(s.drawn, t)
		return uint64(n)
	}
	n := uint64(math.Ceil(float64(max(0, t.Sub(s.start))) / s.interval))
	for n > 0 && s.at(n-1) >= t {
		n--
	}
	for s.at(n) < t {
		n++
	}
	return n
}
