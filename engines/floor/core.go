package floor

import (
	"errors"
	"slices"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// core is a leader or a follower: a cluster.Core.
type core struct {
	id     raft.ID
	cfg    *cluster.Config
	leader raft.ID // 0 if unknown
	term   uint64  // 1 once there is a leader

	// Of the log: handed to the storage, known to be durable, applied.
	last, handed, durable, applied uint64
	saves                          uint64
	pending                        []save // under way

	// Snapshots of the state machine: the newest, one that is being taken, and the bytes applied since.
	snapshot, taking uint64
	appliedBytes     int
	compact          uint64 // to be handed out

	// Leader.
	log     *raft.Log // for sending again, and for applying
	peers   []follower
	beatAt  raft.Time
	matches []uint64 // scratch

	// Follower: what has arrived since the last Take, and whether an answer is due.
	arrived     raft.Entries
	answer, gap bool
	epoch       uint64 // of the last batch

	message raft.Message // the one being handled
	out     cluster.Output
	head    []byte   // of the frames handed out
	body    [][]byte // likewise
	runs    []raft.Entries
	events  []raft.Event
	spare   []raft.Event

	maxBytes, maxInFlight, maxEntry int
}

type save struct{ seq, last uint64 }

// follower is what the leader knows of another member.
type follower struct {
	id          raft.ID
	match, next uint64
	flights     []uint64 // the last index of each unanswered batch
	epoch       uint64   // counts restarts, so that a gap is only heard of once
	hello       bool     // is due
}

// New makes a member that has nothing yet: a cluster.Engine. A storage that holds something is an error.
func New(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	state, err := store.Load()
	if err != nil {
		return nil, err
	}
	if state.Log.Last() > 0 {
		return nil, errors.New("floor: the storage holds a log, and the floor begins with nothing: give another folder")
	}
	limit := func(v, standard int) int {
		if v == 0 {
			return standard
		}
		return v
	}
	return cluster.NewShell(id, cfg, host, store, &state, &core{id: id, cfg: cfg,
		maxBytes:    limit(cfg.MaxAppendBytes, raft.DefaultMaxAppendBytes),
		maxInFlight: limit(cfg.MaxInFlight, raft.DefaultMaxInFlight),
		maxEntry:    limit(cfg.MaxEntryBytes, raft.DefaultMaxEntryBytes)})
}

// Campaign makes the member the leader, if there is none.
func (c *core) Campaign(now raft.Time) {
	if c.leader != 0 {
		return
	}
	c.log = raft.NewLog(1, 0)
	for i := range c.cfg.Replicas {
		if id := raft.ID(i + 1); id != c.id {
			c.peers = append(c.peers, follower{id: id, next: 1})
		}
	}
	c.setLeader(c.id)
	c.Tick(now)
}

func (c *core) setLeader(id raft.ID) {
	c.leader, c.term = id, 1
	role := raft.Follower
	if id == c.id {
		role = raft.Leader
	}
	c.event(raft.Event{Kind: raft.EventRole, Role: role, Term: c.term, Peer: id})
}

// Leads reports whether the member leads.
func (c *core) Leads() (leads bool, term uint64) { return c.leader == c.id, c.term }

// Accepting is always so.
func (c *core) Accepting() bool { return true }

// Propose appends to the leader's log.
func (c *core) Propose(_ raft.Time, data [][]byte) (first, term uint64, n int, err error) {
	if c.leader != c.id {
		return 0, 0, 0, raft.ErrNotLeader
	}
	first = c.last + 1
	for i, d := range data {
		if len(d) > c.maxEntry {
			return first, c.term, i, raft.ErrEntryTooLarge
		}
		c.log.Append(c.term, d)
		c.last++
	}
	return first, c.term, len(data), nil
}

// Receive handles a batch or the answer to one.
func (c *core) Receive(_ raft.Time, from raft.ID, frame []byte) error {
	msg := &c.message
	if err := transports.DecodeMessage(frame, msg); err != nil {
		return err
	}
	switch msg.Type {
	case raft.AppendEntries:
		if c.leader == 0 {
			c.setLeader(from)
		}
		c.receive(msg)
	case raft.AppendEntriesReply:
		if p := c.follower(from); p != nil {
			c.answered(p, msg)
		}
	}
	return nil
}

// receive keeps what a batch brings beyond what is there. It is answered once it is durable.
func (c *core) receive(msg *raft.Message) {
	c.epoch = msg.Seq
	e := msg.Entries
	switch {
	case msg.PrevLogIndex > c.last:
		c.answer, c.gap = true, true
		return
	case e.Count == 0 || e.Last() <= c.last:
		c.answer = true
		return
	}
	skip, bytes := int(c.last+1-e.First), 0 // sent again
	for entry := range e.All() {
		if entry.Index > c.last {
			break
		}
		bytes += raft.EntryOverhead + len(entry.Data)
	}
	if c.arrived.Count == 0 {
		c.arrived = raft.Entries{First: c.last + 1, Bytes: c.arrived.Bytes[:0]}
	}
	c.arrived.Bytes = append(c.arrived.Bytes, e.Bytes[bytes:]...)
	c.arrived.Count += e.Count - skip
	c.last = e.Last()
}

func (c *core) follower(id raft.ID) *follower {
	for i := range c.peers {
		if c.peers[i].id == id {
			return &c.peers[i]
		}
	}
	return nil
}

func (c *core) answered(p *follower, msg *raft.Message) {
	if match := min(msg.Match, c.last); match > p.match {
		p.match = match
		c.event(raft.Event{Kind: raft.EventAccepted, Peer: p.id, Index: match})
	}
	done := 0
	for done < len(p.flights) && p.flights[done] <= p.match {
		done++
	}
	p.flights = p.flights[:copy(p.flights, p.flights[done:])]
	if !msg.Success && msg.Seq == p.epoch {
		p.restart()
	}
}

// restart sends everything again that was not acknowledged.
func (p *follower) restart() {
	p.flights = p.flights[:0]
	p.next = p.match + 1
	p.epoch++
}

// Reachable begins again after what the follower is known to have: there is nothing to search for.
func (c *core) Reachable(_ raft.Time, id raft.ID) {
	if p := c.follower(id); p != nil {
		p.restart()
		p.hello = true
	}
}

// Tick lets followers know the leader, and finds lost batches.
func (c *core) Tick(now raft.Time) {
	if c.leader != c.id || now < c.beatAt {
		return
	}
	c.beatAt = now.Add(c.cfg.Heartbeat)
	for i := range c.peers {
		c.peers[i].hello = true
	}
}

// Deadline returns when Tick has something to do.
func (c *core) Deadline() raft.Time {
	if c.leader == c.id {
		return c.beatAt
	}
	return cluster.Never
}

// Saved notes what is durable, which a follower then acknowledges.
func (c *core) Saved(_ raft.Time, seq uint64) {
	done := 0
	for done < len(c.pending) && c.pending[done].seq <= seq {
		c.durable = c.pending[done].last
		c.answer = c.leader != c.id
		done++
	}
	c.pending = c.pending[:copy(c.pending, c.pending[done:])]
}

// SnapshotSaved lets the storage forget the log before the snapshot.
func (c *core) SnapshotSaved(_ raft.Time, s raft.Snapshot) {
	if s.Index >= c.taking {
		c.taking = 0
	}
	if s.Index > c.snapshot {
		c.snapshot = s.Index
		c.event(raft.Event{Kind: raft.EventSnapshot, Index: s.Index, Term: s.Term, Bytes: int(s.Bytes)})
		c.compact = s.Index - min(s.Index, uint64(c.cfg.SnapshotTrailing))
	}
}

// Sending returns 0: no snapshots are sent.
func (c *core) Sending(raft.ID) uint64 { return 0 }

// Take hands out what is to be saved, sent and applied.
func (c *core) Take(raft.Time, bool) *cluster.Output {
	c.out = cluster.Output{Frames: c.out.Frames[:0], Apply: c.out.Apply[:0]}
	c.head, c.body, c.runs = c.head[:0], c.body[:0], c.runs[:0]
	if c.leader == c.id {
		c.takeLeader()
	} else {
		c.takeFollower()
	}
	c.out.Snapshot = c.dueSnapshot()
	c.out.Compact, c.compact = c.compact, 0
	c.out.Events, c.events, c.spare = c.events, c.spare[:0], c.events
	return &c.out
}

func (c *core) takeLeader() {
	c.compactLog()
	if c.handed < c.last {
		c.runs = c.log.AppendRuns(c.runs, c.handed+1, c.last, maxRun)
		c.save(c.runs)
	}
	for i := range c.peers {
		p := &c.peers[i]
		if p.hello {
			p.hello = false
			c.send(p.id, &raft.Message{Type: raft.AppendEntries, Term: c.term, Seq: p.epoch, PrevLogIndex: p.next - 1})
		}
		for p.next <= c.last && len(p.flights) < c.maxInFlight {
			c.sendBatch(p)
		}
	}
	c.apply()
}

// maxRun is no limit: a save takes all there is.
const maxRun = 1 << 30

func (c *core) takeFollower() {
	if c.arrived.Count > 0 {
		c.runs = append(c.runs, c.arrived)
		c.save(c.runs)
		c.out.Apply = append(c.out.Apply, c.arrived)
		c.tellApplied(c.arrived)
		c.arrived = raft.Entries{Bytes: c.arrived.Bytes} // the next message writes over it
	}
	if c.answer {
		c.send(c.leader, &raft.Message{Type: raft.AppendEntriesReply, Term: c.term, Seq: c.epoch, Success: !c.gap, Match: c.durable})
		c.answer, c.gap = false, false
	}
}

func (c *core) save(runs []raft.Entries) {
	c.saves++
	c.handed = c.last
	c.pending = append(c.pending, save{c.saves, c.last})
	c.out.Save = raft.Save{Seq: c.saves, Term: c.term, Entries: runs}
}

func (c *core) sendBatch(p *follower) {
	from := len(c.runs)
	c.runs = c.log.AppendRuns(c.runs, p.next, c.last, c.maxBytes)
	runs := c.runs[from:]
	last := runs[len(runs)-1].Last()
	msg := raft.Message{Type: raft.AppendEntries, Term: c.term, Seq: p.epoch, PrevLogIndex: p.next - 1, Entries: runs[0], More: runs[1:]}
	c.send(p.id, &msg)
	c.event(raft.Event{Kind: raft.EventSent, Peer: p.id, Prev: p.next - 1, Index: last, Count: msg.EntryCount(), Bytes: msg.EntryBytes()})
	p.next = last + 1
	p.flights = append(p.flights, last)
}

// apply hands out what enough members have made durable.
func (c *core) apply() {
	c.matches = append(c.matches[:0], c.durable)
	for i := range c.peers {
		c.matches = append(c.matches, c.peers[i].match)
	}
	slices.Sort(c.matches)
	upTo := c.matches[(len(c.matches)-1)/2]
	if upTo <= c.applied {
		return
	}
	from := len(c.out.Apply)
	c.out.Apply = c.log.AppendRuns(c.out.Apply, c.applied+1, upTo, maxRun)
	for _, e := range c.out.Apply[from:] {
		c.tellApplied(e)
	}
}

// compactLog forgets what all members have and this one has applied, of which nothing is handed out any more.
func (c *core) compactLog() {
	all := c.applied
	for i := range c.peers {
		all = min(all, c.peers[i].match)
	}
	if all = min(all, c.durable); all >= c.log.First()+compactEvery {
		c.log.Compact(all)
	}
}

// compactEvery is how many entries are forgotten at once, at least.
const compactEvery = 1024

// tellApplied notes that a run is handed out for applying.
func (c *core) tellApplied(e raft.Entries) {
	c.applied = e.Last()
	c.appliedBytes += len(e.Bytes)
	c.event(raft.Event{Kind: raft.EventCommitted, Index: c.applied, Term: c.term})
	c.event(raft.Event{Kind: raft.EventApplied, Index: c.applied, Term: c.term})
}

// dueSnapshot returns the snapshot to take now, by the rule of raft.Config.
func (c *core) dueSnapshot() raft.Snapshot {
	if c.taking != 0 || c.applied == c.snapshot {
		return raft.Snapshot{}
	}
	entries := c.cfg.SnapshotEntries > 0 && c.applied-c.snapshot >= uint64(c.cfg.SnapshotEntries)
	if !entries && (c.cfg.SnapshotBytes == 0 || c.appliedBytes < c.cfg.SnapshotBytes) {
		return raft.Snapshot{}
	}
	c.taking, c.appliedBytes = c.applied, 0
	return raft.Snapshot{Index: c.applied, Term: c.term}
}

func (c *core) send(to raft.ID, msg *raft.Message) {
	head, body := len(c.head), len(c.body)
	c.head = transports.AppendMessage(c.head, msg)
	c.body = transports.AppendBody(c.body, msg)
	c.out.Frames = append(c.out.Frames, cluster.Frame{To: to, Class: transports.ClassAppend,
		Head: c.head[head:len(c.head):len(c.head)], Body: c.body[body:len(c.body):len(c.body)],
		Append: msg.Type == raft.AppendEntries, Entries: msg.EntryCount()})
}

func (c *core) event(e raft.Event) {
	if c.cfg.Events() {
		c.events = append(c.events, e)
	}
}

// Status returns what a scenario may know of the member.
func (c *core) Status() raft.Status {
	role, first := raft.Follower, c.last+1
	if c.leader == c.id {
		role, first = raft.Leader, c.log.First()
	}
	return raft.Status{ID: c.id, Role: role, Term: c.term, Leader: c.leader, First: first, Last: c.last, Durable: c.durable,
		Commit: c.applied, Applied: c.applied}
}

// Counts returns nothing: there are no elections.
func (c *core) Counts() (elections, rejections uint64) { return 0, 0 }
