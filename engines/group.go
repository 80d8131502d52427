package engines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/internal/wakeup"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/mem"
	"github.com/raftbench/raftbench/transports"
)

// Node is one replica, from its start to its stop, of an engine that has goroutines and a clock of its own. Its methods
// are called by any goroutine, at the same time, and none of them may wait for a client.
type Node interface {
	// Receive, Up and Down are called by the transport: see transports.Handler. Send and Flush of the Host answer.
	transports.Handler
	// Propose takes a proposal. Done is called exactly once, after Stop by Refuse with cluster.ErrDown: a cluster.Clients
	// knows what is to be told.
	Propose(p *cluster.Proposal)
	// Campaign makes the node stand for election.
	Campaign()
	// Status may be of a moment ago. Up is not the node's.
	Status() cluster.Status
	// Counters counts since the node was started, without Dropped and Writes.
	Counters() cluster.Counters
	// Stop ends the node's goroutines and tells all clients that wait. The transport is closed before, the storage after.
	Stop()
}

// Start starts a node from what its storage holds, which is memory: what is saved is durable at once.
type Start func(id raft.ID, cfg *cluster.Config, host *Host, store storage.Storage) (Node, error)

// Host is where a node runs: a cluster.Host.
type Host struct {
	g  *Group
	r  *nodeReplica
	tr transports.Transport
}

// Now reads the group's clock.
func (h *Host) Now() raft.Time { return h.g.Now() }

// Send queues a frame for a peer.
func (h *Host) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) {
	h.tr.Send(to, class, head, body...)
}

// Flush hands what is queued to the sockets.
func (h *Host) Flush() { h.tr.Flush() }

// Pending says that nothing is known of what follows.
func (h *Host) Pending() bool { return false }

// Background does both at once: nothing waits for memory.
func (h *Host) Background(work func(), then func(raft.Time)) {
	work()
	then(h.Now())
}

// Fail crashes the replica, as soon as the node has finished what it is doing.
func (h *Host) Fail(err error) {
	h.g.At(h.Now(), func(raft.Time) raft.Time {
		h.r.crash()
		h.r.mu.Lock()
		defer h.r.mu.Unlock()
		h.r.status.Err = err
		return 0
	})
}

// Group runs nodes on the wall clock, each with an endpoint of a transport. It implements cluster.Cluster, but Pause:
// goroutines cannot be frozen.
type Group struct {
	cfg      cluster.Config
	origin   time.Time
	identity uint64
	start    Start
	network  transports.Network
	replicas []*nodeReplica
	peers    map[raft.ID]string

	ctx    context.Context // of the steps of At
	cancel context.CancelFunc
	mu     sync.Mutex
	ended  bool
	steps  sync.WaitGroup
	close  sync.Once
	err    error
}

// nodeReplica is a place for one node after the other.
type nodeReplica struct {
	id     raft.ID
	disk   *mem.Disk
	listen string

	life sync.Mutex // one crash or restart at a time

	mu     sync.Mutex
	node   Node // nil while crashed
	last   Node // as node, until its counters are in past
	tr     transports.Transport
	store  storage.Storage
	cut    map[raft.ID]bool
	status cluster.Status   // of a crashed one
	past   cluster.Counters // of earlier nodes
}

// Open starts a group of nodes at a place. Errors are those of the nodes or the system's, about a port for example; a
// storage other than memory is refused with one that wraps raft.ErrConfig.
func Open(at Place, cfg cluster.Config, start Start) (*Group, error) {
	if cfg.OpenStorage != nil || at.Data != "" {
		return nil, fmt.Errorf("%w: a group of nodes has its storage in memory only", raft.ErrConfig)
	}
	network, err := at.Transport.Open()
	if err != nil {
		return nil, err
	}
	if at.Host == "" {
		at.Host = "127.0.0.1"
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Group{cfg: cfg, origin: time.Now(), identity: rand.Uint64(), start: start, network: network,
		peers: map[raft.ID]string{}, ctx: ctx, cancel: cancel}
	for i := range cfg.Replicas {
		port := 0
		if len(at.Ports) > 0 {
			port = at.Ports[i]
		}
		id := raft.ID(i + 1)
		g.replicas = append(g.replicas, &nodeReplica{id: id, disk: newDisk(cfg.Boot[id]), cut: map[raft.ID]bool{},
			listen: fmt.Sprintf("%s:%d", at.Host, port)})
	}
	for _, r := range g.replicas {
		if err := g.open(r); err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.peers[r.id] = r.listen
	}
	for _, r := range g.replicas {
		g.connect(r)
	}
	return g, nil
}

// newDisk returns a disk that holds what a replica starts with.
func newDisk(boot cluster.Boot) *mem.Disk {
	d := mem.NewDisk(raft.NewLog(1, 0))
	if store, err := mem.Open(d); err == nil { // nobody else has it
		store.Save(boot.Save())
		store.Close()
	}
	return d
}

// open makes a replica's endpoint and starts a node on it, which is not connected yet.
func (g *Group) open(r *nodeReplica) error {
	tr, err := g.network.Endpoint(transports.Config{Cluster: g.identity, Self: r.id, Listen: r.listen})
	if err != nil {
		return err
	}
	store, err := mem.Open(r.disk)
	if err != nil {
		tr.Close()
		return err
	}
	node, err := g.start(r.id, &g.cfg, &Host{g, r, tr}, store)
	if err != nil {
		tr.Close()
		return errors.Join(err, store.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for to := range r.cut {
		tr.SetLink(to, false)
	}
	r.node, r.last, r.tr, r.store, r.listen = node, node, tr, store, tr.Addr()
	return nil
}

func (g *Group) connect(r *nodeReplica) {
	peers := map[raft.ID]string{}
	for id, addr := range g.peers {
		if id != r.id {
			peers[id] = addr
		}
	}
	r.tr.Start(peers, r.node)
}

func (g *Group) replica(id raft.ID) *nodeReplica { return g.replicas[id-1] }

// running returns the replica's node, nil while it is down.
func (r *nodeReplica) running() Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node
}

// Now returns the time since the group was made.
func (g *Group) Now() raft.Time { return raft.Time(time.Since(g.origin)) }

// Size returns the number of replicas.
func (g *Group) Size() int { return len(g.replicas) }

// Propose offers a proposal to a replica.
func (g *Group) Propose(to raft.ID, p *cluster.Proposal) {
	if node := g.replica(to).running(); node != nil {
		node.Propose(p)
		return
	}
	p.Refuse(to, cluster.ErrDown)
}

// Campaign makes a replica stand for election.
func (g *Group) Campaign(id raft.ID) {
	if node := g.replica(id).running(); node != nil {
		node.Campaign()
	}
}

// Status returns what is known of a replica.
func (g *Group) Status(id raft.ID) cluster.Status {
	r := g.replica(id)
	node := r.running()
	if node == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.status
	}
	s := node.Status()
	s.Up = true
	return s
}

// Crash stops a replica's node, and waits for that unless a client asks for it that is being answered.
func (g *Group) Crash(id raft.ID) {
	crash := func(raft.Time) raft.Time {
		g.replica(id).crash()
		return 0
	}
	if cluster.CalledBy(cluster.Tells) {
		g.At(g.Now(), crash)
		return
	}
	crash(0)
}

func (r *nodeReplica) crash() {
	r.life.Lock()
	defer r.life.Unlock()
	r.mu.Lock()
	node, tr, store := r.node, r.tr, r.store
	if node == nil {
		r.mu.Unlock()
		return
	}
	r.status = node.Status()
	r.status.Up, r.status.Role = false, raft.Follower
	r.node = nil
	r.mu.Unlock()
	tr.Close() // nothing arrives any more
	node.Stop()
	err := store.Close()
	r.mu.Lock()
	r.status.Err = err
	r.past = r.totals()
	r.last, r.tr, r.store = nil, nil, nil
	r.mu.Unlock()
}

// totals returns what the replica has done, earlier nodes included. The lock is held.
func (r *nodeReplica) totals() cluster.Counters {
	sum := r.past
	if r.last != nil {
		sum.Add(r.last.Counters())
		s := r.tr.Stats()
		sum.Writes += s.Writes
		sum.Dropped += s.Dropped()
	}
	return sum
}

// Restart starts a crashed replica's next node from its disk, on its old address.
func (g *Group) Restart(id raft.ID) error {
	r := g.replica(id)
	r.life.Lock()
	defer r.life.Unlock()
	if r.running() != nil {
		return nil
	}
	if err := g.open(r); err != nil {
		return err
	}
	g.connect(r)
	return nil
}

// Pause is not possible: an engine's Refuse says so.
func (g *Group) Pause(raft.ID) { panic("engines: the goroutines of a node cannot be frozen") }

// Resume has nothing to do.
func (g *Group) Resume(raft.ID) {}

// Cut drops what from sends to to, until Heal.
func (g *Group) Cut(from, to raft.ID, kind cluster.CutKind) {
	g.replica(from).setLink(to, false)
	if tr := g.replica(from).transport(); kind == cluster.ResetCut && tr != nil {
		tr.Reset(to)
	}
}

// Heal ends a Cut.
func (g *Group) Heal(from, to raft.ID) { g.replica(from).setLink(to, true) }

func (r *nodeReplica) setLink(to raft.ID, up bool) {
	r.mu.Lock()
	if up {
		delete(r.cut, to)
	} else {
		r.cut[to] = true
	}
	tr := r.tr
	r.mu.Unlock()
	if tr != nil {
		tr.SetLink(to, up)
	}
}

// transport returns the running node's, nil if it is down.
func (r *nodeReplica) transport() transports.Transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tr
}

// SetConditions can only mean that there are none.
func (g *Group) SetConditions(c cluster.Conditions) {
	if c != (cluster.Conditions{}) {
		panic("engines: messages of a node cannot be lost or delayed one by one")
	}
}

// At runs step on a goroutine of its own.
func (g *Group) At(t raft.Time, step func(now raft.Time) raft.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.steps.Go(func() { wakeup.Steps(g.ctx, g.Now, t, step) })
	}
}

// Wait waits for a condition.
func (g *Group) Wait(ctx context.Context, timeout time.Duration, cond func() bool) error {
	return cluster.Poll(ctx, timeout, cond)
}

// Counters adds up all replicas' counters.
func (g *Group) Counters() cluster.Counters {
	var sum cluster.Counters
	for _, r := range g.replicas {
		r.mu.Lock()
		sum.Add(r.totals())
		r.mu.Unlock()
	}
	return sum
}

// Close ends the steps, the nodes and their transport.
func (g *Group) Close() error {
	g.close.Do(func() {
		g.mu.Lock()
		g.ended = true
		g.mu.Unlock()
		g.cancel()
		g.steps.Wait()
		for _, r := range g.replicas {
			r.crash()
		}
		g.err = g.network.Close()
	})
	return g.err
}
