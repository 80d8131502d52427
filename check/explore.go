package check

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
	"github.com/raftbench/raftbench/transports"
)

// Bounds say how much may happen in an exhaustive search. Within them every order of events is tried: campaigns,
// proposals, deliveries of any message in flight in any order or never, ends of disk writes, crashes with any part of
// what was being written on disk, and restarts.
type Bounds struct {
	Replicas  int
	Terms     int    // highest term
	Proposals int    // in all
	Crashes   int    // in all
	Beats     int    // heartbeats in all, each of which gives up and sends anew what was not answered
	SlowDisk  bool   // writes end by events of their own, so that a crash may come before
	NoOp      bool   // leaders append an entry of their own
	States    uint64 // gives up after so many different states; 0 for none
}

// ParseBounds reads what a text such as "terms=2,proposals=1,crashes=1,beats=0,slow-disk,no-op" says of three replicas;
// what it does not name is 0, terms is 2. An error says what is wrong, in one line.
func ParseBounds(text string) (Bounds, error) {
	b := Bounds{Replicas: 3, Terms: 2}
	for part := range strings.SplitSeq(text, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(value)
		if given && (err != nil || n < 0 || n > 9) {
			return b, fmt.Errorf("%s is %q: want a whole number from 0 to 9", name, value)
		}
		number, flag := map[string]*int{"replicas": &b.Replicas, "terms": &b.Terms, "proposals": &b.Proposals, "crashes": &b.Crashes, "beats": &b.Beats}[name],
			map[string]*bool{"slow-disk": &b.SlowDisk, "no-op": &b.NoOp}[name]
		switch {
		case number != nil && given:
			*number = n
		case flag != nil && !given:
			*flag = true
		case part != "":
			return b, fmt.Errorf("%q is not understood: want replicas=N, terms=N, proposals=N, crashes=N, beats=N, slow-disk or no-op", part)
		}
	}
	if b.Replicas < 1 || b.Terms < 1 {
		return b, fmt.Errorf("%d replicas and %d terms: want 1 or more of each", b.Replicas, b.Terms)
	}
	return b, nil
}

func (b Bounds) String() string {
	s := counted(b.Replicas, "replica", "s")
	s += ", " + counted(b.Terms, "term", "s") + ", " + counted(b.Proposals, "proposal", "s")
	s += ", " + counted(b.Crashes, "crash", "es") + ", " + counted(b.Beats, "heartbeat", "s")
	if b.SlowDisk {
		s += ", writes that take time"
	}
	if b.NoOp {
		s += ", no-ops"
	}
	return s
}

func counted(n int, noun, ending string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, ending)
}

// Explored is what a search has seen.
type Explored struct {
	States      uint64 // different ones
	Transitions uint64
	Deepest     int // events in a row
	Took        time.Duration
	Complete    bool // every state within the bounds was seen
	Violation   *Violation
	Path        []string // the events that led to it
}

// Explore searches all states that the bounds allow, with the strategy fast-signal-commit. Two states are the same if
// nothing but the replicas' timers tells them apart; they are told apart by a hash of 64 bits, so with 10 million states
// the chance that one was taken for another is one in 400,000. jobs searches go on at a time.
func Explore(ctx context.Context, b Bounds, jobs int, progress func(Explored)) (Explored, error) {
	s, err := strategies.Parse("fast-signal-commit")
	if err != nil {
		return Explored{}, err
	}
	x := &explorer{bounds: b, strategy: s, started: time.Now(), progress: progress, jobs: jobs}
	x.given = sync.NewCond(&x.mu)
	first, err := x.begin()
	if err != nil {
		return Explored{}, err
	}
	x.fresh(first)
	x.shared = append(x.shared, first)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() { x.work(ctx) })
	}
	workers.Wait()
	e := x.explored()
	e.Complete = ctx.Err() == nil && !x.gaveUp.Load() && x.found == nil
	return e, nil
}

// explorer is a search under way.
type explorer struct {
	bounds   Bounds
	strategy raft.Strategy
	started  time.Time
	progress func(Explored)

	seen        [256]shard
	states      atomic.Uint64
	transitions atomic.Uint64
	gaveUp      atomic.Bool

	jobs    int
	idle    atomic.Int64 // workers that wait for worlds
	deepest atomic.Int64

	mu     sync.Mutex
	given  *sync.Cond
	shared []*world // found and not yet expanded, for workers that have nothing to do
	over   bool
	found  *Violation
	path   []string
}

// shard is a part of the set of states.
type shard struct {
	mu     sync.Mutex
	hashes map[uint64]struct{}
}

// world is one state. It never changes: what follows is another world, which shares what is the same.
type world struct {
	replicas []*actor
	net      []*packet // in no order
	netHash  uint64    // of the set

	proposals, crashes, beats int

	leaders   []raft.ID   // by term
	votes     [][]raft.ID // by term and replica: promised
	committed []decided   // by index

	before *world // how it came about
	event  happening
	depth  int
	broken *Violation
}

// decided is a committed entry's term, and the term in which it was committed.
type decided struct{ term, in uint64 }

// happening is one event.
type happening struct {
	id     raft.ID
	what   string
	packet *packet // that arrived
	writes int     // that were done when it crashed
}

func (h happening) String() string {
	switch {
	case h.packet != nil:
		m := &h.packet.Message
		return fmt.Sprintf("%d gets %v of %d: %s", h.id, m.Type, m.From, brief(m))
	case h.what == "crashes":
		return fmt.Sprintf("%d crashes with %d writes done", h.id, h.writes)
	}
	return fmt.Sprintf("%d %s", h.id, h.what)
}

// actor is a replica.
type actor struct {
	node  *raft.Node // nil while it is down
	clock raft.Time
	disk  stored
	saves []raft.Save // begun, in order
	hash  uint64
}

// stored is what a disk holds.
type stored struct {
	term uint64
	vote raft.ID
	log  []storedEntry
}

type storedEntry struct {
	term uint64
	data string
}

func (d stored) write(s *raft.Save) stored {
	d.term, d.vote = s.Term, s.Vote
	if s.TruncateFrom != 0 {
		d.log = d.log[:s.TruncateFrom-1]
	}
	d.log = slices.Clone(d.log)
	for _, run := range s.Entries {
		for e := range run.All() {
			d.log = append(d.log, storedEntry{e.Term, string(e.Data)})
		}
	}
	return d
}

// packet is a message in flight.
type packet struct {
	raft.Message
	hash uint64
}

const exploredBeat = 100 * time.Millisecond

func (x *explorer) config(id raft.ID) raft.Config {
	c := raft.Config{ID: id, Strategy: x.strategy, Heartbeat: exploredBeat, ElectionTimeout: 10 * exploredBeat, Seed: 1, NoOp: x.bounds.NoOp}
	for v := range x.bounds.Replicas {
		c.Voters = append(c.Voters, raft.ID(v+1))
	}
	return c
}

// start makes a node from its disk.
func (x *explorer) start(id raft.ID, now raft.Time, d stored) (*raft.Node, error) {
	log := raft.NewSmallLog(1, 0)
	for _, e := range d.log {
		log.Append(e.term, []byte(e.data))
	}
	n, err := raft.New(now, x.config(id), raft.Saved{Term: d.term, Vote: d.vote, Log: log})
	if err != nil {
		return nil, err
	}
	n.Take()
	return n, nil
}

func (x *explorer) begin() (*world, error) {
	w := &world{leaders: make([]raft.ID, x.bounds.Terms+1), votes: make([][]raft.ID, x.bounds.Terms+1)}
	for i := range w.votes {
		w.votes[i] = make([]raft.ID, x.bounds.Replicas)
	}
	for i := range x.bounds.Replicas {
		n, err := x.start(raft.ID(i+1), 1, stored{})
		if err != nil {
			return nil, err
		}
		a := &actor{node: n, clock: 1}
		a.rehash()
		w.replicas = append(w.replicas, a)
	}
	return w, nil
}

// work expands worlds until none is left anywhere.
func (x *explorer) work(ctx context.Context) {
	var own []*world
	for ctx.Err() == nil && !x.gaveUp.Load() {
		if len(own) == 0 {
			w := x.take()
			if w == nil {
				return
			}
			own = append(own, w)
		}
		w := own[len(own)-1]
		own = x.expand(w, own[:len(own)-1])
		if len(own) > 1 && x.idle.Load() > 0 {
			half := (len(own) + 1) / 2 // the shallow ones: they lead to more
			x.give(own[:half])
			own = slices.Clone(own[half:])
		}
	}
	x.end()
}

// take returns a world to expand, when there is one; nil if the search is over.
func (x *explorer) take() *world {
	x.mu.Lock()
	defer x.mu.Unlock()
	if int(x.idle.Add(1)) == x.jobs && len(x.shared) == 0 {
		x.over = true
		x.given.Broadcast()
	}
	for len(x.shared) == 0 && !x.over {
		x.given.Wait()
	}
	if x.over {
		return nil
	}
	x.idle.Add(-1)
	n := len(x.shared) - 1
	w := x.shared[n]
	x.shared = x.shared[:n]
	return w
}

func (x *explorer) give(worlds []*world) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.shared = append(x.shared, worlds...)
	x.given.Broadcast()
}

func (x *explorer) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	x.given.Broadcast()
}

// fresh reports whether a state is new.
func (x *explorer) fresh(w *world) bool {
	h := w.hash()
	s := &x.seen[h>>56]
	s.mu.Lock()
	_, known := s.hashes[h]
	if !known {
		if s.hashes == nil {
			s.hashes = map[uint64]struct{}{}
		}
		s.hashes[h] = struct{}{}
	}
	s.mu.Unlock()
	if known {
		return false
	}
	if n := x.states.Add(1); n%100_000 == 0 && x.progress != nil {
		x.mu.Lock()
		x.progress(x.explored())
		x.mu.Unlock()
	} else if x.bounds.States > 0 && n >= x.bounds.States {
		x.gaveUp.Store(true)
	}
	return true
}

func (x *explorer) explored() Explored {
	return Explored{States: x.states.Load(), Transitions: x.transitions.Load(), Deepest: int(x.deepest.Load()),
		Took: time.Since(x.started), Violation: x.found, Path: x.path}
}

// expand appends all new worlds that can follow w.
func (x *explorer) expand(w *world, to []*world) []*world {
	for _, next := range x.following(w) {
		x.transitions.Add(1)
		if next.broken != nil {
			x.report(next)
			return to
		}
		if x.fresh(next) {
			for d := x.deepest.Load(); int64(next.depth) > d && !x.deepest.CompareAndSwap(d, int64(next.depth)); d = x.deepest.Load() {
			}
			to = append(to, next)
		}
	}
	return to
}

func (x *explorer) report(w *world) {
	x.mu.Lock()
	if x.found == nil {
		x.found = w.broken
		for at := w; at != nil; at = at.before {
			if at.event.id != 0 {
				x.path = append(x.path, at.event.String())
			}
		}
		slices.Reverse(x.path)
	}
	x.mu.Unlock()
	x.gaveUp.Store(true)
}

// following returns all worlds that one event leads to.
func (x *explorer) following(w *world) (list []*world) {
	add := func(next *world) {
		if next != nil {
			list = append(list, next)
		}
	}
	for i, a := range w.replicas {
		id := raft.ID(i + 1)
		if a.node == nil {
			add(x.restart(w, id))
			continue
		}
		s := a.node.Status()
		// Before anything has happened all replicas are alike: that the first campaign is replica 1's is no restriction.
		if s.Role != raft.Leader && s.Term < uint64(x.bounds.Terms) && (w.before != nil || i == 0) {
			add(x.act(w, id, "stands", func(n *raft.Node, now raft.Time) { n.Campaign(now) }))
		}
		if s.Role == raft.Leader && w.proposals < x.bounds.Proposals {
			data := []byte{byte(w.proposals + 1)}
			next := x.act(w, id, "proposes", func(n *raft.Node, now raft.Time) { _, _, _ = n.Propose(now, data) })
			next.proposals++
			add(next)
		}
		if s.Role == raft.Leader && w.beats < x.bounds.Beats {
			next := x.act(w, id, "beats", func(n *raft.Node, now raft.Time) { n.Tick(now) })
			next.beats++
			add(next)
		}
		if len(a.saves) > 0 {
			add(x.saved(w, id))
		}
		if w.crashes < x.bounds.Crashes {
			for reached := range len(a.saves) + 1 {
				add(x.crash(w, id, reached))
			}
		}
	}
	for k, p := range w.net {
		if slices.ContainsFunc(w.net[:k], func(q *packet) bool { return q.hash == p.hash }) {
			continue // the same once more
		}
		if next := x.deliver(w, k); next != nil {
			add(next)
		}
	}
	return list
}

// follow copies what an event at one replica may change.
func (w *world) follow(id raft.ID, event happening) (*world, *actor) {
	next := *w
	next.replicas = slices.Clone(w.replicas)
	a := *w.replicas[id-1]
	next.replicas[id-1] = &a
	next.before, next.event, next.depth = w, event, w.depth+1
	return &next, &a
}

// act lets an event happen at a replica that is up.
func (x *explorer) act(w *world, id raft.ID, what string, happen func(*raft.Node, raft.Time)) (next *world) {
	next, a := w.follow(id, happening{id: id, what: what})
	defer func() {
		if broken := recover(); broken != nil {
			next.broken = &Violation{Rule: Broken, Replica: id, What: fmt.Sprint(broken)}
		}
	}()
	a.node = a.node.Clone(uint64(next.depth))
	if what == "beats" {
		a.clock = a.clock.Add(exploredBeat)
	}
	happen(a.node, a.clock)
	x.settle(next, id, a)
	return next
}

func (x *explorer) deliver(w *world, k int) *world {
	p := w.net[k]
	if w.replicas[p.To-1].node == nil {
		return nil // it may arrive when the replica is up again
	}
	without := slices.Delete(slices.Clone(w.net), k, k+1)
	at := *w
	at.net, at.netHash = without, w.netHash-p.hash
	m := p.Message
	next := x.act(&at, p.To, "gets", func(n *raft.Node, now raft.Time) { n.Step(now, &m) })
	next.before, next.event.packet = w, p
	return next
}

func brief(m *raft.Message) string {
	switch m.Type {
	case raft.AppendEntries:
		return fmt.Sprintf("term %d, %d entries after %d/%d, commit %d", m.Term, m.Entries.Count, m.PrevLogIndex, m.PrevLogTerm, m.Commit)
	case raft.AppendEntriesReply:
		return fmt.Sprintf("term %d, success %t, match %d", m.Term, m.Success, m.Match)
	case raft.RequestVote:
		return fmt.Sprintf("term %d, log up to %d/%d", m.Term, m.LastLogIndex, m.LastLogTerm)
	}
	return fmt.Sprintf("term %d, granted %t", m.Term, m.VoteGranted)
}

func (x *explorer) saved(w *world, id raft.ID) *world {
	first := w.replicas[id-1].saves[0]
	return x.act(w, id, "has saved", func(n *raft.Node, now raft.Time) { n.Saved(now, first.Seq) })
}

func (x *explorer) crash(w *world, id raft.ID, reached int) *world {
	next, a := w.follow(id, happening{id: id, what: "crashes", writes: reached})
	for i := range reached {
		a.disk = a.disk.write(&a.saves[i])
	}
	a.node, a.saves = nil, nil
	a.rehash()
	next.crashes++
	x.prune(next)
	return next
}

func (x *explorer) restart(w *world, id raft.ID) *world {
	next, a := w.follow(id, happening{id: id, what: "restarts"})
	n, err := x.start(id, a.clock, a.disk)
	if err != nil {
		next.broken = &Violation{Rule: Broken, Replica: id, What: err.Error()}
		return next
	}
	a.node = n
	a.rehash()
	return next
}

// settle does what the node wants done, and looks at it.
func (x *explorer) settle(w *world, id raft.ID, a *actor) {
	// A write that has ended reaches the disk before the node is told, so before anything that it does about it.
	if n := len(a.saves); n > 0 && a.node.Queues().PendingSaves < n {
		a.disk, a.saves = a.disk.write(&a.saves[0]), a.saves[1:]
	}
	w.net = slices.Clip(w.net)
	for {
		out := a.node.Take()
		if out.Empty() {
			break
		}
		x.look(w, id, a)
		if s := out.Save; s.Seq != 0 {
			if x.bounds.SlowDisk {
				a.saves = append(slices.Clip(a.saves), copySave(s))
			} else {
				a.disk = a.disk.write(&s)
			}
		}
		for i := range out.Messages {
			x.send(w, id, a, out.Messages[i])
		}
		x.applies(w, id, out.Apply)
		if out.Save.Seq != 0 && !x.bounds.SlowDisk {
			a.node.Saved(a.clock, out.Save.Seq)
		}
	}
	x.look(w, id, a)
	a.rehash()
	x.prune(w)
}

func copySave(s raft.Save) raft.Save {
	runs := s.Entries
	s.Entries = nil
	for _, e := range runs {
		e.Bytes = slices.Clone(e.Bytes)
		s.Entries = append(s.Entries, e)
	}
	return s
}

func (w *world) fail(rule Rule, id raft.ID, format string, args ...any) {
	if w.broken == nil {
		w.broken = &Violation{Rule: rule, Replica: id, What: fmt.Sprintf(format, args...)}
	}
}

// send puts a message on the network, after a look at what it promises.
func (x *explorer) send(w *world, id raft.ID, a *actor, m raft.Message) {
	vote := raft.ID(0)
	switch {
	case m.Type == raft.RequestVote:
		vote = id
	case m.Type == raft.RequestVoteReply && m.VoteGranted:
		vote = m.To
	case m.Type == raft.AppendEntriesReply && m.Success && m.Match > 0:
		if term, ok := a.node.Log().Term(m.Match); !ok || uint64(len(a.disk.log)) < m.Match || a.disk.log[m.Match-1].term != term {
			w.fail(QuorumDurable, id, "it acknowledges entry %d, which is not on its disk", m.Match)
		}
	}
	if a.disk.term < m.Term {
		w.fail(QuorumDurable, id, "it sends a %v of term %d, its disk has term %d", m.Type, m.Term, a.disk.term)
	}
	if vote != 0 {
		if first := w.votes[m.Term][id-1]; first != 0 && first != vote {
			w.fail(ElectionSafety, id, "it votes for %d in term %d, after %d", vote, m.Term, first)
		} else if first == 0 {
			w.votes = slices.Clone(w.votes)
			w.votes[m.Term] = slices.Clone(w.votes[m.Term])
			w.votes[m.Term][id-1] = vote
		}
		if a.disk.term == m.Term && a.disk.vote != vote {
			w.fail(QuorumDurable, id, "it votes for %d in term %d, its disk has a vote for %d", vote, m.Term, a.disk.vote)
		}
	}
	m = m.Clone()
	frame := transports.AppendMessage(make([]byte, 0, 128+len(m.Entries.Bytes)), &m)
	frame = append(append(frame, m.Entries.Bytes...), byte(m.From), byte(m.To))
	p := &packet{Message: m, hash: xxhash.Sum64(frame)}
	w.net = append(w.net, p)
	w.netHash += p.hash
}

// dead reports whether a message can change nothing any more, whenever it arrives.
func (x *explorer) dead(w *world, p *packet) bool {
	to, from := w.replicas[p.To-1], w.replicas[p.From-1]
	reply := p.Type == raft.AppendEntriesReply || p.Type == raft.RequestVoteReply
	if p.Term > to.disk.term {
		return false // it tells of a term
	}
	if !reply {
		// Of a term that is over for good where it goes to, it only brings back what its sender knows.
		return p.Term < to.disk.term && from.disk.term == uint64(x.bounds.Terms)
	}
	if p.Term < to.disk.term || to.node == nil {
		return true // who crashed neither stands nor leads in that term again
	}
	s := to.node.Status()
	if s.Term != p.Term {
		return true
	}
	if p.Type == raft.RequestVoteReply {
		return s.Role != raft.Candidate
	}
	if s.Role != raft.Leader {
		return true
	}
	return p.Success && !to.node.Concerns(&p.Message)
}

// prune takes dead messages off the network.
func (x *explorer) prune(w *world) {
	dead := func(p *packet) bool { return x.dead(w, p) }
	if slices.ContainsFunc(w.net, dead) {
		var kept []*packet
		for _, p := range w.net {
			if dead(p) {
				w.netHash -= p.hash
			} else {
				kept = append(kept, p)
			}
		}
		w.net = kept
	}
}

// look checks the invariants after an event at one replica.
func (x *explorer) look(w *world, id raft.ID, a *actor) {
	s, log := a.node.Status(), a.node.Log()
	if s.Applied > s.Commit || s.Commit > s.Last || s.Role != raft.Leader && s.Commit > s.Durable {
		w.fail(Order, id, "applied %d, commit %d, durable %d, last %d", s.Applied, s.Commit, s.Durable, s.Last)
	}
	if s.Durable > uint64(len(a.disk.log)) {
		w.fail(QuorumDurable, id, "it takes entry %d for durable, its disk has %d", s.Durable, len(a.disk.log))
	}
	if s.Role == raft.Leader && w.leaders[s.Term] != id {
		if other := w.leaders[s.Term]; other != 0 {
			w.fail(ElectionSafety, id, "it becomes leader of term %d, whose leader is %d", s.Term, other)
		}
		w.leaders = slices.Clone(w.leaders)
		w.leaders[s.Term] = id
		for i, c := range w.committed {
			if have, ok := log.Term(uint64(i + 1)); c.in < s.Term && (!ok || have != c.term) {
				w.fail(LeaderCompleteness, id, "as leader of term %d it lacks entry %d of term %d, committed in term %d", s.Term, i+1, c.term, c.in)
			}
		}
	}
	for i := uint64(1); i <= s.Commit; i++ {
		term, _ := log.Term(i)
		if i <= uint64(len(w.committed)) {
			if w.committed[i-1].term != term {
				w.fail(CommitImmutable, id, "it commits entry %d of term %d, committed before with term %d", i, term, w.committed[i-1].term)
			}
			continue
		}
		if s.Role != raft.Leader {
			w.fail(CommitImmutable, id, "as %v it commits entry %d of term %d, which no leader has", s.Role, i, term)
		}
		w.committed = append(slices.Clip(w.committed), decided{term, s.Term})
		for j, other := range w.replicas {
			if other.node == nil || other.node.Status().Role != raft.Leader || other.node.Status().Term <= s.Term {
				continue
			}
			if have, ok := other.node.Log().Term(i); !ok || have != term {
				w.fail(LeaderCompleteness, id, "it commits entry %d of term %d, which the leader %d lacks", i, term, j+1)
			}
		}
		holders := 0
		for _, r := range w.replicas {
			if uint64(len(r.disk.log)) >= i && r.disk.log[i-1].term == term {
				holders++
			}
		}
		if holders <= x.bounds.Replicas/2 {
			w.fail(QuorumDurable, id, "committed entry %d of term %d is on %d disks", i, term, holders)
		}
	}
	for j, other := range w.replicas {
		if other.node != nil && raft.ID(j+1) != id {
			w.matching(id, log, raft.ID(j+1), other.node.Log())
		}
	}
}

// matching: two logs with an entry of one index and term are the same up to it.
func (w *world) matching(id raft.ID, a *raft.Log, other raft.ID, b *raft.Log) {
	same := false
	for i := min(a.Last(), b.Last()); i > 0; i-- {
		ea, eb := a.Entry(i), b.Entry(i)
		if ea.Term == eb.Term {
			same = true
			if string(ea.Data) != string(eb.Data) {
				w.fail(LogMatching, id, "entry %d of term %d is another than that of replica %d", i, ea.Term, other)
			}
		} else if same {
			w.fail(LogMatching, id, "entry %d has term %d, at replica %d term %d, and a later one is the same", i, ea.Term, other, eb.Term)
		}
	}
}

func (x *explorer) applies(w *world, id raft.ID, runs []raft.Entries) {
	for _, run := range runs {
		for e := range run.All() {
			if e.Index > uint64(len(w.committed)) || w.committed[e.Index-1].term != e.Term {
				w.fail(StateMachine, id, "it applies entry %d of term %d, which is not committed", e.Index, e.Term)
			}
		}
	}
}

// rehash computes the replica's part of the state's hash.
func (a *actor) rehash() {
	b := make([]byte, 0, 512)
	if a.node != nil {
		b = a.node.AppendState(append(b, 1))
	}
	b = binary.AppendUvarint(binary.AppendUvarint(append(b, 2), a.disk.term), uint64(a.disk.vote))
	for _, e := range a.disk.log {
		b = append(binary.AppendUvarint(b, e.term), e.data...)
	}
	for _, s := range a.saves {
		b = binary.AppendUvarint(append(b, 3), s.Seq)
	}
	a.hash = xxhash.Sum64(b)
}

// hash is that of the whole state. What happened before counts only as far as it decides what may still happen, or what
// must still hold.
func (w *world) hash() uint64 {
	b := make([]byte, 0, 256)
	for _, a := range w.replicas {
		b = binary.LittleEndian.AppendUint64(b, a.hash)
	}
	b = binary.LittleEndian.AppendUint64(b, w.netHash)
	b = append(b, byte(w.proposals), byte(w.crashes), byte(w.beats))
	for t := range w.leaders {
		b = append(b, byte(w.leaders[t]))
		for _, v := range w.votes[t] {
			b = append(b, byte(v))
		}
	}
	for _, c := range w.committed {
		b = append(b, byte(c.term), byte(c.in))
	}
	return xxhash.Sum64(b)
}
