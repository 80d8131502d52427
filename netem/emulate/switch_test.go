package emulate

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a switch of two hosts in a time of its own. Host 1 gets what host 0 sends.
type bench struct {
	*fabric
	t       testing.TB
	time    raft.Time
	to      *egress
	arrived []arrival
}

type arrival struct {
	at     raft.Time
	number int
}

// port is the device of a host of a bench.
type port struct{ b *bench }

func (p port) Read([]byte) (int, error) { return 0, io.EOF }
func (p port) Close() error             { return nil }

func (p port) Write(packet []byte) (int, error) {
	p.b.arrived = append(p.b.arrived, arrival{p.b.time, int(binary.BigEndian.Uint32(packet[20:]))})
	return len(packet), nil
}

func newBench(t testing.TB, l netem.Link) *bench {
	b := &bench{t: t}
	b.fabric = newFabric([]device{port{b}, port{b}}, 1500, 1, func() raft.Time { return b.time })
	t.Cleanup(b.close)
	b.to = b.egress[1]
	b.to.early = 0
	b.to.setLink(0, l)
	return b
}

// packetOf makes a packet of so many bytes for a host.
func packetOf(to, number, size int) []byte {
	packet := make([]byte, size)
	packet[0] = 4<<4 | 5
	binary.BigEndian.PutUint32(packet[16:], subnet|uint32(to+1))
	binary.BigEndian.PutUint32(packet[20:], uint32(number))
	return packet
}

// sendAt lets host 0 send a packet.
func (b *bench) sendAt(at raft.Time, number, size int) {
	b.runTo(at)
	b.accept(0, packetOf(1, number, size))
}

// runTo lets the timer of host 1's egress fire, each time exactly when it is set for.
func (b *bench) runTo(at raft.Time) {
	for b.to.armed != 0 && b.to.armed <= at {
		b.time = b.to.armed
		b.to.wake(b.time)
		b.to.early = 0
	}
	b.time = at
}

const ms = raft.Time(time.Millisecond)

// run lets everything arrive.
func (b *bench) run() { b.runTo(math.MaxInt64) }

func (b *bench) want(want ...arrival) {
	b.t.Helper()
	b.run()
	if fmt.Sprint(b.arrived) != fmt.Sprint(want) {
		b.t.Errorf("arrived %v, want %v", b.arrived, want)
	}
}

func TestDelay(t *testing.T) {
	b := newBench(t, netem.Link{Delay: 10 * time.Millisecond})
	b.sendAt(0, 1, 100)
	b.sendAt(0, 2, 1500)
	b.sendAt(3*ms, 3, 100)
	b.want(arrival{10 * ms, 1}, arrival{10 * ms, 2}, arrival{13 * ms, 3})
}

// Without a delay a packet is written at once, and not copied.
func TestNoDelay(t *testing.T) {
	b := newBench(t, netem.Link{})
	b.sendAt(5*ms, 1, 100)
	if len(b.arrived) != 1 || b.arrived[0].at != 5*ms {
		t.Error(b.arrived)
	}
	if len(b.to.free) != 0 {
		t.Error("it was copied")
	}
}

// A packet that becomes due while a link gets faster does not overtake those before it on a link that keeps order.
func TestOrderIsKept(t *testing.T) {
	b := newBench(t, netem.Link{Delay: 10 * time.Millisecond})
	b.sendAt(0, 1, 100)
	b.to.setLink(0, netem.Link{})
	b.sendAt(1*ms, 2, 100)
	b.want(arrival{10 * ms, 1}, arrival{10 * ms, 2})

	// Nor does one that is due at once overtake those that are due and wait for a late timer.
	b = newBench(t, netem.Link{Delay: 10 * time.Millisecond})
	b.sendAt(0, 1, 100)
	b.sendAt(0, 2, 100)
	b.to.setLink(0, netem.Link{})
	b.time = 11 * ms
	b.accept(0, packetOf(1, 3, 100))
	b.want(arrival{11 * ms, 1}, arrival{11 * ms, 2}, arrival{11 * ms, 3})

	b = newBench(t, netem.Link{Delay: 5 * time.Millisecond, Jitter: 4 * time.Millisecond})
	for i := range 1000 {
		b.sendAt(raft.Time(i)*ms/10, i, 100)
	}
	b.run()
	least, most := 10*ms, 0*ms
	for i, a := range b.arrived {
		if a.number != i {
			t.Fatalf("packet %d is the %dth to arrive", a.number, i)
		}
		least, most = min(least, a.at-raft.Time(i)*ms/10), max(most, a.at-raft.Time(i)*ms/10)
	}
	if least < 1*ms || most > 9*ms || most-least < 2*ms || len(b.arrived) != 1000 {
		t.Errorf("%d arrived after %v to %v", len(b.arrived), least, most)
	}
}

// within reports whether k of n is believable for a chance of p: within 5 standard deviations.
func within(k, n int, p float64) bool {
	return math.Abs(float64(k)-float64(n)*p) <= 5*math.Sqrt(float64(n)*p*(1-p))
}

func TestLoss(t *testing.T) {
	const n = 30_000
	for _, burst := range []float64{0, 4} {
		b := newBench(t, netem.Link{Delay: time.Millisecond, Loss: 0.02, LossBurst: burst})
		for i := range n {
			b.sendAt(raft.Time(i), i, 100)
		}
		b.run()
		lost, runs, next := n-len(b.arrived), 0, 0
		for _, a := range b.arrived {
			if a.number != next {
				runs++
			}
			next = a.number + 1
		}
		if want := int(b.to.stats.Lost); want != lost {
			t.Errorf("%d are missing, %d were counted", lost, want)
		}
		// Bursts make the number of losses vary more: by some 2 x burst times the variance.
		if burst == 0 && !within(lost, n, 0.02) || math.Abs(float64(lost)-n*0.02) > 5*math.Sqrt(n*0.02*2*(burst+1)) {
			t.Errorf("burst %v: %d of %d lost", burst, lost, n)
		}
		if mean := float64(lost) / float64(runs); math.Abs(mean-max(burst, 1)) > 0.1*max(burst, 1) {
			t.Errorf("burst %v: %.2f lost in a row", burst, mean)
		}
	}
}

func TestRate(t *testing.T) {
	b := newBench(t, netem.Link{Delay: 5 * time.Millisecond, Rate: 8e6}) // a byte a microsecond
	b.sendAt(0, 1, 1000)
	b.sendAt(0, 2, 1000)
	b.sendAt(10*ms, 3, 500)
	b.want(arrival{6 * ms, 1}, arrival{7 * ms, 2}, arrival{15*ms + ms/2, 3})
}

func TestQueue(t *testing.T) {
	b := newBench(t, netem.Link{Rate: 8e6, QueueBytes: 2500})
	for i := range 4 {
		b.sendAt(0, i, 1000) // the third finds 2,000 bytes and is dropped, as is the fourth
	}
	b.sendAt(1*ms, 4, 1000) // the first has left
	b.want(arrival{1 * ms, 0}, arrival{2 * ms, 1}, arrival{3 * ms, 4})
	if n := b.to.stats.QueueDrops; n != 2 {
		t.Errorf("%d drops, want 2", n)
	}
}

func TestDuplicateAndReorder(t *testing.T) {
	const n = 20_000
	b := newBench(t, netem.Link{Delay: time.Millisecond, Duplicate: 0.1, Reorder: 0.05, ReorderBy: 3 * time.Millisecond})
	for i := range n {
		b.sendAt(raft.Time(i)*ms/2, i, 100)
	}
	b.run()
	if extra := len(b.arrived) - n; !within(extra, n, 0.1) || extra != int(b.to.stats.Duplicated) {
		t.Errorf("%d of %d came twice, %d were counted", extra, n, b.to.stats.Duplicated)
	}
	seen, late, highest := map[int]bool{}, 0, -1
	for _, a := range b.arrived {
		if a.number < highest && !seen[a.number] {
			late++
		}
		seen[a.number] = true
		highest = max(highest, a.number)
	}
	// Of those that are held back, a sixth is held for less than the half millisecond until the next packet; and a copy
	// may hide that one was overtaken.
	if held := int(b.to.stats.HeldBack); !within(held, n, 0.05) || late > held || late < held/2 || len(seen) != n {
		t.Errorf("%d held back, %d overtaken, %d packets", held, late, len(seen))
	}
}

func TestDownAndCut(t *testing.T) {
	b := newBench(t, netem.Link{Delay: time.Millisecond})
	b.sendAt(0, 1, 100)
	b.to.setCut(0, true)
	b.sendAt(ms/2, 2, 100)
	b.to.setCut(0, false)
	b.sendAt(ms, 3, 100)
	b.to.setLink(0, netem.Link{Down: true})
	b.sendAt(2*ms, 4, 100)
	b.want(arrival{1 * ms, 1}, arrival{2 * ms, 3}) // what is on its way arrives
	if n := b.to.stats.Cut; n != 2 {
		t.Errorf("%d packets cut, want 2", n)
	}
}

// What is late is recorded, and the timer is set as much earlier as it is late in the median.
func TestLateTimer(t *testing.T) {
	b := newBench(t, netem.Link{Delay: 10 * time.Millisecond})
	b.to.early = earlyFirst
	const late = 100 * time.Microsecond
	for i := range 200 {
		b.sendAt(raft.Time(i)*20*ms, i, 100)
		b.time = b.to.armed.Add(late)
		b.to.wake(b.time)
	}
	for i, a := range b.arrived {
		off := a.at.Sub(raft.Time(i)*20*ms + 10*ms)
		if i == 0 && off != late-earlyFirst || i > 100 && off.Abs() > 2*earlyStep {
			t.Errorf("packet %d is off by %v", i, off)
		}
	}
	if l := b.to.late; l.Count() != 200 || l.Quantile(1) < late-earlyFirst || l.Quantile(1) > (late-earlyFirst)*9/8 {
		t.Errorf("%d packets, at most %v late", l.Count(), l.Quantile(1))
	}
}

func TestLatenessQuantiles(t *testing.T) {
	var l Lateness
	if l.Quantile(0.99) != 0 {
		t.Error("of nothing")
	}
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Microsecond)
	}
	l.add(-time.Second)
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := l.Quantile(q); got < want || got > want*9/8 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, 1, 7, 8, 9, 15, 16, 1000, time.Second, time.Hour} {
		if b := bucketOf(d); most(b) < d && d < time.Hour || b > 0 && most(b-1) >= d {
			t.Errorf("%v is in a bucket up to %v", d, most(b))
		}
	}
}

func TestStrayPackets(t *testing.T) {
	b := newBench(t, netem.Link{})
	elsewhere := packetOf(1, 1, 40)
	elsewhere[16] = 192
	for _, packet := range [][]byte{
		{}, make([]byte, 40), {0x45}, packetOf(0, 1, 40), packetOf(2, 1, 40), packetOf(254, 1, 40), packetOf(-1, 1, 40),
		append([]byte{0x60}, packetOf(1, 1, 40)[1:]...), elsewhere,
	} {
		b.accept(0, packet)
	}
	if n := b.stray.Load(); n != 9 || len(b.arrived) != 0 {
		t.Errorf("%d stray, arrived %v", n, b.arrived)
	}
}

// A held packet is copied into a buffer that is used again.
func TestNoAllocation(t *testing.T) {
	b := newBench(t, netem.Link{Delay: time.Millisecond, Jitter: 100 * time.Microsecond, Loss: 0.01, Rate: 1e9, Duplicate: 0.01, Reorder: 0.01})
	packet := packetOf(1, 1, 1500)
	step := func() {
		b.arrived = b.arrived[:0]
		b.runTo(b.time + ms/20)
		b.accept(0, packet)
	}
	for range 1000 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkEngine(b *testing.B) {
	bench := newBench(b, netem.Link{Delay: time.Millisecond, Jitter: 100 * time.Microsecond, Loss: 0.01})
	packet := packetOf(1, 1, 1500)
	b.ReportAllocs()
	b.SetBytes(1500)
	for b.Loop() {
		bench.arrived = bench.arrived[:0]
		bench.runTo(bench.time + ms/200)
		bench.accept(0, packet)
	}
}
