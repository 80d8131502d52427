package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/internal/wakeup"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Group is a group of replicas that run the library. It implements cluster.Cluster.
type Group struct {
	cfg      cluster.Config
	options  Options
	identity uint64
	origin   time.Time
	network  transports.Network
	layer    transports.Layer
	data     string // folder; "" for memory
	replicas []*replica
	// catchingUp is set while a link has been healed, so that followers tell how far they are.
	catchingUp atomic.Bool

	mu      sync.Mutex
	cut     map[link]cut
	closing bool // and nothing new begins in the background

	ctx    context.Context // of the timers of At
	cancel context.CancelFunc
	steps  sync.WaitGroup
	close  sync.Once
	err    error
}

type link struct{ from, to raft.ID }

// cut is the state of a link.
type cut struct{ on, reset bool }

// Open starts a group. Errors wrap raft.ErrConfig, or are the system's, about a port for example.
func Open(at engines.Place, cfg cluster.Config, o Options) (*Group, error) {
	if len(cfg.Boot) > 0 {
		return nil, fmt.Errorf("%w: hashicorp cannot start from given logs", raft.ErrConfig)
	}
	if cfg.OpenStorage != nil && at.Data == "" {
		return nil, fmt.Errorf("%w: hashicorp's storage is its own, and needs a folder", raft.ErrConfig)
	}
	network, err := at.Transport.Open()
	if err != nil {
		return nil, err
	}
	layer, ok := network.(transports.Layer)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%w: transport %s has no bare connections", raft.ErrConfig, at.Transport.Name), network.Close())
	}
	if at.Host == "" {
		at.Host = "127.0.0.1"
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Group{cfg: cfg, options: o, identity: rand.Uint64(), origin: time.Now(), network: network, layer: layer,
		data: at.Data, cut: map[link]cut{}, ctx: ctx, cancel: cancel}
	if err := g.open(at); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// open listens for all replicas before any of them starts: each has to know the others' addresses.
func (g *Group) open(at engines.Place) error {
	var carriers []transports.Carrier
	var servers hraft.Configuration
	for i := range g.cfg.Replicas {
		port := 0
		if len(at.Ports) > 0 {
			port = at.Ports[i]
		}
		id := raft.ID(i + 1)
		c, err := g.listen(id, fmt.Sprintf("%s:%d", at.Host, port))
		if err != nil {
			for _, c := range carriers {
				c.Close()
			}
			return err
		}
		carriers = append(carriers, c)
		g.replicas = append(g.replicas, &replica{g: g, id: id, addr: c.Addr()})
		servers.Servers = append(servers.Servers, hraft.Server{ID: serverID(id), Address: hraft.ServerAddress(c.Addr())})
	}
	var first error
	for i, r := range g.replicas {
		if first != nil {
			carriers[i].Close()
			continue
		}
		if g.data == "" {
			r.store = newStore()
		}
		if first = r.bootstrap(servers); first == nil {
			first = r.open(carriers[i])
		} else {
			carriers[i].Close()
		}
	}
	return first
}

// bootstrap writes the first entry of the log, which says who is in the group.
func (r *replica) bootstrap(servers hraft.Configuration) error {
	disk, err := r.openDisk()
	if err != nil {
		return err
	}
	err = hraft.BootstrapCluster(r.config(hclog.NewNullLogger()), disk.logs, disk.stable, disk.snapshots, nowhere{addr: r.addr}, servers)
	switch {
	case errors.Is(err, hraft.ErrCantBootstrap):
		err = fmt.Errorf("hashicorp: %s holds the log of another group: give another folder", r.g.data)
	case err != nil:
		err = fmt.Errorf("%w: %w", raft.ErrConfig, err)
	}
	return errors.Join(err, disk.close())
}

func (g *Group) listen(id raft.ID, addr string) (transports.Carrier, error) {
	return g.layer.Listen(transports.Config{Cluster: g.identity, Self: id, Listen: addr})
}

func (g *Group) replica(id raft.ID) *replica { return g.replicas[id-1] }

func (g *Group) idOf(addr string) raft.ID {
	for _, r := range g.replicas {
		if r.addr == addr {
			return r.id
		}
	}
	return 0
}

// Now returns the time since the group was made.
func (g *Group) Now() raft.Time { return raft.Time(time.Since(g.origin)) }

// Size returns the number of replicas.
func (g *Group) Size() int { return len(g.replicas) }

// Propose offers a proposal to a replica. It waits if the library's queue is full, until its leader has taken from it.
func (g *Group) Propose(to raft.ID, p *cluster.Proposal) { g.replica(to).propose(p) }

// Campaign makes a replica start an election, as soon as the library lets it: followers of a live leader refuse their
// votes.
func (g *Group) Campaign(id raft.ID) { g.replica(id).campaign() }

// Status returns what is known of a replica.
func (g *Group) Status(id raft.ID) cluster.Status { return g.replica(id).status() }

// Crash closes a replica's connections and shuts the library down; its store survives. A client that is being answered
// is not waited for: it may be the one that asks.
func (g *Group) Crash(id raft.ID) {
	if !cluster.CalledBy(cluster.Tells) {
		g.replica(id).crash()
		return
	}
	g.At(g.Now(), func(raft.Time) raft.Time {
		g.replica(id).crash()
		return 0
	})
}

// Restart starts a crashed replica from its store, on its old address. The error is the system's, about the address. It
// waits for the end of a crash, which waits for those who are being answered: none of them may call it.
func (g *Group) Restart(id raft.ID) error {
	r := g.replica(id)
	r.closing.Lock() // a crash that an answer asked for goes on in the background
	defer r.closing.Unlock()
	if g.Status(id).Up {
		return nil
	}
	c, err := g.listen(id, r.addr)
	if err != nil {
		return err
	}
	return r.open(c)
}

// Pause holds back everything that a replica sends and receives. Its timers run on, which nobody can see meanwhile.
func (g *Group) Pause(id raft.ID) {
	r := g.replica(id)
	r.life.RLock()
	defer r.life.RUnlock()
	if r.raft != nil {
		r.streams.freeze()
	}
}

// Resume lets it flow again.
func (g *Group) Resume(id raft.ID) {
	r := g.replica(id)
	r.life.RLock()
	defer r.life.RUnlock()
	if r.raft != nil {
		r.streams.thaw()
	}
}

// Cut holds what from sends to to until Heal, or breaks the connections between the two and refuses new ones: see the
// package's doc.
func (g *Group) Cut(from, to raft.ID, kind cluster.CutKind) {
	g.mu.Lock()
	c := g.cut[link{from, to}]
	g.cut[link{from, to}] = cut{on: true, reset: c.reset || kind == cluster.ResetCut}
	g.mu.Unlock()
	g.relink(from, to)
}

// Heal ends a Cut.
func (g *Group) Heal(from, to raft.ID) {
	g.mu.Lock()
	delete(g.cut, link{from, to})
	g.mu.Unlock()
	if g.linked(from, to) {
		g.catchingUp.Store(true)
	}
	g.relink(from, to)
}

// relink tells both ends of a link how far they reach.
func (g *Group) relink(a, b raft.ID) {
	for _, end := range []link{{a, b}, {b, a}} {
		r := g.replica(end.from)
		r.life.RLock()
		if r.raft != nil {
			r.streams.setLink(end.to, g.reach(end.from, end.to))
		}
		r.life.RUnlock()
	}
}

// reach returns what becomes of what one replica sends to another.
func (g *Group) reach(from, to raft.ID) reach {
	g.mu.Lock()
	defer g.mu.Unlock()
	there, back := g.cut[link{from, to}], g.cut[link{to, from}]
	switch {
	case there.reset || back.reset:
		return refused
	case there.on:
		return held
	case back.on:
		return unanswered
	}
	return open
}

// linked reports whether two replicas can reach each other.
func (g *Group) linked(a, b raft.ID) bool { return g.reach(a, b) == open }

// SetConditions can only mean that there are none.
func (g *Group) SetConditions(c cluster.Conditions) {
	if c != (cluster.Conditions{}) {
		panic("hashicorp: messages within the library's streams cannot be lost or delayed one by one")
	}
}

// At runs step on a goroutine of its own.
func (g *Group) At(t raft.Time, step func(now raft.Time) raft.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return
	}
	g.steps.Go(func() { wakeup.Steps(g.ctx, g.Now, t, step) })
}

// Wait waits for a condition. The library tells of little.
func (g *Group) Wait(ctx context.Context, timeout time.Duration, cond func() bool) error {
	return cluster.Poll(ctx, timeout, cond)
}

// Counters adds up all replicas' counters. The library retries by itself: nothing is ever dropped.
func (g *Group) Counters() cluster.Counters {
	var sum cluster.Counters
	for _, r := range g.replicas {
		sum.Add(r.counters())
	}
	return sum
}

// Close ends the timers, the replicas and their transport.
func (g *Group) Close() error {
	g.close.Do(func() {
		g.mu.Lock()
		g.closing = true
		g.mu.Unlock()
		g.cancel()
		g.steps.Wait() // a step may still propose
		for _, r := range g.replicas {
			r.crash()
		}
		g.err = g.network.Close()
	})
	return g.err
}

// nowhere is a transport for writing a configuration, which only asks how addresses are written.
type nowhere struct {
	hraft.Transport
	addr string
}

func (n nowhere) EncodePeer(_ hraft.ServerID, a hraft.ServerAddress) []byte { return []byte(a) }
func (n nowhere) DecodePeer(b []byte) hraft.ServerAddress                   { return hraft.ServerAddress(b) }
func (n nowhere) LocalAddr() hraft.ServerAddress                            { return hraft.ServerAddress(n.addr) }
