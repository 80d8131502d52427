// Package live runs a group of replicas in this process on the wall clock, each with an endpoint of a transport of its
// own, over loopback sockets.
//
// Whoever brings something does the work: the goroutine that has read a message, made a proposal or waited for a timer
// takes the replica's lock, hands it to the core, carries out what the core wants, and writes to the sockets itself if
// the transport can do that without blocking. There is no goroutine that everything has to pass through. Proposals that
// arrive meanwhile gather in a queue, which the holder of the lock takes as a whole before it lets go: batches form by
// themselves under load, alike for all strategies, and cost nothing without it. An AppendEntries without entries, such as
// the news of a commit, is left out if one with entries goes to the same follower in the same round, unless
// Config.SendApart says not to.
//
// Links are this machine's loopback, which can be cut, or those of an emulated network. A crash is one of the process:
// what a storage has written, though not synced, it still has.
package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/internal/wakeup"
	"github.com/raftbench/raftbench/netem/emulate"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/mem"
	"github.com/raftbench/raftbench/transports"
)

// Config describes a live group.
type Config struct {
	cluster.Config
	Transport transports.Kind
	// Host is the address that replicas listen on, for transports that use sockets; default 127.0.0.1.
	Host string
	// Ports are the replicas' ports, in order of ID; empty for any free ones.
	Ports []int
	// Network is an emulated network for this group alone: replica i is on its host i-1, Host is not used, and silent cuts
	// are the network's. The group closes it, even if New fails. nil is this machine's own network.
	Network *emulate.Network
	// Identity of the group, which strangers do not know; 0 for a random one.
	Identity uint64
}

// Cluster is a live group. It implements cluster.Cluster.
type Cluster struct {
	cfg      Config
	origin   time.Time
	network  transports.Network
	replicas []*replica
	peers    map[raft.ID]string

	conditions atomic.Pointer[cluster.Conditions] // nil for none

	waitersMu sync.Mutex
	waiters   atomic.Pointer[[]chan struct{}] // each is told that something happened; the list is never changed, but replaced

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	timers sync.WaitGroup // the replicas' timers

	mu       sync.Mutex
	closing  bool           // and nothing new begins in the background
	steps    sync.WaitGroup // what At and delayed messages do in the background
	controls []func()       // what clients asked for while they were answered; the first of them is being done

	close sync.Once
	err   error
}

// errClosed is the error of a Restart after Close.
var errClosed = errors.New("the cluster is closed")

// New starts a group. All replicas are up and know each other's addresses on return; connections follow. Errors are
// those of the configuration (wrapping raft.ErrConfig), or the system's, about a port for example.
func New(cfg Config) (*Cluster, error) {
	c, err := newCluster(cfg)
	if err != nil && cfg.Network != nil {
		err = errors.Join(err, cfg.Network.Close())
	}
	return c, err
}

func newCluster(cfg Config) (*Cluster, error) {
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	if cfg.Replicas < 1 {
		return nil, fmt.Errorf("%w: %d replicas, want 1 or more", raft.ErrConfig, cfg.Replicas)
	}
	if cfg.Network != nil && cfg.Network.Hosts() != cfg.Replicas {
		return nil, fmt.Errorf("a network of %d hosts for %d replicas", cfg.Network.Hosts(), cfg.Replicas)
	}
	if n := len(cfg.Ports); n != 0 && n != cfg.Replicas {
		return nil, fmt.Errorf("%d ports for %d replicas", n, cfg.Replicas)
	}
	if cfg.Identity == 0 {
		cfg.Identity = rand.Uint64() // not of the measured run: it only keeps other groups' connections out
	}
	network, err := cfg.Transport.Open()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Cluster{cfg: cfg, origin: time.Now(), network: network, peers: map[raft.ID]string{},
		ctx: ctx, cancel: cancel}
	for i := range cfg.Replicas {
		id := raft.ID(i + 1)
		r := &replica{c: c, id: id, openDisk: cfg.OpenStorage, listen: c.listenAddr(i),
			timer: wakeup.New(), cut: map[raft.ID]bool{}, random: rand.New(rand.NewPCG(cfg.Seed, ^uint64(id)))}
		if r.openDisk == nil {
			disk := mem.NewDisk(raft.NewLog(1, 0))
			r.openDisk = func(storage.Options) (storage.Storage, error) { return mem.Open(disk) }
		}
		c.timers.Go(r.tick)
		c.replicas = append(c.replicas, r)
		if err := r.open(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.peers[id] = r.listen
	}
	for _, r := range c.replicas {
		r.start()
	}
	return c, nil
}

func (c *Cluster) listenAddr(i int) string {
	port := 0
	if len(c.cfg.Ports) > 0 {
		port = c.cfg.Ports[i]
	}
	host := c.cfg.Host
	if c.cfg.Network != nil {
		host = c.cfg.Network.Host(i).Addr().String()
	}
	return fmt.Sprintf("%s:%d", host, port)
}

// Now returns the time since the group was made.
func (c *Cluster) Now() raft.Time { return raft.Time(time.Since(c.origin)) }

// Size returns the number of replicas.
func (c *Cluster) Size() int { return len(c.replicas) }

func (c *Cluster) replica(id raft.ID) *replica { return c.replicas[id-1] }

// Propose offers a proposal to a replica. If nothing else is going on there, the work up to writing to the sockets is
// done before it returns.
func (c *Cluster) Propose(to raft.ID, p *cluster.Proposal) { c.replica(to).propose(p) }

// Campaign makes a replica start an election; a paused one when it is resumed.
func (c *Cluster) Campaign(id raft.ID) { c.replica(id).stand() }

// Status returns what a replica was when it last finished some work.
func (c *Cluster) Status(id raft.ID) cluster.Status { return c.replica(id).lastStatus() }

// Crash closes a replica's connections and forgets its memory.
func (c *Cluster) Crash(id raft.ID) { c.control(c.replica(id).crash) }

// Restart starts a crashed replica from its disk, on its old address. The error is the system's, about the address.
func (c *Cluster) Restart(id raft.ID) error { return c.replica(id).restart() }

// Pause freezes a replica.
func (c *Cluster) Pause(id raft.ID) { c.control(c.replica(id).pause) }

// Resume lets a paused replica go on.
func (c *Cluster) Resume(id raft.ID) { c.control(c.replica(id).resume) }

// control does something to a replica: at once, or, if a client asks for it that is being answered, on a goroutine of its
// own, since the client's replica may be the one that has to finish first.
func (c *Cluster) control(do func()) {
	if !cluster.CalledBy("live.(*replica).settle") {
		do()
		return
	}
	c.mu.Lock()
	c.controls = append(c.controls, do)
	first := len(c.controls) == 1
	c.mu.Unlock()
	if first {
		c.background(c.doControls)
	}
}

func (c *Cluster) doControls() {
	for more := true; more; {
		c.mu.Lock()
		do := c.controls[0]
		c.mu.Unlock()
		do()
		c.mu.Lock()
		c.controls = c.controls[1:]
		more = len(c.controls) > 0
		c.mu.Unlock()
	}
}

// Cut drops what from sends to to. On an emulated network a silent cut loses packets, so that the other direction lacks
// acknowledgements too, and what was sent meanwhile is sent again by the transport after the healing.
func (c *Cluster) Cut(from, to raft.ID, kind cluster.CutKind) {
	if c.cfg.Network != nil && kind == cluster.SilentCut {
		c.cfg.Network.Cut(int(from-1), int(to-1), true)
		return
	}
	c.replica(from).cutLink(to, kind)
}

// Heal ends a Cut.
func (c *Cluster) Heal(from, to raft.ID) {
	if c.cfg.Network != nil {
		c.cfg.Network.Cut(int(from-1), int(to-1), false)
	}
	c.replica(from).healLink(to)
}

// SetConditions changes what all links do to messages.
func (c *Cluster) SetConditions(conditions cluster.Conditions) {
	if conditions == (cluster.Conditions{}) {
		c.conditions.Store(nil)
	} else {
		c.conditions.Store(&conditions)
	}
}

// At runs step on a goroutine of its own.
func (c *Cluster) At(t raft.Time, step func(now raft.Time) raft.Time) {
	c.background(func() {
		wakeup.Steps(c.ctx, c.Now, t, func(now raft.Time) raft.Time {
			defer c.notify() // it may be what somebody waits for
			return step(now)
		})
	})
}

// background runs f on a goroutine that Close waits for; not at all once Close has begun.
func (c *Cluster) background(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.steps.Go(f)
	}
}

func (c *Cluster) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// Wait waits for a condition.
func (c *Cluster) Wait(ctx context.Context, timeout time.Duration, cond func() bool) error {
	if cond() {
		return nil
	}
	progress := c.addWaiter()
	defer c.dropWaiter(progress)
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	pause := time.NewTicker(cluster.LookEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			if cond() {
				return nil
			}
			return cluster.ErrTimeout
		case <-progress:
		}
		if cond() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pause.C:
		}
		if cond() {
			return nil
		}
	}
}

func (c *Cluster) addWaiter() chan struct{} {
	c.waitersMu.Lock()
	defer c.waitersMu.Unlock()
	progress := make(chan struct{}, 1)
	progress <- struct{}{} // what happened before it was in the list
	c.setWaiters(append(slices.Clone(c.waiting()), progress))
	return progress
}

func (c *Cluster) dropWaiter(progress chan struct{}) {
	c.waitersMu.Lock()
	defer c.waitersMu.Unlock()
	c.setWaiters(slices.DeleteFunc(slices.Clone(c.waiting()), func(other chan struct{}) bool { return other == progress }))
}

func (c *Cluster) waiting() []chan struct{} {
	if list := c.waiters.Load(); list != nil {
		return *list
	}
	return nil
}

func (c *Cluster) setWaiters(list []chan struct{}) { c.waiters.Store(&list) }

// notify makes all waiters look again.
func (c *Cluster) notify() {
	for _, progress := range c.waiting() {
		select {
		case progress <- struct{}{}:
		default:
		}
	}
}

// Counters adds up all replicas' counters.
func (c *Cluster) Counters() cluster.Counters {
	var sum cluster.Counters
	for _, r := range c.replicas {
		sum.Add(r.totals())
	}
	return sum
}

// Warnings returns what the transport and an emulated network have to say about their setting, without repetition.
func (c *Cluster) Warnings() []string {
	seen := map[string]bool{}
	var list []string
	if c.cfg.Network != nil {
		list = c.cfg.Network.Warnings()
	}
	for _, r := range c.replicas {
		for _, w := range r.warnings() {
			if !seen[w] {
				seen[w] = true
				list = append(list, w)
			}
		}
	}
	return list
}

// NetworkFigures returns what an emulated network has done so far, nil without one.
func (c *Cluster) NetworkFigures() map[string]uint64 {
	if c.cfg.Network == nil {
		return nil
	}
	return c.cfg.Network.Figures()
}

// Close ends what goes on in the background, then the replicas and their transport.
func (c *Cluster) Close() error {
	c.close.Do(func() {
		c.mu.Lock()
		c.closing = true
		c.mu.Unlock()
		c.cancel()
		c.steps.Wait() // a step may still crash or restart replicas
		for _, r := range c.replicas {
			r.crash()
		}
		for _, r := range c.replicas {
			r.tails.Wait()
			r.timer.Close()
		}
		c.timers.Wait()
		c.err = c.network.Close()
		if c.cfg.Network != nil {
			c.err = errors.Join(c.err, c.cfg.Network.Close())
		}
	})
	return c.err
}
