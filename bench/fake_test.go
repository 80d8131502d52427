package bench

import (
	"context"
	"slices"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// fake is a group in virtual time without any Raft: whoever is told to campaign leads, and every proposal commits after
// exactly the latency that the test asks for. Its faults are planted: each of them a number that lies.
type fake struct {
	now      raft.Time
	todo     []todo // in order of time
	size     int
	observer cluster.Observer
	leader   raft.ID
	term     uint64
	down     map[raft.ID]bool
	closed   bool

	last    uint64 // given to proposals
	log     []entry
	applied []uint64 // by each replica
	digests []uint64
	waiting []*cluster.Proposal // appended and not answered

	latency func(now raft.Time) time.Duration // from appended to committed; nil for a millisecond
	held    func(now raft.Time) raft.Time     // when a timer that is due now fires; nil for at once
	lag     time.Duration                     // how much later followers apply
	plants
}

// plants are the faults.
type plants struct {
	ackEarly       bool // acknowledges when it has appended
	loseEvery      uint64
	duplicateEvery uint64
	failEvery      uint64 // answers as failed what is committed
	answerTwice    uint64 // this index
	neverAnswer    uint64 // this index
	// late says when, and as what, a proposal is answered that has just been committed, the first time it is not nil.
	late        func(*cluster.Proposal) *lateAnswer
	alter       func(id raft.ID, e *entry) // what this replica applies
	sameDigests bool                       // whatever they apply
	stamp       func(*cluster.Proposal)    // what it makes of a proposal before it is answered
	noStages    uint64                     // of every so manieth
}

// lateAnswer is an answer that comes after a while.
type lateAnswer struct {
	after time.Duration
	as    cluster.Outcome
	lost  bool // the entry is in no log
	twice bool
}

type todo struct {
	at raft.Time
	do func()
}

type entry struct {
	term uint64
	data []byte
}

func newFake(cfg cluster.Config) *fake {
	return &fake{now: 1, size: cfg.Replicas, observer: cfg.Observer, down: map[raft.ID]bool{},
		applied: make([]uint64, cfg.Replicas), digests: make([]uint64, cfg.Replicas)}
}

func (f *fake) at(t raft.Time, do func()) {
	i, _ := slices.BinarySearchFunc(f.todo, t, func(e todo, t raft.Time) int {
		if e.at <= t {
			return -1
		}
		return 1
	})
	f.todo = slices.Insert(f.todo, i, todo{t, do})
}

func (f *fake) events(id raft.ID, events ...raft.Event) {
	if f.observer != nil {
		f.observer.Events(f.now, id, events)
	}
}

func (f *fake) Now() raft.Time { return f.now }
func (f *fake) Size() int      { return f.size }

func every(n, index uint64) bool { return n > 0 && index%n == 0 }

func (f *fake) Propose(to raft.ID, p *cluster.Proposal) {
	p.Replica, p.Outcome, p.Stages = to, cluster.Pending, cluster.Stages{}
	switch {
	case f.closed || f.down[to]:
		p.Refuse(to, cluster.ErrDown)
		return
	case to != f.leader:
		p.Refuse(to, raft.ErrNotLeader)
		return
	}
	f.last++
	p.Index, p.Term = f.last, f.term
	f.waiting = append(f.waiting, p)
	f.events(to, raft.Event{Kind: raft.EventAppended, Index: p.Index, Count: 1, Term: p.Term})
	p.Stages.Appended, p.Stages.Sent = f.now, f.now
	data := slices.Clone(p.Data)
	latency := time.Millisecond
	if f.latency != nil {
		latency = f.latency(f.now)
	}
	if f.ackEarly {
		f.at(f.now.Add(latency/2), func() { f.answer(p, cluster.Committed) })
	}
	f.at(f.now.Add(latency), func() { f.commit(p, data) })
}

func (f *fake) commit(p *cluster.Proposal, data []byte) {
	if !f.ackEarly && !slices.Contains(f.waiting, p) {
		return // its leader crashed
	}
	index := uint64(len(f.log)) + 1
	p.Index = index
	if f.late != nil {
		if a := f.late(p); a != nil {
			f.late = nil
			f.answerLate(p, data, a)
			return
		}
	}
	if !every(f.loseEvery, index) {
		f.log = append(f.log, entry{f.term, data})
	}
	if every(f.duplicateEvery, index) {
		f.log = append(f.log, entry{f.term, data})
	}
	f.last = max(f.last, uint64(len(f.log)))
	p.Stages.Acked, p.Stages.Committed = f.now, f.now
	f.apply(f.leader)
	if !f.ackEarly && index != f.neverAnswer {
		outcome := cluster.Committed
		if every(f.failEvery, index) {
			outcome = cluster.Failed
		}
		f.answer(p, outcome)
		if index == f.answerTwice {
			p.Outcome = outcome
			p.Done(p)
		}
	}
	for id := raft.ID(1); id <= raft.ID(f.size); id++ {
		if id != f.leader {
			f.at(f.now.Add(f.lag), func() { f.apply(id) })
		}
	}
}

func (f *fake) answerLate(p *cluster.Proposal, data []byte, a *lateAnswer) {
	if !a.lost {
		f.log = append(f.log, entry{f.term, data})
		for id := raft.ID(1); id <= raft.ID(f.size); id++ {
			f.at(f.now, func() { f.apply(id) })
		}
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(other *cluster.Proposal) bool { return other == p })
	if a.as == cluster.Pending {
		return // never
	}
	f.at(f.now.Add(a.after), func() {
		p.Err = raft.ErrNotLeader // if it is refused
		f.answer(p, a.as)
		if a.twice {
			f.answer(p, a.as)
		}
	})
}

func (f *fake) answer(p *cluster.Proposal, outcome cluster.Outcome) {
	f.waiting = slices.DeleteFunc(f.waiting, func(other *cluster.Proposal) bool { return other == p })
	p.Outcome, p.Stages.Applied = outcome, f.now
	if every(f.noStages, p.Index) {
		p.Stages = cluster.Stages{Applied: f.now}
	}
	if f.stamp != nil {
		f.stamp(p)
	}
	p.Done(p)
}

// apply brings a replica up to date.
func (f *fake) apply(id raft.ID) {
	if f.down[id] || f.closed {
		return
	}
	to := uint64(len(f.log))
	if f.applied[id-1] == to {
		return
	}
	f.events(id, raft.Event{Kind: raft.EventCommitted, Index: to}, raft.Event{Kind: raft.EventApplied, Index: to})
	for i := f.applied[id-1]; i < to; i++ {
		e := entry{f.log[i].term, slices.Clone(f.log[i].data)}
		if f.alter != nil {
			f.alter(id, &e)
		}
		run := raft.Entries{First: i + 1}
		run.Append(e.term, e.data)
		for _, b := range run.Bytes {
			if !f.sameDigests {
				f.digests[id-1] = mix(f.digests[id-1], uint64(b))
			}
		}
		if f.observer != nil {
			f.observer.Applied(f.now, id, run)
		}
	}
	f.applied[id-1] = to
}

func (f *fake) Campaign(id raft.ID) {
	if f.down[id] {
		return
	}
	f.term++
	f.leader = 0
	f.events(id, raft.Event{Kind: raft.EventRole, Role: raft.Candidate, Term: f.term})
	f.at(f.now.Add(time.Millisecond), func() {
		f.leader = id
		f.events(id, raft.Event{Kind: raft.EventRole, Role: raft.Leader, Term: f.term, Peer: id})
	})
}

func (f *fake) Status(id raft.ID) cluster.Status {
	s := cluster.Status{Up: !f.down[id] && !f.closed, Digest: f.digests[id-1]}
	s.ID, s.Term, s.Leader, s.Applied, s.Commit, s.Last = id, f.term, f.leader, f.applied[id-1], f.applied[id-1], uint64(len(f.log))
	if id == f.leader {
		s.Role = raft.Leader
	}
	return s
}

func (f *fake) Crash(id raft.ID) {
	f.down[id] = true
	if id == f.leader {
		f.leader = 0
		for len(f.waiting) > 0 {
			f.answer(f.waiting[0], cluster.Unknown)
		}
	}
}

func (f *fake) Restart(id raft.ID) error {
	delete(f.down, id)
	f.at(f.now, func() { f.apply(id) })
	return nil
}

func (f *fake) Pause(raft.ID)                       {}
func (f *fake) Resume(raft.ID)                      {}
func (f *fake) Cut(_, _ raft.ID, _ cluster.CutKind) {}
func (f *fake) Heal(_, _ raft.ID)                   {}
func (f *fake) SetConditions(cluster.Conditions)    {}
func (f *fake) Counters() cluster.Counters          { return cluster.Counters{} }

func (f *fake) At(t raft.Time, step func(raft.Time) raft.Time) {
	t = max(t, f.now)
	if f.held != nil {
		t = f.held(t)
	}
	f.at(t, func() {
		if f.closed {
			return
		}
		if next := step(f.now); next != 0 {
			f.At(next, step)
		}
	})
}

func (f *fake) Wait(ctx context.Context, timeout time.Duration, cond func() bool) error {
	for until := f.now.Add(timeout); ; {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case cond():
			return nil
		case f.now >= until:
			return cluster.ErrTimeout
		case len(f.todo) == 0 || f.todo[0].at > until:
			f.now = until
			continue
		}
		next := f.todo[0]
		f.todo = f.todo[1:]
		f.now = max(f.now, next.at)
		next.do()
	}
}

func (f *fake) Close() error {
	if !f.closed {
		f.closed = true
		for len(f.waiting) > 0 {
			f.answer(f.waiting[0], cluster.Unknown)
		}
	}
	return nil
}

var _ cluster.Cluster = (*fake)(nil)

// plan returns the only cell of a matrix over fakes.
func plan(scenario Scenario, change func(*Settings)) *Planned {
	m := Matrix{Strategies: []raft.Strategy{ownWay}, Transports: []string{"fake"}, Scenarios: []string{"steady"}, Nodes: []int{3},
		Payloads: []int{16}, Clients: []int{2}, Repeat: 1, Virtual: true, Name: func(s raft.Strategy) string { return s.Name },
		Choices: func(raft.Strategy) map[string]string { return nil },
		Common: Settings{Warmup: 20 * time.Millisecond, Duration: 100 * time.Millisecond, Heartbeat: 10 * time.Millisecond,
			ElectionTimeout: 100 * time.Millisecond, Foreground: 500, MaxAppendBytes: 1 << 20, Timeout: time.Second}}
	all, err := m.Plan()
	if err != nil {
		panic(err)
	}
	p := all[0]
	p.scenario = scenario
	p.Settings.Timeout, p.Settings.Patience = time.Second, 0
	if change != nil {
		change(&p.Settings)
	}
	return &p
}

// opener makes fakes.
func opener(change func(*fake)) Opener {
	return func(_ string, cfg cluster.Config) (cluster.Cluster, error) {
		f := newFake(cfg)
		if change != nil {
			change(f)
		}
		return f, nil
	}
}
