package live

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// replica drives one cluster.Member. It is the Host of its core and the Handler of its transport.
type replica struct {
	c      *Cluster
	id     raft.ID
	disk   *cluster.Disk
	listen string // address; the port is known after the first open

	mu      sync.Mutex // holds the core; a paused replica's lock is held until it is resumed
	core    cluster.Member
	tr      transports.Transport // nil while crashed
	cut     map[raft.ID]bool
	timer   *time.Timer
	armed   raft.Time // when the timer fires; 0 if it does not

	conditions cluster.Conditions
	random     *rand.Rand // for conditions

	unreadable, lost uint64 // frames that the core could not read; that conditions dropped

	queueMu sync.Mutex
	queue   []*cluster.Proposal // offered and not yet taken
	spare   []*cluster.Proposal

	// What others may see without the lock.
	seenMu   sync.Mutex
	status   cluster.Status
	counters cluster.Counters     // of this life
	past     cluster.Counters     // of earlier lives
	stats    transports.Transport // as tr, for its counters

	pauseMu sync.Mutex
	paused  bool
}

// open makes the replica's endpoint and its core. It does not run yet.
func (r *replica) open() error {
	tr, err := r.c.network.Endpoint(transports.Config{Cluster: r.c.cfg.Identity, Self: r.id, Listen: r.listen})
	if err != nil {
		return err
	}
	core, err := r.c.cfg.NewMember(r.id, r, r.disk)
	if err != nil {
		tr.Close()
		return err
	}
	r.mu.Lock()
	r.listen = tr.Addr()
	r.core, r.tr = core, tr
	if r.cut == nil {
		r.cut = map[raft.ID]bool{}
	}
	for to := range r.cut {
		tr.SetLink(to, false)
	}
	r.publish()
	r.mu.Unlock()
	return nil
}

// start lets the replica take part.
func (r *replica) start() {
	r.mu.Lock()
	tr := r.tr
	r.armed = 0
	r.arm()
	r.mu.Unlock()
	peers := map[raft.ID]string{}
	for id, addr := range r.c.peers {
		if id != r.id {
			peers[id] = addr
		}
	}
	tr.Start(peers, r)
}

func (r *replica) crash() {
	r.resume()
	r.mu.Lock()
	if r.core == nil {
		r.mu.Unlock()
		return
	}
	core, tr := r.core, r.tr
	r.core, r.tr = nil, nil
	r.timer.Stop()
	r.publish()
	r.mu.Unlock()
	// The transport waits for its goroutines, which may wait for the lock.
	tr.Close()
	core.Abandon()
	r.refuseQueued()
	r.c.applied[r.id-1].Store(r.disk.Saved().Applied)
	r.c.notify()
}

// propose queues a proposal, and sees to it that somebody takes it: whoever holds the lock, or this goroutine.
func (r *replica) propose(p *cluster.Proposal) {
	r.queueMu.Lock()
	r.queue = append(r.queue, p)
	r.queueMu.Unlock()
	if r.mu.TryLock() {
		r.settleAndUnlock()
	}
}

// do gives f the core, unless the replica is down.
func (r *replica) do(f func(cluster.Member)) {
	r.mu.Lock()
	if r.core != nil {
		f(r.core)
	}
	r.settleAndUnlock()
}

// settleAndUnlock takes what is queued, carries out what the core wants, and lets go of the lock; again, if something
// was queued while nobody could see it.
func (r *replica) settleAndUnlock() {
	for {
		tr := r.settle()
		r.mu.Unlock()
		if tr != nil {
			tr.Flush()
		}
		if !r.queued() || !r.mu.TryLock() {
			return // whoever has the lock now looks at the queue after letting go of it
		}
	}
}

func (r *replica) queued() bool {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	return len(r.queue) > 0
}

// settle works until the core wants nothing more and the queue is empty: answering clients makes new proposals.
func (r *replica) settle() transports.Transport {
	if r.core == nil {
		r.refuseQueued()
		return nil
	}
	for {
		batch := r.takeQueue()
		if len(batch) > 0 {
			now := r.Now()
			for _, p := range batch {
				r.core.Propose(now, p)
			}
		}
		r.core.Settle(r.Now())
		clear(batch)
		if r.spare = batch[:0]; !r.queued() {
			break
		}
	}
	r.publish()
	r.arm()
	r.c.notify()
	return r.tr
}

func (r *replica) takeQueue() []*cluster.Proposal {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	batch := r.queue
	r.queue, r.spare = r.spare[:0], nil
	return batch
}

func (r *replica) refuseQueued() {
	r.queueMu.Lock()
	batch := r.queue
	r.queue = nil
	r.queueMu.Unlock()
	for _, p := range batch {
		p.Refuse(r.id, cluster.ErrDown)
	}
}

// publish makes the replica's state visible to those who do not hold the lock.
func (r *replica) publish() {
	r.seenMu.Lock()
	defer r.seenMu.Unlock()
	if r.core == nil {
		r.past = r.totalsLocked()
		r.status.Up, r.status.Role = false, raft.Follower
		r.counters, r.stats = cluster.Counters{}, nil
		return
	}
	r.status, r.counters, r.stats = r.core.Status(), r.core.Counters(), r.tr
	r.counters.Dropped += r.unreadable + r.lost
	r.c.applied[r.id-1].Store(r.status.Applied)
}

func (r *replica) lastStatus() cluster.Status {
	r.seenMu.Lock()
	defer r.seenMu.Unlock()
	return r.status
}

// totals returns what the replica has done so far, earlier lives included.
func (r *replica) totals() cluster.Counters {
	r.seenMu.Lock()
	defer r.seenMu.Unlock()
	return r.totalsLocked()
}

func (r *replica) totalsLocked() cluster.Counters {
	sum := r.past
	sum.Add(r.counters)
	if r.stats != nil {
		s := r.stats.Stats()
		sum.Writes += s.Writes
		sum.Dropped += s.DroppedNoConnection + s.DroppedCut + s.DroppedQueueFull + s.DroppedOnBreak
	}
	return sum
}

func (r *replica) warnings() []string {
	r.seenMu.Lock()
	defer r.seenMu.Unlock()
	if w, ok := r.stats.(transports.Warner); ok {
		return w.Warnings()
	}
	return nil
}

// arm sets the timer to the core's deadline if that is earlier than what it is set to: a later one is met by firing
// early and looking again, which costs less than moving the timer with every message.
func (r *replica) arm() {
	at := r.core.Deadline()
	if r.armed != 0 && r.armed <= at {
		return
	}
	r.armed = at
	r.timer.Reset(max(0, at.Sub(r.Now())))
}

func (r *replica) onTimer() {
	r.do(func(core cluster.Member) {
		r.armed = 0
		core.Tick(r.Now())
	})
}

func (r *replica) pause() {
	r.pauseMu.Lock()
	defer r.pauseMu.Unlock()
	if !r.paused {
		r.paused = true
		r.mu.Lock()
	}
}

func (r *replica) resume() {
	r.pauseMu.Lock()
	defer r.pauseMu.Unlock()
	if r.paused {
		r.paused = false
		r.settleAndUnlock()
	}
}

func (r *replica) setLink(to raft.ID, up bool) {
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

// Now reads the clock: cluster.Host.
func (r *replica) Now() raft.Time { return r.c.Now() }

// Send queues a frame with the transport: cluster.Host.
func (r *replica) Send(to raft.ID, class transports.Class, head, body []byte) {
	if r.conditions != (cluster.Conditions{}) {
		drop, delay := r.conditions.Fate(transports.IsReply(head), r.random)
		if drop {
			r.lost++
			return
		}
		if delay > 0 {
			r.sendLater(to, class, slices.Concat(head, body), delay)
			return
		}
	}
	r.tr.Send(to, class, head, body)
}

func (r *replica) sendLater(to raft.ID, class transports.Class, frame []byte, delay time.Duration) {
	tr := r.tr
	r.c.At(r.Now().Add(delay), func(raft.Time) raft.Time {
		tr.Send(to, class, frame, nil)
		tr.Flush()
		return 0
	})
}

// Save writes to the disk, which is memory and so durable at once: cluster.Host.
func (r *replica) Save(s raft.Save) bool {
	r.disk.Write(s)
	return true
}

// Compactable is the group's: cluster.Host.
func (r *replica) Compactable() uint64 { return r.c.compactable() }

// Receive steps the core with a message: transports.Handler.
func (r *replica) Receive(from raft.ID, frame []byte, more bool) {
	r.mu.Lock()
	if r.core == nil {
		r.mu.Unlock()
		return
	}
	if r.core.Receive(r.Now(), from, frame) != nil {
		r.unreadable++ // by an authenticated peer of this group: counted as dropped
	}
	if more {
		r.mu.Unlock() // the next message follows at once: both are settled together
		return
	}
	r.settleAndUnlock()
}

// Up tells the core: transports.Handler.
func (r *replica) Up(peer raft.ID) {
	r.do(func(core cluster.Member) { core.Reachable(r.Now(), peer) })
}

// Down settles what an unfinished batch of messages left: transports.Handler.
func (r *replica) Down(raft.ID) { r.do(func(cluster.Member) {}) }
