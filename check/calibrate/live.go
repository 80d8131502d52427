package calibrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
)

// Live runs groups over each of the transports on the wall clock and the same in virtual time, and puts the two side by
// side: expected is what the simulation says, measured what the live group did.
//
// The simulation is told two figures of the machine. Half the round trip of frames between two endpoints, without Raft
// above them, is the delay of its links. Its CPU cost of a message is a fifth of what a single client's commit over mem
// takes beyond that round trip, since five are handled one after the other on its way. So that commit over mem agrees by
// construction; everything else does not: commits over other transports and of many clients, what timers, gates and
// searches make of the two figures.
//
// The tolerances: counts must be equal; what a timer dominates, to a twentieth and a millisecond; what depends on the
// machine's speed alone, to half the value, since the simulation knows nothing of cores, caches and schedulers. None is
// more than half the value, or no figure could be off. What many clients see over QUIC is told but not judged: QUIC
// encrypts and acknowledges in this process, and what that takes of a core, the simulation has as delay, in which any
// number of frames are under way at once.
//
// A machine that is busy with something else is no place for it. It takes about two minutes.
func Live(ctx context.Context, kinds []transports.Kind) ([]Row, error) {
	bare, err := roundTrip(ctx, mem.Kind())
	if err != nil {
		return nil, err
	}
	alone, err := onWall(mem.Kind(), experiment{strategy: "fast-signal-commit", clients: 1, duration: 300 * time.Millisecond}).run(ctx)
	if err != nil {
		return nil, err
	}
	commit := time.Duration(median(alone, p50) * float64(time.Millisecond))
	cpu := max(0, commit-bare) / 5
	var rows []Row
	for _, kind := range kinds {
		some, err := liveOver(ctx, kind, cpu)
		rows = append(rows, some...)
		if err != nil {
			return rows, fmt.Errorf("over %s: %w", kind.Name, err)
		}
	}
	return rows, nil
}

// p50 rather than a mean, which a stall of the machine that has nothing to do with the group decides.
func p50(t *results.Trial) float64 { return ms(t.Latency.Quantile(0.5)) }

// onWall makes an experiment one over a transport, on the wall clock.
func onWall(kind transports.Kind, e experiment) experiment {
	e.transport, e.repeat, e.seed = kind.Name, 3, 1
	e.open = func(_ string, cfg cluster.Config) (cluster.Cluster, error) {
		return live.New(live.Config{Config: cfg, Transport: kind})
	}
	return e
}

// pair is one experiment on both clocks.
type pair struct {
	experiment
	figures []figure
}

// figure is one value of a trial, and how far the two clocks may differ: by a share of the simulated value, and on top.
type figure struct {
	what, unit   string
	of           func(*results.Trial) float64
	share, onTop float64
	lacks        string // Row.Lacks
}

// mostShare caps every tolerance: with as much as the expected value itself, anything from nothing up would pass.
const mostShare = 0.5

func (f figure) tolerance(expected float64) float64 {
	return min(f.share*expected+f.onTop, mostShare*expected)
}

func liveOver(ctx context.Context, kind transports.Kind, cpu time.Duration) ([]Row, error) {
	bare, err := roundTrip(ctx, kind)
	if err != nil {
		return nil, err
	}
	micros := func(t *results.Trial) float64 { return 1000 * p50(t) }
	timed := func(what string) []figure { return []figure{{what + ", p50", "ms", p50, 0.05, 1, ""}} }
	rounds := []figure{
		{"probe rounds", "rounds", func(t *results.Trial) float64 { return float64(t.CatchUp.ProbeRounds) }, 0, 0, ""},
		{"rejections", "rejections", func(t *results.Trial) float64 { return float64(t.CatchUp.Rejections) }, 0, 0, ""},
	}
	userSpace := ""
	if strings.HasPrefix(kind.Name, "quic") {
		userSpace = "the simulation has QUIC's work on a frame as delay, not as work of a core"
	}
	conflict := map[string]string{"diverge-terms": "4", "diverge-entries": "40", "diverge-common": "100"}
	pairs := []pair{
		{experiment{strategy: "fast-signal-commit", clients: 1, duration: 300 * time.Millisecond}, []figure{
			{"1 client, p50", "µs", micros, 0.5, 0, ""},
			{"1 client, entries sent", "/commit", func(t *results.Trial) float64 { return float64(t.Cost.EntriesSent) / float64(t.Cost.Commits) }, 0.05, 0, ""},
		}},
		{experiment{strategy: "fast-loop", perSecond: golden(0, heartbeat), duration: 3 * time.Second}, timed("Send rides with the heartbeat")},
		{experiment{strategy: "fast,commit=every(10ms)", perSecond: golden(0, 10*time.Millisecond), duration: 2 * time.Second}, timed("Commit every 10 ms")},
		{experiment{strategy: "fast-signal", scenario: "diverge", perSecond: 50, params: conflict}, rounds},
		{experiment{strategy: "linear-signal", scenario: "diverge", perSecond: 50, params: conflict}, rounds},
		{experiment{strategy: "fast-signal-commit", clients: 16, duration: 300 * time.Millisecond}, []figure{{"16 clients, p50", "µs", micros, 0.5, 0, userSpace}}},
	}
	var rows []Row
	for _, p := range pairs {
		here, err := onWall(kind, p.experiment).run(ctx)
		if err != nil {
			return rows, err
		}
		there := onWall(kind, p.experiment)
		there.virtual, there.links, there.cpu = true, everywhere(sim.Link{Delay: bare / 2}), cpu
		simulated, err := there.run(ctx)
		if err != nil {
			return rows, err
		}
		for _, f := range p.figures {
			expected := median(simulated, f.of)
			rows = append(rows, Row{
				What: fmt.Sprintf("%s: %s", p.strategy, f.what), Unit: f.unit,
				Rule:     fmt.Sprintf("over %s, as simulated with a round trip of %v and %v of CPU a message", kind.Name, bare, cpu),
				Expected: expected, Measured: median(here, f.of), Tolerance: f.tolerance(expected), Lacks: f.lacks,
			})
		}
	}
	return rows, nil
}

func median(trials []results.Trial, of func(*results.Trial) float64) float64 {
	var values []float64
	for i := range trials {
		values = append(values, of(&trials[i]))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// Sizes of what a commit of 128 bytes sends: a request with its entry and the answer.
const requestBytes, replyBytes = 45 + raft.EntryOverhead + 128, 82

// roundTrip measures how long a frame to another endpoint and one back take, the median of many.
func roundTrip(ctx context.Context, kind transports.Kind) (time.Duration, error) {
	network, err := kind.Open()
	if err != nil {
		return 0, err
	}
	defer network.Close()
	up := make(chan struct{}, 2)
	back := make(chan struct{}, 1)
	var ends [2]transports.Transport
	addrs := map[raft.ID]string{}
	for i := range ends {
		end, err := network.Endpoint(transports.Config{Cluster: 1, Self: raft.ID(i + 1), Listen: "127.0.0.1:0"})
		if err != nil {
			return 0, err
		}
		defer end.Close()
		ends[i], addrs[raft.ID(i+1)] = end, end.Addr()
	}
	reply := make([]byte, replyBytes)
	ends[1].Start(addrs, handler{up: up, receive: func() {
		ends[1].Send(1, transports.ClassAppend, reply)
		ends[1].Flush()
	}})
	ends[0].Start(addrs, handler{up: up, receive: func() { back <- struct{}{} }})
	patience, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("two endpoints cannot reach each other"))
	defer cancel()
	for range 2 {
		select {
		case <-up:
		case <-patience.Done():
			return 0, context.Cause(patience)
		}
	}
	const warmUp, rounds = 500, 3000
	request := make([]byte, requestBytes)
	var took []time.Duration
	for i := range warmUp + rounds {
		start := time.Now()
		ends[0].Send(2, transports.ClassAppend, request)
		ends[0].Flush()
		select {
		case <-back:
		case <-patience.Done():
			return 0, context.Cause(patience)
		}
		if i >= warmUp {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// handler is one end of a round trip.
type handler struct {
	up      chan<- struct{}
	receive func()
}

func (h handler) Receive(raft.ID, []byte, bool) { h.receive() }
func (h handler) Down(raft.ID)                  {}
func (h handler) Up(raft.ID) {
	select {
	case h.up <- struct{}{}:
	default:
	}
}
