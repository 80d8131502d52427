package emulate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace. It lasts as long as home or a socket in it is open.
type namespace struct{ file *os.File }

// deviceName is the name of each host's interface.
const deviceName = "tun0"

// queuePackets is how many packets the kernel keeps for the switch before it drops them.
const queuePackets = 10_000

// newHost makes a host: a namespace with a TUN device that is its only way out.
func newHost(cfg *Config, i int) (*Host, device, error) {
	h := &Host{addr: netip.AddrFrom4([4]byte{subnet >> 24, subnet >> 16 & 0xff, 0, byte(i + 1)})}
	var port device
	err := apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return unavailable("%w", noNamespace(err))
		}
		var err error
		if h.file, err = here(); err != nil {
			return err
		}
		if err := tune(cfg); err != nil {
			return err
		}
		port, err = openTUN()
		if err != nil {
			return err
		}
		return configure(h.addr, cfg)
	})
	if err != nil {
		if port != nil {
			port.Close()
		}
		if h.file != nil {
			h.file.Close()
		}
		return nil, nil, err
	}
	return h, port, nil
}

// noNamespace says why there is no network namespace.
func noNamespace(err error) error {
	if errors.Is(err, unix.EPERM) {
		return errors.New("a network namespace needs root, or CAP_SYS_ADMIN")
	}
	return fmt.Errorf("a network namespace: %w", err)
}

// apart runs f on a thread that f may move to another network namespace, and moves it back. Should that fail, the thread
// ends with its goroutine, so that nothing else runs on it.
func apart(f func() error) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := here()
		if err == nil {
			err = f()
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
				runtime.UnlockOSThread()
			}
			home.Close()
		}
		failed <- err
	}()
	return <-failed
}

// here opens the calling thread's network namespace.
func here() (*os.File, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, unavailable("%w: mount /proc", err)
	}
	return f, nil
}

// In runs f on a thread that is in the host's namespace, where it may make sockets, which then work from any goroutine. f
// must leave no goroutine behind that makes sockets later: name no host by a name, but by its address.
func (n *namespace) In(f func() error) error {
	return apart(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("emulate: entering a host's network namespace: %w", err)
		}
		return f()
	})
}

// drops returns how many packets the host's kernel dropped because the switch did not take them.
func (n *namespace) drops() uint64 {
	var dropped uint64
	n.In(func() error {
		link, err := netlink.LinkByName(deviceName)
		if err == nil && link.Attrs().Statistics != nil {
			dropped = link.Attrs().Statistics.TxDropped
		}
		return err
	})
	return dropped
}

func (n *namespace) close() error { return n.file.Close() }

// TCP's settings of the calling thread's namespace.
const (
	availableControl = "/proc/sys/net/ipv4/tcp_available_congestion_control"
	minRTO           = "/proc/sys/net/ipv4/tcp_rto_min_us"
	noMetrics        = "/proc/sys/net/ipv4/tcp_no_metrics_save"
	noIPv6           = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
)

// tune sets how the TCP of the calling thread's namespace behaves, congestion control aside: see route.
func tune(cfg *Config) error {
	if cfg.MinRTO > 0 {
		us := strconv.FormatInt(cfg.MinRTO.Microseconds(), 10)
		if err := os.WriteFile(minRTO, []byte(us), 0); err != nil {
			return unavailable("TCP's minimum RTO cannot be set: %w: it needs Linux 6.11 or later: leave it at the kernel's", cause(err))
		}
	}
	// A connection after a break starts as the first did, and does not know what others have found out.
	os.WriteFile(noMetrics, []byte("1"), 0)
	os.WriteFile(noIPv6, []byte("1"), 0) // it would only send solicitations that nobody answers
	return nil
}

// route is the way to all other hosts. It carries the congestion control: a namespace that is not the first may set
// another by default only if the first allows that to everybody.
func route(tun netlink.Link, addr netip.Addr, control string) error {
	net24 := netip.PrefixFrom(addr, subnetBits).Masked()
	err := netlink.RouteReplace(&netlink.Route{
		LinkIndex: tun.Attrs().Index, Scope: netlink.SCOPE_LINK, Src: addr.AsSlice(), Protocol: unix.RTPROT_KERNEL,
		Dst: &net.IPNet{IP: net24.Addr().AsSlice(), Mask: net.CIDRMask(subnetBits, 32)}, Congctl: control,
	})
	if errors.Is(err, unix.EINVAL) {
		known, _ := os.ReadFile(availableControl)
		return unavailable("this kernel has no congestion control %q: want one of %s, or load its module", control,
			strings.Join(strings.Fields(string(known)), ", "))
	}
	return err
}

// inspect finds out what TCP does between the first two hosts, by asking a connection.
func (n *Network) inspect() (Info, error) {
	info := Info{Backend: "tun"}
	ctx, cancel := context.WithTimeout(context.Background(), inspectTimeout)
	defer cancel()
	l, err := n.hosts[1].Listen(ctx, 0)
	if err != nil {
		return info, unavailable("%w", err)
	}
	defer l.Close()
	c, err := n.hosts[0].Dial(ctx, "tcp", l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		return info, unavailable("packets do not pass: %w", err)
	}
	defer c.Close()
	other, err := l.Accept()
	if err != nil {
		return info, unavailable("%w", err)
	}
	defer other.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return info, err
	}
	var asked error
	err = raw.Control(func(fd uintptr) {
		info.CongestionControl, asked = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	})
	if err = errors.Join(err, asked); err != nil {
		return info, err
	}
	// The reset is the last packet of the connection, and the other end's error says that it has arrived.
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		return info, err
	}
	c.Close()
	other.Read(make([]byte, 1))
	err = n.hosts[0].In(func() error {
		if text, err := os.ReadFile(minRTO); err == nil { // or the kernel is older than it
			us, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			info.MinRTO = time.Duration(us) * time.Microsecond
		}
		return nil
	})
	return info, err
}

// inspectTimeout is long: only a machine that does nothing exceeds it.
const inspectTimeout = 10 * time.Second

// cause strips what a message says already: the operation and the path.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

const tunFile = "/dev/net/tun"

// openTUN makes a TUN device in the calling thread's namespace.
func openTUN() (device, error) {
	fd, err := unix.Open(tunFile, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, unavailable("%w", noTUN(err))
	}
	request, err := unix.NewIfreq(deviceName)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, unavailable("a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), tunFile), nil // it is with Go's poller, since it does not block
}

// noTUN says why there is no TUN device, and how to get one.
func noTUN(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s is missing: modprobe tun; in a container: --device %s", tunFile, tunFile)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s may not be opened: chmod 666 %s, as most distributions have it, or run as root", tunFile, tunFile)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s may not be opened: allow it to the container: --device %s", tunFile, tunFile)
	default:
		return fmt.Errorf("%s cannot be opened: %w", tunFile, err)
	}
}

// configure sets up the interfaces of the calling thread's namespace.
func configure(addr netip.Addr, cfg *Config) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("emulate: loopback interface: %w", err)
	}
	tun, err := netlink.LinkByName(deviceName)
	for _, step := range []func() error{
		func() error { return netlink.LinkSetMTU(tun, cfg.MTU) },
		func() error { return netlink.LinkSetTxQLen(tun, queuePackets) },
		func() error {
			return netlink.AddrAdd(tun, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(subnetBits, 32)}})
		},
		func() error { return netlink.LinkSetUp(tun) },
		func() error { return route(tun, addr, cfg.CongestionControl) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("emulate: TUN device: %w", err)
	}
	return err
}
