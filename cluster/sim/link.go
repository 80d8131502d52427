package sim

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Link is what the network does to packets in one direction between two replicas. The words are netem's. The zero value
// delivers everything at once.
type Link struct {
	Delay        time.Duration // one way
	Jitter       time.Duration // how much the delay varies; what that means, Distribution says
	Distribution Distribution
	// Loss is the chance from 0 to below 1 that a packet is lost; a frame that needs several packets is lost if one of
	// them is. LossBurst is the mean number of packets lost in a row; up to 1 each is lost by itself (Gilbert's model of
	// a channel with a good and a bad state).
	Loss, LossBurst float64
	// Duplicate is the chance that a frame arrives twice, the second time after a delay of its own.
	Duplicate float64
	// Reorder is the chance that a frame is held back by up to ReorderBy, default Delay, and overtaken by those after
	// it. Other frames keep their order, whatever their jitter.
	Reorder   float64
	ReorderBy time.Duration
	// Rate in bits a second, of frames' bytes without headers of lower layers; 0 is no limit. QueueBytes is what may
	// wait for it, the frame that is being sent included: what comes on top is dropped; 0 is DefaultQueueBytes.
	Rate       uint64
	QueueBytes int
	// Down loses every packet.
	Down bool
}

// DefaultQueueBytes is the queue of a link whose rate is limited.
const DefaultQueueBytes = 256 << 10

// LAN is a link within one data centre: 0.25 ms one way.
func LAN() Link { return Link{Delay: 250 * time.Microsecond} }

// Distribution says how jitter varies a delay.
type Distribution uint8

const (
	// Uniform: from Delay-Jitter to Delay+Jitter, evenly.
	Uniform Distribution = iota
	// Normal: a mean of Delay and a standard deviation of Jitter, never more than six of them away.
	Normal
	// Pareto: never below Delay, by Jitter above it in the mean, with a heavy tail: more than k times Jitter above
	// it with a chance of 1/(1+k)², up to k = 1000.
	Pareto
)

// Distributions are the names of all distributions, by value.
var Distributions = []string{Uniform: "uniform", Normal: "normal", Pareto: "pareto"}

func (d Distribution) String() string { return Distributions[d] }

// Check returns an error of one line if a value is out of range.
func (l *Link) Check() error {
	chance := func(v, most float64) bool { return v >= 0 && v < most || v == most && most == 1 }
	switch {
	case l.Delay < 0 || l.Jitter < 0 || l.ReorderBy < 0:
		return fmt.Errorf("a delay of %v, a jitter of %v and a reordering by %v: want 0 or more each", l.Delay, l.Jitter, l.ReorderBy)
	case int(l.Distribution) >= len(Distributions):
		return fmt.Errorf("distribution %d: want 0 to %d", l.Distribution, len(Distributions)-1)
	case !(l.Loss >= 0 && l.Loss < 1):
		return fmt.Errorf("a loss of %g: want a chance from 0 to below 1; a link that loses all is down", l.Loss)
	case !(l.LossBurst >= 0 && l.LossBurst <= 1e6):
		return fmt.Errorf("bursts of %g lost packets: want 0 to a million", l.LossBurst)
	case !chance(l.Duplicate, 1) || !chance(l.Reorder, 1):
		return fmt.Errorf("duplication of %g and reordering of %g: want chances from 0 to 1", l.Duplicate, l.Reorder)
	case l.QueueBytes < 0:
		return fmt.Errorf("a queue of %d bytes: want 1 or more, or 0 for %d", l.QueueBytes, DefaultQueueBytes)
	}
	return nil
}

// link is one direction between two replicas at work.
type link struct {
	Link
	cut    bool
	free   raft.Time // when everything accepted so far has been put on the wire
	last   raft.Time // when the latest frame in order arrives
	bad    bool      // in a burst of losses
	random *rand.Rand
}

// depart puts size bytes on the wire at the earliest moment from at on and returns when the last of them has left.
// overflow says that they found more than limit bytes waiting, themselves included, and were not accepted.
func (l *link) depart(at raft.Time, size, limit int) (left raft.Time, overflow bool) {
	if l.Rate == 0 {
		return at, false
	}
	start := max(at, l.free)
	if int64(size)+l.bytesIn(start.Sub(at)) > int64(limit) {
		return 0, true
	}
	l.free = start.Add(l.transmission(size))
	return l.free, false
}

// transmission returns how long the link's rate needs for so many bytes, rounded up to a nanosecond.
func (l *link) transmission(size int) time.Duration {
	hi, lo := bits.Mul64(uint64(size)*8, uint64(time.Second))
	lo, carry := bits.Add64(lo, l.Rate-1, 0)
	q, _ := bits.Div64(hi+carry, lo, l.Rate)
	return time.Duration(q)
}

// bytesIn returns how many bytes leave within a span.
func (l *link) bytesIn(d time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(d), l.Rate)
	q, _ := bits.Div64(hi, lo, 8*uint64(time.Second))
	return int64(q)
}

func (l *link) queueBytes() int {
	if l.QueueBytes > 0 {
		return l.QueueBytes
	}
	return DefaultQueueBytes
}

// packetBytes is what of a frame fits into one packet: an Ethernet frame less IPv4 and TCP headers with timestamps.
const packetBytes = 1448

// loses draws whether one of the packets of size bytes is lost.
func (l *link) loses(size int) bool {
	if l.Down {
		return true
	}
	if l.Loss == 0 {
		return false
	}
	lost := false
	for range (size + packetBytes - 1) / packetBytes {
		if l.losesPacket() {
			lost = true
		}
	}
	return lost
}

func (l *link) losesPacket() bool {
	if l.LossBurst <= 1 {
		return l.random.Float64() < l.Loss
	}
	// In the long run Loss of all packets find the link in its bad state, which ends with a chance of 1/LossBurst.
	if l.bad {
		l.bad = l.random.Float64() >= 1/l.LossBurst
	} else {
		l.bad = l.random.Float64() < l.Loss/(1-l.Loss)/l.LossBurst
	}
	return l.bad
}

// arrival draws when what leaves now arrives, and whether it is held back.
func (l *link) arrival(left raft.Time) (at raft.Time, heldBack bool) {
	at = left.Add(l.travel())
	if l.Reorder > 0 && l.random.Float64() < l.Reorder {
		by := l.ReorderBy
		if by == 0 {
			by = max(l.Delay, time.Millisecond)
		}
		return at.Add(1 + time.Duration(l.random.Int64N(int64(by)))), true
	}
	l.last = max(l.last, at)
	return l.last, false
}

// travel draws a delay. All arithmetic is in whole numbers, or in operations that every processor rounds alike.
func (l *link) travel() time.Duration {
	if l.Jitter == 0 {
		return l.Delay
	}
	d := l.Delay
	switch l.Distribution {
	case Normal:
		// The sum of twelve even draws has a variance of 1 (in units of 2³²) and is close to normal.
		sum := int64(-6) << 32
		for range 12 {
			sum += int64(l.random.Uint32())
		}
		d += time.Duration(sum >> 16 * int64(l.Jitter) >> 16)
	case Pareto:
		u := 1 - l.random.Float64() // above 0
		d += time.Duration(float64(l.Jitter) * min(1/math.Sqrt(u)-1, 1000))
	default:
		d += time.Duration(l.random.Int64N(2*int64(l.Jitter)+1)) - l.Jitter
	}
	return max(0, d)
}
