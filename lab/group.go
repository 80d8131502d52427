package lab

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
)

// group is a group of replicas as a test sees it. Its methods end the test, by a panic that Play catches, when what
// they expect does not come true.
type group struct {
	ctx     context.Context
	c       cluster.Cluster
	n       int
	edition Edition
	cutKind cluster.CutKind
	meter   *Meter
	watch   *watch
	random  *rand.Rand

	connected []bool // by replica: it is up, and its links to the others that are connected are whole

	processes []*process
	running   *process // the client that is running; nil if the test itself is

	lab      *results.Lab
	warnings []string
}

// failure ends a test that failed: by a limit, or because of something that may never happen, however slow a machine
// is.
type failure struct {
	text   string
	unsafe bool
}

func (f failure) Error() string { return f.text }

// broken ends a test that could not be played: the system, or the user who interrupts.
type broken struct{ error }

func (g *group) fail(format string, args ...any) {
	panic(failure{text: fmt.Sprintf(format, args...)})
}

// unsafe fails the test by what no machine's lateness can excuse.
func (g *group) unsafe(format string, args ...any) {
	panic(failure{text: fmt.Sprintf(format, args...), unsafe: true})
}

// warn notes something that is odd, but allowed.
func (g *group) warn(format string, args ...any) {
	g.warnings = append(g.warnings, fmt.Sprintf(format, args...))
}

// must ends the test if something that may never happen has happened.
func (g *group) must(err error) {
	if err != nil {
		g.unsafe("%v", err)
	}
}

// limit fails the test if a figure is beyond its limit.
func (g *group) limit(what string, figure, limit uint64) {
	if figure > limit {
		g.fail("%s: %d, the limit is %d", what, figure, limit)
	}
}

// after returns the replica that comes k after id, round the group.
func (g *group) after(id raft.ID, k int) raft.ID {
	return raft.ID((int(id)-1+k)%g.n) + 1
}

// those returns the replicas that come so many after id.
func (g *group) those(id raft.ID, after ...int) []raft.ID {
	var ids []raft.ID
	for _, k := range after {
		ids = append(ids, g.after(id, k))
	}
	return ids
}

// some returns k replicas at random, perhaps one of them twice.
func (g *group) some(k int) []raft.ID {
	var ids []raft.ID
	for range k {
		ids = append(ids, g.anyone())
	}
	return ids
}

// anyone returns a replica at random.
func (g *group) anyone() raft.ID { return raft.ID(g.random.IntN(g.n)) + 1 }

func (g *group) all() []raft.ID {
	ids := make([]raft.ID, g.n)
	for i := range ids {
		ids[i] = raft.ID(i + 1)
	}
	return ids
}

// command returns a new value for a proposal, unlike any other of this test.
func (g *group) command() []byte { return g.commandOf(8) }

func (g *group) commandOf(bytes int) []byte {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(g.random.Uint32())
	}
	return b
}

func show(value string) string { return hex.EncodeToString([]byte(value[:min(len(value), 8)])) }

// idle lets the group run until a moment.
func (g *group) idle(until raft.Time) {
	d := until.Sub(g.c.Now())
	if d <= 0 {
		if g.ctx.Err() != nil {
			panic(broken{context.Cause(g.ctx)})
		}
		return
	}
	err := g.c.Wait(g.ctx, d, func() bool { return false })
	if !errors.Is(err, cluster.ErrTimeout) {
		panic(broken{err})
	}
	late := g.c.Now().Sub(until)
	g.lab.Waits++
	g.lab.LateSum += late
	g.lab.LateMax = max(g.lab.LateMax, late)
}

// wait waits for d and adds what it took to a part of the test's time. Clients' waits belong to no part: they run
// while the test waits.
func (g *group) wait(d time.Duration, part *time.Duration) {
	begin, client := g.c.Now(), g.running != nil
	g.pause(d)
	if !client {
		*part += g.c.Now().Sub(begin)
	}
}

// sleep is a wait that the test prescribes.
func (g *group) sleep(d time.Duration) { g.wait(d, &g.lab.Own) }

// cut takes replicas off the network. On the course's what is sent vanishes then, and nobody is told.
func (g *group) cut(ids ...raft.ID) {
	for _, id := range ids {
		g.connected[id-1] = false
		for _, other := range g.all() {
			if other != id {
				g.c.Cut(id, other, g.cutKind)
				g.c.Cut(other, id, g.cutKind)
			}
		}
	}
}

// connect brings replicas back, each to those that are connected. Nobody is told: who wants to know has to send.
func (g *group) connect(ids ...raft.ID) {
	for _, id := range ids {
		if g.connected[id-1] {
			continue
		}
		g.connected[id-1] = true
		for _, other := range g.all() {
			if other != id && g.connected[other-1] {
				g.c.Heal(id, other)
				g.c.Heal(other, id)
			}
		}
	}
}

// crash stops replicas, which are cut off then too.
func (g *group) crash(ids ...raft.ID) {
	for _, id := range ids {
		g.cut(id)
		g.c.Crash(id)
	}
}

// restart starts replicas anew from what they had saved, whether they were up or not. They are cut off until they are
// connected.
func (g *group) restart(ids ...raft.ID) {
	for _, id := range ids {
		g.crash(id)
		g.watch.restarted(id)
		if err := g.c.Restart(id); err != nil {
			panic(broken{fmt.Errorf("restart of replica %d: %w", id, err)})
		}
	}
}

// leave takes replicas out of the group in those tests of part 2C in which editions differ: until 2024 they are cut
// off, and a leader among them goes on believing that it leads; from 2025 they crash.
func (g *group) leave(ids ...raft.ID) {
	if g.edition == Edition2025 {
		g.crash(ids...)
	} else {
		g.cut(ids...)
	}
}

// comeBack connects replicas, and restarts those that have crashed.
func (g *group) comeBack(ids ...raft.ID) {
	for _, id := range ids {
		if !g.up(id) {
			g.restart(id)
		}
		g.connect(id)
	}
}

// up reports whether a replica has not crashed.
func (g *group) up(id raft.ID) bool { return g.c.Status(id).Up }

// proposed is what became of offering a value to a replica.
type proposed struct {
	id          raft.ID
	index, term uint64
	ok          bool // it took it
}

// answerTimeout is how long a replica may take to say whether it takes a proposal: far more than it needs.
const answerTimeout = 10 * time.Second

// propose offers a value to a replica, and waits until it says whether it takes it, as the course's Start does.
func (g *group) propose(id raft.ID, command []byte) proposed {
	var mu sync.Mutex
	var answer proposed
	answered := false
	saying := func(ok bool) func(*cluster.Proposal) {
		return func(p *cluster.Proposal) {
			mu.Lock()
			defer mu.Unlock()
			if !answered { // Done comes after Accepted
				answered = true
				answer = proposed{id: id, index: p.Index, term: p.Term, ok: ok}
			}
		}
	}
	g.c.Propose(id, &cluster.Proposal{Data: command, Due: g.c.Now(), Accepted: saying(true), Done: saying(false)})
	err := g.c.Wait(g.ctx, answerTimeout, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return answered
	})
	if err != nil {
		panic(broken{fmt.Errorf("replica %d does not answer a proposal: %w", id, err)})
	}
	mu.Lock()
	defer mu.Unlock()
	return answer
}

// take has a replica that led a moment ago take a value, at an index from one to another. It may lead no more, if it
// was late; but if it takes the value, then nowhere else.
func (g *group) take(leader raft.ID, from, to uint64) proposed {
	p := g.propose(leader, g.command())
	if !p.ok {
		g.fail("replica %d, which led, takes no proposal", leader)
	}
	if p.index < from || p.index > to {
		g.unsafe("replica %d, which led, took a proposal at index %d, want %d to %d", leader, p.index, from, to)
	}
	return p
}

// leaders returns the replicas that are connected and lead, by term. Two in one term fail the test.
func (g *group) leaders() map[uint64]raft.ID {
	g.must(g.watch.check())
	found := map[uint64]raft.ID{}
	for _, id := range g.all() {
		if s := g.c.Status(id); g.connected[id-1] && s.Up && s.Role == raft.Leader {
			if other, two := found[s.Term]; two {
				g.unsafe("term %d has two leaders, replicas %d and %d", s.Term, other, id)
			}
			found[s.Term] = id
		}
	}
	return found
}

// oneLeader returns the leader of the highest term among the connected replicas: ten looks, each after about half a
// second.
func (g *group) oneLeader() raft.ID {
	for look := range 10 {
		d := time.Duration(450+g.random.IntN(100)) * time.Millisecond
		if look == 0 {
			g.wait(d, &g.lab.Own)
		} else {
			g.wait(d, &g.lab.Elections)
		}
		var leader raft.ID
		var highest uint64
		for term, id := range g.leaders() {
			if term > highest {
				leader, highest = id, term
			}
		}
		if leader != 0 {
			return leader
		}
	}
	g.fail("no leader among the connected replicas after ten looks, the limit is 5 s")
	return 0
}

// noLeader fails if a connected replica leads.
func (g *group) noLeader() {
	for term, id := range g.leaders() {
		g.fail("replica %d leads term %d, without a quorum", id, term)
	}
}

// sameTerm returns the term that all connected replicas are in.
func (g *group) sameTerm() uint64 {
	var term uint64
	first := true // of those that are connected: a term may be 0
	for _, id := range g.all() {
		if s := g.c.Status(id); g.connected[id-1] {
			if first {
				term, first = s.Term, false
			} else if s.Term != term {
				g.fail("replicas are in different terms, %d and %d", term, s.Term)
			}
		}
	}
	return term
}

// committed returns how many replicas have applied an index, and the value there.
func (g *group) committed(index uint64) (replicas int, value string) {
	replicas, value, err := g.watch.committed(index)
	g.must(err)
	return replicas, value
}

// notCommitted fails if anyone has applied an index. That no quorum can have taken it holds however late a machine is.
func (g *group) notCommitted(index uint64, why string) {
	if n, _ := g.committed(index); n > 0 {
		g.unsafe("%d replicas applied index %d, want none: %s", n, index, why)
	}
}

// The course's limits and pauses of an agreement.
const (
	agreeLimit   = 10 * time.Second
	agreeOffer   = 2 * time.Second       // until it is offered again
	agreeLook    = 20 * time.Millisecond // between two looks
	noTakerPause = 50 * time.Millisecond
)

// agree gets a value committed: it is offered to the connected replicas in turn until one takes it, and at least want
// replicas must have applied it within two seconds at the index that it got. With retry it is offered again after them,
// for ten seconds in all. It returns the index.
func (g *group) agree(command []byte, want int, retry bool) uint64 {
	begin, limit := g.c.Now(), agreeLimit
	if !retry {
		limit = agreeOffer
	}
	at := 0
	last := "no replica took it"
	for g.c.Now().Sub(begin) < agreeLimit {
		p := g.offer(command, &at)
		if !p.ok {
			g.must(g.watch.check())
			g.wait(noTakerPause, &g.lab.Elections)
			continue
		}
		have := g.applied(p, command, want)
		if have >= want {
			return p.index
		}
		last = fmt.Sprintf("replica %d took it last, at index %d, where %d replicas have applied it",
			p.id, p.index, have)
		if !retry {
			break
		}
	}
	g.fail("agreement of %d replicas on %s: none after %v, the limit is %v (%s)", want, show(string(command)),
		g.c.Now().Sub(begin).Round(time.Millisecond), limit, last)
	return 0
}

// agreeAt is agree, and the index must be this one: it is the next after what all have applied, whoever leads.
func (g *group) agreeAt(index uint64, command []byte, want int) {
	if got := g.agree(command, want, false); got != index {
		g.unsafe("agreement at index %d, want %d", got, index)
	}
}

// offer goes round the connected replicas from the one after the last that was asked.
func (g *group) offer(command []byte, at *int) proposed {
	for range g.n {
		*at = (*at + 1) % g.n
		if id := raft.ID(*at + 1); g.connected[id-1] {
			if p := g.propose(id, command); p.ok {
				return p
			}
		}
	}
	return proposed{}
}

// applied looks every 20 ms for two seconds whether at least want replicas have applied the command where it was taken,
// and returns how many have. What a vain wait cost is booked on the leader if it was deposed meanwhile: it was a stale
// one, or became one.
func (g *group) applied(p proposed, command []byte, want int) (have int) {
	begin := g.c.Now()
	var spent time.Duration
	for {
		n, value := g.committed(p.index)
		if have = 0; value == string(command) {
			have = n
		}
		if have >= want || g.c.Now().Sub(begin) >= agreeOffer {
			break
		}
		g.wait(agreeLook, &spent)
	}
	if s := g.c.Status(p.id); have >= want || s.Up && s.Role == raft.Leader && s.Term == p.term {
		g.lab.Agreements += spent
	} else {
		g.lab.Stale += spent
		g.lab.StaleWaits++
	}
	if have < want {
		g.lab.Vain++
	} else {
		g.lab.Each = append(g.lab.Each, g.c.Now().Sub(begin))
	}
	return have
}

// await waits until want replicas have applied an index and returns the value; false if a replica has left the term
// meanwhile, unless that is 0. It looks at growing intervals, for up to half a minute.
func (g *group) await(index uint64, want int, term uint64) (value string, ok bool) {
	pause := 10 * time.Millisecond
	for range 30 {
		n, value := g.committed(index)
		if n >= want {
			return value, true
		}
		g.wait(pause, &g.lab.Agreements)
		if pause < time.Second {
			pause *= 2
		}
		for _, id := range g.all() {
			if term != 0 && g.c.Status(id).Term > term {
				return "", false
			}
		}
	}
	n, value := g.committed(index)
	if n < want {
		g.fail("index %d applied by %d replicas, want %d; the limit is 30 looks", index, n, want)
	}
	return value, true
}
