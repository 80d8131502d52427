package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Frames of all classes, sizes and senders at once arrive whole, once, and in the order of their class.
func deliversInOrder(s *suite) {
	const count = 200
	group := s.group(s.network(), 3, transports.Config{})
	var senders sync.WaitGroup
	for _, from := range group {
		senders.Go(func() {
			for n := range uint32(count) {
				for class := range transports.Classes {
					size := 12 + int(n*n*uint32(class+1))%9000
					for _, to := range group {
						if to == from {
							continue
						}
						b := numbered(class, n, size)
						cut := int(n) % len(b)
						if !from.Send(to.id, class, b[:cut/2], b[cut/2:cut], b[cut:]) {
							s.Errorf("send of frame %d from %d to %d dropped: %+v", n, from.id, to.id, from.Stats())
						}
					}
				}
				if n%3 == 0 || n == count-1 {
					from.Flush()
				}
			}
		})
	}
	senders.Wait()
	for _, to := range group {
		for _, from := range group {
			if from != to {
				s.eventually("all frames", func() bool { return to.received(from.id) >= count*int(transports.Classes) })
				s.checkNumbered(to.from(from.id), count)
			}
		}
	}
	for _, r := range group {
		st := r.Stats()
		want := uint64(2 * count * int(transports.Classes))
		if st.SentFrames != want || st.ReceivedFrames != want || st.Dropped() != 0 || st.Writes == 0 || st.Connects != 2 || st.Refused != 0 {
			s.Errorf("replica %d: want %d frames sent and received, none dropped, some writes, 2 connects: %+v", r.id, want, st)
		}
	}
	var sent, received uint64
	for _, r := range group {
		sent, received = sent+r.Stats().SentBytes, received+r.Stats().ReceivedBytes
	}
	if sent != received {
		s.Errorf("%d bytes sent, %d received", sent, received)
	}
}

// more is a promise: the next frame follows without anything else having to happen.
func tellsOfMore(s *suite) {
	const count = 500
	group := s.group(s.network(), 2, transports.Config{})
	a, b := group[0], group[1]
	batches := 0
	for n := 0; n < count; {
		for range 1 + n%40 {
			if n < count {
				a.Send(b.id, transports.ClassAppend, nil, numbered(transports.ClassAppend, uint32(n), 100))
				n++
			}
		}
		a.Flush()
		batches++
		// Nothing more is under way: whatever said that another follows must have been followed.
		s.eventually("the batch", func() bool { return b.received(a.id) >= n })
		frames := b.from(a.id)
		if frames[n-1].more {
			s.Fatalf("frame %d, the last that was sent, said that another follows", n-1)
		}
	}
	frames := b.from(a.id)
	s.checkNumbered(frames, count)
	alone := 0
	for _, f := range frames {
		if !f.more {
			alone++
		}
	}
	if alone > count/2 {
		s.Errorf("%d of %d frames in %d batches came without telling of the next", alone, count, batches)
	}
}

func carriesUpToTheLimit(s *suite) {
	const limit = 3 << 20
	group := s.group(s.network(), 2, transports.Config{MaxFrameBytes: limit})
	for _, way := range [][2]*replica{{group[0], group[1]}, {group[1], group[0]}} {
		from, to := way[0], way[1]
		if from.Send(to.id, transports.ClassAppend, make([]byte, 1), make([]byte, limit)) {
			s.Errorf("a frame of %d bytes was accepted, want at most %d", limit+1, limit)
		}
		if st := from.Stats(); st.DroppedTooLarge != 1 || st.Dropped() != 1 || st.SentFrames != 0 {
			s.Errorf("after one frame too large: %+v", st)
		}
		sizes := []int{limit, 0, 1, limit - 1, 12, limit}
		for i, size := range sizes {
			b := bytes.Repeat([]byte{byte(i + 1)}, size)
			if !from.Send(to.id, transports.ClassAppend, b[:size/3], b[size/3:]) {
				s.Errorf("a frame of %d bytes was dropped: %+v", size, from.Stats())
			}
			from.Flush()
		}
		s.eventually("frames of all sizes", func() bool { return to.received(from.id) == len(sizes) })
		for i, f := range to.from(from.id) {
			if len(f.bytes) != sizes[i] || bytes.Count(f.bytes, []byte{byte(i + 1)}) != sizes[i] {
				s.Errorf("frame %d of %d bytes arrived as %d bytes, or changed", i, sizes[i], len(f.bytes))
			}
		}
	}
}

func dropsWithoutConnection(s *suite) {
	r := s.listen(s.network(), transports.Config{Self: 2})
	send := func(to raft.ID) {
		s.Helper()
		if r.Send(to, transports.ClassVote, []byte("is anybody"), []byte(" there?")) {
			s.Errorf("a frame to %d was accepted without a connection", to)
		}
		r.Flush()
	}
	send(1) // not started
	r.SetLink(1, false)
	r.SetLink(1, true)
	r.Start(map[raft.ID]string{1: "127.0.0.1:1", 2: r.Addr(), 3: "127.0.0.1:1"}, r.log)
	for to := range raft.ID(5) { // of whom 0 and 4 are nobody, 2 is itself, and 1 and 3 are not there
		send(to)
	}
	if st := r.Stats(); st.DroppedNoConnection != 6 || st.Dropped() != 6 || st.SentFrames != 0 {
		s.Errorf("after 6 frames to nobody: %+v", st)
	}
	if story := r.story(); len(story) != 0 {
		s.Errorf("the handler heard %q without a connection", story)
	}
}

// A peer that does not read costs frames, never the sender's time.
func neverBlocks(s *suite) {
	const size, outbox, most = 60_000, 1 << 20, 2000
	group := s.group(s.network(), 2, transports.Config{MaxFrameBytes: size, OutboxBytes: outbox})
	for _, way := range [][2]*replica{{group[0], group[1]}, {group[1], group[0]}} {
		from, to := way[0], way[1]
		to.block()
		before := from.Stats()
		done := make(chan int)
		go func() {
			body := make([]byte, size)
			attempts := 0
			for attempts < most && from.Stats().DroppedQueueFull-before.DroppedQueueFull < 20 {
				from.Send(to.id, transports.ClassAppend, nil, body)
				from.Flush()
				attempts++
			}
			done <- attempts
		}()
		var attempts int
		select {
		case attempts = <-done:
		case <-time.After(s.patience):
			to.release()
			<-done
			s.Fatalf("Send or Flush waited for a peer that does not read")
		}
		st := from.Stats()
		if st.DroppedQueueFull-before.DroppedQueueFull < 20 {
			s.Errorf("%d frames of %d bytes at a peer that does not read, and none dropped: %+v", attempts, size, st)
		}
		if sum := st.SentFrames + st.Dropped() - before.SentFrames - before.Dropped(); sum != uint64(attempts) {
			s.Errorf("%d frames sent or dropped, want %d: %+v", sum, attempts, st)
		}
		to.release()
		from.Flush()
		s.eventually("sent = received", func() bool { return to.Stats().ReceivedFrames == from.Stats().SentFrames })
		s.exchange(from, to)
	}
}

// A cut drops what goes one way, and nothing else. Neither it nor the healing is told.
func cutsAndHeals(s *suite) {
	group := s.group(s.network(), 3, transports.Config{})
	for _, way := range [][2]*replica{{group[0], group[1]}, {group[1], group[0]}} {
		from, to := way[0], way[1]
		before := from.Stats()
		from.SetLink(to.id, true) // it is
		from.SetLink(to.id, false)
		from.SetLink(to.id, false)
		if from.Send(to.id, transports.ClassHeartbeat, []byte("x"), nil) {
			s.Errorf("a frame for a cut link was accepted")
		}
		if st := from.Stats(); st.DroppedCut != before.DroppedCut+1 || st.SentFrames != before.SentFrames {
			s.Errorf("after one frame for a cut link: %+v", st)
		}
		n := from.received(to.id)
		to.Send(from.id, transports.ClassHeartbeat, []byte("back"), nil)
		to.Flush()
		s.eventually("frame against the cut", func() bool { return from.received(to.id) == n+1 })
		s.exchange(from, group[2])
		from.SetLink(to.id, true)
		s.exchange(from, to)
		for _, r := range way {
			if story := r.story(); len(story) != len(group)-1 {
				s.Errorf("cut and healed in silence, the handler of replica %d heard %q", r.id, story)
			}
		}
	}
}

// No connection is made across a link that is cut one way, whoever cuts it and whoever dials; when it is healed the two
// find each other.
func connectsOnceHealed(s *suite) {
	group := s.group(s.network(), 3, transports.Config{})
	for round, way := range [][2]int{{0, 1}, {1, 0}} {
		cutting, other := group[way[0]], group[way[1]]
		cutting.SetLink(other.id, false)
		ups := cutting.count(up(other.id))
		other.Close()
		s.eventually("Down", func() bool { return cutting.count(down(other.id)) == 1 })
		other = s.restart(other, group)
		group[way[1]] = other
		for n := range 3 { // long enough for an attempt
			s.eventually("Up elsewhere", func() bool { return other.count(up(3)) == n+1 })
			other.Reset(3)
		}
		if cutting.count(up(other.id)) != ups || other.count(up(cutting.id)) != 0 {
			s.Errorf("round %d: Up while the link is cut: %q and %q", round, cutting.story(), other.story())
		}
		cutting.SetLink(other.id, true)
		s.eventually("Up when healed", func() bool { return cutting.count(up(other.id)) == ups+1 && other.count(up(cutting.id)) == 1 })
		s.exchange(cutting, other)
	}

	// A replica that starts anew may find a link cut.
	a, b := group[0], group[1]
	ups, downs := a.count(up(b.id)), a.count(down(b.id))
	b.Close()
	s.eventually("Down", func() bool { return a.count(down(b.id)) == downs+1 })
	b = s.listen(b.network, b.cfg)
	b.SetLink(a.id, false)
	b.Start(addrs(group), b.log)
	s.eventually("Up elsewhere", func() bool { return b.count(up(3)) == 1 })
	if b.Send(a.id, transports.ClassVote, nil, nil) || b.count(up(a.id)) != 0 || a.count(up(b.id)) != ups {
		s.Errorf("a link that was cut before Start is open: %q and %q", a.story(), b.story())
	}
	b.SetLink(a.id, true)
	s.eventually("Up when healed", func() bool { return b.count(up(a.id)) == 1 && a.count(up(b.id)) == ups+1 })
	s.exchange(a, b)
}

// A reset breaks the connection for both; as long as the link is cut no other is made, and then both are told.
func resets(s *suite) {
	group := s.group(s.network(), 3, transports.Config{})
	for round, way := range [][2]*replica{{group[0], group[1]}, {group[1], group[0]}, {group[0], group[1]}} {
		from, to := way[0], way[1]
		heard := func(count func(r *replica, peer raft.ID) int) func() bool {
			return func() bool { return count(from, to.id) == round+1 && count(to, from.id) == round+1 }
		}
		from.SetLink(to.id, false)
		from.Reset(to.id)
		s.eventually("Down at both", heard(func(r *replica, peer raft.ID) int { return r.count(down(peer)) }))
		from.Reset(to.id) // there is none
		s.exchange(from, group[2])
		if ups := heard(func(r *replica, peer raft.ID) int { return r.count(up(peer)) }); !ups() {
			s.Errorf("a connection is made while the link is cut: %q and %q", from.story(), to.story())
		}
		from.SetLink(to.id, true)
		s.eventually("Up at both", heard(func(r *replica, peer raft.ID) int { return r.count(up(peer)) - 1 }))
		s.exchange(from, to)
	}
	// Without a cut they dial again at once.
	group[0].Reset(2)
	group[0].Reset(7) // nobody
	s.eventually("Up at both", func() bool { return group[0].count(up(2)) == 5 && group[1].count(up(1)) == 5 })
	s.exchange(group[0], group[1])
}

// restart opens a closed replica again at the address it had.
func (s *suite) restart(r *replica, group []*replica) *replica {
	s.Helper()
	again := s.listen(r.network, r.cfg)
	again.Start(addrs(group), again.log)
	return again
}

func reconnects(s *suite, crashing raft.ID) {
	group := s.group(s.network(), 3, transports.Config{})
	r, others := group[crashing-1], slices.Delete(slices.Clone(group), int(crashing-1), int(crashing))
	for round := 1; round <= 3; round++ {
		r.Close()
		for _, o := range others {
			s.eventually("Down", func() bool { return o.count(down(r.id)) == round })
			if o.Send(r.id, transports.ClassVote, []byte("x"), nil) {
				s.Errorf("a frame for a peer that is down was accepted")
			}
		}
		began := time.Now()
		r = s.restart(r, group)
		for _, o := range others {
			s.eventually("Up again", func() bool { return o.count(up(r.id)) == round+1 && r.count(up(o.id)) == 1 })
			s.exchange(o, r)
		}
		s.Logf("replica %d was reconnected after %v", r.id, time.Since(began).Round(time.Millisecond/10))
	}
	s.exchange(others[0], others[1])
	for _, o := range others {
		want := []string{up(r.id)}
		for range 3 {
			want = append(want, down(r.id), up(r.id))
		}
		got := slices.DeleteFunc(o.story(), func(e string) bool { return e != up(r.id) && e != down(r.id) })
		if !slices.Equal(got, want) {
			s.Errorf("replica %d heard %q of its peer, want %q", o.id, got, want)
		}
	}
}

// A link without traffic is not a dead peer. On a machine that is too busy a short timeout may break a healthy
// connection; a longer one then has to do.
func staysConnected(s *suite) {
	n := s.network()
	for _, idle := range []time.Duration{time.Second, 4 * time.Second, 16 * time.Second} {
		group := s.group(n, 2, transports.Config{IdleTimeout: idle})
		a, b := group[0], group[1]
		s.exchange(a, b)
		lost := func() bool { return a.count(down(b.id))+b.count(down(a.id)) > 0 }
		if !s.within(5*idle/2, lost) {
			s.exchange(a, b)
			return
		}
		s.Logf("an idle connection was given up, with an idle timeout of %v: %q, %q", idle, a.story(), b.story())
		a.Close()
		b.Close()
	}
	s.Fatalf("idle connections are given up")
}

// Whoever is not of the group, or not who was meant, is refused by one side or the other, and disturbs nobody.
func refusesStrangers(s *suite) {
	n := s.network()
	group := []*replica{s.listen(n, transports.Config{Self: 2}), s.listen(n, transports.Config{Self: 3})}
	for _, r := range group {
		r.Start(addrs(group), r.log)
	}
	strangers := []struct {
		name  string
		cfg   transports.Config
		peers map[raft.ID]string
	}{
		{"of another cluster", transports.Config{Self: 2, Cluster: cluster + 1}, map[raft.ID]string{3: group[1].Addr()}},
		{"who is no member", transports.Config{Self: 1}, map[raft.ID]string{3: group[1].Addr()}},
		{"who means another", transports.Config{Self: 2}, map[raft.ID]string{4: group[1].Addr()}},
	}
	for _, stranger := range strangers {
		r := s.listen(n, stranger.cfg)
		before := group[1].Stats().Refused
		r.Start(stranger.peers, r.log)
		s.eventually("refusal of one "+stranger.name, func() bool { return r.Stats().Refused > 0 && group[1].Stats().Refused > before })
		if w, ok := r.Transport.(transports.Warner); !ok || len(w.Warnings()) == 0 {
			s.Errorf("one %s does not know why it was refused", stranger.name)
		} else {
			s.Logf("one %s is told: %s", stranger.name, w.Warnings())
		}
		if st := r.Stats(); st.Connects != 0 || len(r.story()) != 0 {
			s.Errorf("one %s was let in: %q, %+v", stranger.name, r.story(), st)
		}
		r.Close()
	}
	s.eventually("the members' connection", func() bool { return group[0].count(up(3)) == 1 && group[1].count(up(2)) == 1 })
	s.exchange(group[0], group[1])
	if got := group[1].story(); !slices.Equal(got, []string{up(2)}) {
		s.Errorf("strangers were heard of: %q", got)
	}
}

// Bytes that make no sense end the connection that they came on, and no other.
func survivesGarbage(s *suite) {
	if s.traits.DialRaw == nil {
		s.Skip("there is no way to connect without the handshake")
	}
	group := s.group(s.network(), 2, transports.Config{MaxFrameBytes: 1 << 20, Handshake: time.Second})
	to := group[1]
	for _, garbage := range []struct {
		name    string
		bytes   []byte
		refused uint64
		lost    int // connections from replica 1
	}{
		{"nothing", nil, 0, 0},
		{"silence", nil, 1, 0}, // refused when the time for a handshake is over
		{"another protocol", []byte("GET / HTTP/1.1\r\n\r\n"), 1, 0},
		{"half a greeting", greeting(cluster, 1, 2)[:20], 0, 0},
		{"another cluster", greeting(cluster+1, 1, 2), 1, 0},
		// It pretends to be replica 1 and so takes its place, until its first frame.
		{"an oversized frame", append(greeting(cluster, 1, 2), 1, 0, 0x10, 0), 0, 1},
		{"half a frame", append(greeting(cluster, 1, 2), 10, 0, 0, 0, 'x'), 0, 1},
	} {
		before, downs := to.Stats(), to.count(down(1))
		c, err := s.traits.DialRaw(to.Addr())
		if err != nil {
			s.Fatalf("%s: %v", garbage.name, err)
		}
		c.Write(garbage.bytes)
		if garbage.name != "an oversized frame" && garbage.name != "silence" {
			c.(interface{ CloseWrite() error }).CloseWrite()
		}
		c.SetReadDeadline(time.Now().Add(s.patience))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			s.Errorf("%s: the connection was not closed", garbage.name)
		}
		c.Close()
		s.eventually(garbage.name+": refused", func() bool { return to.Stats().Refused == before.Refused+garbage.refused })
		if garbage.lost > 0 {
			s.eventually(garbage.name+": connections lost", func() bool { return to.count(down(1)) > downs })
		}
		// Where replica 1 lost its place it takes it again.
		s.eventually(garbage.name+": connected", func() bool {
			return to.count(up(1)) == to.count(down(1))+1 && group[0].count(up(2)) == group[0].count(down(2))+1
		})
		s.eventually(garbage.name+": frame", func() bool {
			n := to.received(1)
			group[0].Send(2, transports.ClassAppend, []byte("still here"), nil)
			group[0].Flush()
			return s.within(100*time.Millisecond, func() bool { return to.received(1) > n })
		})
	}
}

// greeting is a hello on the only stream of a connection.
func greeting(cluster, from, to uint64) []byte {
	b := append([]byte("RAFB"), 1, 0, 0, 1)
	b = binary.LittleEndian.AppendUint64(b, cluster)
	b = binary.LittleEndian.AppendUint64(b, from)
	return binary.LittleEndian.AppendUint64(b, to)
}

// Without certificates the number of the cluster is all that a stranger lacks to pass for a replica. Whatever it says, it
// does not learn that; nor anything else, unless it names the cluster.
func tellsStrangersNothing(s *suite) {
	if s.traits.DialRaw == nil {
		s.Skip("there is no way to connect without the handshake")
	}
	group := s.group(s.network(), 2, transports.Config{})
	to := group[1]
	version := greeting(cluster, 1, 2)
	version[4]++
	for _, hello := range []struct {
		name  string
		bytes []byte
		told  bool
	}{
		{"nothing", nil, false},
		{"another protocol", []byte("GET / HTTP/1.1\r\n\r\n"), false},
		{"another cluster", greeting(cluster+1, 1, 2), false},
		{"no cluster", greeting(0, 1, 2), false},
		{"another version", version, false},
		{"another addressee", greeting(cluster, 1, 3), true},
		{"no member", greeting(cluster, 9, 2), true},
	} {
		c, err := s.traits.DialRaw(to.Addr())
		if err != nil {
			s.Fatalf("%s: %v", hello.name, err)
		}
		c.Write(hello.bytes)
		c.(interface{ CloseWrite() error }).CloseWrite()
		c.SetReadDeadline(time.Now().Add(s.patience))
		answer, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.Errorf("%s: the connection was not closed", hello.name)
		}
		c.Close()
		if hello.told != (len(answer) > 0) {
			s.Errorf("%s: it is told %q, want anything: %v", hello.name, answer, hello.told)
		}
		secret := binary.LittleEndian.AppendUint64(nil, cluster)
		if bytes.Contains(answer, secret) || bytes.Contains(answer, fmt.Append(nil, "cluster ", cluster)) {
			s.Errorf("%s: it is told the cluster: %q", hello.name, answer)
		}
	}
	if got := to.story(); !slices.Equal(got, []string{up(1)}) {
		s.Errorf("strangers were heard of: %q", got)
	}
}

// Connections that say nothing do not add up, and keep no replica out.
func boundsStrangers(s *suite) {
	if s.traits.Knock == nil {
		s.Skip("there is no way to connect without a word")
	}
	// Only the bound closes connections here, not the time that a handshake may take.
	n, cfg := s.network(), transports.Config{Handshake: 10 * time.Minute}
	cfg.Self = 2
	to := s.listen(n, cfg)
	cfg.Self = 1
	from := s.listen(n, cfg)
	group := []*replica{from, to}
	to.Start(addrs(group), to.log)
	const more = 20
	silent := make([]net.Conn, transports.MaxStrangers+more)
	for i := range silent {
		c, err := s.traits.Knock(to.Addr())
		if err != nil {
			s.Fatalf("connection %d: %v", i+1, err)
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(s.patience))
		silent[i] = c
	}
	for i, c := range silent[:more] {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			s.Fatalf("silent connection %d of %d: %v, want it closed", i+1, len(silent), err)
		}
	}
	s.eventually("the rest is kept", func() bool { return to.Stats().Refused == more })
	from.Start(addrs(group), from.log)
	s.eventually("a replica's connection", func() bool { return from.count(up(2)) == 1 && to.count(up(1)) == 1 })
	s.exchange(from, to)
}

func closesCleanly(s *suite) {
	before := goleak.IgnoreCurrent()
	n, err := s.kind.Open()
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	group := s.group(n, 3, transports.Config{})
	s.exchange(group[0], group[2])
	unstarted := s.listen(n, transports.Config{Self: 9})
	for _, r := range append(group, unstarted) {
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := r.Close(); err != nil {
					s.Errorf("close %d: %v", r.id, err)
				}
			})
		}
		closers.Wait()
		heard := len(r.story())
		if r.Send(1, transports.ClassVote, nil, nil) || r.Send(3, transports.ClassVote, nil, nil) {
			s.Errorf("a closed endpoint accepted a frame")
		}
		r.Flush()
		r.SetLink(1, false)
		r.SetLink(1, true)
		if err := r.Close(); err != nil {
			s.Errorf("close %d again: %v", r.id, err)
		}
		if len(r.story()) != heard {
			s.Errorf("the handler was called after Close: %q", r.story())
		}
	}
	if err := n.Close(); err != nil {
		s.Errorf("close network: %v", err)
	}
	if err := goleak.Find(before); err != nil {
		s.Errorf("closed, but %v", err)
	}
}

// Everything at once, for the race detector, and for deadlocks.
func isSafe(s *suite) {
	n := s.network()
	for range 3 {
		group := s.group(n, 3, transports.Config{OutboxBytes: 1 << 16, MaxFrameBytes: 1 << 12})
		stop := make(chan struct{})
		var workers sync.WaitGroup
		for _, r := range group {
			for class := range transports.Classes {
				workers.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						r.Send(raft.ID(i%4), class, make([]byte, i%50), make([]byte, i%4000))
						if i%5 == 0 {
							r.Flush()
						}
						if i%100 == 0 {
							r.SetLink(raft.ID(i/100%4), i/100%3 > 0)
							r.Stats()
						}
					}
				})
			}
		}
		for _, r := range group {
			s.eventually("frames", func() bool { return min(r.Stats().SentFrames, r.Stats().ReceivedFrames) > 100 })
		}
		for _, r := range group {
			r.Close()
		}
		close(stop)
		workers.Wait()
	}
}

func allocatesNothing(s *suite) {
	if !s.traits.NoAllocs {
		s.Skip("it need not")
	}
	group := s.group(s.network(), 2, transports.Config{})
	a, b := group[0], group[1]
	arrived := make(chan struct{}, 1)
	b.filter = func(raft.ID, frame) bool {
		arrived <- struct{}{}
		return false
	}
	head, body := make([]byte, 50), [][]byte{make([]byte, 70), make([]byte, 30)}
	allocs := testing.AllocsPerRun(1000, func() {
		a.Send(b.id, transports.ClassAppend, head, body...)
		a.Flush()
		<-arrived
	})
	if allocs >= 1 {
		s.Errorf("%v allocations to send and receive a frame, want less than 1", allocs)
	}
}
