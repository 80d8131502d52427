package calibrate

import (
	"context"
	"time"

	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// oneWay is the delay of every link, if an experiment has no others.
const oneWay = 25 * time.Millisecond

func everywhere(l sim.Link) func(from, to raft.ID) sim.Link {
	return func(raft.ID, raft.ID) sim.Link { return l }
}

// known is an experiment in virtual time whose figures arithmetic knows.
type known struct {
	experiment
	expect func(t *results.Trial) []Row
}

// golden is a period of proposals that meets a period P at moments which are spread as evenly as can be: P times
// 1 + 1/φ, where φ is the golden ratio, or any other whole number in the place of the 1.
func golden(times int, p time.Duration) (perSecond float64) {
	return 1 / ((float64(times) + 0.6180339887498949) * p.Seconds())
}

// knowns is the table of what is known.
func knowns() []known {
	const beat, period = 100 * time.Millisecond, 40 * time.Millisecond
	unequal := func(from, to raft.ID) sim.Link {
		way := []time.Duration{0, 0, 10, 20, 40, 80} // from replica 1, milliseconds
		return sim.Link{Delay: max(way[from], way[to]) * time.Millisecond}
	}
	exactly := func(what, rule string, expected time.Duration) func(*results.Trial) []Row {
		return func(t *results.Trial) []Row {
			return []Row{
				{What: what + ": p50", Rule: rule, Unit: "ms", Expected: ms(expected), Measured: ms(t.Latency.Quantile(0.5))},
				{What: what + ": slowest", Rule: rule, Unit: "ms", Expected: ms(expected), Measured: ms(t.Latency.Max())},
			}
		}
	}
	mean := func(what, rule string, expected, tolerance time.Duration) func(*results.Trial) []Row {
		return func(t *results.Trial) []Row {
			return []Row{{What: what + ": mean", Rule: rule, Unit: "ms", Expected: ms(expected), Tolerance: ms(tolerance), Measured: ms(t.Latency.Mean())}}
		}
	}
	announce := func(what, rule string, expected, tolerance time.Duration) func(*results.Trial) []Row {
		return func(t *results.Trial) []Row {
			return []Row{{What: what, Rule: rule, Unit: "ms", Expected: ms(expected), Tolerance: ms(tolerance), Measured: ms(t.Stages[results.StageAnnounce].Mean())}}
		}
	}
	little := func(clients int, what string) func(*results.Trial) []Row {
		return func(t *results.Trial) []Row {
			return []Row{{What: what, Rule: "Little's law: clients = throughput x mean latency", Unit: "clients", Expected: float64(clients),
				Tolerance: 0.01 * float64(clients), Measured: t.ThroughputPerSec * t.Latency.Mean().Seconds()}}
		}
	}
	closed := func(strategy string, nodes, clients int) experiment {
		return experiment{strategy: strategy, nodes: nodes, clients: clients, duration: 20 * time.Second, links: everywhere(sim.Link{Delay: oneWay})}
	}
	open := func(strategy string, perSecond float64) experiment {
		e := closed(strategy, 3, 0)
		e.perSecond, e.duration = perSecond, 1000*time.Second
		return e
	}
	disk, slow, busy, jitter := closed("fast-signal-commit", 3, 1), closed("fast-signal-commit", 5, 1), open("fast-signal-commit", 10), closed("eager", 3, 64)
	disk.disk = sim.Disk{Sync: 10 * time.Millisecond}
	slow.links = unequal
	busy.cpu, busy.duration = 100*time.Microsecond, 100*time.Second
	jitter.links = everywhere(sim.Link{Delay: oneWay, Jitter: 5 * time.Millisecond, Distribution: netem.Normal})
	overTCP := closed("fast-signal-commit", 3, 1)
	overTCP.transport = "tcp"
	rejoin := func(strategy, what, rule string, rounds int) known {
		e := experiment{strategy: strategy, scenario: "diverge", links: everywhere(sim.Link{Delay: oneWay}), perSecond: 20,
			params: map[string]string{"diverge-terms": "4", "diverge-entries": "40", "diverge-common": "100"}}
		return known{e, func(t *results.Trial) []Row {
			return []Row{
				{What: what + ": probe rounds", Rule: rule, Unit: "rounds", Expected: float64(rounds), Measured: float64(t.CatchUp.ProbeRounds)},
				{What: what + ": finding the place", Rule: "each round is a round trip", Unit: "ms", Expected: float64(rounds) * ms(2*oneWay), Measured: ms(t.CatchUp.Probe)},
			}
		}}
	}
	return []known{
		{closed("eager", 3, 1), exactly("one way 25 ms, eager", "there and back", 2*oneWay)},
		{closed("fast-signal-commit", 3, 1), exactly("one way 25 ms, fast-signal-commit", "there and back", 2*oneWay)},
		{overTCP, exactly("one way 25 ms, over tcp", "without loss as over mem", 2*oneWay)},
		{slow, exactly("five replicas, 10, 20, 40 and 80 ms away", "the round trip to the second-nearest follower", 40*time.Millisecond)},
		{disk, exactly("a disk that syncs in 10 ms", "there, the follower's sync, and back; the leader's own is done by then", 2*oneWay+10*time.Millisecond)},
		{busy, func(t *results.Trial) []Row {
			return []Row{{What: "0.1 ms of CPU a message: fastest", Rule: "there and back, and on the way the proposal, the request and the answer handled and two of them sent",
				Unit: "ms", Expected: ms(2*oneWay + 500*time.Microsecond), Measured: ms(t.Latency.Min())}}
		}},
		{open("fast,send=ride", golden(0, beat)), mean("Send rides with the heartbeat H = 100 ms", "H/2 on top, in the mean", beat/2+2*oneWay, 500*time.Microsecond)},
		{open("fast,commit=every(40ms)", golden(1, period)), mean("Commit every P = 40 ms", "P/2 on top, in the mean", period/2+2*oneWay, 500*time.Microsecond)},
		{open("fast,apply=every(40ms)", golden(1, period)), mean("Apply every P = 40 ms", "P/2 on top, in the mean", period/2+2*oneWay, 500*time.Microsecond)},
		{open("eager", 10), announce("Announce now: followers know after", "one way", oneWay, 0)},
		{open("fast-signal-commit", golden(10, beat)), announce("Announce rides, few proposals: followers know after, mean", "H/2 for the heartbeat, and one way", beat/2+oneWay, 500*time.Microsecond)},
		{closed("fast-signal-commit", 3, 1), func(t *results.Trial) []Row {
			return []Row{{What: "Announce rides, one client: followers know after, p50", Rule: "in a closed loop the next proposal follows at once and takes the news along: one way; to a histogram's resolution",
				Unit: "ms", Expected: ms(oneWay), Tolerance: ms(oneWay) / 1000, Measured: ms(t.Stages[results.StageAnnounce].Quantile(0.5))}}
		}},
		{closed("eager", 3, 64), little(64, "64 clients in a closed loop")},
		{jitter, little(64, "64 clients, with jitter")},
		rejoin("fast-signal-commit", "fast, 40 entries of 4 terms conflict", "one for each conflicting term, and one that succeeds", 5),
		rejoin("linear-signal", "linear, 40 entries of 4 terms conflict", "one for each conflicting entry, and one that succeeds", 41),
	}
}

// Virtual runs everything that is known in virtual time: some seconds of computing. An error means that an experiment
// could not be run, not that a figure is off: that, Row.OK says.
func Virtual(ctx context.Context) ([]Row, error) {
	var rows []Row
	for i, k := range knowns() {
		k.virtual, k.seed = true, uint64(i+1)
		trials, err := k.run(ctx)
		if err != nil {
			return rows, err
		}
		for t := range trials {
			rows = append(rows, k.expect(&trials[t])...)
		}
	}
	return rows, nil
}
