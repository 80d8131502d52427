package raft_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// group is a number of replicas with a network, disks and a clock that do nothing by themselves: messages wait until
// the test delivers them, writes to a slow disk until the test finishes them, time stands still until it is moved.
// After every step all invariants are checked: see invariants_test.go.
type group struct {
	t        testing.TB
	cfg      raft.Config // of each replica, but for the ID
	now      raft.Time
	replicas []*replica     // the one with ID i at i-1
	net      []raft.Message // in flight, in order of sending
	cut      map[link]bool
	lost     func(raft.Message) // is told of messages for replicas that are down or cut off
	rules    *invariants
	sent     map[raft.MessageType]int // messages handed out by the nodes
	trace    func(format string, args ...any)
}

type link struct{ from, to raft.ID }

// replica is one member of a group. Its disk survives a crash; its state machine only up to the last snapshot.
type replica struct {
	id       raft.ID
	node     *raft.Node // nil while it is down
	disk     disk
	slow     bool        // writes wait for finish
	writes   []raft.Save // begun and not durable, in order
	applied  []raft.Entry
	rejected []uint64 // as a leader: what followers rejected

	contents  map[raft.Snapshot][]byte // of every snapshot that it ever had whole
	receiving raft.Chunk               // what has come of a snapshot
	snapshots []raft.Snapshot          // whole, and not durable yet
	chunks    int                      // received
}

// disk is what a replica's storage has made durable.
type disk struct {
	term     uint64
	vote     raft.ID
	log      *raft.Log
	snapshot raft.Snapshot
	content  []byte
}

// applied returns the state machine as of the snapshot.
func (d *disk) applied() []raft.Entry {
	var list []raft.Entry
	for content := d.content; len(content) > 0; {
		size := raft.EntryOverhead + int(binary.LittleEndian.Uint32(content[8:]))
		for e := range (raft.Entries{First: uint64(len(list)) + 1, Count: 1, Bytes: content[:size]}).All() {
			list = append(list, e)
		}
		content = content[size:]
	}
	return list
}

// encoded is the content of a snapshot of a state machine that keeps all that it has applied.
func encoded(applied []raft.Entry) []byte {
	run := raft.Entries{First: 1}
	for _, e := range applied {
		run.Append(e.Term, e.Data)
	}
	return run.Bytes
}

func (d *disk) write(s raft.Save) {
	d.term, d.vote = s.Term, s.Vote
	if s.Reset.Index != 0 {
		d.log.Reset(s.Reset.Index+1, s.Reset.Term)
	}
	if s.TruncateFrom != 0 {
		d.log.TruncateFrom(s.TruncateFrom)
	}
	for _, e := range s.Entries {
		d.log.AppendEntries(e)
	}
}

const (
	heartbeat       = 10 * time.Millisecond
	electionTimeout = 100 * time.Millisecond
)

// newGroup starts n fresh replicas. configure may change how, and what their disks hold.
func newGroup(t testing.TB, n int, configure ...func(*group)) *group {
	t.Helper()
	g := &group{
		t: t, cut: map[link]bool{}, sent: map[raft.MessageType]int{}, trace: func(string, ...any) {}, lost: func(raft.Message) {},
		cfg: raft.Config{Strategy: plain, Heartbeat: heartbeat, ElectionTimeout: electionTimeout, Events: true},
	}
	for id := raft.ID(1); id <= raft.ID(n); id++ {
		g.cfg.Voters = append(g.cfg.Voters, id)
		g.replicas = append(g.replicas, &replica{id: id, disk: disk{log: raft.NewLogOfSegments(1, 0, 256)},
			contents: map[raft.Snapshot][]byte{}})
	}
	g.rules = newInvariants(g)
	for _, c := range configure {
		c(g)
	}
	for _, r := range g.replicas {
		for l, i := r.disk.log, r.disk.log.First(); i <= l.Last(); i++ {
			g.rules.logMatching(r, l, l.Slice(i, i))
		}
		g.restart(r.id)
	}
	return g
}

// holding makes a replica start with these entries, whose data is "index/term", in this term.
func holding(id raft.ID, term uint64, terms ...uint64) func(*group) {
	return func(g *group) {
		d := &g.replica(id).disk
		d.term = term
		for i, t := range terms {
			d.log.Append(t, fmt.Appendf(nil, "%d/%d", i+1, t))
		}
	}
}

// using changes the configuration of all replicas.
func using(change func(*raft.Config)) func(*group) { return func(g *group) { change(&g.cfg) } }

func (g *group) replica(id raft.ID) *replica   { return g.replicas[id-1] }
func (g *group) node(id raft.ID) *raft.Node    { return g.replica(id).node }
func (g *group) status(id raft.ID) raft.Status { return g.node(id).Status() }

// up returns the replicas that run.
func (g *group) up() []*replica {
	var up []*replica
	for _, r := range g.replicas {
		if r.node != nil {
			up = append(up, r)
		}
	}
	return up
}

// crash stops a replica; of the writes that were begun, the first few may have reached the disk, and so may snapshots.
func (g *group) crash(id raft.ID, reached ...int) {
	r := g.replica(id)
	if len(reached) > 0 {
		for _, s := range r.writes[:reached[0]] {
			r.disk.write(s)
		}
		for _, s := range r.snapshots[:min(reached[0], len(r.snapshots))] {
			r.disk.keep(s, r.contents[s])
		}
	}
	r.node, r.writes, r.snapshots, r.receiving = nil, nil, nil, raft.Chunk{}
}

// keep makes a snapshot durable.
func (d *disk) keep(s raft.Snapshot, content []byte) {
	if s.Index > d.snapshot.Index {
		d.snapshot, d.content = s, content
	}
}

// chunk takes a part of a snapshot.
func (g *group) chunk(r *replica, c raft.Chunk) {
	g.t.Helper()
	r.chunks++
	if c.Offset == 0 {
		r.receiving = raft.Chunk{Snapshot: c.Snapshot}
	}
	if r.receiving.Snapshot != c.Snapshot || uint64(len(r.receiving.Data)) != c.Offset {
		g.t.Fatalf("replica %d is to write at %d of %+v, it has %d bytes of %+v", r.id, c.Offset, c.Snapshot,
			len(r.receiving.Data), r.receiving.Snapshot)
	}
	r.receiving.Data = append(r.receiving.Data, c.Data...)
	if c.Last() {
		g.saveSnapshot(r, c.Snapshot, r.receiving.Data)
		r.receiving = raft.Chunk{}
	}
}

// saveSnapshot begins to write a whole snapshot, and ends it at once unless the disk is slow.
func (g *group) saveSnapshot(r *replica, s raft.Snapshot, content []byte) {
	g.t.Helper()
	s.Bytes = uint64(len(content))
	g.rules.snapshot(r, s, content)
	r.contents[s] = content
	r.snapshots = append(r.snapshots, s)
	if !r.slow {
		g.writeSnapshots(r)
	}
}

func (g *group) writeSnapshots(r *replica) {
	list := r.snapshots
	r.snapshots = nil
	for _, s := range list {
		r.disk.keep(s, r.contents[s])
		r.node.SnapshotSaved(g.now, s)
	}
}

// restart starts a replica from its disk.
func (g *group) restart(id raft.ID) {
	g.t.Helper()
	r := g.replica(id)
	cfg := g.cfg
	cfg.ID = id
	node, err := raft.New(g.now, cfg, raft.Saved{Term: r.disk.term, Vote: r.disk.vote, Log: r.disk.log,
		Snapshot: r.disk.snapshot})
	if err != nil {
		g.t.Fatalf("replica %d does not start again: %v", id, err)
	}
	r.node = node
	r.applied = r.disk.applied()
	if s := r.disk.snapshot; s.Index != 0 {
		r.contents[s] = r.disk.content
	}
	g.rules.started(r)
}

// settle does what a replica wants done until it wants nothing more. Every change of a node is followed by it.
func (g *group) settle(id raft.ID) {
	g.t.Helper()
	r := g.replica(id)
	for rounds := 0; ; rounds++ {
		out := r.node.Take()
		g.rules.check(r, &out)
		if out.Empty() {
			r.node.Rouse()
			if out := r.node.Take(); !out.Empty() {
				g.t.Fatalf("replica %d wanted nothing more, and when it looked again: %+v", id, out)
			}
			return
		}
		if rounds == 100 {
			g.t.Fatalf("replica %d wants more and more: %+v", id, out)
		}
		g.traceOutput(id, &out)
		for _, e := range out.Events {
			if e.Kind == raft.EventRejected {
				r.rejected = append(r.rejected, e.Prev)
			}
		}
		for _, m := range out.Messages {
			if m = m.Clone(); m.Type == raft.InstallSnapshot {
				content, ok := r.contents[m.Snapshot]
				if !ok {
					g.t.Fatalf("replica %d sends snapshot %+v, which it never had", id, m.Snapshot)
				}
				m.Chunk = content[m.Offset:][:m.ChunkBytes]
			}
			g.net = append(g.net, m)
			g.sent[m.Type]++
		}
		for _, c := range out.Chunks {
			g.chunk(r, c)
		}
		if out.Restore.Index != 0 {
			if out.Restore != r.disk.snapshot {
				g.t.Fatalf("replica %d restores %+v, its disk has %+v", id, out.Restore, r.disk.snapshot)
			}
			r.applied = r.disk.applied()
		}
		for _, run := range out.Apply {
			for e := range run.All() {
				e.Data = bytes.Clone(e.Data)
				r.applied = append(r.applied, e)
			}
		}
		if s := out.Snapshot; s.Index != 0 {
			g.saveSnapshot(r, s, encoded(r.applied[:s.Index]))
		}
		if out.Compact != 0 {
			if out.Compact > r.disk.log.Last() || out.Compact > r.disk.snapshot.Index {
				g.t.Fatalf("replica %d forgets up to %d, its disk has a snapshot of %d and a log up to %d", id, out.Compact,
					r.disk.snapshot.Index, r.disk.log.Last())
			}
			r.disk.log.Compact(out.Compact)
		}
		if s := out.Save; s.Seq != 0 {
			s.Entries = nil
			for _, e := range out.Save.Entries {
				e.Bytes = bytes.Clone(e.Bytes)
				s.Entries = append(s.Entries, e)
			}
			r.writes = append(r.writes, s)
			if !r.slow {
				g.write(r, len(r.writes))
			}
		}
	}
}

// write makes the oldest writes of a replica durable and tells it.
func (g *group) write(r *replica, count int) {
	var seq uint64
	for _, s := range r.writes[:count] {
		r.disk.write(s)
		seq = s.Seq
	}
	r.writes = r.writes[count:]
	r.node.Saved(g.now, seq)
}

// finish makes the oldest writes of a slow disk durable: that many, or all.
func (g *group) finish(id raft.ID, count ...int) {
	g.t.Helper()
	r := g.replica(id)
	n := len(r.writes)
	if len(count) > 0 {
		n = min(n, count[0])
	}
	if n > 0 {
		g.write(r, n)
	}
	g.writeSnapshots(r)
	g.settle(id)
}

// campaign makes a replica start an election now.
func (g *group) campaign(id raft.ID) {
	g.t.Helper()
	g.node(id).Campaign(g.now)
	g.settle(id)
}

// propose offers entries to a replica, to travel together.
func (g *group) propose(id raft.ID, data ...string) error {
	g.t.Helper()
	for _, d := range data {
		if _, _, err := g.node(id).Propose(g.now, []byte(d)); err != nil {
			return err
		}
	}
	g.settle(id)
	return nil
}

// mustPropose is propose to a leader.
func (g *group) mustPropose(id raft.ID, data ...string) {
	g.t.Helper()
	if err := g.propose(id, data...); err != nil {
		g.t.Fatalf("replica %d refuses %q: %v", id, data, err)
	}
}

// step hands a message to whom it is for, unless that is down or cut off.
func (g *group) step(m raft.Message) {
	g.t.Helper()
	if r := g.replica(m.To); r.node != nil && !g.cut[link{m.From, m.To}] {
		r.node.Step(g.now, &m)
		g.settle(m.To)
	} else {
		g.lost(m)
	}
}

// take takes the i-th message in flight off the network.
func (g *group) take(i int) raft.Message {
	m := g.net[i]
	g.net = append(g.net[:i], g.net[i+1:]...)
	return m
}

// deliver delivers what is in flight now, and not what that causes: of all messages, or of those that are chosen.
func (g *group) deliver(chosen ...func(*raft.Message) bool) {
	g.t.Helper()
	var now, later []raft.Message
	for _, m := range g.net {
		if len(chosen) == 0 || chosen[0](&m) {
			now = append(now, m)
		} else {
			later = append(later, m)
		}
	}
	g.net = later
	for _, m := range now {
		g.step(m)
	}
}

// deliverAll delivers messages until none is left.
func (g *group) deliverAll() {
	g.t.Helper()
	for i := 0; len(g.net) > 0; i++ {
		if i == 5_000 {
			g.t.Fatal("the replicas never fall silent")
		}
		g.step(g.take(0))
	}
}

// drop loses what is in flight: of all messages, or of those that are chosen.
func (g *group) drop(chosen ...func(*raft.Message) bool) {
	var kept []raft.Message
	for _, m := range g.net {
		if len(chosen) > 0 && !chosen[0](&m) {
			kept = append(kept, m)
		}
	}
	g.net = kept
}

func on(from, to raft.ID) func(*raft.Message) bool {
	return func(m *raft.Message) bool { return m.From == from && m.To == to }
}

// isolate cuts a replica off in both directions.
func (g *group) isolate(id raft.ID) {
	for _, r := range g.replicas {
		if r.id != id {
			g.cut[link{id, r.id}], g.cut[link{r.id, id}] = true, true
		}
	}
}

func (g *group) heal() { clear(g.cut) }

// tick calls the replicas whose deadline has come.
func (g *group) tick() {
	g.t.Helper()
	for _, r := range g.up() {
		if r.node.Deadline() <= g.now {
			r.node.Tick(g.now)
			g.settle(r.id)
			if d := r.node.Deadline(); d <= g.now {
				g.t.Fatalf("replica %d is never done with what was due at %v", r.id, time.Duration(d))
			}
		}
	}
}

// advance moves the clock on, and calls each replica at each of its deadlines. Messages stay in flight.
func (g *group) advance(d time.Duration) {
	g.t.Helper()
	g.until(g.now.Add(d), func() {})
}

// run moves the clock on while the network delivers everything at once.
func (g *group) run(d time.Duration) {
	g.t.Helper()
	g.deliverAll()
	g.until(g.now.Add(d), g.deliverAll)
}

func (g *group) until(end raft.Time, between func()) {
	g.t.Helper()
	for {
		next := end
		for _, r := range g.up() {
			next = min(next, r.node.Deadline())
		}
		g.now = max(g.now, next)
		g.tick()
		between()
		if next == end {
			return
		}
	}
}

// timeout moves the clock to a replica's deadline and calls it alone.
func (g *group) timeout(id raft.ID) {
	g.t.Helper()
	g.now = max(g.now, g.node(id).Deadline())
	g.node(id).Tick(g.now)
	g.settle(id)
}

// compact makes a replica take a snapshot of what it had applied up to i, so that its log may go.
func (g *group) compact(id raft.ID, i uint64) {
	g.t.Helper()
	r := g.replica(id)
	if i = min(i, r.node.Status().Applied); i > r.disk.snapshot.Index {
		g.saveSnapshot(r, raft.Snapshot{Index: i, Term: r.applied[i-1].Term}, encoded(r.applied[:i]))
		g.settle(id)
	}
}

// elect makes a replica the leader while the network delivers everything.
func (g *group) elect(id raft.ID) {
	g.t.Helper()
	g.campaign(id)
	g.deliverAll()
	if s := g.status(id); s.Role != raft.Leader {
		g.t.Fatalf("replica %d is no leader: %+v", id, s)
	}
}

// leader returns the running leader of the highest term, 0 if there is none.
func (g *group) leader() raft.ID {
	var id raft.ID
	var term uint64
	for _, r := range g.up() {
		if s := r.node.Status(); s.Role == raft.Leader && s.Term > term {
			id, term = r.id, s.Term
		}
	}
	return id
}

// terms returns the terms of the entries that a replica holds.
func (g *group) terms(id raft.ID) []uint64 {
	l := g.node(id).Log()
	var terms []uint64
	for i := l.First(); i <= l.Last(); i++ {
		t, _ := l.Term(i)
		terms = append(terms, t)
	}
	return terms
}

// appliedBy returns what a replica has applied, in one line.
func (g *group) appliedBy(id raft.ID) string {
	var s []string
	for _, e := range g.replica(id).applied {
		s = append(s, string(e.Data))
	}
	return strings.Join(s, " ")
}

// ofType chooses messages.
func ofType(t raft.MessageType) func(*raft.Message) bool {
	return func(m *raft.Message) bool { return m.Type == t }
}

// find returns the messages in flight on a link.
func (g *group) find(from, to raft.ID) []raft.Message {
	var found []raft.Message
	for _, m := range g.net {
		if m.From == from && m.To == to {
			found = append(found, m)
		}
	}
	return found
}
