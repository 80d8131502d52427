package emulate

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftbench/raftbench/internal/wakeup"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
)

// device is a host's network interface, seen from the switch: what the host sends is read, what it gets is written, one
// IP packet at a time. Write does not wait.
type device interface {
	Read(packet []byte) (int, error)
	Write(packet []byte) (int, error)
	Close() error
}

// fabric is the packet switch. Packets for one host are its egress's business: it has the state of all links that lead
// there, and what is on its way. The goroutine that has read a packet passes it on, up to writing it if it is due.
type fabric struct {
	now    func() raft.Time
	egress []*egress     // by host
	stray  atomic.Uint64 // packets for no host

	goroutines sync.WaitGroup
}

// path is one direction of a link, at work.
type path struct {
	netem.Direction
	cut bool // besides what the link itself says
}

// egress is the way to one host. Its methods expect mu to be held, unless they say otherwise.
type egress struct {
	now   func() raft.Time
	port  device
	timer *wakeup.Timer

	mu    sync.Mutex
	paths []path // by the host that sends
	held  queue
	heldBytes,
	bufferBytes int
	free  [][]byte  // buffers to use again
	armed raft.Time // what the timer is set for; 0 if it is not
	early time.Duration
	stats Stats
	late  Lateness
}

// maxHeldBytes bounds what is on its way to one host: 0.4 s of all that the switch can carry.
const maxHeldBytes = 128 << 20

// Of the running median of how late a wake-up is: where it begins, how much one wake-up moves it, and its bound.
const earlyFirst, earlyStep, earlyMost = 60 * time.Microsecond, time.Microsecond, 500 * time.Microsecond

// newFabric makes a switch whose links deliver everything at once. Nothing runs before start.
func newFabric(ports []device, mtu int, seed uint64, now func() raft.Time) *fabric {
	f := &fabric{now: now}
	for to, port := range ports {
		e := &egress{now: now, port: port, timer: wakeup.New(), bufferBytes: mtu, early: earlyFirst}
		for from := range ports {
			random := rand.New(rand.NewPCG(seed, 1<<63|uint64(from)<<32|uint64(to)))
			e.paths = append(e.paths, path{Direction: netem.Direction{Random: random}})
		}
		f.egress = append(f.egress, e)
	}
	return f
}

// start begins to move packets, until close.
func (f *fabric) start() {
	for from, e := range f.egress {
		f.goroutines.Go(func() { f.read(from, e.port) })
		f.goroutines.Go(e.deliverWhenDue)
	}
}

// forget begins all counts anew.
func (f *fabric) forget() {
	f.stray.Store(0)
	for _, e := range f.egress {
		e.mu.Lock()
		e.stats, e.late = Stats{}, Lateness{}
		e.mu.Unlock()
	}
}

func (f *fabric) close() {
	for _, e := range f.egress {
		e.port.Close()
		e.timer.Close()
	}
	f.goroutines.Wait()
}

// read takes what a host sends.
func (f *fabric) read(from int, port device) {
	packet := make([]byte, 64<<10)
	for {
		n, err := port.Read(packet)
		if err != nil {
			return // closed
		}
		f.accept(from, packet[:n])
	}
}

// accept passes on a packet that a host sent.
func (f *fabric) accept(from int, packet []byte) {
	to, ok := hostOf(packet)
	if !ok || to >= len(f.egress) || to == from {
		f.stray.Add(1)
		return
	}
	f.egress[to].accept(from, packet)
}

// accept decides what becomes of a packet that comes now. mu is not held. The packet is the caller's again afterwards.
func (e *egress) accept(from int, packet []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	p := &e.paths[from]
	e.stats.Sent++
	if p.cut || p.Down {
		e.stats.Cut++
		return
	}
	left, overflow := p.Depart(now, len(packet), p.QueueLimit())
	if overflow {
		e.stats.QueueDrops++
		return
	}
	if p.Duplicates() {
		e.stats.Duplicated++
		e.hold(left.Add(p.Travel()), packet)
	}
	if p.LosesPacket() {
		e.stats.Lost++
	} else {
		at, heldBack := p.Arrival(left)
		if heldBack {
			e.stats.HeldBack++
		}
		if at <= now && e.held.len() == 0 {
			e.write(packet)
			return
		}
		e.hold(at, packet)
	}
	e.deliver(now)
}

// hold keeps a copy of a packet until it is due.
func (e *egress) hold(at raft.Time, packet []byte) {
	if e.heldBytes+len(packet) > maxHeldBytes {
		e.stats.Overflowed++
		return
	}
	e.heldBytes += len(packet)
	var b []byte
	if n := len(e.free); n > 0 {
		b, e.free = e.free[n-1], e.free[:n-1]
	} else {
		b = make([]byte, 0, max(e.bufferBytes, len(packet)))
	}
	e.held.push(at, append(b[:0], packet...))
}

// deliver writes what is due, or nearly so, and sets the timer for what comes next. A timer that is late by early in the
// median is set that much earlier, and whatever it finds to be within early of its time is delivered: too early about as
// often as too late.
func (e *egress) deliver(now raft.Time) {
	for e.held.len() > 0 && e.held.next() <= now.Add(e.early) {
		at, packet := e.held.pop()
		e.late.add(now.Sub(at))
		e.write(packet)
		e.heldBytes -= len(packet)
		e.free = append(e.free, packet)
	}
	if e.held.len() == 0 {
		return
	}
	if at := e.held.next().Add(-e.early); e.armed == 0 || at < e.armed {
		e.armed = at
		e.timer.Set(at.Sub(now))
	}
}

// write hands a packet to the host.
func (e *egress) write(packet []byte) {
	if _, err := e.port.Write(packet); err != nil {
		e.stats.WriteErrors++
		return
	}
	e.stats.Delivered++
	e.stats.Bytes += uint64(len(packet))
}

// deliverWhenDue waits for the timer, until it is closed.
func (e *egress) deliverWhenDue() {
	for e.timer.Wait() {
		e.mu.Lock()
		e.wake(e.now())
		e.mu.Unlock()
	}
}

// wake is what the timer does.
func (e *egress) wake(now raft.Time) {
	if e.armed != 0 {
		if now.Sub(e.armed) > e.early {
			e.early = min(e.early+earlyStep, earlyMost)
		} else {
			e.early = max(e.early-earlyStep, 0)
		}
		e.armed = 0
	}
	e.deliver(now)
}

// setLink changes the link from one host. mu is not held.
func (e *egress) setLink(from int, l netem.Link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paths[from].Link = l
}

// setCut cuts or heals the link from one host. mu is not held. What is on its way arrives.
func (e *egress) setCut(from int, cut bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paths[from].cut = cut
}

// Hosts have the addresses 10.77.0.1 and up: nobody else sees them.
const subnet, subnetBits = 10<<24 | 77<<16, 24

// hostOf returns the host that an IPv4 packet is for.
func hostOf(packet []byte) (host int, ok bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return 0, false
	}
	to := binary.BigEndian.Uint32(packet[16:])
	return int(to&0xff) - 1, to>>8 == subnet>>8 && to&0xff != 0
}
