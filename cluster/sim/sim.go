// Package sim runs a group of replicas in virtual time: the same members, strategies and scenarios as live, on a heap of
// events in one goroutine. Time goes from event to event, so a second of the group's time takes as long as its events
// take to compute, and the same seed gives the same events, to the last byte, on any machine.
//
// # What is modelled
//
// Work takes no time, except CPUPerMessage for each message that a replica receives or sends and each proposal. What
// arrives while a replica works gathers, and is then handled together, as in live.
//
// A Link is one direction between two replicas, in netem's words: delay, jitter, loss, duplication, reordering, rate. A
// frame is cut into packets only to decide whether it is lost. Cut drops frames before they reach the transport, as in
// live; Link.Down loses packets below it, which a transport that repeats them gets over.
//
// The transports differ in what they make of a Link:
//
//   - mem has its delay, jitter and rate, and neither loses, repeats nor reorders;
//   - datagram hands every frame to the link as it is, in one UDP datagram: a larger frame than 65,507 bytes is dropped,
//     and so the data of an AppendEntries with several entries is limited to half of that, whatever MaxAppendBytes says;
//   - tcp, tcp+tls and quic-1stream are one ordered stream of bytes between two replicas, quic has one for each class of
//     messages. What is lost is sent again, and what came after it in its stream waits for it (head-of-line blocking).
//
// A loss is noticed when the acknowledgement of a third later frame of the connection comes (RFC 5681, section 3.2; RFC
// 9002, section 6.1.1), or when that of a single later one has come and the lost one has been under way for 5/4 of the
// smoothed round trip in TCP (RFC 8985, section 6.2, with its usual reordering window of a quarter) and 9/8 in QUIC (RFC
// 9002, section 6.1.2); or else by a timer: in TCP after SRTT + max(4*RTTVAR, 200 ms), as Linux computes it (RFC 6298,
// section 2, with Linux's smaller minimum), in QUIC after SRTT + max(4*RTTVAR, 1 ms) + 25 ms for the peer's delayed
// acknowledgement (RFC 9002, section 6.2.1), twice as long with each loss of the same frame. Both smooth the round trip
// with gains of 1/8 and 1/4 and begin with that of the handshake. A connection on which a frame has been on the way
// for 5 s (TCP) or 2 s (QUIC) without success is given up, as the live transports do it, and made anew, which takes one
// round trip in tcp and quic and two in tcp+tls.
//
// # What is not modelled
//
// Congestion control: a window that is always large enough, so a stream never overfills the queue of a link with a rate
// but keeps frames in the sender's memory. Acknowledgements are neither lost nor do they take up bandwidth. There are no tail
// loss probes (RFC 8985, section 7), no delayed acknowledgements in TCP, and no costs of encryption. The streams of
// quic share a link's rate in the order in which frames were sent. Latencies in the tail of a lossy link are therefore
// of the right kind and size, not exact; latencies without loss are exact.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// Config describes a group in virtual time.
type Config struct {
	cluster.Config
	// Transport is one of Transports; empty for mem.
	Transport string
	// Links gives each direction between two replicas its link; nil is LAN for all.
	Links func(from, to raft.ID) Link
	// Disk is every replica's; see also SetDisk.
	Disk Disk
	// CPUPerMessage is how long a replica is busy for every message it receives or sends and every proposal.
	CPUPerMessage time.Duration
	// EventsPerInstant is how many events may happen at one moment before Wait gives up with ErrLivelock; 0 is a million.
	EventsPerInstant int

	// AfterEvent, if not nil, is called after each event, before the next. It may look at everything but change nothing.
	AfterEvent func(Event)
	// OnFrame, if not nil, is told of every frame's way.
	OnFrame func(Frame)
}

// EventKind tells events apart.
type EventKind uint8

const (
	EventFrame   EventKind = iota + 1 // a frame of Peer arrived at Replica
	EventTimer                        // a timer of Replica fired
	EventPropose                      // proposals, or Campaign, reached Replica
	EventSaved                        // a sync of Replica's disk is over
	EventTask                         // Replica's disk is through with a snapshot
	EventWork                         // Replica has finished some work, where work takes time
	EventResume                       // Replica goes on after a pause
	EventUp                           // Replica was told that it can reach Peer
	EventConnect                      // Replica and Peer try to make a connection
	EventResend                       // Replica's transport sends a lost frame to Peer again
	EventDelayed                      // a frame of Replica that Conditions held back is sent to Peer
	EventStep                         // a step of the scenario
)

var eventNames = [...]string{EventFrame: "frame", EventTimer: "timer", EventPropose: "propose", EventSaved: "saved", EventTask: "task",
	EventWork: "work", EventResume: "resume", EventUp: "up", EventConnect: "connect", EventResend: "resend",
	EventDelayed: "delayed", EventStep: "step"}

func (k EventKind) String() string { return eventNames[k] }

// Event is something that has happened.
type Event struct {
	At            raft.Time
	Number        uint64 // from 1
	Kind          EventKind
	Replica, Peer raft.ID // 0 if it concerns none
}

// FrameFate says what happened to a frame.
type FrameFate uint8

const (
	FrameSent      FrameFate = iota + 1 // handed to the transport
	FrameDelivered                      // handed to the receiver
	FrameLost                           // lost on the way; a transport that repeats will send it again
	FrameDropped                        // gone for good: link cut, no connection, too large, queue full, receiver down
)

func (f FrameFate) String() string {
	return [...]string{"", "sent", "delivered", "lost", "dropped"}[f]
}

// Frame is a moment of a frame's way.
type Frame struct {
	At       raft.Time
	Fate     FrameFate
	Number   uint64 // of the frame, from 1; 0 for one that was dropped before it was sent
	From, To raft.ID
	Class    transports.Class
	Bytes    []byte // its content, see transports.DecodeMessage; not to be kept or changed
}

// ErrLivelock is wrapped by Wait's error if events follow each other without time going on.
var ErrLivelock = errors.New("time does not go on")

// ErrConfig is wrapped by the errors of New about what is simulated; those about a member wrap raft.ErrConfig.
var ErrConfig = errors.New("simulation")

// frameOverhead is what the framing of transports adds to a frame on a stream.
const frameOverhead = 4

// Cluster is a group in virtual time. It implements cluster.Cluster. It must be used by one goroutine at a time.
type Cluster struct {
	cfg      Config
	carrier  carrier
	now      raft.Time
	events   queue
	seq      uint64
	done     uint64 // events that have happened
	instant  int    // of them, at this moment
	stuck    error
	closed   bool
	replicas []*replica
	net      network

	conditions cluster.Conditions
	steps      []func(now raft.Time) raft.Time
	freeSteps  []int32
}

// New makes a group. Its replicas are up and connected, and nothing has happened yet. Errors wrap ErrConfig or
// raft.ErrConfig.
func New(cfg Config) (*Cluster, error) {
	c := &Cluster{cfg: cfg}
	carrier, err := findCarrier(cfg.Transport)
	switch {
	case err != nil:
		return nil, err
	case cfg.CPUPerMessage < 0:
		return nil, fmt.Errorf("%w: a cost of %v a message, want 0 or more", ErrConfig, cfg.CPUPerMessage)
	case cfg.Replicas < 1:
		return nil, fmt.Errorf("%w: %d replicas, want 1 or more", ErrConfig, cfg.Replicas)
	}
	if err := cfg.Disk.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.cfg.EventsPerInstant == 0 {
		c.cfg.EventsPerInstant = 1_000_000
	}
	c.carrier = carrier
	c.cfg.MaxAppendBytes = LimitAppends(cfg.Transport, cfg.MaxAppendBytes)
	if c.cfg.Observer != nil {
		c.cfg.Observer = observer{c, cfg.Observer}
	}
	if err := c.net.open(c); err != nil {
		return nil, err
	}
	for i := range cfg.Replicas {
		id := raft.ID(i + 1)
		r := &replica{c: c, id: id, at: int16(i), random: rand.New(rand.NewPCG(cfg.Seed, ^uint64(id))),
			disk: disk{Disk: cfg.Disk, random: rand.New(rand.NewPCG(cfg.Seed, uint64(id)<<32|1))}}
		if err := r.disk.format(cfg.Boot[id]); err != nil {
			return nil, err
		}
		r.disk.replica = r
		if err := r.start(); err != nil {
			return nil, err
		}
		c.replicas = append(c.replicas, r)
	}
	return c, nil
}

// Restored tells the world's time.
func (o observer) Restored(_ raft.Time, id raft.ID, s raft.Snapshot) { o.to.Restored(o.c.now, id, s) }

// observer tells the world's time instead of a replica's.
type observer struct {
	c  *Cluster
	to cluster.Observer
}

func (o observer) Events(_ raft.Time, id raft.ID, events []raft.Event) {
	o.to.Events(o.c.now, id, events)
}

func (o observer) Applied(_ raft.Time, id raft.ID, entries raft.Entries) {
	o.to.Applied(o.c.now, id, entries)
}

// Now returns the virtual time.
func (c *Cluster) Now() raft.Time { return c.now }

// Size returns the number of replicas.
func (c *Cluster) Size() int { return len(c.replicas) }

// Events returns how many events have happened.
func (c *Cluster) Events() uint64 { return c.done }

func (c *Cluster) replica(id raft.ID) *replica { return c.replicas[id-1] }

// Member returns a replica's member, nil while it is down; for this project's own core a *cluster.Replica. It is for
// looking only.
func (c *Cluster) Member(id raft.ID) cluster.Member { return c.replica(id).core }

// Durable returns what a replica's disk holds. Its log is for looking only, and until the next event.
func (c *Cluster) Durable(id raft.ID) storage.State { return c.replica(id).disk.durable.State() }

// Propose offers a proposal to a replica, which takes it with the next event.
func (c *Cluster) Propose(to raft.ID, p *cluster.Proposal) { c.replica(to).propose(p) }

// Campaign makes a replica start an election with the next event.
func (c *Cluster) Campaign(id raft.ID) {
	r := c.replica(id)
	r.campaign = true
	r.wake()
}

// Status returns what is known of a replica.
func (c *Cluster) Status(id raft.ID) cluster.Status { return c.replica(id).lastStatus() }

// Crash stops a replica. Proposals that it was asked for become Unknown, or Refused if it had not taken them yet.
func (c *Cluster) Crash(id raft.ID) { c.replica(id).crash() }

// Restart starts a crashed replica from its disk. Errors are those of its member.
func (c *Cluster) Restart(id raft.ID) error {
	r := c.replica(id)
	if r.core != nil || c.closed {
		return nil
	}
	if err := r.start(); err != nil {
		return err
	}
	c.net.reconnect(r.at)
	return nil
}

// Pause freezes a replica.
func (c *Cluster) Pause(id raft.ID) {
	if r := c.replica(id); r.core != nil {
		r.paused = true
	}
}

// Resume lets a paused replica go on, with the next event.
func (c *Cluster) Resume(id raft.ID) {
	if r := c.replica(id); r.paused {
		r.paused = false
		c.push(c.now, event{kind: EventResume, on: r.at, gen: r.life})
	}
}

// Cut drops what from sends to to.
func (c *Cluster) Cut(from, to raft.ID, kind cluster.CutKind) {
	c.net.link(from, to).cut = true
	if kind == cluster.ResetCut {
		c.net.reset(int16(from-1), int16(to-1))
	}
}

// Heal ends a Cut.
func (c *Cluster) Heal(from, to raft.ID) { c.net.link(from, to).cut = false }

// SetConditions changes what all links do to messages, above the transports.
func (c *Cluster) SetConditions(conditions cluster.Conditions) { c.conditions = conditions }

// Link returns the link in one direction.
func (c *Cluster) Link(from, to raft.ID) Link { return c.net.link(from, to).Link }

// SetLink changes the link in one direction, for what is sent from now on. A cut is no part of it. Errors are about a
// value out of range and wrap ErrConfig.
func (c *Cluster) SetLink(from, to raft.ID, l Link) error {
	if err := l.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c.net.link(from, to).Link = l
	return nil
}

// SetDisk changes a replica's storage, for what is synced from now on. Errors wrap ErrConfig.
func (c *Cluster) SetDisk(id raft.ID, d Disk) error {
	if err := d.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c.replica(id).disk.Disk = d
	return nil
}

// SetClockRate makes a replica's clock gain so many parts per million on the world's from now on; -500,000 makes it go
// half as fast. Observers, and the stages of proposals, are told the world's time nevertheless.
func (c *Cluster) SetClockRate(id raft.ID, ppm int) error {
	if ppm < -900_000 || ppm > 10_000_000 {
		return fmt.Errorf("%w: a clock that gains %d parts per million, want -900,000 to 10,000,000", ErrConfig, ppm)
	}
	r := c.replica(id)
	r.clock.set(int64(ppm), c.now)
	if r.core != nil {
		r.armed = 0
		r.arm()
	}
	return nil
}

// At calls step at the time t.
func (c *Cluster) At(t raft.Time, step func(now raft.Time) raft.Time) {
	if c.closed {
		return
	}
	var slot int32
	if n := len(c.freeSteps); n > 0 {
		slot, c.freeSteps = c.freeSteps[n-1], c.freeSteps[:n-1]
		c.steps[slot] = step
	} else {
		slot = int32(len(c.steps))
		c.steps = append(c.steps, step)
	}
	c.push(max(t, c.now), event{kind: EventStep, slot: slot, on: nobody})
}

// contextEvery is how many events pass between two looks at a context.
const contextEvery = 4096

// Wait runs the world until cond holds, at the most until the timeout is over.
func (c *Cluster) Wait(ctx context.Context, timeout time.Duration, cond func() bool) error {
	deadline := c.now.Add(timeout)
	if cond() {
		return nil
	}
	for n := 0; ; n++ {
		if n%contextEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.closed {
			return cluster.ErrTimeout
		}
		if len(c.events) == 0 || c.events[0].at > deadline {
			c.advance(deadline)
			if cond() {
				return nil
			}
			return cluster.ErrTimeout
		}
		if !c.step() {
			continue
		}
		if cond() {
			return nil
		}
		if c.stuck != nil {
			return c.stuck
		}
	}
}

// Counters adds up all replicas' counters.
func (c *Cluster) Counters() cluster.Counters {
	var sum cluster.Counters
	for _, r := range c.replicas {
		sum.Add(r.counters())
	}
	return sum
}

// Close ends the group. Nothing happens after it.
func (c *Cluster) Close() error {
	if !c.closed {
		c.closed = true
		for _, r := range c.replicas {
			r.crash()
		}
		c.events, c.steps = nil, nil
	}
	return nil
}

// nobody is the place of events that concern no replica.
const nobody = -1

// push schedules an event.
func (c *Cluster) push(at raft.Time, e event) {
	if c.closed {
		return
	}
	c.seq++
	e.at, e.seq = at, c.seq
	c.events.push(e)
}

func (c *Cluster) advance(to raft.Time) {
	if to > c.now {
		c.now, c.instant = to, 0
	}
}

// step makes the next event happen. It reports false if that event turned out to be out of date.
func (c *Cluster) step() bool {
	e := c.events.pop()
	c.advance(e.at)
	peer := raft.ID(0)
	switch e.kind {
	case EventStep:
		c.runStep(e.slot)
	case EventFrame:
		f := &c.net.frames[e.slot]
		peer = raft.ID(f.from + 1)
		c.net.arrive(e.slot)
	case EventResend, EventDelayed:
		f := &c.net.frames[e.slot]
		if f.gen != e.gen {
			return false
		}
		peer = raft.ID(f.to + 1)
		if e.kind == EventResend {
			c.net.resend(e.slot)
		} else {
			c.net.sendDelayed(e.slot)
		}
	case EventConnect:
		peer = raft.ID(e.slot + 1)
		if !c.net.connect(e.on, int16(e.slot), e.gen) {
			return false
		}
	default:
		r := c.replicas[e.on]
		if e.kind == EventTimer {
			if e.gen != r.timerGen {
				return false
			}
		} else if e.gen != r.life {
			return false
		}
		if e.kind == EventUp {
			peer = raft.ID(e.slot + 1)
		}
		if !r.happen(e) {
			return false
		}
	}
	c.count()
	if c.cfg.AfterEvent != nil {
		c.cfg.AfterEvent(Event{At: c.now, Number: c.done, Kind: e.kind, Replica: raft.ID(e.on + 1), Peer: peer})
	}
	return true
}

// count counts an event, or a round of proposals that are answered and followed by others within one.
func (c *Cluster) count() {
	c.done++
	if c.instant++; c.instant > c.cfg.EventsPerInstant && c.stuck == nil {
		c.stuck = fmt.Errorf("%w: more than %d events at %v; a closed loop needs a delay, of the links, the disks or the CPU",
			ErrLivelock, c.cfg.EventsPerInstant, time.Duration(c.now))
	}
}

func (c *Cluster) runStep(slot int32) {
	step := c.steps[slot]
	if next := step(c.now); next != 0 && !c.closed {
		c.push(max(next, c.now), event{kind: EventStep, slot: slot, on: nobody})
		return
	}
	if !c.closed {
		c.steps[slot] = nil
		c.freeSteps = append(c.freeSteps, slot)
	}
}

// follows reports whether the next event is another frame from the same stream for the same replica at the same moment:
// a socket would have handed over both at once.
func (c *Cluster) follows(f *frame) bool {
	if len(c.events) == 0 {
		return false
	}
	e := &c.events[0]
	if e.kind != EventFrame || e.at != c.now {
		return false
	}
	next := &c.net.frames[e.slot]
	return next.to == f.to && next.from == f.from && next.stream == f.stream
}
