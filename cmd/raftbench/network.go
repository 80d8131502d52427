package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/netem/emulate"
	"github.com/raftbench/raftbench/raft"
)

// The networks of the wall clock.
const (
	networkAuto     = "auto"
	networkLoopback = "loopback"
	networkEmulated = "emulated"
)

var networks = []string{networkAuto, networkLoopback, networkEmulated}

// networkCategory is the category of the flags that describe links, emulatedCategory of those that only an emulated network
// has.
const (
	networkCategory  = "network, of --clock virtual and --network emulated"
	emulatedCategory = "emulated network"
)

func networkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: emulatedCategory, Name: "network", Value: networkAuto, Usage: "of the wall clock: " + networkLoopback + "; " + networkEmulated + ", links imposed on real sockets; " + networkAuto + ", emulated if a flag describes links"},
		&cli.StringFlag{Category: emulatedCategory, Name: "congestion-control", Value: emulate.DefaultCongestionControl, Usage: "of TCP, by the kernel's name, such as cubic or bbr; quic has cubic"},
		&cli.DurationFlag{Category: emulatedCategory, Name: "min-rto", DefaultText: "the kernel's, 200ms", Usage: "TCP's shortest retransmission timeout"},

		&cli.StringFlag{Category: networkCategory, Name: "topology", Usage: "round trips between regions, which replicas take in order: " + strings.Join(netem.Topologies(), ", ") + ", see raftbench list networks, or a CSV file, see above"},
		&cli.DurationFlag{Category: networkCategory, Name: "delay", Value: netem.LAN().Delay, Usage: "one way, between any two replicas"},
		&cli.DurationFlag{Category: networkCategory, Name: "jitter", Usage: "how much delays vary"},
		&cli.StringFlag{Category: networkCategory, Name: "jitter-distribution", Value: netem.Uniform.String(), Usage: "how they vary: " + strings.Join(netem.Distributions, ", ")},
		&cli.StringFlag{Category: networkCategory, Name: "loss", Value: "0%", Usage: "packets lost"},
		&cli.Float64Flag{Category: networkCategory, Name: "loss-burst", DefaultText: "each by itself", Usage: "packets lost in a row, in the mean"},
		&cli.StringFlag{Category: networkCategory, Name: "duplicate", Value: "0%", Usage: "packets that arrive twice; in virtual time frames over " + datagram},
		&cli.StringFlag{Category: networkCategory, Name: "reorder", Value: "0%", Usage: "packets that are overtaken; in virtual time frames"},
		&cli.StringFlag{Category: networkCategory, Name: "rate-limit", DefaultText: "none", Usage: "of each link, such as 100Mbit"},
		&cli.StringFlag{Category: networkCategory, Name: "queue", Value: humanize.IBytes(netem.DefaultQueueBytes), Usage: "what may wait for the rate limit"},
	}
}

// network is what links are to be like, on either clock.
type network struct {
	topology *netem.Topology // nil: the same delay everywhere
	link     netem.Link
	control  string
	minRTO   time.Duration
}

// describesLinks reports whether a flag that does is given.
func describesLinks(c *cli.Context) bool {
	return slices.ContainsFunc(networkFlags(), func(f cli.Flag) bool { return categoryOf(f) == networkCategory && c.IsSet(f.Names()[0]) })
}

// emulated reports whether a run is on an emulated network.
func emulated(c *cli.Context) bool {
	if c.String("clock") != clockWall {
		return false
	}
	return c.String("network") == networkEmulated || c.String("network") == networkAuto && describesLinks(c)
}

// networkOf reads the flags. It returns nil for the wall clock on loopback.
func networkOf(c *cli.Context) (*network, error) {
	kind := c.String("network")
	if !slices.Contains(networks, kind) {
		return nil, usage("--network: %s", nearest.Unknown("network", kind, networks))
	}
	virtual := c.String("clock") == clockVirtual
	for _, f := range networkFlags() {
		name := f.Names()[0]
		switch given := c.IsSet(name); {
		case given && virtual && categoryOf(f) == emulatedCategory:
			return nil, usage("--%s is for --clock wall: in virtual time the network is simulated", name)
		case given && !virtual && !emulated(c) && name != "network":
			return nil, usage("--%s is for a network that is emulated: give --network emulated, or --clock virtual", name)
		}
	}
	if !virtual && !emulated(c) {
		return nil, c.Set("network", networkLoopback) // the run's settings say what it is
	}
	if !virtual {
		if err := c.Set("network", networkEmulated); err != nil {
			return nil, err
		}
	}
	n := &network{control: c.String("congestion-control"), minRTO: c.Duration("min-rto")}
	if err := n.readTopology(c); err != nil {
		return nil, err
	}
	if err := n.readLink(c); err != nil {
		return nil, err
	}
	if virtual {
		return n, nil
	}
	if slices.Contains(transportsAsked(c), "mem") {
		return nil, usage("--transport: mem has no sockets, so no network can be emulated below it: want others, such as tcp")
	}
	if c.IsSet("port") {
		return nil, usage("--port is for --network loopback: on an emulated network each replica has an address of its own")
	}
	return n, nil
}

// readTopology reads --topology. What the network's links do is put in the place of flags that are not given, so that the
// run's settings name it.
func (n *network) readTopology(c *cli.Context) (err error) {
	name := c.String("topology")
	if name == "" {
		return nil
	}
	if c.IsSet("delay") {
		return usage("--delay and --topology exclude each other: a topology has the delays")
	}
	if n.topology, err = loadTopology(c.Context, name); err != nil {
		return err
	}
	l := &n.topology.Link
	for name, value := range map[string]string{
		"jitter": l.Jitter.String(), "jitter-distribution": l.Distribution.String(), "loss": fmt.Sprintf("%g%%", 100*l.Loss),
		"loss-burst": strconv.FormatFloat(l.LossBurst, 'g', -1, 64),
		"rate-limit": strings.ReplaceAll(humanize.SIWithDigits(float64(l.Rate), 3, "bit"), " ", ""),
		"queue":      strings.ReplaceAll(humanize.IBytes(uint64(l.QueueLimit())), " ", ""),
	} {
		if none := name == "rate-limit" && l.Rate == 0 || name == "loss-burst" && l.LossBurst == 0; none || c.IsSet(name) {
			continue
		}
		if name != "jitter-distribution" || l.Jitter > 0 {
			if err := c.Set(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// readLink reads what links do.
func (n *network) readLink(c *cli.Context) (err error) {
	l := &n.link
	for _, name := range []string{"delay", "jitter", "min-rto"} {
		if d := c.Duration(name); d < 0 {
			return usage("--%s is %v: want 0s or more", name, d)
		}
	}
	l.Delay, l.Jitter, l.LossBurst = c.Duration("delay"), c.Duration("jitter"), c.Float64("loss-burst")
	for name, value := range map[string]*float64{"loss": &l.Loss, "duplicate": &l.Duplicate, "reorder": &l.Reorder} {
		if *value, err = chance(c.String(name)); err != nil {
			return usage("--%s: %v", name, err)
		}
	}
	name := c.String("jitter-distribution")
	i := slices.Index(netem.Distributions, name)
	if i < 0 {
		return usage("--jitter-distribution: %s", nearest.Unknown("distribution", name, netem.Distributions))
	}
	l.Distribution = netem.Distribution(i)
	if text := c.String("rate-limit"); text != "" {
		if l.Rate, err = bitRate(text); err != nil {
			return usage("--rate-limit: %v", err)
		}
	}
	if l.QueueBytes, err = sizeBytes(c.String("queue")); err != nil || l.QueueBytes < 1 {
		return usage("--queue is %s: want 1 byte or more, such as 256KiB", c.String("queue"))
	}
	if err := n.idle(c); err != nil {
		return err
	}
	if err := l.Check(); err != nil {
		return usage("%v", err)
	}
	return nil
}

// idle refuses what is out of range, and flags that would change nothing: a user who gives one expects that it does.
func (n *network) idle(c *cli.Context) error {
	l := &n.link
	virtual := c.String("clock") == clockVirtual
	switch {
	case l.Loss == 1:
		return usage("--loss is %s: want less than 100%%: nothing gets through a link that loses all", c.String("loss"))
	case !(l.LossBurst >= 0 && l.LossBurst <= netem.MaxLossBurst):
		return usage("--loss-burst is %g: want 1 to %g packets in a row, or 0 for each by itself", l.LossBurst, float64(netem.MaxLossBurst))
	case l.LossBurst > 0 && l.Loss == 0:
		return usage("--loss-burst is %g, but nothing is lost: give --loss, such as --loss 1%%", l.LossBurst)
	case l.Distribution != netem.Uniform && l.Jitter == 0:
		return usage("--jitter-distribution is %v, but delays do not vary: give --jitter, such as --jitter 1ms", l.Distribution)
	case c.IsSet("queue") && l.Rate == 0 && n.topology == nil:
		return usage("--queue is %s, but nothing waits: give --rate-limit, such as --rate-limit 100Mbit", c.String("queue"))
	case virtual && (l.Loss > 0 || l.Reorder > 0) && !slices.ContainsFunc(transportsAsked(c), func(name string) bool { return name != "mem" }):
		return usage("--loss and --reorder are %s and %s, but over mem nothing is lost or overtaken: give another --transport, such as tcp", c.String("loss"), c.String("reorder"))
	case virtual && l.Duplicate > 0 && !slices.Contains(transportsAsked(c), datagram):
		return usage("--duplicate is %s, but over %s each frame arrives once: add --transport %s", c.String("duplicate"), c.String("transport"), datagram)
	}
	return nil
}

// shapesLinks reports whether a flag of a network has a part in the run.
func shapesLinks(c *cli.Context, f cli.Flag) bool {
	name := f.Names()[0]
	switch {
	case categoryOf(f) == emulatedCategory:
		return emulated(c) || name == "network" && c.String("clock") == clockWall
	case name == "delay" && c.String("topology") != "", name == "queue" && c.String("rate-limit") == "":
		return false
	}
	return emulated(c) || c.String("clock") == clockVirtual
}

// links gives each direction between two replicas its link.
func (n *network) links() func(from, to raft.ID) netem.Link {
	if n.topology != nil {
		return n.topology.Links(n.link)
	}
	return func(raft.ID, raft.ID) netem.Link { return n.link }
}

// roundTrip is the longest between two replicas.
func (n *network) roundTrip(nodes int) time.Duration {
	if n.topology != nil {
		return n.topology.Slowest(nodes)
	}
	return 2 * n.link.Delay
}

// regions names the replicas' regions, for the run's settings.
func (n *network) regions(nodes int) string {
	var list []string
	for id := raft.ID(1); id <= raft.ID(nodes); id++ {
		list = append(list, fmt.Sprintf("%d %s", id, n.topology.Regions[n.topology.Region(id)]))
	}
	return strings.Join(list, ", ")
}

// emulate makes an emulated network for a group.
func (n *network) emulate(hosts int, seed uint64) (*emulate.Network, error) {
	links := n.links()
	return emulate.New(emulate.Config{Hosts: hosts, Seed: seed, CongestionControl: n.control, MinRTO: n.minRTO,
		Links: func(from, to int) netem.Link { return links(raft.ID(from+1), raft.ID(to+1)) }})
}

// try makes a network and says what it is made of, so that what is missing is found out before anything else is done.
func (n *network) try() (emulate.Info, error) {
	made, err := n.emulate(2, 0)
	if err != nil {
		return emulate.Info{}, environment(err)
	}
	if err := made.Close(); err != nil {
		return emulate.Info{}, environment(err)
	}
	return made.Info(), nil
}

// enter makes sure that emulated networks can be made by this process, and says what they are made of. done says that
// another process, with the rights to do so, has done all its work; err is how that ended.
func (n *network) enter(ctx context.Context) (info emulate.Info, done bool, err error) {
	status, done, err := emulate.Enter(ctx)
	switch {
	case err != nil:
		return info, true, environment(err)
	case done && status != exitOK:
		return info, true, exitError{status: status}
	case done:
		return info, true, nil
	}
	info, err = n.try()
	return info, false, err
}

// openEmulated makes live groups on emulated networks, one each.
func openEmulated(n *network) bench.Opener {
	return func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
		made, err := n.emulate(cfg.Replicas, cfg.Seed)
		if err != nil {
			return nil, err
		}
		return live.New(live.Config{Config: cfg, Transport: transportKind(transport), Network: made})
	}
}

// describeEmulated writes what an emulated network is made of into a run's settings.
func describeEmulated(settings map[string]string, info emulate.Info) {
	settings["network"] = fmt.Sprintf("%s, backend %s", networkEmulated, info.Backend)
	settings["congestion-control"] = info.CongestionControl
	settings["min-rto"] = info.MinRTO.String()
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
