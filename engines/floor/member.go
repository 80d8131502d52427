package floor

import (
	"slices"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// member is a leader or a follower: a cluster.Member.
type member struct {
	id      raft.ID
	cfg     *cluster.Config
	host    cluster.Host
	machine *engines.Machine

	leader raft.ID // 0 if unknown
	term   uint64  // 1 once there is a leader
	last   uint64  // index of the last entry that it has

	// Leader.
	log     *raft.Log // for sending again, and for applying
	peers   []follower
	beatAt  raft.Time
	offered []*cluster.Proposal // since the last Settle
	matches []uint64            // scratch

	// Follower: an answer is due.
	answer, gap bool
	epoch       uint64 // of the last batch

	message  raft.Message // the one being handled
	head     []byte       // scratch
	body     [][]byte     // scratch
	runs     []raft.Entries
	counters cluster.Counters
	events   []raft.Event

	maxBytes, maxInFlight int
}

// follower is what the leader knows of another member.
type follower struct {
	id          raft.ID
	match, next uint64
	flights     []uint64 // the last index of each unanswered batch
	epoch       uint64   // counts restarts, so that a gap is only heard of once
}

// New makes a member that has nothing yet, whatever the disk holds: a cluster.Engine.
func New(id raft.ID, cfg *cluster.Config, host cluster.Host, disk *cluster.Disk) (cluster.Member, error) {
	m := &member{id: id, cfg: cfg, host: host, machine: engines.NewMachine(id, cfg, host, disk),
		maxBytes: raft.DefaultMaxAppendBytes, maxInFlight: raft.DefaultMaxInFlight}
	if cfg.MaxAppendBytes > 0 {
		m.maxBytes = cfg.MaxAppendBytes
	}
	if cfg.MaxInFlight > 0 {
		m.maxInFlight = cfg.MaxInFlight
	}
	return m, nil
}

// Campaign makes the member the leader, if there is none.
func (m *member) Campaign(now raft.Time) {
	if m.leader != 0 {
		return
	}
	m.log = raft.NewLog(1, 0)
	for i := range m.cfg.Replicas {
		if id := raft.ID(i + 1); id != m.id {
			m.peers = append(m.peers, follower{id: id, next: 1})
		}
	}
	m.setLeader(m.id)
	m.Tick(now)
}

func (m *member) setLeader(id raft.ID) {
	m.leader, m.term = id, 1
	role := raft.Follower
	if id == m.id {
		role = raft.Leader
	}
	m.event(raft.Event{Kind: raft.EventRole, Role: role, Term: m.term, Peer: id})
}

// Propose keeps the proposal until Settle.
func (m *member) Propose(_ raft.Time, p *cluster.Proposal) {
	engines.Begin(p, m.id)
	if m.leader != m.id {
		p.Refuse(m.id, raft.ErrNotLeader)
		return
	}
	m.offered = append(m.offered, p)
}

// Receive handles a batch or the answer to one.
func (m *member) Receive(_ raft.Time, from raft.ID, frame []byte) error {
	msg := &m.message
	if err := transports.DecodeMessage(frame, msg); err != nil {
		return err
	}
	switch msg.Type {
	case raft.AppendEntries:
		if m.leader == 0 {
			m.setLeader(from)
		}
		m.take(msg)
	case raft.AppendEntriesReply:
		if p := m.follower(from); p != nil {
			m.answered(p, msg)
		}
	}
	return nil
}

// take applies what a batch brings beyond what is there.
func (m *member) take(msg *raft.Message) {
	m.answer, m.epoch = true, msg.Seq
	e := msg.Entries
	switch {
	case msg.PrevLogIndex > m.last:
		m.gap = true
		return
	case e.Count == 0 || e.Last() <= m.last:
		return
	}
	for e.First <= m.last { // sent again
		for entry := range e.All() {
			size := raft.EntryOverhead + len(entry.Data)
			e = raft.Entries{First: e.First + 1, Count: e.Count - 1, Bytes: e.Bytes[size:]}
			break
		}
	}
	m.last = e.Last()
	m.machine.Apply(e)
	m.event(raft.Event{Kind: raft.EventCommitted, Index: m.last, Term: m.term})
	m.event(raft.Event{Kind: raft.EventApplied, Index: m.last, Term: m.term})
}

func (m *member) follower(id raft.ID) *follower {
	for i := range m.peers {
		if m.peers[i].id == id {
			return &m.peers[i]
		}
	}
	return nil
}

func (m *member) answered(p *follower, msg *raft.Message) {
	if match := min(msg.Match, m.last); match > p.match {
		p.match = match
		m.event(raft.Event{Kind: raft.EventAccepted, Peer: p.id, Index: match})
	}
	done := 0
	for done < len(p.flights) && p.flights[done] <= p.match {
		done++
	}
	p.flights = p.flights[:copy(p.flights, p.flights[done:])]
	if !msg.Success && msg.Seq == p.epoch {
		m.restart(p)
	}
}

// restart sends everything again that was not acknowledged.
func (m *member) restart(p *follower) {
	p.flights = p.flights[:0]
	p.next = p.match + 1
	p.epoch++
}

// Reachable begins again after what the follower is known to have: there is nothing to search for.
func (m *member) Reachable(now raft.Time, id raft.ID) {
	if p := m.follower(id); p != nil {
		m.restart(p)
		m.hello(p)
	}
}

// Tick lets followers know the leader, and finds lost batches.
func (m *member) Tick(now raft.Time) {
	if m.leader != m.id || now < m.beatAt {
		return
	}
	m.beatAt = now.Add(m.cfg.Heartbeat)
	for i := range m.peers {
		m.hello(&m.peers[i])
	}
}

func (m *member) hello(p *follower) {
	m.send(p.id, &raft.Message{Type: raft.AppendEntries, Term: m.term, Seq: p.epoch, PrevLogIndex: p.next - 1})
}

// Saved is of no concern: nothing is saved.
func (m *member) Saved(raft.Time, uint64) {}

// Settle sends what was offered and applies what is acknowledged, or answers what has arrived.
func (m *member) Settle(now raft.Time) {
	if m.leader == m.id {
		m.settleLeader(now)
	} else if m.answer {
		m.send(m.leader, &raft.Message{Type: raft.AppendEntriesReply, Term: m.term, Seq: m.epoch, Success: !m.gap, Match: m.last})
		m.answer, m.gap = false, false
	}
	if len(m.events) > 0 {
		m.cfg.Observer.Events(now, m.id, m.events)
		m.events = m.events[:0]
	}
}

func (m *member) settleLeader(now raft.Time) {
	for {
		m.append(now)
		for i := range m.peers {
			p := &m.peers[i]
			for p.next <= m.last && len(p.flights) < m.maxInFlight {
				m.sendBatch(p)
			}
		}
		if !m.apply() && len(m.offered) == 0 {
			return
		}
	}
}

func (m *member) append(now raft.Time) {
	batch := m.offered
	m.offered = nil
	for _, p := range batch {
		m.log.Append(m.term, p.Data)
		m.last++
		p.Index, p.Term = m.last, m.term
		m.machine.Await(p)
	}
	clear(batch)
	if m.offered == nil {
		m.offered = batch[:0]
	}
}

func (m *member) sendBatch(p *follower) {
	m.runs = m.log.AppendRuns(m.runs[:0], p.next, m.last, m.maxBytes)
	last := m.runs[len(m.runs)-1].Last()
	msg := raft.Message{Type: raft.AppendEntries, Term: m.term, Seq: p.epoch, PrevLogIndex: p.next - 1, Entries: m.runs[0], More: m.runs[1:]}
	m.send(p.id, &msg)
	m.event(raft.Event{Kind: raft.EventSent, Peer: p.id, Prev: p.next - 1, Index: last, Count: msg.EntryCount(), Bytes: msg.EntryBytes()})
	p.next = last + 1
	p.flights = append(p.flights, last)
}

// apply applies what enough followers have, and reports whether there was anything.
func (m *member) apply() bool {
	m.matches = append(m.matches[:0], m.last)
	for i := range m.peers {
		m.matches = append(m.matches, m.peers[i].match)
	}
	slices.Sort(m.matches)
	upTo := m.matches[(len(m.matches)-1)/2]
	before := m.machine.Applied()
	if upTo <= before {
		return false
	}
	for next := before + 1; next <= upTo; {
		e := m.log.Slice(next, upTo)
		m.machine.Apply(e)
		next = e.Last() + 1
	}
	m.event(raft.Event{Kind: raft.EventCommitted, Index: upTo, Term: m.term})
	m.event(raft.Event{Kind: raft.EventApplied, Index: upTo, Term: m.term})
	if old := m.machine.Forgettable(); old > 0 {
		m.log.Compact(old)
	}
	return true
}

func (m *member) send(to raft.ID, msg *raft.Message) {
	m.counters.Messages++
	if msg.Type == raft.AppendEntries {
		m.counters.AppendEntries++
		m.counters.EntriesSent += uint64(msg.EntryCount())
	}
	m.counters.Bytes += uint64(transports.EncodedSize(msg))
	m.head = transports.AppendMessage(m.head[:0], msg)
	m.body = transports.AppendBody(m.body[:0], msg)
	m.host.Send(to, transports.ClassAppend, m.head, m.body...)
}

func (m *member) event(e raft.Event) {
	if m.cfg.Events() {
		m.events = append(m.events, e)
	}
}

// Deadline returns when Tick has something to do.
func (m *member) Deadline() raft.Time {
	if m.leader == m.id {
		return m.beatAt
	}
	return cluster.Never
}

// Status returns what a scenario may know of the member.
func (m *member) Status() cluster.Status {
	role, first := raft.Follower, m.last+1
	if m.leader == m.id {
		role, first = raft.Leader, m.log.First()
	}
	applied := m.machine.Applied()
	return cluster.Status{Up: true, Digest: m.machine.Digest(), Status: raft.Status{ID: m.id, Role: role, Term: m.term,
		Leader: m.leader, First: first, Last: m.last, Commit: applied, Applied: applied}}
}

// Counters returns what the member has done since it was made.
func (m *member) Counters() cluster.Counters { return m.counters }

// Abandon ends the member's life.
func (m *member) Abandon() {
	for _, p := range m.offered {
		p.Refuse(m.id, cluster.ErrDown)
	}
	m.offered = nil
	m.machine.Abandon()
}
