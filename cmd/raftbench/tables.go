package main

import (
	"slices"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/engines/etcd"
	"github.com/raftbench/raftbench/engines/floor"
	"github.com/raftbench/raftbench/engines/hashicorp"
	"github.com/raftbench/raftbench/engines/raftbench"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/quic"
	"github.com/raftbench/raftbench/transports/tcp"
)

// transportKinds is the table of all transports: a new one is a folder and a line here.
var transportKinds = []transports.Kind{
	tcp.Plain(),
	tcp.TLS(),
	quic.PerClass(),
	quic.SingleStream(),
	mem.Kind(),
}

// datagram is the name of a transport that there is in virtual time alone.
const datagram = "datagram"

// virtualTransports describes those that only cluster/sim has.
var virtualTransports = []struct{ name, doc string }{
	{datagram, "--clock virtual alone: each frame by itself, as over UDP: lost, twice or overtaken, and never sent again"},
}

// engineTable is the table of all engines: a new one is a folder and a line here.
var engineTable = []engines.Engine{
	raftbench.Engine(),
	etcd.Engine(),
	etcd.Yielding(),
	hashicorp.Engine(),
	hashicorp.Large(),
	floor.Engine(),
}

func engineNames() []string {
	var names []string
	for _, e := range engineTable {
		names = append(names, e.Name)
	}
	return names
}

func transportNames() []string {
	var names []string
	for _, k := range transportKinds {
		names = append(names, k.Name)
	}
	return names
}

// transportsOn returns the transports that there are on a clock.
func transportsOn(clock string) []string {
	if clock == clockVirtual {
		return sim.Transports()
	}
	return transportNames()
}

// allTransports returns the transports that there are on any clock.
func allTransports() []string {
	names := transportNames()
	for _, k := range virtualTransports {
		names = append(names, k.name)
	}
	return names
}

// openLive makes a live group over a transport, on ports from port on; any free ones if it is 0.
func openLive(port int) bench.Opener {
	return func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
		return live.New(live.Config{Config: cfg, Transport: transportKind(transport), Ports: portsFrom(port, cfg.Replicas)})
	}
}

// openOwn does so for engines that open groups by themselves.
func openOwn(port int) bench.OwnOpener {
	return func(e *engines.Engine, transport, data string, cfg cluster.Config) (cluster.Cluster, error) {
		return e.Open(engines.Place{Transport: transportKind(transport), Ports: portsFrom(port, cfg.Replicas), Data: data}, cfg)
	}
}

// transportKind returns the transport of a name that is in the table.
func transportKind(name string) transports.Kind {
	i := slices.IndexFunc(transportKinds, func(k transports.Kind) bool { return k.Name == name })
	return transportKinds[i]
}

func portsFrom(port, n int) (ports []int) {
	if port != 0 {
		for i := range n {
			ports = append(ports, port+i)
		}
	}
	return ports
}
