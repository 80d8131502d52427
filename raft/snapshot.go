package raft

import (
	"fmt"
	"math"
	"slices"
)

// Snapshots: paper, section 7; thesis, chapter 5.
//
// A replica takes a snapshot when enough has been applied since the last one; once it is durable, the log before it may
// go. A leader sends its newest snapshot to a follower whose next entry is gone, or that its CatchUp choice would rather
// give a snapshot: in chunks, a few in flight, each sent when an earlier one is answered. The log after a snapshot that is
// being sent stays, so what follows it is there when the follower has installed it: a transfer is never overtaken by
// compaction (the livelock of hashicorp/raft issue 697).
//
// The core never sees a state machine's content: it says which chunk goes to whom, and the driver has the bytes.

// Snapshot names a state of the state machine: the one after all entries up to Index, the last of which has Term.
type Snapshot struct {
	Index, Term uint64
	Bytes       uint64 // of its encoded content
}

// Chunk is a part of a snapshot that a leader sent: Data belongs at Offset. The one that reaches Bytes is the last.
type Chunk struct {
	Snapshot
	Offset uint64
	Data   []byte
}

// Last reports whether the snapshot is complete with this chunk.
func (c *Chunk) Last() bool { return c.Offset+uint64(len(c.Data)) == c.Bytes }

// CatchUp decides whether a follower that is behind gets the leader's snapshot although the log it needs is still there.
// It is asked when a search for the place of agreement ends and when a follower that was silent answers again. It must be
// a pure function of what it is given.
type CatchUp interface {
	// Snapshot reports whether to send the snapshot first, rather than the log alone.
	Snapshot(Behind) bool
	// String returns the choice as it is written on the command line.
	String() string
}

// Behind is how far a follower is behind, in the two ways to bring it level.
type Behind struct {
	Entries       uint64 // that it lacks
	LogBytes      uint64 // their size in the log
	SnapshotBytes uint64 // size of the leader's snapshot
	TailBytes     uint64 // size of the entries that follow the snapshot
}

// transfer is a snapshot on its way to one follower. Index 0 means that none is.
type transfer struct {
	Snapshot
	acked, next uint64        // offsets: what the follower has, what is sent next
	flights     []chunkFlight // unanswered, in order of sending
	begun       bool          // its first chunk has passed the Send gate
	oldest      Time          // when the first unacknowledged chunk was first sent; 0 if there is none
	answeredAt  Time          // when the follower last took a chunk, or the transfer began
	losses      int           // times in a row that chunks went unanswered
}

type chunkFlight struct {
	seq, end uint64
	at       Time
}

// incoming is a snapshot that a follower is receiving. Index 0 means that none is.
type incoming struct {
	Snapshot
	leader   ID
	term     uint64 // of that leader: another one's snapshot may have other bytes
	received uint64
	answer   Message // to the last chunk, sent when the snapshot is installed
}

func (in *incoming) complete() bool {
	return in.Index != 0 && in.received == in.Bytes && in.answer.Type != 0
}

// dueSnapshot returns the snapshot to take now, of what has been applied with this Output; the zero value if none is due.
func (n *Node) dueSnapshot() Snapshot {
	since := n.applied - min(n.applied, n.snapshot.Index)
	if n.taking != 0 || since == 0 || n.cfg.SnapshotEntries == 0 && n.cfg.SnapshotBytes == 0 {
		return Snapshot{}
	}
	if (n.cfg.SnapshotEntries == 0 || since < uint64(n.cfg.SnapshotEntries)) &&
		(n.cfg.SnapshotBytes == 0 || n.appliedBytes < uint64(n.cfg.SnapshotBytes)) {
		return Snapshot{}
	}
	n.taking, n.appliedBytes = n.applied, 0
	return Snapshot{Index: n.applied, Term: n.termAt(n.applied)}
}

// SnapshotSaved tells that a snapshot is durable: one that an Output asked for, one that the driver took by itself of what
// is applied, or one that was received with its last chunk. What no longer concerns the node is ignored.
func (n *Node) SnapshotSaved(now Time, s Snapshot) {
	n.advance(now)
	if s.Index >= n.taking { // a later one takes its place: the driver tells of the newest
		n.taking = 0
	}
	if s.Index > n.snapshot.Index {
		n.snapshot = s
		n.event(Event{Kind: EventSnapshot, Index: s.Index, Term: s.Term, Bytes: int(s.Bytes)})
	}
	if s.Index > n.commit {
		n.install(s)
	}
	if n.incoming.Snapshot == s && n.incoming.complete() {
		m := n.incoming.answer
		n.incoming = incoming{}
		n.replyInstalled(&m)
	}
}

// recoverSnapshot begins with the snapshot that the storage held. Its log counts only as far as it goes on from there: one
// that ends before the snapshot's last entry, or has another in its place, was to be replaced when the replica crashed.
func (n *Node) recoverSnapshot(s Snapshot) error {
	if n.log.First()-1 > s.Index {
		return fmt.Errorf("%w: the saved log begins at %d, the saved snapshot ends at %d", ErrConfig, n.log.First(), s.Index)
	}
	if t, ok := n.log.Term(s.Index); !ok || t != s.Term {
		n.log.Reset(s.Index+1, s.Term)
		n.reset = s
	}
	n.snapshot = s
	return nil
}

// install goes on from a received snapshot. A log that holds the snapshot's last entry stays: all up to it is committed.
// Any other one is replaced (paper, figure 13, steps 6 and 7).
func (n *Node) install(s Snapshot) {
	if n.role == Leader {
		return // it has all that is committed, and commits it by itself
	}
	if t, ok := n.log.Term(s.Index); ok && t == s.Term {
		n.durable = max(n.durable, s.Index) // by the snapshot, if not by the log
		n.proven = max(n.proven, s.Index)
		n.commitProven()
		return
	}
	if n.role != Follower {
		n.becomeFollower(n.term, 0) // it stands with a log that it no longer has
	}
	n.log.Reset(s.Index+1, s.Term)
	n.reset, n.restore, n.truncateTo = s, s, 0
	n.handed, n.durable = s.Index, s.Index
	for i := range n.pending {
		n.pending[i].last = 0 // the entries it made durable are gone
	}
	n.commit, n.applied, n.proven, n.appliedBytes = s.Index, s.Index, max(n.proven, s.Index), 0
	n.event(Event{Kind: EventInstalled, Index: s.Index, Term: s.Term, Bytes: int(s.Bytes)})
}

// settleCompact lets the log forget what it may, and reports whether there was anything. Nothing that an Output refers to
// may be needed any more: Take begins with it.
func (n *Node) settleCompact() bool {
	n.out.Compact = n.compactable()
	if n.out.Compact == 0 {
		return false
	}
	n.log.Compact(n.out.Compact)
	return true
}

// compactable returns up to where the log may be forgotten, 0 if there is nothing: what a durable snapshot holds, but for
// SnapshotTrailing entries, what a follower that answers still needs, within MaxLagBytes, and what follows a snapshot that
// is on its way.
func (n *Node) compactable() uint64 {
	upTo := min(n.snapshot.Index-min(n.snapshot.Index, uint64(n.cfg.SnapshotTrailing)), n.applied, n.durable)
	if n.role == Leader && upTo >= n.log.First() {
		for i := range n.peers {
			upTo = min(upTo, n.keptFor(&n.peers[i], upTo))
		}
	}
	if upTo < n.log.First() {
		return 0
	}
	return upTo
}

// keptFor returns how far the log may be compacted without taking away what a follower needs next. A silent follower
// keeps nothing: a dead one would otherwise keep all.
func (n *Node) keptFor(p *progress, upTo uint64) uint64 {
	if p.install.Index != 0 {
		return p.install.Index
	}
	if p.match+1 < n.log.First() || p.silent() && !p.deferred {
		return upTo
	}
	if p.deferred {
		return p.match // or what is about to be told could not be proven any more
	}
	if n.log.offset(n.log.Last()+1)-n.log.offset(p.match+1) > uint64(n.cfg.MaxLagBytes) {
		return upTo
	}
	return p.match
}

// meetCompaction deals with a follower whose next entry is gone. A search goes on at the log's beginning; where there is
// nothing to search, only the snapshot helps, once the follower can be heard.
func (n *Node) meetCompaction(p *progress) {
	switch {
	case p.next >= n.log.First() || p.install.Index != 0:
	case p.probing:
		p.next, p.probeDue = n.log.First(), true
	case !p.silent():
		n.beginTransfer(p)
	}
}

// chooseCatchUp begins a transfer if the CatchUp choice says so for a follower that has just been found behind.
func (n *Node) chooseCatchUp(p *progress) {
	first, last, s := n.log.First(), n.log.Last(), n.snapshot
	choice := n.cfg.Strategy.CatchUp
	if choice == nil || p.next < first || s.Index < p.next {
		return
	}
	b := Behind{Entries: last + 1 - p.next, LogBytes: n.log.offset(last+1) - n.log.offset(p.next), SnapshotBytes: s.Bytes,
		TailBytes: n.log.offset(last+1) - n.log.offset(max(s.Index+1, first))}
	if choice.Snapshot(b) {
		n.beginTransfer(p)
	}
}

// beginTransfer begins to send the newest snapshot. There is one: only a durable snapshot lets the log go.
func (n *Node) beginTransfer(p *progress) {
	p.flights, p.overdue = p.flights[:0], p.overdue[:0]
	p.probing, p.probeDue, p.stalled, p.rounds = false, false, false, 0
	p.install = transfer{Snapshot: n.snapshot, flights: p.install.flights[:0], answeredAt: n.now}
	p.since = n.now
}

// endTransfer goes on after a snapshot that the follower has, or gives a silent follower up: it is asked by heartbeats
// alone until it answers, and keeps nothing meanwhile.
func (n *Node) endTransfer(p *progress) {
	p.install = transfer{flights: p.install.flights[:0]}
}

// sendChunks sends as much of a snapshot as may be in flight. The first chunk waits at the Send gate as an AppendEntries
// would; the others follow the answers.
func (n *Node) sendChunks(p *progress, owed int, beat bool) {
	t := &p.install
	if !t.begun {
		w := Waiting{Since: p.since, Count: int(n.log.Last() - min(n.log.Last(), p.match)), Bytes: int(t.Bytes), Owed: owed}
		if !n.opens(n.cfg.Strategy.Send, w, false, beat) {
			return
		}
		// The newest by now: a driver keeps an older one from its first chunk on, and this one may be gone.
		t.begun, t.Snapshot = true, n.snapshot
	}
	limit := n.cfg.MaxChunks
	if t.losses > 0 {
		limit = 1
	}
	if t.losses > 0 && !beat || p.silent() {
		return
	}
	for len(t.flights) < limit && (t.next < t.Bytes || t.Bytes == 0 && len(t.flights) == 0) {
		n.sendChunk(p)
	}
}

func (n *Node) sendChunk(p *progress) {
	t := &p.install
	size := min(uint64(n.cfg.ChunkBytes), t.Bytes-t.next)
	n.seq++
	if t.oldest == 0 {
		t.oldest = n.now
	}
	t.flights = append(t.flights, chunkFlight{n.seq, t.next + size, n.now})
	n.send(Message{Type: InstallSnapshot, To: p.id, Term: n.term, Seq: n.seq, Snapshot: t.Snapshot, Offset: t.next,
		ChunkBytes: int(size)})
	n.event(Event{Kind: EventChunk, Peer: p.id, Prev: t.next, Index: t.Index, Bytes: int(size)})
	t.next += size
}

// expireTransfer sends again, one chunk with a heartbeat, what went unanswered for as long as expire waits for an
// AppendEntries; and gives up on a follower of which nothing at all was heard for an election timeout.
func (n *Node) expireTransfer(p *progress) {
	t := &p.install
	if n.now.Sub(max(t.answeredAt, p.heardAt)) >= max(n.cfg.ElectionTimeout, 4*p.rtt) {
		n.endTransfer(p)
		p.stalled, p.unheard = true, resends+1
		return
	}
	if len(t.flights) == 0 {
		return
	}
	patience := min(max(n.cfg.Heartbeat/2, 2*p.rtt)<<min(t.losses, 6), max(n.cfg.ElectionTimeout, 2*p.rtt))
	if n.now.Sub(max(t.flights[0].at, t.answeredAt)) >= patience {
		t.flights, t.next = t.flights[:0], t.acked
		t.losses++
		p.unheard++
	}
}

// stepInstallSnapshotReply moves a transfer on.
func (n *Node) stepInstallSnapshotReply(m *Message) {
	if n.role != Leader || m.Term != n.term {
		return
	}
	p := n.peer(m.From)
	p.active, p.heardAt, p.unheard = true, n.now, 0
	t := &p.install
	switch {
	case m.Success:
		n.installed(p, m)
	case t.Index == 0 || m.Snapshot != t.Snapshot || m.Offset > t.Bytes:
	default:
		n.tookChunks(p, m.Seq, m.Offset)
	}
}

// tookChunks notes that a follower, answering the chunk with this number, has the snapshot up to an offset.
func (n *Node) tookChunks(p *progress, seq, offset uint64) {
	t := &p.install
	k := slices.IndexFunc(t.flights, func(f chunkFlight) bool { return f.seq == seq })
	lost := k >= 0 && offset < t.acked // it started anew, without what it had
	if offset > t.acked {
		at := t.oldest // the answer to what was taken for lost
		if k >= 0 {
			at = t.flights[k].at
		}
		n.measureRTT(p, flight{at: at})
	}
	done := 0
	for done < len(t.flights) && t.flights[done].end <= offset {
		done++
	}
	t.flights = t.flights[:copy(t.flights, t.flights[done:])]
	// A later chunk arrived where an earlier one is missing.
	overtaken := k > done && k >= 0 && len(t.flights) > 0
	if offset > t.acked || t.losses > 0 {
		t.answeredAt, t.losses = n.now, 0
	}
	t.acked = max(t.acked, offset)
	if lost {
		t.acked = offset
	}
	if lost || overtaken || t.next < t.acked {
		t.flights, t.next = t.flights[:0], t.acked
	}
	t.oldest = 0
	if len(t.flights) > 0 {
		t.oldest = t.flights[0].at
	}
}

// installed goes on with the log once the follower has the snapshot, or more.
func (n *Node) installed(p *progress, m *Message) {
	if m.Match > p.match {
		p.match = min(m.Match, n.log.Last())
		found := p.probing && p.match+1 >= p.next
		n.event(Event{Kind: EventAccepted, Peer: p.id, Index: p.match, Probe: found || p.install.Index != 0})
		if found { // a late answer: the search is over
			p.probing, p.probeDue, p.rounds = false, false, 0
			n.restart(p)
		}
		p.landed()
	}
	if p.install.Index == 0 || m.Snapshot.Index != p.install.Index {
		return
	}
	n.endTransfer(p)
	p.stalled, p.losses, p.answeredAt = false, 0, n.now
	n.restart(p)
}

// stepInstallSnapshot takes a chunk of a snapshot: paper, figure 13.
func (n *Node) stepInstallSnapshot(m *Message) {
	if m.Term < n.term {
		n.replySnapshot(m, 0)
		return
	}
	if n.role == Leader {
		return
	}
	n.follow(m)
	if t, ok := n.log.Term(m.Snapshot.Index); ok && t == m.Snapshot.Term {
		n.proven = max(n.proven, m.Snapshot.Index) // what a snapshot holds is committed
		n.commitProven()
	}
	if m.Snapshot.Index <= n.commit {
		n.replyInstalled(m)
		return
	}
	in := &n.incoming
	if in.Snapshot != m.Snapshot || in.leader != m.From || in.term != m.Term {
		if in.Index > m.Snapshot.Index && in.leader == m.From && in.term == m.Term {
			return // late: this leader has begun to send a newer one
		}
		*in = incoming{Snapshot: m.Snapshot, leader: m.From, term: m.Term}
	}
	if in.complete() {
		return // the answer comes when it is durable
	}
	if m.Offset == in.received {
		n.keepChunk(m)
		in.received += uint64(len(m.Chunk))
		if in.received == in.Bytes {
			in.answer = *m
			in.answer.Chunk = nil
			return
		}
	}
	n.replySnapshot(m, in.received)
}

// keepChunk copies a chunk: Step keeps nothing of its message.
func (n *Node) keepChunk(m *Message) {
	from := len(n.chunkMem)
	n.chunkMem = append(n.chunkMem, m.Chunk...)
	n.chunks = append(n.chunks, Chunk{Snapshot: m.Snapshot, Offset: m.Offset, Data: n.chunkMem[from:]})
}

// takeChunks hands out the chunks that came in since the last Take.
func (n *Node) takeChunks() []Chunk {
	from := 0
	for i := range n.chunks { // chunkMem may have moved since
		size := len(n.chunks[i].Data)
		n.chunks[i].Data = n.chunkMem[from : from+size : from+size]
		from += size
	}
	n.out.Chunks, n.chunks = n.chunks, n.out.Chunks[:0]
	n.chunkMem, n.chunkSpare = n.chunkSpare[:0], n.chunkMem
	return n.out.Chunks
}

func (n *Node) replySnapshot(m *Message, received uint64) {
	n.sendDurably(Message{Type: InstallSnapshotReply, To: m.From, Term: n.term, Seq: m.Seq, Snapshot: m.Snapshot, Offset: received})
}

// replyInstalled answers that everything up to the snapshot's last entry is here. It promises that, and so waits for the
// disk.
func (n *Node) replyInstalled(m *Message) {
	n.sendDurably(Message{Type: InstallSnapshotReply, To: m.From, Term: n.term, Seq: m.Seq, Snapshot: m.Snapshot,
		Offset: m.Snapshot.Bytes, Success: true, Match: n.commit})
}

// plausibleChunk reports whether a correct leader may have sent this chunk, as far as it tells by itself.
func (m *Message) plausibleChunk() bool {
	s, size := &m.Snapshot, uint64(len(m.Chunk))
	return m.Term != 0 && m.Term != lastTerm && s.Index != 0 && s.Index != math.MaxUint64 && s.Term != 0 && s.Term <= m.Term &&
		m.Offset <= s.Bytes && size <= s.Bytes-m.Offset && (size > 0 || s.Bytes == 0)
}
