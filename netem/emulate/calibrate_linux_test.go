package emulate_test

import (
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/netem/emulate"
)

// Calibration judges the wall clock, so it is asked for, on a machine that does nothing else:
//
//	go test ./netem/emulate -run Calibrate -calibrate -v
var calibrate = flag.Bool("calibrate", false, "measure whether emulated links are what they are asked to be: needs a quiet machine")

// pingTimes returns n round trips of a datagram between hosts 0 and 1, sorted.
func pingTimes(t testing.TB, network *emulate.Network, n int) []time.Duration {
	echo, err := network.Host(1).ListenPacket(0)
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		packet := make([]byte, 256)
		for {
			n, from, err := echo.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			echo.WriteToUDPAddrPort(packet[:n], from)
		}
	}()
	c, err := network.Host(0).Dial(t.Context(), "udp", echo.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var took []time.Duration
	packet := make([]byte, 256)
	for i := range n + n/5 {
		began := time.Now()
		if _, err := c.Write(packet); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(packet); err != nil {
			t.Fatal(err)
		}
		if i >= n/5 { // by then the switch knows how late its timer is
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return took
}

// Round trips are within 2 % and 50 us of what was asked, at the median.
func TestCalibrateDelay(t *testing.T) {
	if !*calibrate {
		t.Skip("it judges the wall clock: ask for it with -calibrate")
	}
	for _, rtt := range []time.Duration{200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond,
		10 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond} {
		n := open(t, emulate.Config{Hosts: 2}, netem.Link{Delay: rtt / 2})
		took := pingTimes(t, n, int(min(1000, 5*time.Second/rtt)))
		p50 := took[len(took)/2]
		t.Logf("asked %8v: p50 %v (off by %v), p90 %v, p99 %v; switch late p50 %v, p99 %v", rtt, p50, p50-rtt, took[len(took)*9/10],
			took[len(took)*99/100], n.Lateness().Quantile(0.5), n.Lateness().Quantile(0.99))
		if off := (p50 - rtt).Abs(); off > rtt/50+50*time.Microsecond {
			t.Errorf("a round trip of %v is one of %v", rtt, p50)
		}
	}
}

// transfer sends so many bytes from host 0 to host 1 by TCP and returns how long the last part of them took to arrive.
func transfer(t testing.TB, n *emulate.Network, first, last int64) time.Duration {
	from, to := pair(t, n, 0, 1)
	defer from.Close()
	go io.CopyN(from, zeros{}, first+last)
	if _, err := io.CopyN(io.Discard, to, first); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := io.CopyN(io.Discard, to, last); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// A rate limit is reached within 2 %, headers counted, and not exceeded.
func TestCalibrateRate(t *testing.T) {
	if !*calibrate {
		t.Skip("it judges the wall clock: ask for it with -calibrate")
	}
	for _, rate := range []uint64{10e6, 100e6, 500e6} {
		n := open(t, emulate.Config{Hosts: 2}, netem.Link{Delay: time.Millisecond, Rate: rate, QueueBytes: 1 << 20})
		took := transfer(t, n, int64(rate/8), int64(rate/8)*3) // a second to open the window
		goodput := float64(rate) * 3 / took.Seconds()
		t.Logf("asked %v Mbit/s: %.2f of payload (ideal %.2f), %+v", rate/1e6, goodput/1e6, float64(rate)/1e6*1448/1500, n.Stats())
		if ideal := float64(rate) * 1448 / 1500; math.Abs(goodput-ideal) > 0.02*ideal {
			t.Errorf("a link of %d bit/s carries %.0f of payload, want %.0f", rate, goodput, ideal)
		}
	}
}

// How many packets a second the switch moves, of small datagrams, from one host to another.
func BenchmarkPackets(b *testing.B) {
	n := open(b, emulate.Config{Hosts: 2}, netem.Link{Delay: time.Millisecond})
	to, err := n.Host(1).ListenPacket(0)
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	from, err := n.Host(0).Dial(b.Context(), "udp", to.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	packet := make([]byte, 100)
	b.ReportAllocs()
	const window = 4000 // the kernel keeps 10,000 for the switch
	sent := uint64(0)
	for b.Loop() {
		from.Write(packet)
		for sent++; sent%window == 0 && n.Stats().Delivered < sent; {
			runtime.Gosched()
		}
	}
	s := n.Stats()
	b.ReportMetric(float64(s.Delivered)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(s.Unasked()), "lost-unasked")
}

// How many bytes a second pass through one TCP connection, for each delay.
func BenchmarkTransfer(b *testing.B) {
	for _, delay := range []time.Duration{0, time.Millisecond} {
		b.Run(fmt.Sprint(delay), func(b *testing.B) {
			n := open(b, emulate.Config{Hosts: 2}, netem.Link{Delay: delay})
			const size = 64 << 20
			b.SetBytes(size)
			for b.Loop() {
				transfer(b, n, 0, size)
			}
			s := n.Stats()
			b.ReportMetric(float64(s.Delivered)/b.Elapsed().Seconds(), "packets/s")
			b.ReportMetric(float64(s.Unasked()), "lost-unasked")
		})
	}
}
