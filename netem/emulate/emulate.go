// Package emulate imposes links on real sockets: a packet switch in user space between hosts that are network namespaces
// of this process. Above it the kernel's TCP and UDP run unchanged, so that loss, retransmission, congestion control and
// head-of-line blocking are real.
//
// Each host has a TUN device as its interface. Goroutines of this process move IP packets between the devices, and hold
// each of them back, lose, duplicate or queue it as the link of its direction says. Partitions made here are silent: packets
// vanish, and nobody is told.
//
// It needs Linux and the right to make network namespaces: root's, or that to make a user namespace, see Enter. It does
// not change bytes, mark congestion (ECN), or fall back to another implementation of TCP.
package emulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
)

// ErrUnavailable is wrapped by errors that say what of the system is missing, and how to get it.
var ErrUnavailable = errors.New("no emulated network on this machine")

func unavailable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, fmt.Errorf(format, args...))
}

// MaxHosts is the largest number of hosts of a network.
const MaxHosts = 200

// Config describes a network.
type Config struct {
	Hosts int // 2 to MaxHosts; they are numbered from 0
	// Links gives each direction its link; nil is netem.LAN for all.
	Links func(from, to int) netem.Link
	// MTU is the largest IP packet, in bytes, 576 to 9000; 0 is 1500.
	MTU int
	// Seed of all that is drawn. Which packet a draw meets depends on the kernel, so runs are alike, not the same.
	Seed uint64
	// CongestionControl of TCP, by the kernel's name; empty is cubic, which is what QUIC implementations have.
	CongestionControl string
	// MinRTO is TCP's shortest retransmission timeout; 0 leaves it at the kernel's, 200 ms.
	MinRTO time.Duration
}

// DefaultCongestionControl is the default of Config.CongestionControl.
const DefaultCongestionControl = "cubic"

func (c Config) withDefaults() (Config, error) {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.CongestionControl == "" {
		c.CongestionControl = DefaultCongestionControl
	}
	if c.Links == nil {
		c.Links = func(int, int) netem.Link { return netem.LAN() }
	}
	switch {
	case c.Hosts < 2 || c.Hosts > MaxHosts:
		return c, fmt.Errorf("emulate: %d hosts: want 2 to %d", c.Hosts, MaxHosts)
	case c.MTU < 576 || c.MTU > 9000:
		return c, fmt.Errorf("emulate: an MTU of %d bytes: want 576 to 9000", c.MTU)
	case c.MinRTO < 0 || c.MinRTO > maxMinRTO:
		return c, fmt.Errorf("emulate: a minimum RTO of %v: want 1us to %v, or 0 for the kernel's", c.MinRTO, maxMinRTO)
	}
	return c, nil
}

// maxMinRTO is the most that RFC 6298 asks for.
const maxMinRTO = time.Second

// Network is an emulated network at work. Its methods may be called from any goroutine.
type Network struct {
	hosts  []*Host
	fabric *fabric
	info   Info

	close sync.Once
	err   error
}

// Info says what a network is made of, as the kernel tells.
type Info struct {
	Backend           string        // how packets reach the switch: tun
	CongestionControl string        // of a TCP connection between two hosts
	MinRTO            time.Duration // of TCP; 0 if the kernel does not tell
}

// New makes a network and its hosts. Errors about the system wrap ErrUnavailable.
func New(cfg Config) (*Network, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	for from := range cfg.Hosts {
		for to := range cfg.Hosts {
			if l := cfg.Links(from, to); from != to {
				if err := l.Check(); err != nil {
					return nil, fmt.Errorf("emulate: link from %d to %d: %w", from, to, err)
				}
			}
		}
	}
	n := &Network{}
	var ports []device
	for i := range cfg.Hosts {
		h, port, err := newHost(&cfg, i)
		if err != nil {
			for k, h := range n.hosts {
				err = errors.Join(err, ports[k].Close(), h.close())
			}
			return nil, err
		}
		n.hosts, ports = append(n.hosts, h), append(ports, port)
	}
	origin := time.Now()
	n.fabric = newFabric(ports, cfg.MTU, cfg.Seed, func() raft.Time { return raft.Time(time.Since(origin)) })
	n.fabric.start()
	if n.info, err = n.inspect(); err != nil { // while links do nothing
		return nil, errors.Join(err, n.Close())
	}
	n.fabric.forget()
	for to, e := range n.fabric.egress {
		for from := range cfg.Hosts {
			e.setLink(from, cfg.Links(from, to))
		}
	}
	return n, nil
}

// Host returns a host, from 0.
func (n *Network) Host(i int) *Host { return n.hosts[i] }

// Hosts returns how many there are.
func (n *Network) Hosts() int { return len(n.hosts) }

// Info says what the network is made of.
func (n *Network) Info() Info { return n.info }

// Link returns the link in one direction. A cut is no part of it.
func (n *Network) Link(from, to int) netem.Link {
	e := n.fabric.egress[to]
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.paths[from].Link
}

// SetLink changes the link in one direction, for what is sent from now on. Errors are about a value out of range.
func (n *Network) SetLink(from, to int, l netem.Link) error {
	if err := l.Check(); err != nil {
		return fmt.Errorf("emulate: link from %d to %d: %w", from, to, err)
	}
	n.fabric.egress[to].setLink(from, l)
	return nil
}

// Cut loses everything that one host sends to another from now on, or ends that. It leaves the link's settings alone, and
// what is on its way.
func (n *Network) Cut(from, to int, cut bool) { n.fabric.egress[to].setCut(from, cut) }

// Partition cuts all links between hosts of different groups, and heals those within. A host in no group is alone.
func (n *Network) Partition(groups ...[]int) {
	group := make([]int, len(n.hosts))
	for i := range group {
		group[i] = -1 - i
	}
	for g, members := range groups {
		for _, host := range members {
			group[host] = g
		}
	}
	for from := range n.hosts {
		for to := range n.hosts {
			n.Cut(from, to, group[from] != group[to])
		}
	}
}

// Isolate cuts all links of one host, in both directions.
func (n *Network) Isolate(host int) {
	for other := range n.hosts {
		n.Cut(host, other, true)
		n.Cut(other, host, true)
	}
}

// Heal ends all cuts.
func (n *Network) Heal() {
	for from := range n.hosts {
		for to := range n.hosts {
			n.Cut(from, to, false)
		}
	}
}

// Stats returns the counts so far, of all hosts.
func (n *Network) Stats() Stats {
	var sum Stats
	for i, e := range n.fabric.egress {
		e.mu.Lock()
		sum.add(&e.stats)
		e.mu.Unlock()
		sum.DeviceDrops += n.hosts[i].drops()
	}
	sum.Stray = n.fabric.stray.Load()
	return sum
}

// Lateness returns how late packets were delivered so far.
func (n *Network) Lateness() *Lateness {
	sum := &Lateness{}
	for _, e := range n.fabric.egress {
		e.mu.Lock()
		sum.merge(&e.late)
		e.mu.Unlock()
	}
	return sum
}

// Figures returns counts and lateness so far by name, for a record of them.
func (n *Network) Figures() map[string]uint64 {
	s, late := n.Stats(), n.Lateness()
	return map[string]uint64{
		"packets_sent": s.Sent, "packets_delivered": s.Delivered, "packets_lost": s.Lost, "packets_cut": s.Cut,
		"packets_dropped_by_queue": s.QueueDrops, "packets_duplicated": s.Duplicated, "packets_held_back": s.HeldBack,
		"packets_lost_unasked": s.Unasked(), "bytes_delivered": s.Bytes,
		"late_p50_ns": uint64(late.Quantile(0.5)), "late_p99_ns": uint64(late.Quantile(0.99)), "late_max_ns": uint64(late.Quantile(1)),
	}
}

// LateBound is how late a hundredth of the packets may be before Warnings says so: beyond it a network within a data
// centre is not what it was asked to be.
const LateBound = time.Millisecond

// Warnings returns one line for each thing that distorts what was measured so far.
func (n *Network) Warnings() []string {
	var list []string
	if late := n.Lateness(); late.Quantile(0.99) > LateBound {
		list = append(list, fmt.Sprintf("emulated network: the switch was late: of %d packets a hundredth by more than %v: want at most %v, so give the machine less to do",
			late.Count(), late.Quantile(0.99).Round(time.Microsecond), LateBound))
	}
	s := n.Stats()
	if lost := s.Unasked(); lost > 0 {
		list = append(list, fmt.Sprintf("emulated network: %d of %d packets were lost that no link loses: the switch held too much (%d), a kernel refused them (%d) or dropped them before the switch could read (%d)",
			lost, s.Sent, s.Overflowed, s.WriteErrors, s.DeviceDrops))
	}
	return list
}

// Close ends the network: packets on their way are lost, and sockets of its hosts reach nobody any more.
func (n *Network) Close() error {
	n.close.Do(func() {
		n.fabric.close()
		for _, h := range n.hosts {
			n.err = errors.Join(n.err, h.close())
		}
	})
	return n.err
}

// Host is one host of a network.
type Host struct {
	addr netip.Addr
	namespace
}

// Addr is the host's address, for literal use: there are no names.
func (h *Host) Addr() netip.Addr { return h.addr }

// Listen listens for TCP connections at a port of the host; 0 for any free one.
func (h *Host) Listen(ctx context.Context, port uint16) (l net.Listener, err error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	err = h.In(func() error {
		l, err = lc.Listen(ctx, "tcp", netip.AddrPortFrom(h.addr, port).String())
		return err
	})
	return l, err
}

// Dial connects to an address of another host.
func (h *Host) Dial(ctx context.Context, network string, to netip.AddrPort) (c net.Conn, err error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	err = h.In(func() error {
		c, err = d.DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}

// ListenPacket opens a UDP socket at a port of the host; 0 for any free one.
func (h *Host) ListenPacket(port uint16) (c *net.UDPConn, err error) {
	err = h.In(func() error {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.addr, port)))
		return err
	})
	return c, err
}
