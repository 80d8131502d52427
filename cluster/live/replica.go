package live

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/internal/wakeup"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// replica drives one cluster.Member. It is the Host of its core and the Handler of its transport.
//
// Whoever lets go of mu looks afterwards whether something was queued that nobody else will see, by settleAndUnlock:
// others only try for the lock, and leave what they have queued to its holder. Receive may leave that to the frame
// that follows. Clients that propose again whenever they are answered could keep a goroutine at that for ever: after
// maxTurns it leaves the rest to the timer's goroutine, which looks at the clock between two turns.
type replica struct {
	c        *Cluster
	id       raft.ID
	openDisk func(storage.Options) (storage.Storage, error)
	listen   string // address; the port is known after the first open
	timer    *wakeup.Timer

	life   sync.Mutex // for crash, restart, pause and resume, one at a time
	paused bool       // then mu is held until the replica is resumed or crashes

	mu    sync.Mutex           // holds the core
	core  cluster.Member       // nil while crashed; changed with life and mu held
	tr    transports.Transport // likewise
	store storage.Storage      // likewise
	lives int                  // likewise: which life this is
	work  sync.WaitGroup       // what this life does in the background
	tails sync.WaitGroup       // and what follows from it
	armed raft.Time            // when the timer fires; 0 if it does not

	err              error      // why this life ended by itself
	random           *rand.Rand // for conditions
	unreadable, lost uint64     // frames of this life that the core could not read; that conditions dropped

	last bool // this round of settle is the last, whatever is queued; of the holder of mu

	queueMu  sync.Mutex
	queue    []*cluster.Proposal // offered and not yet taken
	spare    []*cluster.Proposal // memory for the next queue; of the holder of mu
	campaign atomic.Bool         // wanted and not yet begun

	linksMu sync.Mutex
	cut     map[raft.ID]bool
	links   transports.Transport // as tr, to be cut and healed even while mu is held for long

	// What others may see without the lock.
	seenMu   sync.Mutex
	status   cluster.Status
	counters cluster.Counters     // of this life
	past     cluster.Counters     // of earlier lives
	stats    transports.Transport // as tr, for its counters
}

// open makes the replica's endpoint and its core. It does not run yet.
func (r *replica) open() error {
	endpoint := transports.Config{Cluster: r.c.cfg.Identity, Self: r.id, Listen: r.listen}
	if n := transports.MaxFrameBytes(r.c.cfg.MaxAppendBytes, r.c.cfg.MaxEntryBytes); n > transports.DefaultMaxFrameBytes {
		endpoint.MaxFrameBytes = n
	}
	if n := r.c.cfg.Network; n != nil {
		endpoint.Host = n.Host(int(r.id - 1))
	}
	tr, err := r.c.network.Endpoint(endpoint)
	if err != nil {
		return err
	}
	life := r.lives + 1
	store, err := r.openStorage(storage.Options{Group: r.c.cfg.Identity, Replica: r.id,
		Durable: func(seq uint64) { r.saved(life, seq) }, Failed: func(err error) { r.failed(life, err) }})
	if err != nil {
		tr.Close()
		return err
	}
	r.store = store // what makes a member already uses it
	core, err := r.c.cfg.NewMember(r.id, r, store)
	if err != nil {
		tr.Close()
		return errors.Join(err, store.Close())
	}
	r.linksMu.Lock()
	for to := range r.cut {
		tr.SetLink(to, false)
	}
	r.links = tr
	r.linksMu.Unlock()
	r.mu.Lock()
	r.listen = tr.Addr()
	r.core, r.tr, r.lives, r.err = core, tr, life, nil
	r.unreadable, r.lost = 0, 0
	r.publish()
	r.mu.Unlock() // what was queued meanwhile is for start
	return nil
}

// start lets the replica take part.
func (r *replica) start() {
	r.mu.Lock()
	tr := r.tr
	r.armed = 0
	r.settleAndUnlock()
	peers := map[raft.ID]string{}
	for id, addr := range r.c.peers {
		if id != r.id {
			peers[id] = addr
		}
	}
	tr.Start(peers, r)
}

func (r *replica) restart() error {
	r.life.Lock()
	defer r.life.Unlock()
	if r.c.closed() {
		return errClosed
	}
	if r.core != nil {
		return nil
	}
	err := r.open()
	// A passing connection may have taken the port meanwhile, as its own end's.
	for deadline := time.Now().Add(portPatience); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
		err = r.open()
	}
	if err == nil {
		r.start()
	}
	return err
}

// portPatience is how long a replica that restarts tries to get its port back.
const portPatience = time.Second

func (r *replica) crash() {
	r.life.Lock()
	defer r.life.Unlock()
	if !r.paused {
		r.mu.Lock()
	}
	r.paused = false // and it handles nothing more
	core, tr, store := r.core, r.tr, r.store
	if core == nil {
		r.settleAndUnlock()
		return
	}
	r.core, r.tr, r.store = nil, nil, nil
	r.seenMu.Lock()
	r.status.Up, r.status.Role, r.status.Err = false, raft.Follower, r.err
	r.seenMu.Unlock()
	r.mu.Unlock() // what was queued is refused below
	r.linksMu.Lock()
	r.links = nil
	r.linksMu.Unlock()
	// The transport waits for its goroutines, which may wait for the lock.
	tr.Close()
	r.mu.Lock() // what follows from work in the background may be under way
	core.Abandon()
	r.mu.Unlock()
	r.work.Wait()
	if err := store.Close(); err != nil {
		r.seenMu.Lock()
		r.status.Err = err
		r.seenMu.Unlock()
	}
	r.mu.Lock()
	r.settleAndUnlock()
	r.seenMu.Lock()
	r.past = r.totalsLocked()
	r.counters, r.stats = cluster.Counters{}, nil
	r.seenMu.Unlock()
	r.c.notify()
}

// openStorage opens the replica's storage for a life, the first time with what the configuration gives it to start from.
func (r *replica) openStorage(o storage.Options) (storage.Storage, error) {
	if boot, ok := r.c.cfg.Boot[r.id]; ok && r.lives == 0 {
		store, err := r.openDisk(o)
		if err != nil {
			return nil, err
		}
		if _, err = store.Load(); err == nil {
			store.Save(boot.Save())
		}
		if err = errors.Join(err, store.Close()); err != nil {
			return nil, err
		}
	}
	return r.openDisk(o)
}

// saved tells the core that a save is durable, unless it is of an earlier life.
func (r *replica) saved(life int, seq uint64) {
	r.mu.Lock()
	if r.core != nil && r.lives == life {
		r.core.Saved(r.Now(), seq)
	}
	r.settleAndUnlock()
}

// failed stops a replica whose storage has failed. It does not wait for that: the storage's goroutine is in here.
func (r *replica) failed(life int, err error) {
	r.c.background(func() {
		r.mu.Lock()
		now := r.lives == life && r.core != nil
		if now {
			r.err = err
		}
		r.mu.Unlock()
		if now {
			r.crash()
		}
	})
}

// Fail stops the replica: cluster.Host. The lock is held.
func (r *replica) Fail(err error) { r.failed(r.lives, err) }

// Background runs work on a goroutine of its own, unless storage is memory, which nothing waits for: cluster.Host. The
// lock is held.
func (r *replica) Background(work func(), then func(raft.Time)) {
	if r.c.cfg.OpenStorage == nil {
		work()
		then(r.Now())
		return
	}
	r.work.Add(1)
	r.tails.Go(func() {
		work()
		r.work.Done()
		r.mu.Lock()
		then(r.Now())
		r.settleAndUnlock()
	})
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
	for turn := 1; ; turn++ {
		tr := r.settle()
		if turn == maxTurns && r.queued() {
			r.handOver()
		}
		r.mu.Unlock()
		if tr != nil {
			tr.Flush()
		}
		if turn == maxTurns || !r.queued() || !r.mu.TryLock() {
			return // whoever has the lock now looks at the queue after letting go of it
		}
	}
}

// A goroutine takes the queue maxRounds times before it lets go of the lock and flushes, and that maxTurns times before
// it leaves the rest to another.
const maxRounds, maxTurns = 16, 8

// handOver leaves what is queued to the timer's goroutine. The lock is held.
func (r *replica) handOver() {
	r.armed = r.Now()
	r.timer.Set(0)
}

func (r *replica) queued() bool {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	return len(r.queue) > 0 || r.campaign.Load()
}

// stand makes the replica start an election, once it is not paused.
func (r *replica) stand() {
	r.campaign.Store(true)
	if r.mu.TryLock() {
		r.settleAndUnlock()
	}
}

// settle works until the core wants nothing more and the queue is empty, but not for more than maxRounds: answering
// clients makes new proposals.
func (r *replica) settle() transports.Transport {
	if r.core == nil {
		r.campaign.Store(false)
		r.refuseQueued()
		return nil
	}
	for round := 1; ; round++ {
		r.last = round == maxRounds
		if r.campaign.CompareAndSwap(true, false) {
			r.core.Campaign(r.Now())
		}
		batch := r.takeQueue()
		if len(batch) > 0 {
			now := r.Now()
			for _, p := range batch {
				r.core.Propose(now, p)
			}
		}
		r.core.Settle(r.Now())
		clear(batch)
		if r.spare = batch[:0]; r.last || !r.queued() {
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
	r.status, r.counters, r.stats = r.core.Status(), r.core.Counters(), r.tr
	r.counters.Dropped += r.unreadable + r.lost
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
		sum.Dropped += s.Dropped()
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
	r.timer.Set(at.Sub(r.Now()))
}

// tick fires the core's timers when they are due, in all of the replica's lives.
func (r *replica) tick() {
	for r.timer.Wait() {
		r.do(func(core cluster.Member) {
			r.armed = 0
			core.Tick(r.Now())
		})
	}
}

func (r *replica) pause() {
	r.life.Lock()
	defer r.life.Unlock()
	if !r.paused && r.core != nil {
		r.paused = true
		r.mu.Lock()
	}
}

func (r *replica) resume() {
	r.life.Lock()
	defer r.life.Unlock()
	if r.paused {
		r.paused = false
		r.settleAndUnlock()
	}
}

func (r *replica) cutLink(to raft.ID, kind cluster.CutKind) {
	r.linksMu.Lock()
	defer r.linksMu.Unlock()
	r.cut[to] = true
	if r.links == nil {
		return
	}
	r.links.SetLink(to, false)
	if kind == cluster.ResetCut {
		r.links.Reset(to)
	}
}

func (r *replica) healLink(to raft.ID) {
	r.linksMu.Lock()
	defer r.linksMu.Unlock()
	delete(r.cut, to)
	if r.links != nil {
		r.links.SetLink(to, true)
	}
}

// Now reads the clock: cluster.Host.
func (r *replica) Now() raft.Time { return r.c.Now() }

// Send queues a frame with the transport: cluster.Host.
func (r *replica) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) {
	if conditions := r.c.conditions.Load(); conditions != nil {
		drop, delay := conditions.Fate(transports.IsReply(head), r.random)
		if drop {
			r.lost++
			return
		}
		if delay > 0 {
			r.sendLater(to, class, slices.Concat(head, slices.Concat(body...)), delay)
			return
		}
	}
	r.tr.Send(to, class, head, body...)
}

func (r *replica) sendLater(to raft.ID, class transports.Class, frame []byte, delay time.Duration) {
	tr := r.tr
	r.c.background(func() {
		timer := time.NewTimer(delay) // its millisecond does not matter: these delays measure nothing
		defer timer.Stop()
		select {
		case <-timer.C:
			tr.Send(to, class, frame)
			tr.Flush()
		case <-r.c.ctx.Done():
		}
	})
}

// Pending says that proposals wait, which settle will bring before it lets go: cluster.Host.
func (r *replica) Pending() bool { return !r.last && r.queued() }

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
	if r.c.cfg.Yield {
		r.mu.Unlock()
		runtime.Gosched()
		r.mu.Lock()
	}
	r.settleAndUnlock()
}

// Up tells the core: transports.Handler.
func (r *replica) Up(peer raft.ID) {
	r.do(func(core cluster.Member) { core.Reachable(r.Now(), peer) })
}

// Down settles what an unfinished batch of messages left: transports.Handler.
func (r *replica) Down(raft.ID) { r.do(func(cluster.Member) {}) }
