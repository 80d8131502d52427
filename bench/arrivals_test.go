package bench

import (
	"math"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Evenly spaced proposals are due on a schedule that begins at the start.
func TestUniformArrivals(t *testing.T) {
	s := newSchedule(1000, 4, nil)
	for i := range uint64(5) {
		if want := raft.Time(1000).Add(time.Duration(i) * 250 * time.Millisecond); s.at(i) != want {
			t.Errorf("proposal %d is due at %v, want %v", i, s.at(i), want)
		}
	}
	for at, want := range map[time.Duration]uint64{
		0: 0, 1: 1, time.Second: 4, 1250 * time.Millisecond: 5, 1251 * time.Millisecond: 6,
	} {
		if n := s.before(raft.Time(1000).Add(at)); n != want {
			t.Errorf("%d are due within %v, want %d", n, at, want)
		}
	}
}

// A Poisson process has the rate it was given, gaps whose standard deviation is their mean, and counts within windows
// whose variance is their mean. One seed gives one process, in whatever order it is looked at.
func TestPoissonArrivals(t *testing.T) {
	const rate, n, window = 1000, 100_000, 10 * time.Millisecond
	seed := uint64(3)
	s, ahead := newSchedule(0, rate, &seed), newSchedule(0, rate, &seed)
	ahead.before(raft.Time(2 * n * time.Millisecond))
	var sum, squares float64
	windows := map[int64]float64{}
	last := raft.Time(0)
	for i := range uint64(n) {
		due := s.at(i)
		if due != ahead.at(i) {
			t.Fatal("two processes of one seed differ")
		}
		if before := ahead.before(due); before > i || ahead.before(due+1) <= i {
			t.Fatalf("%d are due before proposal %d is, and %d with it", before, i, ahead.before(due+1))
		}
		gap := due.Sub(last).Seconds()
		sum, squares = sum+gap, squares+gap*gap
		last = due
		windows[int64(due)/int64(window)]++
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	// The bounds are five standard errors: 1/sqrt(n) of the mean, and about as much of the deviation.
	if bound := 5 / math.Sqrt(n); math.Abs(mean*rate-1) > bound || math.Abs(deviation*rate-1) > 2*bound {
		t.Errorf("gaps of %v s in the mean, with a deviation of %v s: want %v each", mean, deviation, 1.0/rate)
	}
	var counts, countSquares float64
	whole := int64(last) / int64(window)
	for i := range whole {
		counts, countSquares = counts+windows[i], countSquares+windows[i]*windows[i]
	}
	m := counts / float64(whole)
	if v := countSquares/float64(whole) - m*m; math.Abs(v/m-1) > 5*math.Sqrt(2/float64(whole)) {
		t.Errorf("windows hold %v proposals in the mean, with a variance of %v", m, v)
	}
	other := uint64(4)
	if x, y := newSchedule(0, rate, &seed), newSchedule(0, rate, &other); x.at(0) == y.at(0) {
		t.Error("two seeds begin alike")
	}
}
