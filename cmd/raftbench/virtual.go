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
)

// The clocks.
const (
	clockWall    = "wall"
	clockVirtual = "virtual"
)

// virtualCategory is the category of the flags that shape a simulated disk and CPU.
const virtualCategory = "virtual time"

func virtualFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Category: virtualCategory, Name: "disk-write", Usage: "to write one save"},
		&cli.DurationFlag{Category: virtualCategory, Name: "disk-sync", Usage: "to sync what was written"},
		&cli.DurationFlag{Category: virtualCategory, Name: "cpu-per-message", Usage: "for each message that a replica receives or sends, and each proposal"},
	}
}

// virtual is what --clock virtual runs on.
type virtual struct {
	*network
	disk sim.Disk
	cpu  time.Duration
}

// checkClock finds out whether there is such a clock.
func checkClock(c *cli.Context) error {
	clocks := []string{clockWall, clockVirtual}
	if clock := c.String("clock"); !slices.Contains(clocks, clock) {
		return usage("--clock: %s", nearest.Unknown("clock", clock, clocks))
	}
	return nil
}

// virtualOf reads the flags. It returns nil for the wall clock.
func virtualOf(c *cli.Context, n *network) (*virtual, error) {
	if c.String("clock") == clockWall {
		return nil, refuseVirtual(c)
	}
	if c.IsSet("port") {
		return nil, usage("--port is for --clock wall: virtual time needs no sockets")
	}
	v := &virtual{network: n, cpu: c.Duration("cpu-per-message")}
	if v.cpu < 0 {
		return nil, usage("--cpu-per-message is %v: want 0 or more", v.cpu)
	}
	for _, name := range []string{"disk-write", "disk-sync"} {
		if d := c.Duration(name); d < 0 {
			return nil, usage("--%s is %v: want 0s or more", name, d)
		}
	}
	v.disk.Write, v.disk.Sync = c.Duration("disk-write"), c.Duration("disk-sync")
	if err := v.disk.Check(); err != nil {
		return nil, usage("%v", err)
	}
	return v, nil
}

// refuseVirtual refuses what there is in virtual time alone.
func refuseVirtual(c *cli.Context) error {
	for _, f := range virtualFlags() {
		if name := f.Names()[0]; c.IsSet(name) {
			return usage("--%s is for --clock virtual: on the wall clock the disk and the CPU are what they are", name)
		}
	}
	for _, k := range virtualTransports {
		if slices.Contains(transportsAsked(c), k.name) {
			return usage("--transport: %s is for --clock virtual: on the wall clock there are %s",
				k.name, strings.Join(transportNames(), ", "))
		}
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

// shapesRun reports whether a flag has a part in the run: those of other clocks and networks have none.
func shapesRun(c *cli.Context, f cli.Flag) bool {
	switch categoryOf(f) {
	case virtualCategory:
		return c.String("clock") == clockVirtual
	case networkCategory, emulatedCategory:
		return shapesLinks(c, f)
	}
	return true
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

// open makes a simulated group.
func (v *virtual) open(transport string, cfg cluster.Config) (cluster.Cluster, error) {
	return sim.New(sim.Config{Config: cfg, Transport: transport, Links: v.links(), Disk: v.disk, CPUPerMessage: v.cpu})
}
