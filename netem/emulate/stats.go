package emulate

import (
	"math/bits"
	"time"
)

// Stats counts packets since a network was made.
type Stats struct {
	Sent       uint64 // by hosts, to others
	Delivered  uint64 // to hosts, copies included
	Bytes      uint64 // of what was delivered, IP headers included
	Lost       uint64 // to Link.Loss
	Cut        uint64 // to links that are cut or down
	QueueDrops uint64 // beyond Link.QueueBytes
	Duplicated uint64
	HeldBack   uint64 // to be overtaken: Link.Reorder

	// What follows should be 0: it is loss that nobody asked for.
	Overflowed  uint64 // beyond what the switch holds for one host, 128 MiB
	WriteErrors uint64 // refused by a host's kernel
	DeviceDrops uint64 // dropped by a host's kernel, because the switch did not take them in time

	// Stray packets were for no host: a kernel's own, such as IPv6 router solicitations.
	Stray uint64
}

// Unasked returns how many packets were lost although no link says so.
func (s *Stats) Unasked() uint64 { return s.Overflowed + s.WriteErrors + s.DeviceDrops }

func (s *Stats) add(o *Stats) {
	s.Sent += o.Sent
	s.Delivered += o.Delivered
	s.Bytes += o.Bytes
	s.Lost += o.Lost
	s.Cut += o.Cut
	s.QueueDrops += o.QueueDrops
	s.Duplicated += o.Duplicated
	s.HeldBack += o.HeldBack
	s.Overflowed += o.Overflowed
	s.WriteErrors += o.WriteErrors
	s.DeviceDrops += o.DeviceDrops
	s.Stray += o.Stray
}

// Lateness is a histogram of how much later than their links say packets were delivered, of those that were held. What
// came early counts as 0.
type Lateness struct {
	counts [buckets]uint64
	total  uint64
}

// Buckets are 1/8 of a power of two wide: an error of 12 % at the most.
const (
	bucketBits = 3
	buckets    = (40 - bucketBits) << bucketBits // up to 2^39 ns, 9 minutes
)

func bucketOf(d time.Duration) int {
	if d < 1<<bucketBits {
		return int(max(d, 0))
	}
	shift := bits.Len64(uint64(d)) - 1 - bucketBits
	return min((shift+1)<<bucketBits|int(d>>shift)&(1<<bucketBits-1), buckets-1)
}

// most returns the largest value of a bucket.
func most(bucket int) time.Duration {
	if bucket < 1<<bucketBits {
		return time.Duration(bucket)
	}
	shift := bucket>>bucketBits - 1
	return time.Duration(1<<bucketBits|bucket&(1<<bucketBits-1)+1)<<shift - 1
}

func (l *Lateness) add(d time.Duration) {
	l.counts[bucketOf(d)]++
	l.total++
}

func (l *Lateness) merge(o *Lateness) {
	for i, n := range o.counts {
		l.counts[i] += n
	}
	l.total += o.total
}

// Count is how many packets were held.
func (l *Lateness) Count() uint64 { return l.total }

// Quantile returns the lateness that a share q of all packets, from 0 to 1, did not exceed; 0 if there were none.
func (l *Lateness) Quantile(q float64) time.Duration {
	left := uint64(q * float64(l.total))
	for i, n := range l.counts {
		if n > left || n > 0 && n == left && q == 1 {
			return most(i)
		}
		left -= n
	}
	return 0
}
