package netem

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Direction is a link at work: what it does to one packet depends on those before. It is not for concurrent use.
type Direction struct {
	Link
	Random *rand.Rand // required

	free raft.Time // when everything accepted so far has been put on the wire
	last raft.Time // when the latest packet in order arrives
	bad  bool      // in a burst of losses
}

// Depart puts size bytes on the wire at the earliest moment from at on and returns when the last of them has left.
// overflow says that they found more than limit bytes waiting, themselves included, and were not accepted.
func (d *Direction) Depart(at raft.Time, size, limit int) (left raft.Time, overflow bool) {
	if d.Rate == 0 {
		return at, false
	}
	start := max(at, d.free)
	if int64(size)+d.bytesIn(start.Sub(at)) > int64(limit) {
		return 0, true
	}
	d.free = start.Add(d.transmission(size))
	return d.free, false
}

// transmission returns how long the link's rate needs for so many bytes, rounded up to a nanosecond.
func (d *Direction) transmission(size int) time.Duration {
	hi, lo := bits.Mul64(uint64(size)*8, uint64(time.Second))
	lo, carry := bits.Add64(lo, d.Rate-1, 0)
	q, _ := bits.Div64(hi+carry, lo, d.Rate)
	return time.Duration(q)
}

// bytesIn returns how many bytes leave within a span.
func (d *Direction) bytesIn(span time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(span), d.Rate)
	q, _ := bits.Div64(hi, lo, 8*uint64(time.Second))
	return int64(q)
}

// LosesPacket draws whether the next packet is lost to Loss; Down has no part in it.
func (d *Direction) LosesPacket() bool {
	if d.Loss == 0 {
		return false
	}
	if d.LossBurst <= 1 {
		return d.Random.Float64() < d.Loss
	}
	// In the long run Loss of all packets find the link in its bad state, which ends with a chance of 1/LossBurst.
	if d.bad {
		d.bad = d.Random.Float64() >= 1/d.LossBurst
	} else {
		d.bad = d.Random.Float64() < d.Loss/(1-d.Loss)/d.LossBurst
	}
	return d.bad
}

// Duplicates draws whether the next packet arrives twice.
func (d *Direction) Duplicates() bool { return d.Duplicate > 0 && d.Random.Float64() < d.Duplicate }

// Arrival draws when what leaves now arrives, and whether it is held back.
func (d *Direction) Arrival(left raft.Time) (at raft.Time, heldBack bool) {
	at = left.Add(d.Travel())
	if d.Reorder > 0 && d.Random.Float64() < d.Reorder {
		by := d.ReorderBy
		if by == 0 {
			by = max(d.Delay, time.Millisecond)
		}
		return at.Add(1 + time.Duration(d.Random.Int64N(int64(by)))), true
	}
	d.last = max(d.last, at)
	return d.last, false
}

// InOrder draws when what leaves now arrives, on a link that keeps the order of all.
func (d *Direction) InOrder(left raft.Time) raft.Time {
	d.last = max(d.last, left.Add(d.Travel()))
	return d.last
}

// Travel draws a delay. All arithmetic is in whole numbers, or in operations that every processor rounds alike.
func (d *Direction) Travel() time.Duration {
	if d.Jitter == 0 {
		return d.Delay
	}
	delay := d.Delay
	switch d.Distribution {
	case Normal:
		// The sum of twelve even draws has a variance of 1 (in units of 2³²) and is close to normal.
		sum := int64(-6) << 32
		for range 12 {
			sum += int64(d.Random.Uint32())
		}
		delay += time.Duration(sum >> 16 * int64(d.Jitter) >> 16)
	case Pareto:
		u := 1 - d.Random.Float64() // above 0
		delay += time.Duration(float64(d.Jitter) * min(1/math.Sqrt(u)-1, 1000))
	default:
		delay += time.Duration(d.Random.Int64N(2*int64(d.Jitter)+1)) - d.Jitter
	}
	return max(0, delay)
}
