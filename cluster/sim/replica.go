package sim

import (
	"math/rand/v2"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// replica drives one cluster.Member. It is the member's Host.
type replica struct {
	c    *Cluster
	id   raft.ID
	at   int16          // place in the group: id-1
	core cluster.Member // nil while it is down
	disk disk
	// life numbers the replica's starts and crashes: events of an earlier one are out of date.
	life   uint32
	clock  clock
	random *rand.Rand // for Conditions

	armed    raft.Time // on the world's clock, when the timer fires; 0 if it does not
	timerGen uint32

	queue, spare []*cluster.Proposal // offered and not yet taken
	campaign     bool
	woken        bool // an event that will look at the queue is scheduled
	settling     bool
	again        bool // and settling goes on while there are proposals
	unsettled    bool // it was handed frames, and another follows at once

	paused bool
	inbox  []input // what could not be handled at once, because the replica is paused or busy
	batch  int     // of them, what the work that is going on will handle
	taking int     // proposals that it will take
	busy   bool
	sends  int // messages since the last settling began

	settlings uint64 // rounds of settling, to tell writes to a connection apart
	status    cluster.Status
	past      cluster.Counters // of earlier lives
	dropped   uint64
	writes    uint64
}

// input is something that happens to a member.
type input struct {
	kind EventKind
	slot int32 // of a frame, or the place of a peer
	seq  uint64
}

// start makes the member from what the disk holds.
func (r *replica) start() error {
	if err := r.disk.open(); err != nil {
		return err
	}
	core, err := r.c.cfg.NewMember(r.id, r, &r.disk)
	if err != nil {
		r.disk.stable.Close()
		return err
	}
	r.core = core
	r.life++
	r.arm()
	if r.woken = false; len(r.queue) > 0 || r.campaign {
		r.wake()
	}
	return nil
}

func (r *replica) crash() {
	if r.core == nil {
		return
	}
	if r.settling { // by somebody who is being answered: the member cannot go in the middle of its work
		r.c.At(r.c.now, func(raft.Time) raft.Time { r.crash(); return 0 })
		return
	}
	r.status = r.core.Status()
	r.status.Up, r.status.Role = false, raft.Follower
	r.past.Add(r.core.Counters())
	core := r.core
	r.core = nil
	r.life++
	r.timerGen++
	r.armed = 0
	for _, in := range r.inbox {
		if in.kind == EventFrame {
			r.c.replicas[r.c.net.frames[in.slot].from].dropped++
			r.c.net.drop(in.slot)
		}
	}
	r.inbox = r.inbox[:0]
	r.paused, r.busy, r.woken, r.campaign, r.unsettled = false, false, false, false, false
	core.Abandon()
	r.disk.crash(r.Now())
	r.c.net.disconnectAll(r.at)
	r.refuseQueued()
}

func (r *replica) refuseQueued() {
	batch := r.queue
	r.queue = nil
	for _, p := range batch {
		p.Refuse(r.id, cluster.ErrDown)
	}
}

func (r *replica) lastStatus() cluster.Status {
	if r.core == nil {
		return r.status
	}
	return r.core.Status()
}

func (r *replica) counters() cluster.Counters {
	sum := r.past
	if r.core != nil {
		sum.Add(r.core.Counters())
	}
	sum.Dropped += r.dropped
	sum.Writes += r.writes
	return sum
}

func (r *replica) propose(p *cluster.Proposal) {
	if r.c.closed {
		p.Refuse(r.id, cluster.ErrDown)
		return
	}
	r.queue = append(r.queue, p)
	if !r.settling { // or it is taken before that ends, or with the next work
		r.wake()
	}
}

// wake sees to it that somebody looks at the queue.
func (r *replica) wake() {
	if !r.woken {
		r.woken = true
		r.c.push(r.c.now, event{kind: EventPropose, on: r.at, gen: r.life})
	}
}

// happen handles an event that concerns this replica. It reports false if there was nothing to do.
func (r *replica) happen(e event) bool {
	if e.kind == EventPropose {
		r.woken = false
		if r.core == nil {
			r.refuseQueued()
			r.campaign = false
			return true
		}
	}
	if r.core == nil {
		return false
	}
	switch e.kind {
	case EventTimer:
		return r.timer()
	case EventSaved:
		seq := r.disk.synced()
		if len(r.disk.waiting) > 0 {
			r.sync()
		}
		r.input(input{kind: EventSaved, seq: seq})
	case EventTask:
		r.input(input{kind: EventTask})
	case EventUp:
		r.input(input{kind: EventUp, slot: e.slot})
	case EventResume:
		r.goOn()
	case EventWork:
		r.worked()
	case EventPropose:
		r.goOn()
	}
	return true
}

// timer fires the member's timers, unless its deadline has moved on meanwhile.
func (r *replica) timer() bool {
	r.armed = 0
	if r.core.Deadline() > r.Now() {
		r.arm()
		return false
	}
	r.input(input{kind: EventTimer})
	return true
}

// input hands something to the member, now or when it can take it. Whoever has more of it settles later.
func (r *replica) input(in input) {
	if r.put(in) {
		r.settle(-1)
	}
}

// put hands something to the member if it can take it now; settling is then left to the caller.
func (r *replica) put(in input) bool {
	if !r.paused && !r.busy && r.c.cfg.CPUPerMessage == 0 && len(r.inbox) == 0 {
		r.handle(in)
		return true
	}
	r.inbox = append(r.inbox, in)
	if !r.paused && !r.busy && r.c.cfg.CPUPerMessage > 0 {
		r.begin()
	}
	return false
}

// goOn handles what has gathered.
func (r *replica) goOn() {
	if r.paused || r.busy {
		return
	}
	if r.c.cfg.CPUPerMessage > 0 {
		r.begin()
		return
	}
	for _, in := range r.inbox {
		r.handle(in)
	}
	r.inbox = r.inbox[:0]
	r.settle(-1)
}

func (r *replica) handle(in input) {
	now := r.Now()
	switch in.kind {
	case EventFrame:
		f := &r.c.net.frames[in.slot]
		if r.c.cfg.OnFrame != nil {
			r.c.net.tell(FrameDelivered, in.slot)
		}
		if r.core.Receive(now, raft.ID(f.from+1), f.data) != nil {
			r.dropped++
		}
		r.c.net.release(in.slot)
	case EventUp:
		r.core.Reachable(now, raft.ID(in.slot+1))
	case EventSaved:
		r.core.Saved(now, in.seq)
	case EventTask:
		t := r.disk.tasks[0]
		r.disk.tasks = r.disk.tasks[1:]
		t.work()
		t.then(now)
	case EventTimer:
		r.core.Tick(now)
	}
}

// begin starts to work on everything that has gathered, where work takes time.
func (r *replica) begin() {
	if len(r.inbox) == 0 && len(r.queue) == 0 && !r.campaign {
		return
	}
	r.batch, r.taking = len(r.inbox), len(r.queue)
	cost := r.taking
	for _, in := range r.inbox {
		if in.kind == EventFrame {
			cost++
		}
	}
	r.busy = true
	r.c.push(r.c.now.Add(time.Duration(cost)*r.c.cfg.CPUPerMessage), event{kind: EventWork, on: r.at, gen: r.life})
}

// working says that the work that EventWork ends is sending what the last batch led to.
const sending = -1

// worked ends a piece of work: the batch is handled, and then what it made the member send takes its time.
func (r *replica) worked() {
	if r.batch != sending {
		for _, in := range r.inbox[:r.batch] {
			r.handle(in)
		}
		r.inbox = r.inbox[:copy(r.inbox, r.inbox[r.batch:])]
		r.settle(r.taking)
		r.batch = sending
		if r.sends > 0 {
			r.c.push(r.c.now.Add(time.Duration(r.sends)*r.c.cfg.CPUPerMessage), event{kind: EventWork, on: r.at, gen: r.life})
			return
		}
	}
	r.busy = false
	r.goOn()
}

// settle lets the member act: with as many proposals of the queue as take says, all and those that follow from
// answering them if it is negative.
func (r *replica) settle(take int) {
	r.settling, r.unsettled, r.again = true, false, take < 0
	r.settlings++
	r.sends = 0
	now := r.Now()
	if r.campaign {
		r.campaign = false
		r.core.Campaign(now)
	}
	for {
		batch := r.queue
		if take >= 0 {
			// The rest moves to the queue's beginning in memory of its own.
			rest := append(r.spare[:0], batch[take:]...)
			r.queue, batch = rest, batch[:take]
		} else {
			r.queue = r.spare[:0]
		}
		r.spare = nil
		for _, p := range batch {
			r.offer(now, p)
		}
		r.core.Settle(now)
		clear(batch)
		r.spare = batch[:0]
		if take >= 0 || len(r.queue) == 0 || r.c.stuck != nil {
			break
		}
		r.c.count()
	}
	r.settling = false
	r.arm()
}

// Pending says that proposals wait, which settle will bring before it ends: cluster.Host.
func (r *replica) Pending() bool { return r.again && len(r.queue) > 0 }

// offer gives the member a proposal. One whose clock is not the world's gets its stages translated.
func (r *replica) offer(now raft.Time, p *cluster.Proposal) {
	if r.clock.everTouched {
		done := p.Done
		p.Done = func(p *cluster.Proposal) {
			p.Done = done
			s := &p.Stages
			for _, t := range []*raft.Time{&s.Appended, &s.Sent, &s.Acked, &s.Committed, &s.Applied} {
				*t = r.clock.worldAt(*t, r.c.now)
			}
			done(p)
		}
	}
	r.core.Propose(now, p)
}

// arm schedules the member's next deadline, unless an earlier look at it is scheduled already.
func (r *replica) arm() {
	at := r.core.Deadline()
	if at == forever {
		return
	}
	at = max(r.clock.when(at, r.c.now), r.c.now)
	if r.armed != 0 && r.armed <= at {
		return
	}
	r.armed = at
	r.timerGen++
	r.c.push(at, event{kind: EventTimer, on: r.at, gen: r.timerGen})
}

// Now reads the replica's clock: cluster.Host.
func (r *replica) Now() raft.Time { return r.clock.at(r.c.now) }

// Send hands a frame to the network: cluster.Host.
func (r *replica) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) {
	r.sends++
	at := r.c.now.Add(time.Duration(r.sends) * r.c.cfg.CPUPerMessage)
	if r.c.conditions != (cluster.Conditions{}) {
		drop, delay := r.c.conditions.Fate(transports.IsReply(head), r.random)
		if drop {
			r.dropped++
			return
		}
		if delay > 0 {
			r.c.net.delay(r.at, int16(to-1), class, at.Add(delay), head, body...)
			return
		}
	}
	r.c.net.send(r.at, int16(to-1), class, at, head, body...)
}

func (r *replica) sync() {
	r.c.push(r.c.now.Add(r.disk.begin()), event{kind: EventSaved, on: r.at, gen: r.life})
}

// Background does work that the disk takes some time for, one after the other: cluster.Host.
func (r *replica) Background(work func(), then func(raft.Time)) {
	d := &r.disk
	if d.instant() {
		work()
		then(r.Now())
		return
	}
	d.tasks = append(d.tasks, task{work, then})
	d.busyUntil = max(d.busyUntil, r.c.now).Add(d.Write + d.transfer(r.c.cfg.StateBytes) + d.sync())
	r.c.push(d.busyUntil, event{kind: EventTask, on: r.at, gen: r.life})
}

// Fail stops the replica: cluster.Host.
func (r *replica) Fail(error) { r.crash() }
