package sim_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

const (
	beats   = transports.ClassHeartbeat
	appends = transports.ClassAppend
	votes   = transports.ClassVote
)

func TestDelay(t *testing.T) {
	for _, name := range sim.Transports() {
		w := newWorld(t, 2, sim.Config{Transport: name, Links: all(sim.Link{Delay: 10 * time.Millisecond})})
		w.sendAt(0, appends, 100)
		w.sendAt(3*time.Millisecond, beats, 100)
		w.run(time.Second)
		w.arrived(note{ms(10), 1}, note{ms(13), 2})
	}
}

// A frame that is lost and has none behind it waits for the timer, and for twice as long if it is lost again.
func TestRetransmissionTimeout(t *testing.T) {
	for _, c := range []struct {
		transport   string
		once, twice float64 // milliseconds
	}{
		// RTT 20 ms, RTTVAR 10 ms. TCP: 20 + max(40, 200) = 220; then 440 later. There: 10 ms.
		{"tcp", 220 + 10, 220 + 440 + 10},
		{"tcp+tls", 220 + 10, 220 + 440 + 10},
		// QUIC: 20 + max(40, 1) + 25 = 85; then 170 later.
		{"quic", 85 + 10, 85 + 170 + 10},
		{"quic-1stream", 85 + 10, 85 + 170 + 10},
	} {
		link := sim.Link{Delay: 10 * time.Millisecond}
		down := link
		down.Down = true
		for _, twice := range []bool{false, true} {
			w := newWorld(t, 2, sim.Config{Transport: c.transport, Links: all(link)})
			w.set(1, 2, down)
			w.sendAt(0, appends, 100)
			want := c.once
			up := 5 * time.Millisecond
			if twice {
				up, want = 225*time.Millisecond, c.twice
				if c.transport[0] == 'q' {
					up = 90 * time.Millisecond
				}
			}
			w.at(up, func() { w.set(1, 2, link) })
			w.run(time.Second)
			w.arrived(note{ms(want), 1})
		}
	}
}

func (w *world) set(from, to raft.ID, l sim.Link) {
	w.Helper()
	if err := w.SetLink(from, to, l); err != nil {
		w.Fatal(err)
	}
}

// loseFirst makes a group whose first frame, sent at 0, is lost.
func loseFirst(t *testing.T, transport string) *world {
	link := sim.Link{Delay: 10 * time.Millisecond}
	down := link
	down.Down = true
	w := newWorld(t, 2, sim.Config{Transport: transport, Links: all(link)})
	w.set(1, 2, down)
	w.sendAt(0, appends, 100)
	w.at(500*time.Microsecond, func() { w.set(1, 2, link) })
	return w
}

// The third later frame's acknowledgement makes the sender repeat what is missing; all that came after waited for it.
func TestFastRetransmit(t *testing.T) {
	w := loseFirst(t, "tcp")
	for i := range 4 {
		w.sendAt(time.Duration(i+1)*time.Millisecond, appends, 100)
	}
	w.run(time.Second)
	// The third goes out at 3, its acknowledgement is back at 23, and the lost frame arrives 10 later.
	w.arrived(note{ms(33), 1}, note{ms(33), 2}, note{ms(33), 3}, note{ms(33), 4}, note{ms(33), 5})
}

// With a single later frame the lost one is given up when it has been on its way for a little more than a round trip.
func TestTimeThreshold(t *testing.T) {
	for transport, want := range map[string]float64{"tcp": 20*5./4 + 10, "quic": 20*9./8 + 10} {
		w := loseFirst(t, transport)
		w.sendAt(time.Millisecond, appends, 100)
		w.run(time.Second)
		w.arrived(note{ms(want), 1}, note{ms(want), 2})
	}
}

// The timer follows the round trip that is measured: after many at 200 ms it is 200 + max(4*0, 200).
func TestTimerFollowsRoundTrip(t *testing.T) {
	link := sim.Link{Delay: 10 * time.Millisecond}
	slow := sim.Link{Delay: 100 * time.Millisecond}
	down := slow
	down.Down = true
	w := newWorld(t, 2, sim.Config{Transport: "tcp", Links: all(link)})
	w.set(1, 2, slow)
	w.set(2, 1, slow)
	for i := range 100 {
		w.sendAt(time.Duration(i)*time.Second, appends, 100)
	}
	w.at(100*time.Second, func() { w.set(1, 2, down) })
	w.sendAt(100*time.Second, appends, 100)
	w.at(100*time.Second+time.Millisecond, func() { w.set(1, 2, slow) })
	w.run(time.Hour)
	got := w.probes[2].got
	if last := got[len(got)-1]; len(got) != 101 || last.number != 101 || last.at.Sub(ms(100_500)).Abs() > time.Millisecond {
		t.Fatalf("%d frames, the last %v", len(got), got[len(got)-1])
	}
}

// Head-of-line blocking: in TCP everything waits for a lost frame, in QUIC only what is in its stream.
func TestHeadOfLineBlocking(t *testing.T) {
	const late = 20*9./8 + 10
	for transport, want := range map[string][]note{
		"tcp":          {{ms(35), 1}, {ms(35), 2}, {ms(35), 3}},
		"quic-1stream": {{ms(late), 1}, {ms(late), 2}, {ms(late), 3}},
		"quic":         {{ms(11), 2}, {ms(late), 1}, {ms(late), 3}},
		"datagram":     {{ms(11), 2}, {ms(12), 3}},
	} {
		w := loseFirst(t, transport)
		w.sendAt(time.Millisecond, votes, 100)
		w.sendAt(2*time.Millisecond, appends, 100)
		w.run(time.Second)
		t.Log(transport)
		w.arrived(want...)
	}
}

// 1,250 bytes take 10 ms at 1 Mbit/s: each frame leaves when those before it have.
func TestRate(t *testing.T) {
	link := sim.Link{Delay: 5 * time.Millisecond, Rate: 1_000_000}
	for _, name := range sim.Transports() {
		w := newWorld(t, 2, sim.Config{Transport: name, Links: all(link)})
		for range 3 {
			w.sendAt(0, appends, 1250)
		}
		w.sendAt(100*time.Millisecond, appends, 125)
		w.run(time.Second)
		w.arrived(note{ms(15), 1}, note{ms(25), 2}, note{ms(35), 3}, note{ms(106), 4})
	}
	// A rate that does not divide: 100 bytes at 3 bit/ns are 266.67 ns, rounded up.
	w := newWorld(t, 2, sim.Config{Transport: "mem", Links: all(sim.Link{Rate: 3_000_000_000})})
	w.sendAt(0, appends, 100)
	w.run(time.Second)
	w.arrived(note{267, 1})
}

// A queue of 2,500 bytes holds two of these frames, the one that is being sent included.
func TestQueueLimit(t *testing.T) {
	link := sim.Link{Delay: 5 * time.Millisecond, Rate: 1_000_000, QueueBytes: 2500}
	w := newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(link)})
	for range 3 {
		w.sendAt(0, appends, 1250)
	}
	w.sendAt(10*time.Millisecond, appends, 1250) // the first has left
	w.run(time.Second)
	w.arrived(note{ms(15), 1}, note{ms(25), 2}, note{ms(35), 4})
	if n := w.Counters().Dropped; n != 1 {
		t.Fatalf("%d dropped", n)
	}
}

func TestSilentCutDropsAndTellsNobody(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Transport: "tcp", Links: all(sim.Link{Delay: 10 * time.Millisecond})})
	w.sendAt(0, appends, 100)
	w.at(time.Millisecond, func() { w.Cut(1, 2, cluster.SilentCut) }) // what is on its way arrives
	w.sendAt(2*time.Millisecond, appends, 100)
	w.at(3*time.Millisecond, func() { w.Heal(1, 2); w.Heal(1, 2); w.Heal(2, 1) })
	w.sendAt(4*time.Millisecond, appends, 100)
	w.run(time.Second)
	w.arrived(note{ms(10), 1}, note{ms(14), 3})
	if got := slices.Concat(w.probes[1].ups, w.probes[2].ups); len(got) != 0 {
		t.Fatalf("told of %v", got)
	}
}

// A reset breaks the connection, with all that is on it. It is made again at the first attempt after the healing, of which
// there is one every 50 to 100 ms, and both ends are told.
func TestResetCutTellsOfTheNewConnection(t *testing.T) {
	for transport, handshake := range map[string]float64{"mem": 0, "tcp": 20, "quic": 20} {
		w := newWorld(t, 3, sim.Config{Transport: transport, Links: all(sim.Link{Delay: 10 * time.Millisecond})})
		w.sendAt(0, appends, 100)
		w.at(time.Millisecond, func() { w.Cut(2, 1, cluster.ResetCut); w.Cut(2, 1, cluster.ResetCut) }) // from either end
		w.sendAt(2*time.Millisecond, appends, 100)
		w.at(500*time.Millisecond, func() { w.Heal(1, 2); w.Heal(2, 1); w.Heal(2, 1) })
		w.sendAt(501*time.Millisecond, appends, 100)
		w.sendAt(700*time.Millisecond, appends, 100)
		w.run(time.Second)
		w.arrived(note{ms(710), 4})
		one, two := w.probes[1].ups, w.probes[2].ups
		if len(one) != 1 || len(two) != 1 || one[0] != (note{two[0].at, 2}) || two[0].number != 1 {
			t.Fatalf("%s: told of %v and %v", transport, one, two)
		}
		if at := one[0].at; at <= ms(500) || at > ms(500+100+handshake) {
			t.Fatalf("%s: connected again at %v", transport, at)
		}
	}
	// Datagrams have no connection that could break.
	w := newWorld(t, 3, sim.Config{Transport: "datagram", Links: all(sim.Link{Delay: 10 * time.Millisecond})})
	w.sendAt(0, appends, 100)
	w.at(time.Millisecond, func() { w.Cut(1, 2, cluster.ResetCut) })
	w.at(2*time.Millisecond, func() { w.Heal(1, 2) })
	w.sendAt(3*time.Millisecond, appends, 100)
	w.run(time.Second)
	w.arrived(note{ms(10), 1}, note{ms(13), 2})
}

// Whatever the kind of cut, no connection is made across it: a replica that restarts meanwhile connects afterwards.
func TestNoConnectionAcrossACut(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Transport: "tcp", Links: all(sim.Link{Delay: 10 * time.Millisecond})})
	w.at(time.Millisecond, func() {
		w.Cut(2, 1, cluster.SilentCut)
		w.Crash(2)
		if err := w.Restart(2); err != nil {
			t.Error(err)
		}
	})
	w.at(time.Second, func() { w.Heal(2, 1) })
	w.run(2 * time.Second)
	if got := w.probes[1].ups; len(got) != 1 || got[0].at <= ms(1000) || got[0].at > ms(1120) {
		t.Fatalf("told of %v", got)
	}
}

// A crash breaks connections with all that is on them; a restart makes them anew, with a handshake.
func TestCrashBreaksConnections(t *testing.T) {
	for transport, handshake := range map[string]float64{"mem": 0, "tcp": 20, "tcp+tls": 40, "quic": 20} {
		w := newWorld(t, 3, sim.Config{Transport: transport, Links: all(sim.Link{Delay: 10 * time.Millisecond})})
		w.sendAt(0, appends, 100)
		w.at(5*time.Millisecond, func() { w.Crash(2) })
		w.sendAt(6*time.Millisecond, appends, 100)
		w.at(8*time.Millisecond, func() {
			if err := w.Restart(2); err != nil {
				t.Error(err)
			}
		})
		w.sendAt(50*time.Millisecond, appends, 100)
		w.run(time.Second)
		w.arrived(note{ms(60), 3})
		up := ms(8 + handshake)
		if got := w.probes[1].ups; len(got) != 1 || got[0] != (note{up, 2}) {
			t.Fatalf("%s: replica 1 was told of %v", transport, got)
		}
		if got := w.probes[2].ups; len(got) != 2 || got[0] != (note{up, 1}) || got[1] != (note{up, 3}) {
			t.Fatalf("%s: replica 2 was told of %v", transport, got)
		}
		if n := w.Counters().Dropped; n != 2 {
			t.Fatalf("%s: %d dropped", transport, n)
		}
	}
}

// A datagram outlives the crash of whom it is for.
func TestDatagramsOutliveACrash(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(sim.Link{Delay: 10 * time.Millisecond})})
	w.sendAt(0, appends, 100)
	w.at(time.Millisecond, func() { w.Crash(2) })
	w.at(2*time.Millisecond, func() { _ = w.Restart(2) })
	w.run(time.Second)
	w.arrived(note{ms(10), 1})
}

// A connection on which nothing gets through for too long is given up, and made anew once it can be.
func TestConnectionIsGivenUp(t *testing.T) {
	link := sim.Link{Delay: 10 * time.Millisecond}
	down := link
	down.Down = true
	w := newWorld(t, 2, sim.Config{Transport: "quic", Links: all(link)})
	w.set(1, 2, down)
	w.sendAt(0, appends, 100)
	w.at(10*time.Second, func() { w.set(1, 2, link) })
	w.sendAt(11*time.Second, appends, 100)
	w.run(20 * time.Second)
	w.arrived(note{ms(11010), 2})
	if got := w.probes[1].ups; len(got) != 1 || got[0].at < ms(10000) || got[0].at > ms(10200) {
		t.Fatalf("told of %v", got)
	}
}

// In the long run: how many are lost, in bursts of which length, and what that does to a stream.
func TestLoss(t *testing.T) {
	const n = 50_000
	for _, burst := range []float64{0, 5} {
		w := newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(sim.Link{Loss: 0.02, LossBurst: burst})})
		for i := range n {
			w.sendAt(time.Duration(i)*time.Microsecond, appends, 100)
		}
		w.run(time.Second)
		got := w.probes[2].got
		lost := n - len(got)
		if share := float64(lost) / n; math.Abs(share-0.02) > 0.003 {
			t.Errorf("burst %v: %.4f lost", burst, share)
		}
		gaps := 0
		for i := 1; i < len(got); i++ {
			if got[i].number != got[i-1].number+1 {
				gaps++
			}
		}
		want := max(1/(1-0.02), burst)
		if mean := float64(lost) / float64(gaps); math.Abs(mean-want) > 0.1*want {
			t.Errorf("%.2f lost in a row, want %.2f", mean, want)
		}
	}
	for _, transport := range []string{"tcp", "quic", "mem"} {
		w := newWorld(t, 2, sim.Config{Transport: transport, Links: all(sim.Link{Delay: time.Millisecond, Loss: 0.2, LossBurst: 3})})
		for i := range 2000 {
			w.sendAt(time.Duration(i)*100*time.Microsecond, transports.Class(i%3), 5000)
		}
		w.run(time.Minute)
		if got := w.probes[2].got; len(got) != 2000 {
			t.Errorf("%s: %d of 2000 frames arrived", transport, len(got))
		}
	}
}

// Frames of one class arrive in order over a stream, whatever the link does.
func TestStreamsKeepOrder(t *testing.T) {
	for _, transport := range []string{"mem", "tcp", "quic"} {
		w := newWorld(t, 2, sim.Config{Transport: transport, Links: all(sim.Link{Delay: time.Millisecond, Jitter: 2 * time.Millisecond,
			Distribution: netem.Pareto, Loss: 0.05, Reorder: 0.2, Duplicate: 0.2})})
		for i := range 3000 {
			w.sendAt(time.Duration(i)*50*time.Microsecond, appends, 100)
		}
		w.run(time.Minute)
		for i, n := range w.probes[2].got {
			if n.number != i+1 {
				t.Fatalf("%s: frame %d arrived in place %d", transport, n.number, i+1)
			}
		}
	}
}

func TestDuplicatesAndReordering(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(sim.Link{Delay: time.Millisecond, Duplicate: 0.1})})
	for i := range 10_000 {
		w.sendAt(time.Duration(i)*10*time.Microsecond, appends, 100)
	}
	w.run(time.Second)
	if n := len(w.probes[2].got); n < 10_800 || n > 11_200 {
		t.Errorf("%d of 10,000 frames arrived with one in ten sent twice", n)
	}
	w = newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(sim.Link{Delay: time.Millisecond, Jitter: 500 * time.Microsecond, Reorder: 0.1, ReorderBy: 3 * time.Millisecond})})
	for i := range 10_000 {
		w.sendAt(time.Duration(i)*100*time.Microsecond, appends, 100)
	}
	w.run(2 * time.Second)
	overtaken, highest := 0, 0
	for _, n := range w.probes[2].got {
		if n.number < highest {
			overtaken++
		}
		highest = max(highest, n.number)
	}
	if overtaken < 800 || overtaken > 1150 {
		t.Errorf("%d of 10,000 frames were overtaken with a chance of 0.1", overtaken)
	}
}

// The distributions have the shapes that their comments promise.
func TestJitter(t *testing.T) {
	const n = 50_000
	for _, c := range []struct {
		of              netem.Distribution
		mean, deviation float64 // ms; 0: not checked
		least, most     float64
		share, above    float64 // this share of all is above
	}{
		{netem.Uniform, 10, 2 / math.Sqrt(3), 8, 12, 0.25, 11},
		{netem.Normal, 10, 2, 0, 22, 0.0228, 14},
		{netem.Pareto, 12, 0, 10, 2010, 0.01, 28},
	} {
		// Each frame travels alone, or the order that is kept would show.
		w := newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(sim.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Distribution: c.of})})
		for i := range n {
			w.sendAt(time.Duration(i)*3*time.Second, appends, 100)
		}
		w.run(n * 3 * time.Second)
		var sum, square, above float64
		least, most := math.Inf(1), 0.0
		for i, got := range w.probes[2].got {
			d := float64(got.at-raft.Time(i)*raft.Time(3*time.Second)) / 1e6
			sum += d
			square += d * d
			least, most = min(least, d), max(most, d)
			if d > c.above {
				above++
			}
		}
		mean := sum / n
		deviation := math.Sqrt(square/n - mean*mean)
		if math.Abs(mean-c.mean) > 0.1 || c.deviation != 0 && math.Abs(deviation-c.deviation) > 0.03 || least < c.least || most > c.most ||
			math.Abs(above/n-c.share) > 0.03*c.share+0.002 {
			t.Errorf("%v: mean %.3f, deviation %.3f, %.2f to %.2f, %.5f above %v", c.of, mean, deviation, least, most, above/n, c.above)
		}
	}
}

func TestLinkCheck(t *testing.T) {
	for _, l := range []sim.Link{
		{Delay: -1}, {Jitter: -1}, {Loss: 1}, {Loss: -0.1}, {Loss: math.NaN()}, {LossBurst: -1}, {Duplicate: 1.1}, {Reorder: -1},
		{ReorderBy: -1}, {QueueBytes: -1}, {Distribution: 3},
	} {
		if l.Check() == nil {
			t.Errorf("%+v is accepted", l)
		}
		if _, err := sim.New(sim.Config{Links: all(l)}); err == nil {
			t.Errorf("a group with links of %+v is made", l)
		}
	}
	lan := netem.LAN()
	if err := lan.Check(); err != nil {
		t.Error(err)
	}
}

// A UDP datagram over IPv4 carries 65,507 bytes, and a larger frame is dropped at once.
func TestTooLargeForADatagram(t *testing.T) {
	w := newWorld(t, 2, sim.Config{Transport: "datagram", Links: all(sim.Link{Delay: time.Millisecond})})
	w.sendAt(0, appends, 65_507)
	w.sendAt(0, appends, 65_508)
	w.sendAt(time.Millisecond, appends, 100)
	w.run(time.Second)
	w.arrived(note{ms(1), 1}, note{ms(2), 3})
	if n := w.Counters().Dropped; n != 1 {
		t.Errorf("%d frames dropped, want 1", n)
	}
	if most := sim.MaxPayload("datagram"); most <= 60_000 || most >= 65_507 || sim.MaxPayload("tcp") != 0 {
		t.Errorf("entries of up to %d bytes travel over datagram, of up to %d over tcp", most, sim.MaxPayload("tcp"))
	}
}
