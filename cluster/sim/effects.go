package sim

// Effects counts what bad links, disks and clocks have done to a group so far: a fault that was set up may still have met
// nothing that it could do something to.
type Effects struct {
	Lost       uint64 // frames, or parts of a stream that were sent again
	Duplicated uint64 // frames
	HeldBack   uint64 // frames that others could overtake
	Cut        uint64 // frames that a cut link refused
	Reset      uint64 // connections that a cut broke
	Stalled    uint64 // syncs of a disk
	WrongClock uint64 // replicas whose clock does not show the world's time
}

// Add adds what other counted.
func (e *Effects) Add(other Effects) {
	e.Lost += other.Lost
	e.Duplicated += other.Duplicated
	e.HeldBack += other.HeldBack
	e.Cut += other.Cut
	e.Reset += other.Reset
	e.Stalled += other.Stalled
	e.WrongClock += other.WrongClock
}

// Effects returns what has been counted so far.
func (c *Cluster) Effects() Effects {
	sum := c.net.effects
	for _, r := range c.replicas {
		sum.Stalled += r.disk.stalls
		if r.clock.at(c.now) != c.now {
			sum.WrongClock++
		}
	}
	return sum
}
