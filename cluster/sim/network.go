package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// carrier is what a transport makes of a link.
type carrier struct {
	name      string
	connects  bool // there are connections, which crashes break
	repeats   bool // what is lost is sent again, and order is kept
	perClass  bool // a stream for each class
	handshake int  // round trips before frames can travel

	minDeviation time.Duration // the least that a timer adds to the smoothed round trip
	peerDelay    time.Duration // and how much more, for the peer's delay in acknowledging
	wait         [2]int64      // a lost frame is given up after this fraction of a round trip, once a later one is acknowledged
	giveUp       time.Duration // a connection on which nothing gets through for this long
	outboxBytes  int           // unsent bytes of a connection, if its link has a rate
	maxFrame     int           // bytes of a frame; 0 is no limit
}

// carriers is the table of what can be simulated. The sources of the figures are in the package's doc.
var carriers = []carrier{
	{name: "mem", connects: true},
	{name: "tcp", connects: true, repeats: true, handshake: 1, minDeviation: 200 * time.Millisecond, wait: [2]int64{5, 4}, giveUp: 5 * time.Second, outboxBytes: 64 << 20},
	{name: "tcp+tls", connects: true, repeats: true, handshake: 2, minDeviation: 200 * time.Millisecond, wait: [2]int64{5, 4}, giveUp: 5 * time.Second, outboxBytes: 64 << 20},
	{name: "quic", connects: true, repeats: true, perClass: true, handshake: 1, minDeviation: time.Millisecond, peerDelay: 25 * time.Millisecond, wait: [2]int64{9, 8}, giveUp: 2 * time.Second, outboxBytes: 64 << 20},
	{name: "quic-1stream", connects: true, repeats: true, handshake: 1, minDeviation: time.Millisecond, peerDelay: 25 * time.Millisecond, wait: [2]int64{9, 8}, giveUp: 2 * time.Second, outboxBytes: 64 << 20},
	{name: "datagram", maxFrame: maxDatagram},
}

// maxDatagram is the most that a UDP datagram carries over IPv4: 65,535 bytes less the headers of IP and UDP (RFC 768, RFC
// 791). headBytes of it are set aside for what an engine adds to its entries.
const (
	maxDatagram = 65_535 - 20 - 8
	headBytes   = 256
)

// MaxPayload returns the size of the largest entry that a transport can carry, 0 if there is no limit.
func MaxPayload(transport string) int {
	if k, err := findCarrier(transport); err == nil && k.maxFrame > 0 {
		return k.maxFrame - headBytes
	}
	return 0
}

// LimitAppends returns the MaxAppendBytes that New gives a group which asks for the given one: over a transport with a limit
// no more than a frame can carry, where encoding may add as much again as there is data.
func LimitAppends(transport string, maxAppendBytes int) int {
	most := MaxPayload(transport) / 2
	if most > 0 && (maxAppendBytes == 0 || maxAppendBytes > most) {
		return most
	}
	return maxAppendBytes
}

// Transports lists the names of the transports that can be simulated.
func Transports() []string {
	var names []string
	for _, c := range carriers {
		names = append(names, c.name)
	}
	return names
}

func findCarrier(name string) (carrier, error) {
	if name == "" {
		name = "mem"
	}
	for _, c := range carriers {
		if c.name == name {
			return c, nil
		}
	}
	return carrier{}, fmt.Errorf("%w: transport %q, want one of %s", ErrConfig, name, strings.Join(Transports(), ", "))
}

const (
	duplicateAckThreshold = 3                      // RFC 5681, section 3.2; kPacketThreshold of RFC 9002
	redialAfter           = 100 * time.Millisecond // from half of this on: transports.Config.BackoffMax
)

// network is all links and connections of a group. Replicas are named by their place here, which is their ID less 1.
type network struct {
	c      *Cluster
	n      int
	links  []link // from*n+to
	conns  []conn // likewise: one direction of a connection each
	frames []frame
	free   []int32
	large  [][]byte // memory of large frames that have arrived
	kept   int      // bytes of large
	number uint64   // of the last frame

	effects Effects // of links
}

// frame is one frame on its way.
type frame struct {
	from, to int16
	class    transports.Class
	stream   uint8
	repeat   uint8 // times it was lost
	later    uint8 // later frames of the connection that have arrived, while it is lost
	gen      uint32
	epoch    uint32    // of the connection that it was sent on
	place    uint64    // in its stream
	number   uint64    // among all
	first    raft.Time // when it was sent first
	sent     raft.Time // when it was sent last
	retry    raft.Time // when it is sent again, while it is lost
	data     []byte
}

// conn is one direction of a connection.
type conn struct {
	up      bool
	epoch   uint32 // raised when the connection breaks
	streams [transports.Classes]stream
	lost    []int32 // frames that will be sent again, in order
	smooth  time.Duration
	deviate time.Duration
}

// stream hands its frames over in order.
type stream struct {
	next    uint64  // place of the next frame sent
	expect  uint64  // place of the next frame to be handed over
	held    []int32 // arrived before their turn, in order
	written uint64  // the sender's round of settling that last wrote to it
}

func (w *network) open(c *Cluster) error {
	w.c, w.n = c, c.cfg.Replicas
	w.links, w.conns = make([]link, w.n*w.n), make([]conn, w.n*w.n)
	for from := range w.n {
		for to := range w.n {
			l := &w.links[from*w.n+to]
			if from == to {
				continue
			}
			l.Link = netem.LAN()
			if c.cfg.Links != nil {
				l.Link = c.cfg.Links(raft.ID(from+1), raft.ID(to+1))
			}
			if err := l.Check(); err != nil {
				return fmt.Errorf("%w: the link from replica %d to %d has %w", ErrConfig, from+1, to+1, err)
			}
			l.Random = rand.New(rand.NewPCG(c.cfg.Seed, 1<<63|uint64(from)<<32|uint64(to)))
		}
	}
	for from := range w.n {
		for to := range w.n {
			if from != to {
				w.opened(int16(from), int16(to))
			}
		}
	}
	return nil
}

func (w *network) link(from, to raft.ID) *link { return &w.links[int(from-1)*w.n+int(to-1)] }

func (w *network) at(from, to int16) (*link, *conn) {
	i := int(from)*w.n + int(to)
	return &w.links[i], &w.conns[i]
}

// roundTrip is that of a small packet on idle links.
func (w *network) roundTrip(a, b int16) time.Duration {
	there, _ := w.at(a, b)
	back, _ := w.at(b, a)
	return there.Delay + back.Delay
}

// opened begins one direction of a connection.
func (w *network) opened(from, to int16) {
	_, c := w.at(from, to)
	c.up = true
	c.smooth = w.roundTrip(from, to)
	c.deviate = c.smooth / 2
}

// make copies a frame.
func (w *network) make(from, to int16, class transports.Class, head []byte, body ...[]byte) int32 {
	var slot int32
	if n := len(w.free); n > 0 {
		slot, w.free = w.free[n-1], w.free[:n-1]
	} else {
		slot = int32(len(w.frames))
		w.frames = append(w.frames, frame{})
	}
	f := &w.frames[slot]
	w.number++
	data := append(w.memory(f.data, frameBytes(head, body)), head...)
	for _, piece := range body {
		data = append(data, piece...)
	}
	*f = frame{from: from, to: to, class: class, gen: f.gen + 1, number: w.number, data: data}
	return slot
}

// keptBytes bounds what a frame that is no longer used keeps of its memory. That of larger ones is kept apart, and used
// again for other large ones: new memory for each would cost more than copying into it.
const (
	keptBytes      = 64 << 10
	keptLargeBytes = 64 << 20
)

// memory returns memory for a frame of that size, empty, preferably that of the frame before in the same slot.
func (w *network) memory(before []byte, size int) []byte {
	if size <= keptBytes || cap(before) >= size {
		return before[:0]
	}
	for i := len(w.large) - 1; i >= 0; i-- {
		if b := w.large[i]; cap(b) >= size {
			w.large = slices.Delete(w.large, i, i+1)
			w.kept -= cap(b)
			return b[:0]
		}
	}
	return make([]byte, 0, size)
}

// keep keeps the memory of a large frame for another.
func (w *network) keep(b []byte) {
	for len(w.large) > 0 && w.kept+cap(b) > keptLargeBytes {
		w.kept -= cap(w.large[0])
		w.large = slices.Delete(w.large, 0, 1) // the one that has not been of use for longest
	}
	if w.kept+cap(b) <= keptLargeBytes {
		w.large = append(w.large, b)
		w.kept += cap(b)
	}
}

// frameBytes returns the size of a frame.
func frameBytes(head []byte, body [][]byte) int {
	size := len(head)
	for _, piece := range body {
		size += len(piece)
	}
	return size
}

// release ends a frame. Events that refer to it are out of date.
func (w *network) release(slot int32) {
	f := &w.frames[slot]
	f.gen++
	if cap(f.data) > keptBytes {
		w.keep(f.data)
		f.data = nil
	}
	w.free = append(w.free, slot)
}

// drop ends a frame that will never arrive.
func (w *network) drop(slot int32) {
	w.tell(FrameDropped, slot)
	w.release(slot)
}

// tell reports a frame's fate to who is interested.
func (w *network) tell(fate FrameFate, slot int32) {
	if w.c.cfg.OnFrame == nil {
		return
	}
	f := &w.frames[slot]
	w.c.cfg.OnFrame(Frame{At: w.c.now, Fate: fate, Number: f.number, From: raft.ID(f.from + 1), To: raft.ID(f.to + 1),
		Class: f.class, Bytes: f.data})
}

// refuse counts a frame that is dropped before it is sent.
func (w *network) refuse(from, to int16, class transports.Class, head []byte, body ...[]byte) {
	w.c.replicas[from].dropped++
	if w.c.cfg.OnFrame != nil {
		w.c.cfg.OnFrame(Frame{At: w.c.now, Fate: FrameDropped, From: raft.ID(from + 1), To: raft.ID(to + 1), Class: class,
			Bytes: slices.Concat(head, slices.Concat(body...))})
	}
}

// delay keeps a frame until t before the transport gets it.
func (w *network) delay(from, to int16, class transports.Class, t raft.Time, head []byte, body ...[]byte) {
	slot := w.make(from, to, class, head, body...)
	f := &w.frames[slot]
	f.epoch = w.c.replicas[from].life
	w.c.push(t, event{kind: EventDelayed, slot: slot, gen: f.gen, on: from})
}

// sendDelayed sends a frame that was delayed, unless its sender has crashed.
func (w *network) sendDelayed(slot int32) {
	f := w.frames[slot]
	if r := w.c.replicas[f.from]; r.core != nil && r.life == f.epoch {
		w.send(f.from, f.to, f.class, w.c.now, f.data)
		w.release(slot)
	} else {
		w.c.replicas[f.from].dropped++
		w.drop(slot)
	}
}

// send gives a frame to the transport at a time from now on.
func (w *network) send(from, to int16, class transports.Class, at raft.Time, head []byte, body ...[]byte) {
	l, c := w.at(from, to)
	k := &w.c.carrier
	if l.cut {
		w.effects.Cut++
	}
	size := frameOverhead + frameBytes(head, body)
	if l.cut || k.connects && !c.up || k.maxFrame > 0 && size > k.maxFrame {
		w.refuse(from, to, class, head, body...)
		return
	}
	r := w.c.replicas[from]
	stream := uint8(0)
	if k.perClass {
		stream = uint8(class)
	}
	if s := &c.streams[stream]; s.written != r.settlings {
		s.written = r.settlings
		r.writes++
	}
	limit := l.QueueLimit()
	if k.outboxBytes > 0 {
		limit = max(k.outboxBytes, size)
	}
	left, overflow := l.Depart(at, size, limit)
	if overflow {
		w.refuse(from, to, class, head, body...)
		return
	}
	slot := w.make(from, to, class, head, body...)
	f := &w.frames[slot]
	f.stream, f.epoch, f.first = stream, c.epoch, at
	w.tell(FrameSent, slot)
	switch {
	case k.repeats:
		f.place = c.streams[stream].next
		c.streams[stream].next++
		w.transmit(slot, left, size)
	case k.connects:
		w.c.push(l.InOrder(left), event{kind: EventFrame, slot: slot, on: to})
	default:
		w.datagram(slot, l, left, size)
	}
}

// datagram hands a frame to the link as it is.
func (w *network) datagram(slot int32, l *link, left raft.Time, size int) {
	f := &w.frames[slot]
	if l.Duplicates() {
		w.effects.Duplicated++
		again := w.make(f.from, f.to, f.class, f.data)
		f = &w.frames[slot]
		w.frames[again].number = f.number
		w.c.push(left.Add(l.Travel()), event{kind: EventFrame, slot: again, on: f.to})
	}
	if w.loses(l, size) {
		w.c.replicas[f.from].dropped++
		w.drop(slot)
		return
	}
	w.c.push(w.arrival(l, left), event{kind: EventFrame, slot: slot, on: f.to})
}

// loses draws whether a frame is lost, and counts it if it is.
func (w *network) loses(l *link, size int) bool {
	lost := l.loses(size)
	if lost {
		w.effects.Lost++
	}
	return lost
}

// arrival draws when a frame arrives, and counts it if it is held back.
func (w *network) arrival(l *link, left raft.Time) raft.Time {
	at, heldBack := l.Arrival(left)
	if heldBack {
		w.effects.HeldBack++
	}
	return at
}

// transmit sends a frame of a stream, which has left when left says, for the first time or again.
func (w *network) transmit(slot int32, left raft.Time, size int) {
	f := &w.frames[slot]
	l, c := w.at(f.from, f.to)
	f.sent = left
	if w.loses(l, size) {
		w.tell(FrameLost, slot)
		f.later = 0
		f.retry = left.Add(w.timeout(c) << min(f.repeat, 10))
		f.repeat++
		c.lost = append(c.lost, slot)
		w.c.push(f.retry, event{kind: EventResend, slot: slot, gen: f.gen, on: f.from})
		return
	}
	arrives := w.arrival(l, left)
	w.c.push(arrives, event{kind: EventFrame, slot: slot, on: f.to})
	back, _ := w.at(f.to, f.from)
	acked := arrives.Add(back.Delay)
	c.measure(acked.Sub(left))
	if len(c.lost) > 0 {
		w.notice(c, acked, f.from)
	}
}

// measure smooths the round trip: RFC 6298, section 2.3.
func (c *conn) measure(sample time.Duration) {
	c.deviate += ((sample - c.smooth).Abs() - c.deviate) / 4
	c.smooth += (sample - c.smooth) / 8
}

// timeout is how long a frame may go unacknowledged.
func (w *network) timeout(c *conn) time.Duration {
	k := &w.c.carrier
	return c.smooth + max(4*c.deviate, k.minDeviation) + k.peerDelay
}

// notice tells the sender of lost frames that a later one will be acknowledged at acked.
func (w *network) notice(c *conn, acked raft.Time, from int16) {
	for _, slot := range c.lost {
		f := &w.frames[slot]
		var at raft.Time
		switch f.later++; f.later {
		case 1:
			k := &w.c.carrier
			at = max(acked, f.sent.Add(time.Duration(int64(c.smooth)*k.wait[0]/k.wait[1])))
		case duplicateAckThreshold:
			at = acked
		default:
			f.later = min(f.later, duplicateAckThreshold+1)
			continue
		}
		if at < f.retry {
			f.retry = at
			f.gen++
			w.c.push(max(at, w.c.now), event{kind: EventResend, slot: slot, gen: f.gen, on: from})
		}
	}
}

// resend sends a lost frame again, or gives its connection up.
func (w *network) resend(slot int32) {
	f := &w.frames[slot]
	l, c := w.at(f.from, f.to)
	if w.c.now.Sub(f.first) >= w.c.carrier.giveUp {
		from, to := f.from, f.to
		w.disconnect(from, to)
		w.redial(from, to)
		return
	}
	i := slices.Index(c.lost, slot)
	c.lost = slices.Delete(c.lost, i, i+1)
	size := min(frameOverhead+len(f.data), packetBytes) // only what was lost of it
	left, _ := l.Depart(w.c.now, size, int(^uint(0)>>1))
	w.transmit(slot, left, size)
}

// arrive takes a frame from the wire.
func (w *network) arrive(slot int32) {
	f := w.frames[slot]
	r := w.c.replicas[f.to]
	_, c := w.at(f.from, f.to)
	switch {
	case r.core == nil || w.c.carrier.connects && f.epoch != c.epoch:
		w.c.replicas[f.from].dropped++
		w.drop(slot)
	case w.c.carrier.repeats:
		w.inOrder(r, &c.streams[f.stream], slot)
	case r.put(input{kind: EventFrame, slot: slot}):
		r.unsettled = true
	}
	if r.unsettled && !w.c.follows(&f) {
		r.settle(-1)
	}
}

// inOrder hands over a frame whose turn it is, and those that waited for it.
func (w *network) inOrder(r *replica, s *stream, slot int32) {
	if place := w.frames[slot].place; place != s.expect {
		i, _ := slices.BinarySearchFunc(s.held, place, func(other int32, place uint64) int {
			return int(int64(w.frames[other].place - place))
		})
		s.held = slices.Insert(s.held, i, slot)
		return
	}
	for {
		s.expect++
		if r.put(input{kind: EventFrame, slot: slot}) {
			r.unsettled = true
		}
		if len(s.held) == 0 || w.frames[s.held[0]].place != s.expect {
			return
		}
		slot = s.held[0]
		s.held = slices.Delete(s.held, 0, 1)
	}
}

// disconnectAll breaks a replica's connections.
func (w *network) disconnectAll(at int16) {
	if !w.c.carrier.connects {
		return
	}
	for other := range int16(w.n) {
		if other != at {
			w.disconnect(at, other)
		}
	}
}

// disconnect breaks a connection, with all that is on its way.
func (w *network) disconnect(a, b int16) {
	for _, pair := range [2][2]int16{{a, b}, {b, a}} {
		_, c := w.at(pair[0], pair[1])
		for _, slot := range c.lost {
			w.c.replicas[pair[0]].dropped++
			w.drop(slot)
		}
		for i := range c.streams {
			for _, slot := range c.streams[i].held {
				w.c.replicas[pair[0]].dropped++
				w.drop(slot)
			}
		}
		*c = conn{epoch: c.epoch + 1, lost: c.lost[:0]}
	}
}

// reconnect makes a restarted replica's connections.
func (w *network) reconnect(at int16) {
	if !w.c.carrier.connects {
		return
	}
	for other := range int16(w.n) {
		if other != at && w.c.replicas[other].core != nil {
			w.dial(at, other, 0)
		}
	}
}

// dial tries to make a connection after a while, and the handshake on top.
func (w *network) dial(a, b int16, after time.Duration) {
	_, c := w.at(a, b)
	handshake := time.Duration(w.c.carrier.handshake) * w.roundTrip(a, b)
	w.c.push(w.c.now.Add(after+handshake), event{kind: EventConnect, on: a, slot: int32(b), gen: c.epoch})
}

// redial tries to make a connection again after the wait between two attempts.
func (w *network) redial(a, b int16) {
	l, _ := w.at(a, b)
	w.dial(a, b, redialAfter/2+time.Duration(l.Random.Int64N(int64(redialAfter/2))))
}

// reset breaks the connection between two replicas, if there is one; they dial again.
func (w *network) reset(a, b int16) {
	if _, c := w.at(a, b); w.c.carrier.connects && c.up {
		w.effects.Reset++
		w.disconnect(a, b)
		w.redial(min(a, b), max(a, b))
	}
}

// connect ends a handshake, or finds that it did not succeed and tries again. It reports false if the attempt is out of
// date: whoever is down dials when it starts.
func (w *network) connect(a, b int16, epoch uint32) bool {
	there, c := w.at(a, b)
	back, _ := w.at(b, a)
	ra, rb := w.c.replicas[a], w.c.replicas[b]
	if c.epoch != epoch || c.up || ra.core == nil || rb.core == nil {
		return false
	}
	if there.Down || back.Down || there.cut || back.cut || ra.paused || rb.paused {
		w.redial(a, b)
		return true
	}
	w.opened(a, b)
	w.opened(b, a)
	w.tellUp(a, b)
	w.tellUp(b, a)
	return true
}

// tellUp tells a replica that a connection to a peer was made.
func (w *network) tellUp(from, to int16) {
	w.c.push(w.c.now, event{kind: EventUp, on: from, slot: int32(to), gen: w.c.replicas[from].life})
}
