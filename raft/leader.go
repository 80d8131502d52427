package raft

import (
	"slices"
	"time"
)

// The leader's side of replication: what it knows of each follower, and the AppendEntries it sends. When it sends is
// decided in gates.go.

// progress is what a leader knows of one follower.
//
// While probing, the place where the logs agree is not known: one AppendEntries without entries is out at a time
// (thesis, section 3.5: until the place is found, AppendEntries may go without entries to save bandwidth), and each
// rejection is a step of the Backup's search. After that, next runs ahead of match: entries are sent before earlier ones
// are acknowledged.
type progress struct {
	id          ID
	match, next uint64
	probing     bool
	probeDue    bool // a probe waits at the Send gate
	rounds      int  // rejections in this search

	flights []flight // unanswered AppendEntries that carried entries or were probes, in order of sending
	stalled bool     // one of them went unanswered for too long: one at a time, with heartbeats, until an answer comes
	overdue []flight // what was in flight then, and may be late rather than lost
	resent  flight   // what was sent again after that, and may be late as well; seq 0 if nothing was
	losses  int      // how often that happened since one of them was last answered
	unheard int      // how often that happened since an answer of any kind, to heartbeats too

	answeredAt Time // when one of them was last answered
	rtt        time.Duration

	since Time   // when the oldest unsent entry, or the probe, began to wait at the Send gate
	sent  uint64 // highest index ever sent in this term

	told      uint64 // the commitIndex it was last sent, as far as it can use it
	tellSince Time   // when news that it can use began to wait at the Announce gate; 0 if there is none
	commit    uint64 // its own commitIndex, as last answered

	active   bool // it has answered since the last look of checkQuorum
	deferred bool // an AppendEntries without entries waits for the end of the driver's round

	heardAt Time // when it last answered anything, or this node's leadership began

	install transfer // the snapshot that it is being sent
}

// resends is how often in a row an AppendEntries is sent again without an answer of any kind: a single lost message costs
// no more than that. After it the follower is silent.
const resends = 1

// silent reports whether the follower may be gone: nothing but heartbeats goes to it then, one small message a heartbeat
// interval, until it answers one. No gate has a say in that; what it is sent after the answer is theirs again.
func (p *progress) silent() bool { return p.unheard > resends }

// flight is one unanswered AppendEntries.
type flight struct {
	seq   uint64
	first uint64 // first entry it carried; last+1 in a probe
	last  uint64 // last entry it carried, or the index that it probed
	at    Time
}

func (n *Node) becomeLeader() {
	n.role, n.lead = Leader, n.cfg.ID
	n.beat, n.beatAt = true, n.nextBeat()
	n.quorumAt = n.now.Add(n.cfg.ElectionTimeout)
	n.quorumIndex, n.sentQuorum = 0, 0
	last := n.log.Last()
	for i := range n.peers {
		p := &n.peers[i]
		*p = progress{id: p.id, next: last + 1, probing: true, probeDue: true, since: n.now, active: true, heardAt: n.now,
			flights: p.flights[:0], overdue: p.overdue[:0], install: transfer{flights: p.install.flights[:0]}}
		if last == 0 {
			p.probing, p.probeDue = false, false // empty logs agree
		}
	}
	n.roleEvent()
	if n.cfg.NoOp {
		n.appendOwn(nil)
	}
}

// nextBeat returns the first moment after now that lies on this node's grid of heartbeats.
func (n *Node) nextBeat() Time {
	return n.now.Add(n.cfg.Heartbeat - offGrid(n.now, n.phase, n.cfg.Heartbeat))
}

// offGrid returns how long ago the last moment t with (t-phase)%period == 0 was.
func offGrid(now Time, phase, period time.Duration) time.Duration {
	d := (time.Duration(now) - phase) % period
	if d < 0 {
		d += period
	}
	return d
}

func (n *Node) appendOwn(data []byte) {
	last := n.log.Last()
	for i := range n.peers {
		if p := &n.peers[i]; !p.probing && p.next == last+1 {
			p.since = n.now
		}
	}
	n.log.Append(n.term, data)
	if k := len(n.events); k > 0 && n.events[k-1].Kind == EventAppended {
		n.events[k-1].Index++ // one event for what is proposed together
		n.events[k-1].Count++
		return
	}
	n.event(Event{Kind: EventAppended, Index: last + 1, Count: 1, Term: n.term})
}

// Reachable tells that a connection to a peer was made: what was in flight on an earlier one is lost. A leader forgets it,
// and sends at once if its Send gate lets it; a candidate asks again. Both find out by themselves too, a leader with the
// next heartbeat, a candidate with its next election timeout, so a driver without connections never calls this.
func (n *Node) Reachable(now Time, id ID) {
	n.advance(now)
	p := n.peer(id)
	switch {
	case p == nil:
	case n.role == Leader:
		if t := &p.install; t.Index != 0 {
			t.flights, t.next, t.oldest, t.losses, t.answeredAt = t.flights[:0], t.acked, 0, 0, n.now
			return
		}
		since, untouched := p.since, !p.probing && !p.stalled && p.next == p.match+1
		n.restart(p)
		if untouched && !p.probing {
			p.since = since // what has not been sent yet does not wait any longer for this
		}
		p.told, p.unheard = 0, 0
	case n.role == Candidate || n.role == PreCandidate:
		n.requestVote(id)
	}
}

// restart gives up what is in flight and begins again after the last entry known to agree, or with a probe.
func (n *Node) restart(p *progress) {
	p.flights, p.overdue, p.resent = p.flights[:0], p.overdue[:0], flight{}
	p.stalled = false
	p.since = n.now
	if p.probing {
		p.probeDue = true
	} else {
		p.next = p.match + 1
	}
}

func (n *Node) stepAppendEntriesReply(m *Message) {
	if n.role != Leader || m.Term != n.term {
		return
	}
	p := n.peer(m.From)
	p.active, p.heardAt = true, n.now
	silent := p.silent()
	if p.unheard = 0; silent {
		p.install.losses = 0
	}
	if !m.Success && m.PrevLogIndex == 0 {
		// It refuses a message of an earlier term, maybe of an earlier life with the same number: it says nothing of the
		// log, since every log agrees at 0.
		n.event(Event{Kind: EventStale, Peer: p.id})
		return
	}
	f, known := p.answered(m.Seq)
	if known {
		n.measureRTT(p, f)
		p.losses, p.answeredAt = 0, n.now
	}
	if m.Success {
		n.accepted(p, m, known)
	} else if known {
		n.rejected(p, m, f)
	} else if p.probing && m.PrevLogIndex == p.next-1 {
		// A late answer to an earlier probe of the same place: nothing but the search changes what it says.
		n.rejected(p, m, flight{first: p.next, last: p.next - 1})
	} else {
		if p.late(m.Seq) >= 0 {
			p.overdue = p.overdue[:0] // what was sent before that is lost after all
		}
		if silent {
			p.stalled = false // it is back, whatever it says
		}
		n.event(Event{Kind: EventStale, Peer: p.id, Prev: m.PrevLogIndex})
	}
}

// answered takes the flight with this number out of those that are unanswered.
func (p *progress) answered(seq uint64) (flight, bool) {
	for i, f := range p.flights {
		if f.seq == seq {
			p.flights = p.flights[:i+copy(p.flights[i:], p.flights[i+1:])]
			return f, true
		}
	}
	return flight{}, false
}

func (n *Node) measureRTT(p *progress, f flight) {
	d := n.now.Sub(f.at)
	if p.rtt == 0 {
		p.rtt = d
	} else {
		p.rtt += (d - p.rtt) / 8
	}
}

func (n *Node) accepted(p *progress, m *Message, known bool) {
	// A late answer to an earlier probe of the same place ends the search as well.
	found := p.probing && (known || m.Match+1 >= p.next)
	if m.Match > p.match || found {
		p.match = max(p.match, min(m.Match, n.log.Last()))
		p.landed()
		n.event(Event{Kind: EventAccepted, Peer: p.id, Index: p.match, Probe: found})
	}
	p.commit = max(p.commit, m.Commit)
	switch {
	case found:
		p.probing, p.rounds = false, 0
		n.restart(p)
		n.chooseCatchUp(p)
	case p.stalled && n.resume(p, m.Seq):
	case p.stalled && len(p.overdue) > 0 && m.Seq < p.overdue[0].seq:
		// A late answer to what was sent before all of that: it says nothing of what is overdue.
	case p.stalled:
		// It answers again. Whatever else was in flight is taken for lost, a probe only if it was sent before what this
		// answers: answers to probes count however late they are.
		if !p.probing || len(p.flights) > 0 && p.flights[0].seq < m.Seq {
			n.restart(p)
		}
		if p.stalled = false; !p.probing {
			n.chooseCatchUp(p)
		}
	}
}

// resume goes on as if nothing had been taken for lost, if this answers a flight that was: what was sent after that is
// most likely late too, behind many other bytes or because the machine stood still, and sending it again would only make
// the queue longer. That goes for what was sent again meanwhile, as far as it had more.
func (n *Node) resume(p *progress, seq uint64) bool {
	at := p.late(seq)
	if at < 0 {
		return false
	}
	again := p.resent
	if len(p.flights) > 0 {
		again = p.flights[0]
	}
	p.flights = append(p.flights[:0], p.overdue[at+1:]...)
	if k := len(p.overdue) - 1; again.seq != 0 && again.last > p.overdue[k].last {
		p.flights = append(p.flights, again)
	}
	p.overdue, p.resent = p.overdue[:0], flight{}
	p.landed()
	if len(p.flights) > 0 {
		p.next = max(p.next, p.flights[len(p.flights)-1].last+1)
	}
	p.stalled, p.losses, p.answeredAt, p.since = false, 0, n.now, n.now
	return true
}

// late returns the place of the overdue flight with this number, -1 if there is none.
func (p *progress) late(seq uint64) int {
	return slices.IndexFunc(p.overdue, func(f flight) bool { return f.seq == seq })
}

// landed drops the flights whose entries are all acknowledged: the answers to them were lost or are still to come.
func (p *progress) landed() {
	if p.probing {
		return
	}
	done := 0
	for done < len(p.flights) && p.flights[done].last <= p.match {
		done++
	}
	p.flights = p.flights[:copy(p.flights, p.flights[done:])]
	p.next = max(p.next, p.match+1) // a late answer may tell of more than was sent since the last restart
}

// rejected handles the rejection of a flight.
func (n *Node) rejected(p *progress, m *Message, f flight) {
	if !p.probing {
		// What it has acknowledged it still has, so nothing has to be searched: messages before this one were lost.
		n.restart(p)
		p.stalled = f.first <= p.match+1 // or it lost its disk: no correct replica does that, and it must not cost a storm
		n.event(Event{Kind: EventRejected, Peer: p.id, Prev: m.PrevLogIndex, Index: p.next})
		return
	}
	prev := f.last // rather than what the message says, which may be forged
	p.rounds++
	next := n.cfg.Strategy.Backup.Next(n.log, Reject{
		PrevLogIndex: prev, PrevLogTerm: n.termAt(prev), Match: p.match, Round: p.rounds,
		XTerm: m.XTerm, XIndex: m.XIndex, XLen: m.XLen, HintIndex: m.HintIndex, HintTerm: m.HintTerm,
	})
	// Never at or above what was just rejected, never below what is known to agree; nor before the log's beginning.
	p.next = max(min(next, prev), p.match+1, n.log.First())
	n.event(Event{Kind: EventRejected, Peer: p.id, Prev: prev, Index: p.next, Probe: true})
	if p.next > prev { // the log begins after the place of agreement
		n.beginTransfer(p)
		return
	}
	if p.next == p.match+1 {
		p.probing, p.rounds = false, 0 // nothing left to find out
		n.event(Event{Kind: EventAccepted, Peer: p.id, Index: p.match, Probe: true})
	}
	n.restart(p)
}

func (n *Node) termAt(i uint64) uint64 {
	t, _ := n.log.Term(i)
	return t
}

// moveQuorum finds the highest index that a quorum holds durably and that this leader may commit by counting: only
// entries of its own term (paper, section 5.4.2).
func (n *Node) moveQuorum() {
	q := n.quorumOf(n.durable, func(p *progress) uint64 { return p.match })
	if q <= n.quorumIndex || q <= n.commit || n.termAt(q) != n.term {
		return
	}
	if n.quorumIndex <= n.commit {
		n.quorumSince = n.now // nothing waited before
	}
	n.quorumIndex = q
	n.event(Event{Kind: EventAcked, Index: q, Term: n.term})
}

// appendTo sends one AppendEntries with as many entries as fit, or the due probe.
func (n *Node) appendTo(p *progress) {
	m := Message{Type: AppendEntries, To: p.id, Term: n.term, PrevLogIndex: p.next - 1, PrevLogTerm: n.termAt(p.next - 1)}
	f := flight{first: p.next, last: p.next - 1, at: n.now}
	if p.probing {
		p.probeDue = false
	} else {
		at := len(n.sendRuns)
		n.sendRuns = n.log.AppendRuns(n.sendRuns, p.next, n.log.Last(), n.cfg.MaxAppendBytes)
		end := len(n.sendRuns)
		m.Entries, m.More = n.sendRuns[at], n.sendRuns[at+1:end:end]
		p.deferred = false
		f.last = n.sendRuns[end-1].Last()
		p.next = f.last + 1
		p.sent = max(p.sent, f.last)
	}
	m.Commit = n.commit
	n.tell(p, min(n.commit, f.last))
	n.seq++
	m.Seq, f.seq = n.seq, n.seq
	p.flights = append(p.flights, f)
	n.send(m)
	n.event(Event{Kind: EventSent, Peer: p.id, Prev: m.PrevLogIndex, Index: f.last, Count: m.EntryCount(),
		Bytes: m.EntryBytes(), Probe: p.probing})
	if m.Entries.Count > 0 && n.cfg.Events {
		if q := n.quorumOf(n.log.Last(), func(p *progress) uint64 { return p.sent }); q > n.sentQuorum {
			n.sentQuorum = q
			n.event(Event{Kind: EventSentQuorum, Index: q, Term: n.term})
		}
	}
}

// heartbeat sends an AppendEntries without entries that no follower rejects: its previous entry is one that is known to
// agree, so that it may overtake others, and its commitIndex goes no further.
func (n *Node) heartbeat(p *progress) {
	prev := p.match
	term, ok := n.log.Term(prev)
	if !ok {
		prev, term = 0, 0 // compacted away here: the empty log's end matches everywhere
	}
	commit := min(n.commit, prev)
	n.tell(p, commit)
	n.seq++
	n.send(Message{Type: AppendEntries, To: p.id, Term: n.term, Seq: n.seq, PrevLogIndex: prev, PrevLogTerm: term, Commit: commit})
	n.event(Event{Kind: EventSent, Peer: p.id, Prev: prev, Index: prev})
}

// sendEmpty sends an AppendEntries without entries, at the end of the driver's round if more is about to come: see TakeMore.
func (n *Node) sendEmpty(p *progress) {
	if p.deferred = n.more; p.deferred {
		n.idle = false // it is still to be sent
	} else {
		n.heartbeat(p)
	}
}

func (n *Node) tell(p *progress, commit uint64) {
	p.told = max(p.told, commit)
	if n.commitFor(p) <= p.told {
		p.tellSince = 0
	}
}

// expire takes a follower's oldest flight for lost when it has been unanswered, and nothing after it was answered, for
// half a heartbeat period, or twice the usual round trip if that is longer; twice as long with every loss in a row, since
// the round trip may be what is underestimated. While answers come, what is unanswered is on its way behind other bytes:
// sending it again would only make the queue longer. What goes to a follower after that, see silent.
func (n *Node) expire(p *progress) {
	if len(p.flights) == 0 {
		return
	}
	patience := max(n.cfg.Heartbeat/2, 2*p.rtt) << min(p.losses, 6)
	if n.now.Sub(max(p.flights[0].at, p.answeredAt)) >= min(patience, max(n.cfg.ElectionTimeout, 2*p.rtt)) {
		overdue, resent := p.overdue, flight{}
		if !p.probing && p.stalled {
			resent = p.flights[0]
		} else if !p.probing {
			overdue = append(overdue[:0], p.flights...)
		}
		n.restart(p)
		p.stalled, p.overdue, p.resent = true, overdue, resent
		p.losses++
		p.unheard++
	}
}
