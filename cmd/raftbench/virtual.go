package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
)

// The clocks.
const (
	clockWall    = "wall"
	clockVirtual = "virtual"
)

// virtualCategory is the category of the flags that shape a simulated network, disk and CPU.
const virtualCategory = "virtual time"

func virtualFlags() []cli.Flag {
	lan := netem.LAN()
	return []cli.Flag{
		&cli.StringFlag{Category: virtualCategory, Name: "topology", Usage: "round trips between regions, which replicas take in order: " + strings.Join(netem.Topologies(), ", ") + ", or a CSV file"},
		&cli.DurationFlag{Category: virtualCategory, Name: "delay", Value: lan.Delay, Usage: "one way, between any two replicas"},
		&cli.DurationFlag{Category: virtualCategory, Name: "jitter", Usage: "how much delays vary"},
		&cli.StringFlag{Category: virtualCategory, Name: "jitter-distribution", Value: netem.Uniform.String(), Usage: "how they vary: " + strings.Join(netem.Distributions, ", ")},
		&cli.StringFlag{Category: virtualCategory, Name: "loss", Value: "0%", Usage: "packets lost"},
		&cli.Float64Flag{Category: virtualCategory, Name: "loss-burst", DefaultText: "each by itself", Usage: "packets lost in a row, in the mean"},
		&cli.StringFlag{Category: virtualCategory, Name: "duplicate", Value: "0%", Usage: "frames that arrive twice, over " + datagram},
		&cli.StringFlag{Category: virtualCategory, Name: "reorder", Value: "0%", Usage: "frames that are overtaken"},
		&cli.StringFlag{Category: virtualCategory, Name: "rate-limit", DefaultText: "none", Usage: "of each link, such as 100Mbit"},
		&cli.DurationFlag{Category: virtualCategory, Name: "disk-write", Usage: "to write one save"},
		&cli.DurationFlag{Category: virtualCategory, Name: "disk-sync", Usage: "to sync what was written"},
		&cli.DurationFlag{Category: virtualCategory, Name: "cpu-per-message", Usage: "for each message that a replica receives or sends, and each proposal"},
	}
}

// virtual is what --clock virtual runs on.
type virtual struct {
	topology *netem.Topology // nil: the same delay everywhere
	link     sim.Link
	disk     sim.Disk
	cpu      time.Duration
}

// virtualOf reads the flags. It returns nil for the wall clock.
func virtualOf(c *cli.Context) (*virtual, error) {
	switch clock := c.String("clock"); clock {
	case clockVirtual:
	case clockWall:
		for _, f := range virtualFlags() {
			if name := f.Names()[0]; c.IsSet(name) {
				return nil, usage("--%s is for --clock virtual: on the wall clock the network and the disk are what they are", name)
			}
		}
		for _, k := range virtualTransports {
			if slices.Contains(transportsAsked(c), k.name) {
				return nil, usage("--transport: %s is for --clock virtual: on the wall clock there are %s", k.name, strings.Join(transportNames(), ", "))
			}
		}
		return nil, nil
	default:
		return nil, usage("--clock: %s", nearest.Unknown("clock", clock, []string{clockWall, clockVirtual}))
	}
	if c.IsSet("port") {
		return nil, usage("--port is for --clock wall: virtual time needs no sockets")
	}
	v := &virtual{cpu: c.Duration("cpu-per-message")}
	if v.cpu < 0 {
		return nil, usage("--cpu-per-message is %v: want 0 or more", v.cpu)
	}
	for _, name := range []string{"delay", "jitter", "disk-write", "disk-sync"} {
		if d := c.Duration(name); d < 0 {
			return nil, usage("--%s is %v: want 0s or more", name, d)
		}
	}
	v.link.Delay, v.link.Jitter, v.link.LossBurst = c.Duration("delay"), c.Duration("jitter"), c.Float64("loss-burst")
	v.disk.Write, v.disk.Sync = c.Duration("disk-write"), c.Duration("disk-sync")
	var err error
	if name := c.String("topology"); name != "" {
		if c.IsSet("delay") {
			return nil, usage("--delay and --topology exclude each other: a topology has the delays")
		}
		if v.topology, err = netem.LoadTopology(name); err != nil {
			return nil, usage("--topology: %v", err)
		}
	}
	for name, value := range map[string]*float64{"loss": &v.link.Loss, "duplicate": &v.link.Duplicate, "reorder": &v.link.Reorder} {
		if *value, err = chance(c.String(name)); err != nil {
			return nil, usage("--%s: %v", name, err)
		}
	}
	name := c.String("jitter-distribution")
	known := false
	for d, other := range netem.Distributions {
		if name == other {
			v.link.Distribution, known = netem.Distribution(d), true
		}
	}
	if !known {
		return nil, usage("--jitter-distribution: %s", nearest.Unknown("distribution", name, netem.Distributions))
	}
	if text := c.String("rate-limit"); text != "" {
		if v.link.Rate, err = bitRate(text); err != nil {
			return nil, usage("--rate-limit: %v", err)
		}
	}
	if err := v.idle(c); err != nil {
		return nil, err
	}
	if err := v.link.Check(); err != nil {
		return nil, usage("%v", err)
	}
	if err := v.disk.Check(); err != nil {
		return nil, usage("%v", err)
	}
	return v, nil
}

// idle refuses what is out of range, and flags that would change nothing: a user who gives one expects that it does.
func (v *virtual) idle(c *cli.Context) error {
	l := &v.link
	switch {
	case l.Loss == 1:
		return usage("--loss is %s: want less than 100%%: nothing gets through a link that loses all", c.String("loss"))
	case !(l.LossBurst >= 0 && l.LossBurst <= netem.MaxLossBurst):
		return usage("--loss-burst is %g: want 1 to %g packets in a row, or 0 for each by itself", l.LossBurst, float64(netem.MaxLossBurst))
	case l.LossBurst > 0 && l.Loss == 0:
		return usage("--loss-burst is %g, but nothing is lost: give --loss, such as --loss 1%%", l.LossBurst)
	case l.Distribution != netem.Uniform && l.Jitter == 0:
		return usage("--jitter-distribution is %v, but delays do not vary: give --jitter, such as --jitter 1ms", l.Distribution)
	case (l.Loss > 0 || l.Reorder > 0) && !slices.ContainsFunc(transportsAsked(c), func(name string) bool { return name != "mem" }):
		return usage("--loss and --reorder are %s and %s, but over mem nothing is lost or overtaken: give another --transport, such as tcp", c.String("loss"), c.String("reorder"))
	case l.Duplicate > 0 && !slices.Contains(transportsAsked(c), datagram):
		return usage("--duplicate is %s, but over %s each frame arrives once: add --transport %s", c.String("duplicate"), c.String("transport"), datagram)
	}
	return nil
}

// transportsAsked returns what --transport names, known or not.
func transportsAsked(c *cli.Context) []string {
	var list []string
	for _, name := range strings.Split(c.String("transport"), ",") {
		list = append(list, strings.TrimSpace(name))
	}
	return list
}

func categoryOf(f cli.Flag) string {
	if categorized, ok := f.(cli.CategorizableFlag); ok {
		return categorized.GetCategory()
	}
	return ""
}

// shapesVirtual reports whether a flag of virtual time has a part in the run.
func shapesVirtual(c *cli.Context, f cli.Flag) bool {
	return c.String("clock") == clockVirtual && !(f.Names()[0] == "delay" && c.String("topology") != "")
}

// chance reads a share: 1% or 0.01.
func chance(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := quantity(number)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q is not a share such as 1%% or 0.01", text)
	}
	return v, nil
}

// bitRate reads a rate in bits a second: 100Mbit, 2.5Gbit.
func bitRate(text string) (uint64, error) {
	v, unit, err := humanize.ParseSI(text)
	if err != nil || unit != "bit" || !(v >= 1 && v <= 1e12) {
		return 0, fmt.Errorf("%q is not a rate in bits a second such as 100Mbit: want 1bit to 1Tbit", text)
	}
	return uint64(v), nil
}

// links gives each direction between two replicas its link.
func (v *virtual) links() func(from, to raft.ID) sim.Link {
	if v.topology != nil {
		return v.topology.Links(v.link)
	}
	return func(raft.ID, raft.ID) sim.Link { return v.link }
}

// roundTrip is the longest between two replicas.
func (v *virtual) roundTrip(nodes int) time.Duration {
	if v.topology != nil {
		return v.topology.Slowest(nodes)
	}
	return 2 * v.link.Delay
}

// regions names the replicas' regions, for the run's settings.
func (v *virtual) regions(nodes int) string {
	var list []string
	for id := raft.ID(1); id <= raft.ID(nodes); id++ {
		list = append(list, fmt.Sprintf("%d %s", id, v.topology.Regions[v.topology.Region(id)]))
	}
	return strings.Join(list, ", ")
}

func listNetworks() ([]string, [][]string) {
	var rows [][]string
	for _, name := range netem.Topologies() {
		t, err := netem.LoadTopology(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		rows = append(rows, []string{name, strings.Join(t.Regions, ", ") + ". " + t.Source})
	}
	return []string{"network", "regions, and where the figures are from"}, rows
}

// open makes a simulated group.
func (v *virtual) open(transport string, cfg cluster.Config) (cluster.Cluster, error) {
	return sim.New(sim.Config{Config: cfg, Transport: transport, Links: v.links(), Disk: v.disk, CPUPerMessage: v.cpu})
}
