package sim

import "github.com/raftbench/raftbench/netem"

// Link is what the network does in one direction between two replicas.
type Link = netem.Link

// link is one direction between two replicas at work.
type link struct {
	netem.Direction
	cut bool
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
		if l.LosesPacket() {
			lost = true
		}
	}
	return lost
}
