package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
)

// Outcome is what became of a play.
type Outcome struct {
	Violation  *Violation // nil if every rule held
	Unknown    string     // why a rule could not be decided; empty if all were
	Fired      map[FaultKind]int
	Effects    sim.Effects // what the faults did
	Events     uint64
	Operations int      // answered
	Log        []string // the last things that happened, if they were asked for
}

// Play runs a plan to its end, or to the first broken rule. logLines is how many of the last events Outcome.Log keeps.
// The error is the context's, or about the plan.
func (p *Plan) Play(ctx context.Context, logLines int) (out *Outcome, err error) {
	r := &run{plan: p, random: rand.New(rand.NewPCG(p.Seed, 0x706c6179)), out: &Outcome{Fired: map[FaultKind]int{}}, keep: logLines}
	defer func() {
		if broken := recover(); broken != nil {
			if r.v.err != nil {
				r.violation(r.v.err)
			}
			r.violation(&Violation{Rule: Broken, At: r.c.Now(), What: fmt.Sprint(broken)})
			out, err = r.finish(), nil
		}
	}()
	group := p.Group
	group.Observer = r
	group.MaxAppendBytes = sim.LimitAppends(p.Transport, group.MaxAppendBytes)
	r.v = Watch(&group)
	r.v.exact = p.CPU == 0 && p.Breakage != PauseFault && !slices.ContainsFunc(p.Faults, func(f Fault) bool {
		return f.Kind == PauseFault || f.Kind == SkewFault || f.Kind == BurstFault
	})
	r.v.lossless, r.v.transfers = p.losesNothing(), r.midTransfer
	if slices.ContainsFunc(p.Faults, func(f Fault) bool { return f.Kind == LateFault }) {
		r.v.hold, r.v.later = r.hold, func(d time.Duration, do func()) {
			r.c.At(r.c.Now().Add(d), func(raft.Time) raft.Time { do(); return 0 })
		}
	}
	links := func(raft.ID, raft.ID) sim.Link { return p.Link }
	r.c, err = sim.New(sim.Config{Config: group, Transport: p.Transport, Links: links, Disk: p.Disk, CPUPerMessage: p.CPU,
		OnFrame: r.frames.count})
	if err != nil {
		return nil, err
	}
	defer r.c.Close()
	err = r.play(ctx)
	var v *Violation
	if errors.As(err, &v) {
		r.violation(v)
		err = nil
	}
	return r.finish(), err
}

// run is a plan while it is played.
type run struct {
	plan   *Plan
	c      *sim.Cluster
	v      *Invariants
	random *rand.Rand
	out    *Outcome

	active   []*Fault
	down     map[raft.ID]bool // by a fault
	paused   map[raft.ID]bool
	cut      map[[2]raft.ID]linkCut
	clients  []*client
	stopped  bool // clients make no new operations
	open     int  // attempts that have not been answered
	attempts []*cluster.Proposal
	retries  int

	frames  frames
	machine machine
	history []*Operation

	keep int
	log  []string
}

// finish gathers what is to be told.
func (r *run) finish() *Outcome {
	r.out.Events = r.c.Events()
	r.out.Fired[RetryFault] = r.retries
	r.out.Effects = r.c.Effects()
	for _, op := range r.history {
		if op.Answered {
			r.out.Operations++
		}
	}
	r.out.Log = r.log
	return r.out
}

func (r *run) violation(v *Violation) {
	if r.out.Violation == nil {
		r.out.Violation = v
	}
}

func (r *run) fail(rule Rule, format string, args ...any) error {
	return &Violation{Rule: rule, At: r.c.Now(), What: fmt.Sprintf(format, args...)}
}

// wait runs the world; a broken rule ends it.
func (r *run) wait(ctx context.Context, d time.Duration, cond func() bool) error {
	err := r.c.Wait(ctx, d, func() bool { return r.v.err != nil || cond() })
	if r.v.err != nil {
		return r.v.err
	}
	if errors.Is(err, sim.ErrLivelock) {
		return r.fail(Live, "%v", err)
	}
	return err
}

func (r *run) sleepUntil(ctx context.Context, t raft.Time) error {
	err := r.wait(ctx, max(0, t.Sub(r.c.Now())), func() bool { return r.c.Now() >= t })
	if errors.Is(err, cluster.ErrTimeout) {
		return nil
	}
	return err
}

func (r *run) play(ctx context.Context) error {
	r.down, r.paused, r.cut = map[raft.ID]bool{}, map[raft.ID]bool{}, map[[2]raft.ID]linkCut{}
	r.machine.sessions = map[uint64]State{}
	for i := range r.plan.Faults {
		f := r.plan.Faults[i]
		r.c.At(raft.Time(f.At), func(raft.Time) raft.Time { r.begin(&f, i); return 0 })
	}
	for i := range r.plan.Clients {
		cl := &client{run: r, number: i}
		r.clients = append(r.clients, cl)
		cl.think()
	}
	if err := r.sleepUntil(ctx, raft.Time(r.plan.Length)); err != nil {
		return err
	}
	r.heal()
	// What is under way when faults end still takes its time.
	if err := r.sleepUntil(ctx, r.c.Now().Add(r.aftermath())); err != nil {
		return err
	}
	if err := r.serves(ctx); err != nil {
		return err
	}
	if err := r.v.Audit(); err != nil {
		return err
	}
	if err := r.accounts(); err != nil {
		return err
	}
	if err := r.c.Close(); err != nil {
		return err
	}
	if err := r.counted(); err != nil {
		return err
	}
	if r.v.err != nil {
		return r.v.err
	}
	if r.open != 0 {
		return r.fail(Accounting, "%d proposals were never answered", r.open)
	}
	return r.linearizable()
}

// begin lets a fault come.
func (r *run) begin(f *Fault, number int) {
	r.resolve(f, number)
	end := r.c.Now().Add(f.For)
	switch f.Kind {
	case CampaignFault:
		if r.c.Status(f.Who[0]).Up {
			r.fire(f)
			r.c.Campaign(f.Who[0])
		}
		return
	case CrashFault, TornFault:
		id := f.Who[0]
		if r.down[id] {
			return
		}
		r.crash(f, id)
		r.c.At(end, func(raft.Time) raft.Time { r.restart(id); return 0 })
		return
	case PauseFault:
		id := f.Who[0]
		if r.down[id] || r.paused[id] {
			return
		}
		r.fire(f)
		r.paused[id] = true
		r.c.Pause(id)
		r.c.At(end, func(raft.Time) raft.Time { r.resume(id); return 0 })
		return
	case BurstFault:
		r.fire(f)
		r.gather(f, number)
		return
	case TransferFault:
		r.active = append(r.active, f) // it fires when there is one: see midTransfer
		return
	case LateFault:
		r.standAgain(f, number)
	}
	r.fire(f)
	r.active = append(r.active, f)
	r.arrange()
	r.c.At(end, func(raft.Time) raft.Time {
		if i := slices.Index(r.active, f); i >= 0 {
			r.note("%s ends", f.Kind)
			r.active = slices.Delete(r.active, i, i+1)
			r.arrange()
		}
		return 0
	})
}

// resolve names whoever leads, with a draw of the fault's own if nobody does: so that leaving another fault out changes
// as little as possible.
func (r *run) resolve(f *Fault, number int) {
	f.Who = slices.Clone(f.Who)
	for i, id := range f.Who {
		if id != 0 {
			continue
		}
		leader := cluster.Leader(r.c)
		if leader == 0 {
			own := rand.New(rand.NewPCG(r.plan.Seed, uint64(number)))
			leader = raft.ID(1 + own.IntN(r.c.Size()))
		}
		if other := slices.Index(f.Who, leader); other >= 0 {
			f.Who[other] = f.Who[0]
		}
		f.Who[i] = leader
	}
	f.Who = slices.DeleteFunc(f.Who, func(id raft.ID) bool { return id == 0 })
}

func (r *run) fire(f *Fault) {
	r.out.Fired[f.Kind]++
	r.note("%v", *f)
}

func (r *run) crash(f *Fault, id raft.ID) {
	d := r.disk(id)
	d.Torn = f.Chance
	_ = r.c.SetDisk(id, d)
	before := r.c.Durable(id)
	last, term := before.Log.Last(), before.Term
	r.c.Crash(id)
	after := r.c.Durable(id)
	r.down[id], r.paused[id] = true, false
	if f.Kind == TornFault && after.Log.Last() == last && after.Term == term {
		f.Kind = CrashFault // nothing was being written that could be torn
	}
	r.fire(f)
	r.arrange()
}

func (r *run) restart(id raft.ID) {
	if !r.down[id] {
		return
	}
	r.note("replica %d restarts", id)
	r.down[id] = false
	if err := r.c.Restart(id); err != nil {
		r.v.fail(Broken, r.v.replica(id), "it does not start again: %v", err)
	}
}

func (r *run) resume(id raft.ID) {
	if r.paused[id] {
		r.note("replica %d goes on", id)
		r.paused[id] = false
		r.c.Resume(id)
	}
}

// arrange makes links, disks and clocks as the active faults say.
func (r *run) arrange() {
	n := raft.ID(r.c.Size())
	for from := raft.ID(1); from <= n; from++ {
		for to := raft.ID(1); to <= n; to++ {
			if from == to {
				continue
			}
			l, cut := r.link(from, to)
			if l != r.c.Link(from, to) {
				if err := r.c.SetLink(from, to, l); err != nil {
					panic(err)
				}
			}
			if at := [2]raft.ID{from, to}; cut != r.cut[at] {
				r.cut[at] = cut
				if cut.on {
					r.c.Cut(from, to, cut.kind)
				} else {
					r.c.Heal(from, to)
				}
			}
		}
		if err := r.c.SetDisk(from, r.disk(from)); err != nil {
			panic(err)
		}
		ppm := 0
		for _, f := range r.active {
			if f.Kind == SkewFault && slices.Contains(f.Who, from) {
				ppm += f.PPM
			}
		}
		if ppm != 0 || slices.ContainsFunc(r.plan.Faults, func(f Fault) bool { return f.Kind == SkewFault }) {
			if err := r.c.SetClockRate(from, max(ppm, -800_000)); err != nil {
				panic(err)
			}
		}
	}
}

// linkCut says whether a link is cut, and how.
type linkCut struct {
	on   bool
	kind cluster.CutKind
}

// link returns what the link in one direction is now, and whether it is cut: with a reset if any fault cuts it so.
func (r *run) link(from, to raft.ID) (l sim.Link, c linkCut) {
	l = r.plan.Link
	for _, f := range r.active {
		cut := false
		in := func(id raft.ID) bool { return slices.Contains(f.Who, id) }
		switch f.Kind {
		case SplitFault:
			cut = in(from) != in(to)
		case PartialFault:
			cut = in(from) && in(to)
		case OneWayFault:
			cut = f.Chance < 1 && from == f.Who[0] || f.Chance >= 1 && to == f.Who[0]
		case BridgeFault:
			side := func(id raft.ID) int {
				at := slices.Index(f.Who, id)
				if at <= 0 {
					return 0 // the bridge
				}
				return 1 + at%2
			}
			cut = side(from)*side(to) == 2
		case LossFault:
			l.Loss = max(l.Loss, f.Chance)
		case DuplicateFault:
			l.Duplicate = max(l.Duplicate, f.Chance)
		case ReorderFault:
			l.Reorder, l.ReorderBy = max(l.Reorder, f.Chance), max(l.ReorderBy, f.Span)
		case DelayFault:
			if len(f.Who) == 0 || in(from) || in(to) {
				l.Delay += f.Span
			}
		}
		if cut {
			c.on, c.kind = true, max(c.kind, f.Cut)
		}
	}
	return l, c
}

func (r *run) disk(id raft.ID) sim.Disk {
	d := r.plan.Disk
	for _, f := range r.active {
		if !slices.Contains(f.Who, id) {
			continue
		}
		switch f.Kind {
		case SlowDiskFault:
			d.Sync += f.Span
		case StallFault:
			d.Sync = max(d.Sync, time.Microsecond)
			d.Stall, d.StallFor = 1, f.For
		}
	}
	return d
}

// forGood is longer than any run.
const forGood = 1000 * time.Hour

// heal ends all faults, but for those that last.
func (r *run) heal() {
	r.stopped, r.v.lossless = true, false
	r.active = r.active[:0]
	r.arrange()
	for id := raft.ID(1); id <= raft.ID(r.c.Size()); id++ {
		r.restart(id)
		r.resume(id)
	}
	r.note("everything is healed, except %v", r.plan.BrokenForGood)
	for _, id := range r.plan.BrokenForGood {
		f := &Fault{At: r.plan.Length, For: forGood, Kind: r.plan.Breakage, Who: []raft.ID{id}}
		if f.Kind == OneWayFault {
			f.Chance = 0.5 + 0.5*float64(r.plan.Seed%2) // deaf or mute
		}
		switch f.Kind {
		case CrashFault:
			r.crash(f, id)
		case PauseFault:
			r.fire(f)
			r.c.Pause(id)
		default:
			r.fire(f)
			r.active = append(r.active, f)
			r.arrange()
		}
	}
}

// aftermath returns how long what faults began may still take once they have ended.
func (r *run) aftermath() (d time.Duration) {
	for _, f := range r.plan.Faults {
		switch f.Kind {
		case StallFault:
			d = max(d, f.At+2*f.For-r.plan.Length)
		case DelayFault, ReorderFault, SlowDiskFault, LateFault:
			d = max(d, f.Span+2*r.plan.Link.Delay)
		case LossFault:
			if r.plan.Transport != "datagram" {
				d = max(d, time.Second) // retransmission timers
			}
		}
	}
	return d
}

// intact returns the replicas that are not broken for good.
func (r *run) intact() []raft.ID {
	var ids []raft.ID
	for id := raft.ID(1); id <= raft.ID(r.c.Size()); id++ {
		if !slices.Contains(r.plan.BrokenForGood, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// lastClient makes a proposal that is made until it is committed.
func (r *run) lastClient() *client {
	cl := &client{run: r, number: len(r.clients), last: true}
	r.clients = append(r.clients, cl)
	cl.next()
	return cl
}

// waitsForProposal reports whether the leader holds entries of earlier terms only, which nothing commits before there is
// one of its own (paper, section 5.4.2): a leader that took over without a no-op after the last proposal.
func (r *run) waitsForProposal() bool {
	id := cluster.Leader(r.c)
	if id == 0 || r.plan.Group.NoOp {
		return false
	}
	s, node := r.c.Status(id), r.v.replica(id).node
	return s.Commit < s.Last && node != nil && node.Log().LastTerm() < s.Term
}

// serves: within ten election timeouts after the last fault a new proposal commits, and then all replicas that are not
// broken become equal. On top comes what the strategy's search for diverged logs may take by its own promise, and, where
// an AppendEntries holds only a few entries, the time for those that are missing.
func (r *run) serves(ctx context.Context) error {
	search, transfer := r.searching()
	limit := 10*r.plan.Group.ElectionTimeout + search + transfer
	cl := r.lastClient()
	from := r.c.Now()
	if err := r.wait(ctx, limit, func() bool { return cl.op.Answered }); errors.Is(err, cluster.ErrTimeout) {
		return r.fail(Live, "nothing was committed within %v after everything was healed: %s", limit, r.statuses())
	} else if err != nil {
		return err
	}
	ids := r.intact()
	err := r.wait(ctx, limit, func() bool { return r.level(ids) })
	for range 3 {
		if !errors.Is(err, cluster.ErrTimeout) || !r.waitsForProposal() {
			break
		}
		r.lastClient()
		err = r.wait(ctx, limit, func() bool { return r.level(ids) })
	}
	if errors.Is(err, cluster.ErrTimeout) {
		return r.fail(Live, "the logs did not become equal within %v after everything was healed: %s", r.c.Now().Sub(from), r.statuses())
	} else if err != nil {
		return err
	}
	first := r.c.Status(ids[0])
	for _, id := range ids[1:] {
		if s := r.c.Status(id); s.Digest != first.Digest {
			return r.fail(EqualState, "replicas %d and %d have applied different logs up to index %d: digests %016x and %016x",
				first.ID, id, s.Applied, first.Digest, s.Digest)
		}
	}
	return nil
}

// level reports whether these replicas have the same log and have applied all of it.
func (r *run) level(ids []raft.ID) bool {
	first := r.c.Status(ids[0])
	for _, id := range ids {
		if s := r.c.Status(id); !s.Up || s.Applied != s.Last || s.Last != first.Last || s.Durable != s.Last && !r.stalled(id) {
			return false
		}
	}
	return true
}

func (r *run) stalled(id raft.ID) bool {
	return r.plan.Breakage == StallFault && slices.Contains(r.plan.BrokenForGood, id)
}

// searching returns how long a new leader may search for the place where the logs agree: the most rejections that the
// backup promises for any two logs, each a round trip and what the Send gate takes. Two leaders may need it. transfer is
// how long the entries may take that a replica lacks, one in each round if messages are small.
func (r *run) searching() (search, transfer time.Duration) {
	rounds, lag := 0, 0
	for _, a := range r.v.replicas {
		for _, b := range r.v.replicas {
			if a == b || len(a.log) == 0 {
				continue
			}
			var shared uint64
			d := r.v.diverged(a, b, uint64(len(a.log)), &shared)
			if lag = max(lag, int(d.entries)); !r.v.searches.exact {
				lag = max(lag, len(a.log)) // some of what both have may be sent again
			}
			most := int(d.entries)
			if r.v.searches.rejections != nil {
				most = r.v.searches.rejections(d)
			}
			rounds = max(rounds, most)
		}
	}
	g := &r.plan.Group
	each := 2*(r.plan.Link.Delay+r.plan.Link.Jitter) + r.plan.Disk.Sync
	if r.v.opens.send || r.v.window > 0 {
		each += g.Heartbeat / 10
	} else {
		each += g.Heartbeat
	}
	if g.MaxAppendBytes == 0 {
		lag /= 64 // of at most 400 bytes, over any transport
	}
	chunks := 0 // one in each round, if they overtake each other
	if g.SnapshotEntries > 0 {
		chunks = 2 + (snapshotBytes+g.StateBytes)/g.ChunkBytes
	}
	return 2 * time.Duration(rounds) * each, time.Duration(lag+chunks) * each
}

func (r *run) statuses() string {
	s := ""
	for id := raft.ID(1); id <= raft.ID(r.c.Size()); id++ {
		st := r.c.Status(id)
		s += fmt.Sprintf("[%d %v up %t term %d follows %d last %d commit %d applied %d]", id, st.Role, st.Up, st.Term, st.Leader, st.Last, st.Commit, st.Applied)
	}
	return s
}

// linearizable holds what clients were told against what the log says.
func (r *run) linearizable() error {
	var history []Operation
	for _, op := range r.history {
		if !op.Answered {
			// No answer came; the log tells what it would have been.
			at, ok := r.machine.sessions[op.Value]
			if !ok {
				continue // it has had no effect, and never will
			}
			op.Answered, op.State, op.Return = true, at, 0
		}
		history = append(history, *op)
	}
	if err := InRealTime(history); err != nil {
		return r.fail(Linearizable, "%v", err)
	}
	switch Linearize(history, 10*time.Second) {
	case LinearizableNo:
		return r.fail(Linearizable, "no order of %d operations explains what clients were told", len(history))
	case Unproven:
		r.out.Unknown = fmt.Sprintf("whether a history of %d operations is linearizable: the search did not finish", len(history))
	}
	return nil
}

// machine is the state machine, fed by whichever replica applies an entry first: that all apply the same is a rule of
// its own (SM).
type machine struct {
	applied  uint64
	state    State
	sessions map[uint64]State // what each operation was, or would have been, told, by its value
	at       []State          // the same by index
}

func (m *machine) apply(e raft.Entry) {
	told := m.state
	if len(e.Data) >= commandBytes {
		value, read := binary.LittleEndian.Uint64(e.Data), e.Data[8] == 1
		before, again := m.sessions[value]
		switch {
		case again: // a client that asked twice: it is told what it would have been the first time
			told = before
		case read:
			m.sessions[value] = told
		default:
			m.state = m.state.Append(value)
			told = m.state
			m.sessions[value] = told
		}
	}
	m.at = append(m.at, told)
	m.applied++
}

// Events keeps a log if one is asked for: cluster.Observer.
func (r *run) Events(now raft.Time, id raft.ID, events []raft.Event) {
	if r.keep == 0 {
		return
	}
	for i := range events {
		r.note("%d %s", id, describe(&events[i]))
	}
}

// Applied feeds the state machine: cluster.Observer.
func (r *run) Applied(now raft.Time, id raft.ID, run raft.Entries) {
	if run.Last() <= r.machine.applied {
		return
	}
	for e := range run.All() {
		if e.Index == r.machine.applied+1 {
			r.machine.apply(e)
		}
	}
}

// Restored is of no interest here: somebody has applied before what a snapshot holds. cluster.Observer.
func (r *run) Restored(now raft.Time, id raft.ID, s raft.Snapshot) {
	r.note("%d goes on from a snapshot of everything up to %d", id, s.Index)
}

// note adds a line to the log of the last events.
func (r *run) note(format string, args ...any) {
	if r.keep == 0 {
		return
	}
	if len(r.log) >= 2*r.keep {
		r.log = append(r.log[:0], r.log[r.keep:]...)
	}
	r.log = append(r.log, fmt.Sprintf("%12v  ", time.Duration(r.c.Now()))+fmt.Sprintf(format, args...))
}

func describe(e *raft.Event) string {
	switch e.Kind {
	case raft.EventRole:
		return fmt.Sprintf("is %v in term %d, leader %d", e.Role, e.Term, e.Peer)
	case raft.EventSent:
		return fmt.Sprintf("sends %d entries after %d to %d (probe %t)", e.Count, e.Prev, e.Peer, e.Probe)
	case raft.EventAccepted:
		return fmt.Sprintf("hears that %d has up to %d (search ends %t)", e.Peer, e.Index, e.Probe)
	case raft.EventRejected:
		return fmt.Sprintf("hears that %d rejects %d, next is %d (search %t)", e.Peer, e.Prev, e.Index, e.Probe)
	case raft.EventTruncated:
		return fmt.Sprintf("removes %d entries from %d on", e.Count, e.Index)
	}
	return fmt.Sprintf("%v up to %d", e.Kind, e.Index)
}
