package bench

import (
	"math"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Evenly spaced proposals are due on a grid that begins at the start.
func TestUniformArrivals(t *testing.T) {
	a := newArrivals(4, 1000, nil)
	for i := range 5 {
		if want := raft.Time(1000).Add(time.Duration(i) * 250 * time.Millisecond); a.next() != want {
			t.Errorf("proposal %d is due at %v, want %v", i, a.next(), want)
		}
		a.take()
	}
	for at, want := range map[time.Duration]uint64{0: 5, time.Second: 5, 1250 * time.Millisecond: 5, 1251 * time.Millisecond: 6, 10 * time.Second: 40} {
		if n := a.before(raft.Time(1000).Add(at)); n != want {
			t.Errorf("%d are due within %v, or made, want %d", n, at, want)
		}
	}
}

// A Poisson process has the rate it was given, gaps whose standard deviation is their mean, and counts within windows
// whose variance is their mean. One seed gives one process; looking ahead moves nothing.
func TestPoissonArrivals(t *testing.T) {
	const rate, n = 1000, 100_000
	seed := uint64(3)
	a, b := newArrivals(rate, 0, &seed), newArrivals(rate, 0, &seed)
	var sum, squares float64
	windows := map[int64]float64{}
	last := raft.Time(0)
	for range n {
		if ahead := a.before(a.next() + 1); ahead != a.taken+1 {
			t.Fatalf("%d are due by the moment that proposal %d is", ahead, a.taken)
		}
		if a.next() != b.next() {
			t.Fatal("two processes of one seed differ")
		}
		gap := a.next().Sub(last).Seconds()
		sum, squares = sum+gap, squares+gap*gap
		last = a.next()
		windows[int64(last)/int64(10*time.Millisecond)]++
		a.take()
		b.take()
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	// The bounds are five standard errors: 1/sqrt(n) of the mean, and about as much of the deviation.
	if bound := 5 / math.Sqrt(n); math.Abs(mean*rate-1) > bound || math.Abs(deviation*rate-1) > 2*bound {
		t.Errorf("gaps of %v s in the mean, with a deviation of %v s: want %v each", mean, deviation, 1.0/rate)
	}
	var counts, countSquares float64
	whole := int64(last) / int64(10*time.Millisecond)
	for i := range whole {
		counts, countSquares = counts+windows[i], countSquares+windows[i]*windows[i]
	}
	m := counts / float64(whole)
	if v := countSquares/float64(whole) - m*m; math.Abs(v/m-1) > 5*math.Sqrt(2/float64(whole)) {
		t.Errorf("windows hold %v proposals in the mean, with a variance of %v", m, v)
	}
	other := uint64(4)
	if x, y := newArrivals(rate, 0, &seed), newArrivals(rate, 0, &other); x.next() == y.next() {
		t.Error("two seeds begin alike")
	}
}
