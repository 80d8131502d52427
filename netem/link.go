// Package netem describes networks: what a link does to packets in one direction, round trips between regions, and
// named networks with their sources. The words are those of Linux's netem.
//
// A Link means the same on both clocks: cluster/sim applies it to the frames of a simulated transport, and
// netem/emulate to the IP packets of real sockets. The package draws delays and losses; it neither sends nor waits.
package netem

import (
	"fmt"
	"time"
)

// Link is what the network does to packets in one direction between two replicas. The zero value delivers everything at
// once.
type Link struct {
	Delay        time.Duration // one way
	Jitter       time.Duration // how much the delay varies; what that means, Distribution says
	Distribution Distribution
	// Loss is the chance from 0 to below 1 that a packet is lost; a frame that needs several packets is lost if one of
	// them is. LossBurst is the mean number of packets lost in a row; up to 1 each is lost by itself (Gilbert's model of
	// a channel with a good and a bad state).
	Loss, LossBurst float64
	// Duplicate is the chance that a packet (on the simulated network: a frame of datagram) arrives twice, the second
	// time after a delay of its own.
	Duplicate float64
	// Reorder is the chance that a packet (simulated: a frame) is held back by up to ReorderBy, default Delay, and
	// overtaken by those after it. Others keep their order, whatever their jitter.
	Reorder   float64
	ReorderBy time.Duration
	// Rate in bits a second; 0 is no limit. What counts are IP packets (simulated: frames, without headers of lower
	// layers). QueueBytes is what may wait for it, what is being sent included: what comes on top is dropped; 0 is
	// DefaultQueueBytes.
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

// MaxLossBurst is the most that a Link's LossBurst may be.
const MaxLossBurst = 1e6

// Check returns an error of one line if a value is out of range.
func (l *Link) Check() error {
	chance := func(v float64) bool { return v >= 0 && v <= 1 }
	switch {
	case l.Delay < 0 || l.Jitter < 0 || l.ReorderBy < 0:
		return fmt.Errorf("a delay of %v, a jitter of %v and a reordering by %v: want 0 or more each", l.Delay, l.Jitter, l.ReorderBy)
	case int(l.Distribution) >= len(Distributions):
		return fmt.Errorf("distribution %d: want 0 to %d", l.Distribution, len(Distributions)-1)
	case !(l.Loss >= 0 && l.Loss < 1):
		return fmt.Errorf("a loss of %g: want a chance from 0 to below 1; a link that loses all is down", l.Loss)
	case !(l.LossBurst >= 0 && l.LossBurst <= MaxLossBurst):
		return fmt.Errorf("bursts of %g lost packets: want 0 to a million", l.LossBurst)
	case !chance(l.Duplicate) || !chance(l.Reorder):
		return fmt.Errorf("duplication of %g and reordering of %g: want chances from 0 to 1", l.Duplicate, l.Reorder)
	case l.QueueBytes < 0:
		return fmt.Errorf("a queue of %d bytes: want 1 or more, or 0 for %d", l.QueueBytes, DefaultQueueBytes)
	}
	return nil
}

// QueueLimit is what may wait for the link's rate, in bytes.
func (l *Link) QueueLimit() int {
	if l.QueueBytes > 0 {
		return l.QueueBytes
	}
	return DefaultQueueBytes
}
