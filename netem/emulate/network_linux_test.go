package emulate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/netem/emulate"
)

// open makes a network with the same link everywhere, or skips the test where the system lacks what that needs.
func open(t testing.TB, cfg emulate.Config, l netem.Link) *emulate.Network {
	t.Helper()
	cfg.Links = func(int, int) netem.Link { return l }
	n, err := emulate.New(cfg)
	if errors.Is(err, emulate.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// pair connects two hosts by TCP.
func pair(t testing.TB, n *emulate.Network, from, to int) (dialled, accepted net.Conn) {
	t.Helper()
	l, err := n.Host(to).Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialled, err = n.Host(from).Dial(t.Context(), "tcp", l.Addr().(*net.TCPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled, accepted
}

func TestTCP(t *testing.T) {
	const delay = 5 * time.Millisecond
	n := open(t, emulate.Config{Hosts: 3, MinRTO: 20 * time.Millisecond}, netem.Link{Delay: delay})
	one, other := pair(t, n, 0, 2)
	if from := other.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from != n.Host(0).Addr() {
		t.Errorf("a connection of %v comes from %v", n.Host(0).Addr(), from)
	}
	began := time.Now()
	go io.Copy(other, other)
	want := bytes.Repeat([]byte("across"), 10_000)
	go one.Write(want)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(one, got); err != nil || !bytes.Equal(got, want) {
		t.Error(err, bytes.Equal(got, want))
	}
	if took := time.Since(began); took < 2*delay-time.Millisecond { // early by at most 0.5 ms each way
		t.Errorf("an echo over %v each way took %v", delay, took)
	}
	s := n.Stats()
	if s.Delivered == 0 || s.Unasked() != 0 || s.Lost != 0 || s.Delivered > s.Sent || n.Lateness().Count() == 0 {
		t.Errorf("%+v", s)
	}
	if i := n.Info(); i.Backend != "tun" || i.CongestionControl != "cubic" || i.MinRTO != 20*time.Millisecond {
		t.Errorf("%+v", i)
	}
	raw, err := one.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if control, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); control != "cubic" {
			t.Errorf("the socket's congestion control is %q, %v", control, err)
		}
	})
}

// Datagrams are lost as often as the link says, and a kernel loses none besides.
func TestUDPLoss(t *testing.T) {
	const count, loss = 5000, 0.1
	n := open(t, emulate.Config{Hosts: 2, Seed: 1}, netem.Link{Delay: 100 * time.Microsecond, Loss: loss})
	to, err := n.Host(1).ListenPacket(0)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	from, err := n.Host(0).Dial(t.Context(), "udp", to.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to.SetReadBuffer(4 << 20)
	for i := range count {
		if _, err := fmt.Fprint(from, i); err != nil {
			t.Fatal(err)
		}
	}
	// Two hosts make no other packets, so all that arrive are known once all have been sent.
	var s emulate.Stats
	for s = n.Stats(); s.Delivered+s.Lost < count; s = n.Stats() {
		to.SetReadDeadline(time.Now().Add(time.Millisecond))
		to.Read(make([]byte, 100))
	}
	if lost := float64(s.Lost); math.Abs(lost-count*loss) > 5*math.Sqrt(count*loss*(1-loss)) || s.Unasked() != 0 || s.Sent != count {
		t.Errorf("%+v", s)
	}
}

// Cuts are directed and silent, and healing restores the link that was there.
func TestCuts(t *testing.T) {
	link := netem.Link{Delay: 200 * time.Microsecond}
	n := open(t, emulate.Config{Hosts: 3}, link)
	sockets := make([]*net.UDPConn, 3)
	for i := range sockets {
		var err error
		if sockets[i], err = n.Host(i).ListenPacket(0); err != nil {
			t.Fatal(err)
		}
		defer sockets[i].Close()
	}
	// reach tells who hears whom: one datagram from each to each, and the counts say when all have met their fate.
	reach := func() string {
		before := n.Stats()
		for from, s := range sockets {
			for to, other := range sockets {
				if from != to {
					if _, err := s.WriteToUDPAddrPort([]byte{byte(from)}, other.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		arrived := uint64(0)
		for s := n.Stats(); ; s = n.Stats() {
			if arrived = s.Delivered - before.Delivered; arrived+s.Cut-before.Cut >= 6 {
				break
			}
			runtime.Gosched()
		}
		var list []string
		packet := make([]byte, 10)
		for range arrived {
			for to, s := range sockets {
				s.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, err := s.Read(packet); err == nil {
					list = append(list, fmt.Sprintf("%d>%d", packet[0], to))
				}
			}
		}
		return fmt.Sprint(len(list), " ", strings.Join(list, " "))
	}
	has := func(what, got string, arrive int, directions ...string) {
		t.Helper()
		for _, d := range directions {
			if !strings.Contains(got, d) {
				t.Errorf("%s: only %s", what, got)
			}
		}
		if !strings.HasPrefix(got, fmt.Sprint(arrive, " ")) {
			t.Errorf("%s: %s", what, got)
		}
	}
	has("whole", reach(), 6)
	n.Cut(0, 1, true)
	has("one way", reach(), 5, "1>0", "0>2", "2>0", "1>2", "2>1")
	n.Partition([]int{0, 1})
	has("partition", reach(), 2, "0>1", "1>0")
	n.Heal()
	n.Isolate(1)
	has("isolated", reach(), 2, "0>2", "2>0")
	n.Heal()
	has("healed", reach(), 6)
	if l := n.Link(0, 1); l != link {
		t.Errorf("%+v", l)
	}
	link.Down = true
	if err := n.SetLink(2, 0, link); err != nil {
		t.Fatal(err)
	}
	n.Heal()
	has("down", reach(), 5, "0>2")
	if n.SetLink(0, 1, netem.Link{Loss: 1}) == nil {
		t.Error("a loss of 1 is accepted")
	}
}

// The process's own threads stay where they are.
func TestThreadsComeHome(t *testing.T) {
	n := open(t, emulate.Config{Hosts: 2}, netem.Link{})
	var home unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &home); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		done := make(chan bool)
		for range 8 {
			go func() {
				n.Host(1).In(func() error { return nil })
				var now unix.Stat_t
				if err := unix.Stat("/proc/thread-self/ns/net", &now); err != nil || now.Ino != home.Ino {
					t.Errorf("a thread is in namespace %d, not %d: %v", now.Ino, home.Ino, err)
				}
				done <- true
			}()
		}
		for range 8 {
			<-done
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		var now unix.Stat_t
		if err := unix.Stat("/proc/self/task/"+thread.Name()+"/ns/net", &now); err == nil && now.Ino != home.Ino {
			t.Errorf("thread %s is in namespace %d, not %d", thread.Name(), now.Ino, home.Ino)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []emulate.Config{{Hosts: 1}, {Hosts: 201}, {Hosts: 2, MTU: 100}, {Hosts: 2, MinRTO: -1},
		{Hosts: 2, Links: func(int, int) netem.Link { return netem.Link{Delay: -1} }}} {
		if _, err := emulate.New(c); err == nil || errors.Is(err, emulate.ErrUnavailable) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	open(t, emulate.Config{Hosts: 2}, netem.Link{}) // or it is skipped
	_, err := emulate.New(emulate.Config{Hosts: 2, CongestionControl: "vegan"})
	if !errors.Is(err, emulate.ErrUnavailable) || !strings.Contains(err.Error(), "cubic") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

// A connection attempt to a host behind a cut ends with its context.
func TestDialBehindACut(t *testing.T) {
	n := open(t, emulate.Config{Hosts: 2}, netem.Link{})
	n.Isolate(1)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := n.Host(0).Dial(ctx, "tcp", netip.AddrPortFrom(n.Host(1).Addr(), 9)); err == nil || ctx.Err() == nil {
		t.Error(err)
	}
}
