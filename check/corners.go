package check

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// Faults that the ordinary schedule leaves out, since each needs several things to happen in the right order. They come
// from a source of randomness of their own.

// corners adds them to a plan, or makes it one in which nothing is lost.
func (p *Plan) corners() {
	d := drawer{rand.New(rand.NewPCG(p.Seed, 0x636f726e6572))}
	switch {
	case d.chance(0.3):
		if d.chance(0.75) { // by themselves, or others mostly get in between
			p.Faults, p.Transport = nil, "datagram"
		}
		for range 2 + d.IntN(5) {
			p.Faults = append(p.Faults, d.late(p))
		}
		if p.Breakage != OneWayFault && d.chance(0.7) {
			p.Group.CheckQuorum = false // whoever hears a leader votes for no other, and the old one does not come back soon
		}
	case d.chance(0.15):
		for range 1 + d.IntN(4) {
			p.Faults = append(p.Faults, d.burst(p))
		}
	case d.chance(0.1):
		p.loseNothing(d)
	}
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	for i := range p.Faults {
		p.Faults[i].Number = i + 1
	}
	p.scheduled = len(p.Faults)
}

// late draws frames that are held back until terms later: some of those from and to a leader, or all that it sends to any
// but one follower, and all of that one's answers, so that what the one acknowledges is overwritten before that is heard.
func (d drawer) late(p *Plan) Fault {
	et := p.Group.ElectionTimeout
	f := Fault{Kind: LateFault, At: d.span(0, p.Length*3/4), For: d.span(et/4, 2*et), Who: []raft.ID{0}, Chance: 0.3 + 0.7*d.Float64()}
	f.For = min(f.For, p.Length-f.At)
	f.Span = f.For + d.span(et/8, 3*et)
	if p.Group.Replicas > 2 && d.chance(0.7) {
		f.Who, f.Chance = append(f.Who, raft.ID(1+d.IntN(p.Group.Replicas))), 1
		f.Span = f.For + d.span(et/8, et)
	}
	return f
}

// burst draws a time in which a replica gathers what it is brought, now and then, and then takes all of it at once.
func (d drawer) burst(p *Plan) Fault {
	f := Fault{Kind: BurstFault, At: d.span(0, p.Length*9/10), Who: []raft.ID{raft.ID(1 + d.IntN(p.Group.Replicas))}}
	if d.chance(0.3) {
		f.Who[0] = 0
	}
	f.For = min(d.span(p.Group.ElectionTimeout, 10*p.Group.ElectionTimeout), p.Length-f.At)
	f.Span = d.span(p.Link.Delay/4, min(8*p.Link.Delay, p.Group.Heartbeat))
	return f
}

// statePage is the size of what a state machine's state is made of, beside its digest.
const statePage = 4096

// snapshots adds to most plans that logs are compacted and snapshots sent, in small pieces, and now and then crashes while
// one is under way.
func (p *Plan) snapshots(anyStrategy bool) {
	d, g := drawer{rand.New(rand.NewPCG(p.Seed, 0x736e6170))}, &p.Group
	if d.chance(0.2) {
		return
	}
	g.SnapshotEntries, g.SnapshotTrailing = 1+d.IntN(pick(d, 6, 60)), d.IntN(40)
	if d.chance(0.3) {
		g.SnapshotTrailing = 0
	}
	g.ChunkBytes, g.MaxChunks = 1+d.IntN(pick(d, 10, 50, 200)), 1+d.IntN(4)
	if d.chance(0.2) { // some pages, in chunks of which there are not too many
		g.StateBytes = statePage * (1 + d.IntN(3))
		g.ChunkBytes = 200 + d.IntN(2000)
	}
	if d.chance(0.5) {
		g.MaxLagBytes = 1 + d.IntN(2000)
	}
	if anyStrategy {
		c := pick(d, strategies.CatchUps()...)
		s, err := strategies.Parse(strategies.String(g.Strategy) + "," + strategies.AxisCatchUp + "=" + c.Name)
		if err != nil {
			panic(err)
		}
		g.Strategy = s
	}
	if d.chance(0.5) {
		for range 1 + d.IntN(4) {
			f := Fault{Kind: TransferFault, At: d.span(0, p.Length*3/4), Chance: d.Float64(), Span: d.span(0, 4*p.Link.Delay+2*p.Disk.Sync)}
			f.For = min(d.span(g.Heartbeat, 3*g.ElectionTimeout), p.Length-f.At)
			p.Faults = append(p.Faults, f)
		}
	}
}

// midTransfer crashes a replica a moment after a part of a snapshot has left, while a fault asks for that: one of the two
// that it concerns.
func (r *run) midTransfer(from, to raft.ID) {
	for _, f := range r.active {
		if f.Kind != TransferFault {
			continue
		}
		r.active = slices.DeleteFunc(r.active, func(a *Fault) bool { return a == f })
		own := rand.New(rand.NewPCG(r.plan.Seed, uint64(f.At)))
		id := to
		if own.IntN(3) == 0 {
			id = from
		}
		r.c.At(r.c.Now().Add(time.Duration(own.Int64N(int64(f.Span)+1))), func(now raft.Time) raft.Time {
			if r.stopped || r.down[id] {
				return 0
			}
			crash := *f
			crash.Who = []raft.ID{id}
			r.crash(&crash, id)
			r.c.At(now.Add(f.For), func(raft.Time) raft.Time { r.restart(id); return 0 })
			return 0
		})
		return
	}
}

// slowKinds are the faults that make things late and lose nothing.
var slowKinds = []FaultKind{PauseFault, DelayFault, SlowDiskFault, StallFault, SkewFault, CampaignFault}

// loseNothing leaves of a plan's faults those that make things late, and adds some that do so for a leader's followers.
func (p *Plan) loseNothing(d drawer) {
	p.Transport, p.BrokenForGood = pick(d, "mem", "tcp", "quic"), nil
	p.Group.MaxHeld = 0 // or answers are lost before they are sent
	p.Faults = slices.DeleteFunc(p.Faults, func(f Fault) bool { return !slices.Contains(slowKinds, f.Kind) })
	for range 1 + d.IntN(4) {
		f := Fault{Kind: pick(d, DelayFault, SlowDiskFault, PauseFault), At: d.span(0, p.Length*3/4)}
		f.For = min(d.span(p.Group.Heartbeat, 3*p.Group.ElectionTimeout), p.Length-f.At)
		f.Who = []raft.ID{raft.ID(1 + d.IntN(p.Group.Replicas))}
		f.Span = d.span(p.Group.Heartbeat, p.Group.ElectionTimeout/2)
		p.Faults = append(p.Faults, f)
	}
}

// losesNothing reports whether nothing is lost on the way, nor overtaken, and nobody crashes, while the faults last.
func (p *Plan) losesNothing() bool {
	return p.Transport != "datagram" && p.Link.Loss == 0 && p.Group.MaxHeld == 0 &&
		!slices.ContainsFunc(p.Faults, func(f Fault) bool { return !slices.Contains(slowKinds, f.Kind) })
}

// hold returns for how long a late fault keeps a message that leaves, 0 if none does: above the network, so that nothing
// else waits for it.
func (r *run) hold(from, to raft.ID) time.Duration {
	for _, f := range r.active {
		switch {
		case f.Kind != LateFault || !f.holds(from, to) || r.random.Float64() >= f.Chance:
		case f.Chance < 1:
			return time.Duration(r.random.Int64N(int64(f.Span)) + 1)
		default:
			return f.Span
		}
	}
	return 0
}

// holds reports whether a late fault holds back what goes from one replica to another.
func (f *Fault) holds(from, to raft.ID) bool {
	if len(f.Who) == 1 {
		return from == f.Who[0] || to == f.Who[0]
	}
	return from == f.Who[0] && to != f.Who[1] || from == f.Who[1] && to == f.Who[0]
}

// standAgain makes another replica stand for election when a late fault's holding back ends, and the one that led after
// it: so that what it was sent before comes when it leads again. Before and after it gets entries in quick succession.
func (r *run) standAgain(f *Fault, number int) {
	own := rand.New(rand.NewPCG(r.plan.Seed, uint64(number)))
	first, other := f.Who[0], raft.ID(0)
	for _, i := range own.Perm(r.c.Size()) {
		if id := raft.ID(i + 1); !slices.Contains(f.Who, id) {
			other = id
		}
	}
	if other == 0 {
		return // there is nobody else
	}
	end, gap := r.c.Now().Add(f.For), int64(min(f.Span-f.For, r.plan.Group.ElectionTimeout))
	within := func(from raft.Time, span int64) raft.Time { return from.Add(time.Duration(own.Int64N(span + 1))) }
	stand := func(id raft.ID, at raft.Time) {
		r.c.At(at, func(raft.Time) raft.Time {
			if !r.stopped && r.c.Status(id).Up {
				r.note("replica %d stands, after late frames", id)
				r.c.Campaign(id)
			}
			return 0
		})
	}
	entries := func(count int, from raft.Time, span int64) {
		for range own.IntN(count) {
			r.c.At(within(from, span), func(raft.Time) raft.Time { r.proposeTo(first); return 0 })
		}
	}
	entries(60, r.c.Now(), int64(f.For))
	stand(other, end.Add(1)) // when it is over
	again := within(end.Add(time.Duration(gap/8)), gap)
	stand(first, again)
	entries(100, again, gap)
}

// proposeTo makes a proposal that no client waits for, and that the state machine ignores.
func (r *run) proposeTo(id raft.ID) {
	r.open++
	p := &cluster.Proposal{Data: []byte("late"), Due: r.c.Now(), Done: func(*cluster.Proposal) { r.open-- }}
	r.attempts = append(r.attempts, p)
	r.c.Propose(id, p)
}

// gather stops a replica for moments, until the fault is over.
func (r *run) gather(f *Fault, number int) {
	own := rand.New(rand.NewPCG(r.plan.Seed, uint64(number)))
	id, end := f.Who[0], r.c.Now().Add(f.For)
	span := func() time.Duration { return 1 + time.Duration(own.Int64N(int64(f.Span)+1)) }
	stopped := false
	r.c.At(r.c.Now(), func(now raft.Time) raft.Time {
		over := r.stopped || now.Add(f.Span+1) >= end
		switch {
		case r.paused[id]: // by another fault, which ends it
			stopped = false
		case stopped:
			r.c.Resume(id)
			stopped = false
		case !over && !r.down[id]:
			r.c.Pause(id)
			stopped = true
		}
		if over && !stopped {
			return 0
		}
		return now.Add(span())
	})
}
