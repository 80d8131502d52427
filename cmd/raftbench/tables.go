package main

import (
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/live"
	"github.com/raftbench/raftbench/cluster/sim"
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

// openLive makes a live group over a transport, on ports from port on; any free ones if it is 0.
func openLive(port int) func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
	return func(transport string, cfg cluster.Config) (cluster.Cluster, error) {
		c := live.Config{Config: cfg}
		for _, k := range transportKinds {
			if k.Name == transport {
				c.Transport = k
			}
		}
		if port != 0 {
			for i := range cfg.Replicas {
				c.Ports = append(c.Ports, port+i)
			}
		}
		return live.New(c)
	}
}
