package check

import (
	"math"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// longAgo is before anything.
const longAgo raft.Time = math.MinInt64 / 2

// turn is what a replica has been brought since it last settled.
type turn struct {
	tick, reachable bool
	campaign        bool // it was told to stand
	others          bool // anything but messages
	sent            int  // messages
	messages        int
	last            input // the message that is being handled, or was handled last
	answered        bool  // a reply to it has been sent
	append          bool  // an AppendEntries came in
	committed       bool  // as a leader: commitIndex has moved
	appends         int   // AppendEntries sent
	chunks          int   // parts of snapshots that the core has given out and that have not left
}

// input is one message, and how things stood before it.
type input struct {
	message  raft.Message // without the entries
	handling bool
	before   raft.Status
	deadline raft.Time
	live     bool // a live leader had been heard, so nothing is owed to a candidate
	again    bool // it is a rejection that has arrived before
}

// receives notes a message before it is handled.
func (v *Invariants) receives(w *watched, now raft.Time, from raft.ID, frame []byte) {
	if v.err != nil || w.node == nil {
		return
	}
	in := &w.turn.last
	in.handling = transports.DecodeMessage(frame, &in.message) == nil
	if !in.handling {
		return
	}
	w.turn.messages++
	w.turn.answered = false
	in.message.From, in.message.To, in.message.Entries.Bytes, in.message.Chunk = from, w.id, nil, nil
	in.before, in.deadline = w.was, w.node.Deadline()
	w.turn.append = w.turn.append || in.message.Type == raft.AppendEntries || in.message.Type == raft.InstallSnapshot
	in.live = (v.cfg.CheckQuorum || in.message.PreVote) && w.was.Leader != 0 && (w.was.Role == raft.Leader || now.Sub(w.heard) < v.cfg.ElectionTimeout)
	if in.message.Type == raft.AppendEntriesReply {
		v.answersFlight(w, &in.message)
	}
	in.again = in.message.Type == raft.AppendEntriesReply && !in.message.Success && v.rejectedBefore(w, &in.message)
}

// handled looks at what became of a message: the rules that liveness needs.
func (v *Invariants) handled(w *watched, now raft.Time) {
	v.look(w, now)
	in := &w.turn.last
	if v.err != nil || w.node == nil || !in.handling {
		return
	}
	in.handling = false
	m, s, was := &in.message, &w.was, &in.before
	poll := m.Type == raft.RequestVote && (m.PreVote || in.live) || m.Type == raft.RequestVoteReply && m.PreVote && m.VoteGranted
	if m.Term > s.Term && !poll {
		v.fail(Live, w, "a %v of term %d leaves it in term %d", m.Type, m.Term, s.Term)
	}
	if m.Type == raft.RequestVote && m.PreVote && s.Term != was.Term {
		v.fail(Live, w, "a poll of %d moves it from term %d to %d, and polls begin no term", m.From, was.Term, s.Term)
	}
	if m.Type == raft.RequestVote && in.live && s.Term != was.Term {
		v.fail(Live, w, "a RequestVote of %d moves it from term %d to %d, though it hears a live leader", m.From, was.Term, s.Term)
	}
	if (m.Type == raft.AppendEntries || m.Type == raft.InstallSnapshot) && m.Term == s.Term && s.Leader == m.From {
		w.heard = max(w.heard, now)
	}
	if (m.Type == raft.AppendEntriesReply || m.Type == raft.InstallSnapshotReply) && s.Role == raft.Leader && m.Term == s.Term &&
		len(w.searches) > 0 {
		w.searches[placeOf(w.id, m.From)].heard = w.now
	}
	if m.Type == raft.RequestVote && !m.PreVote && m.Term == s.Term && s.Vote == 0 && !in.live && !v.ahead(w, logEnd{m.LastLogIndex, m.LastLogTerm}) {
		v.fail(Live, w, "in term %d it refuses its vote to %d, whose log is not behind its own", s.Term, m.From)
	}
	if v.opens.apply && s.Role != raft.Leader && was.Role != raft.Leader {
		v.timer(w, now) // otherwise its deadline is not the election timer's alone
	}
}

// timer: the election timer begins anew with a message of the leader and with a vote that is given, and with nothing
// else that arrives (paper, figure 2, "Followers").
func (v *Invariants) timer(w *watched, now raft.Time) {
	in := &w.turn.last
	m, s, was, deadline := &in.message, &w.was, &in.before, w.node.Deadline()
	voted := m.Type == raft.RequestVote && m.Term == s.Term && s.Vote == m.From
	switch {
	case voted && was.Vote == m.From && was.Term == s.Term: // for the second time: asked again
	case m.Type == raft.RequestVoteReply: // it may have begun to stand
	case voted, (m.Type == raft.AppendEntries || m.Type == raft.InstallSnapshot) && m.Term == s.Term:
		if left := deadline.Sub(now); left < v.cfg.ElectionTimeout || left > 2*v.cfg.ElectionTimeout {
			v.fail(Live, w, "after a %v that it follows its election timer is %v, want %v to twice that", m.Type, left, v.cfg.ElectionTimeout)
		}
	case deadline != in.deadline:
		v.fail(Live, w, "a %v that it does not follow moves its election timer by %v", m.Type, deadline.Sub(in.deadline))
	}
}

// settled ends a turn. Every request is answered, if only with the present term: a replica left behind learns from that.
func (v *Invariants) settled(w *watched) {
	t := &w.turn
	if v.err == nil && w.node != nil && t.chunks != 0 {
		v.fail(Live, w, "%d parts of snapshots that it has decided to send have not left", t.chunks)
	}
	if v.err == nil && w.node != nil && t.messages == 1 && !t.others && !t.answered && w.node.Queues().Held == 0 {
		switch m, was := &t.last.message, &t.last.before; {
		case m.Type == raft.RequestVote, m.Type == raft.AppendEntries && !(was.Role == raft.Leader && m.Term == was.Term):
			v.fail(Live, w, "a %v of %d in term %d is not answered; its own term is %d", m.Type, m.From, m.Term, w.was.Term)
		}
	}
	t.tick, t.reachable, t.campaign, t.others, t.messages, t.sent = false, false, false, false, 0, 0
	t.append, t.committed, t.appends, t.chunks = false, false, 0, 0
	for i := range w.searches {
		w.searches[i].fresh, w.searches[i].again = 0, false
		w.searches[i].flights.tried, w.searches[i].chunks = false, 0
	}
}

// ahead reports whether a replica's log is more up to date than another (paper, section 5.4.1).
func (v *Invariants) ahead(w *watched, of logEnd) bool {
	own := w.node.Log().LastTerm()
	return own > of.term || own == of.term && w.node.Log().Last() > of.index
}

// campaigns follows a candidate: it has asked first if it should, and its timer is drawn anew each time (paper, section
// 5.2; thesis, section 9.6).
func (v *Invariants) campaigns(w *watched, s, was *raft.Status) {
	if t := v.term(s.Term); v.cfg.PreVote && v.quorum > 1 && !w.turn.campaign {
		polled := 1
		for voter, to := range t.polls {
			if to[w.id] && voter != w.id {
				polled++
			}
		}
		if was.Role != raft.PreCandidate || polled < v.quorum {
			v.fail(Live, w, "as %v it stands in term %d, with %d of %d in favour when it asked around", was.Role, s.Term, polled, v.quorum)
		}
	}
	if !v.opens.apply {
		return
	}
	left := w.node.Deadline().Sub(w.now)
	if c := &w.campaigned; left == c.after {
		if c.times++; c.times == 3 {
			v.fail(Live, w, "its election timeout is %v for the third time in a row", left)
		}
	} else {
		c.after, c.times = left, 1
	}
}

// saves: what is given to the disk goes on from what was given before.
func (v *Invariants) saves(w *watched, s *raft.Save) {
	if v.err != nil {
		return
	}
	last := &w.saved
	if s.Term < last.term {
		v.fail(Monotonic, w, "it saves term %d after %d", s.Term, last.term)
	}
	if s.Term == last.term && last.vote != 0 && s.Vote != last.vote {
		v.fail(ElectionSafety, w, "it saves a vote for %d in term %d, after one for %d", s.Vote, s.Term, last.vote)
	}
	last.term, last.vote = s.Term, s.Vote
}

// sends looks at a message before it leaves.
func (v *Invariants) sends(w *watched, m *raft.Message) {
	if w.node == nil {
		return
	}
	d := w.disk.Durable()
	if !m.PreVote {
		w.promised = max(w.promised, m.Term)
		if d.Term < m.Term {
			v.fail(QuorumDurable, w, "it sends a %v of term %d, its disk has term %d", m.Type, m.Term, d.Term)
			return
		}
	}
	switch m.Type {
	case raft.AppendEntries:
		v.sendsEntries(w, m)
	case raft.AppendEntriesReply:
		v.repliesEntries(w, m)
	case raft.RequestVote:
		v.asksVote(w, m, d)
	case raft.RequestVoteReply:
		v.repliesVote(w, m, d)
	case raft.InstallSnapshot:
		v.sendsChunk(w, m)
	case raft.InstallSnapshotReply:
		v.repliesChunk(w, m)
	}
	if q := &w.turn.last.message; m.To == q.From && m.Seq == q.Seq && (m.Type == raft.AppendEntriesReply || m.Type == raft.RequestVoteReply) {
		w.turn.answered = true
	}
}

// mostSent is how many messages one turn may lead to: far more than a window's worth to every other replica.
const mostSent = 100_000

func (v *Invariants) asksVote(w *watched, m *raft.Message, d storage.State) {
	if m.PreVote {
		return // a poll promises nothing; one that waited for the disk may be out of date
	}
	s := w.node.Status()
	if end := (logEnd{s.Last, w.node.Log().LastTerm()}); s.Role == raft.Candidate && s.Term == m.Term && (m.LastLogIndex != end.index || m.LastLogTerm != end.term) {
		v.fail(LeaderCompleteness, w, "it asks for a vote with a log up to %d/%d, its log ends at %d/%d (index/term)",
			m.LastLogIndex, m.LastLogTerm, end.index, end.term)
	}
	t := v.term(m.Term)
	if d.Term == m.Term && d.Vote != w.id {
		v.fail(QuorumDurable, w, "it asks for votes in term %d, its disk has a vote for %d", m.Term, d.Vote)
	}
	v.promisesVote(w, t, w.id)
	t.campaigns[w.id] = logEnd{m.LastLogIndex, m.LastLogTerm}
}

func (v *Invariants) repliesVote(w *watched, m *raft.Message, d storage.State) {
	if m.PreVote {
		v.repliesPoll(w, m)
		return
	}
	if !m.VoteGranted {
		return
	}
	if d.Term == m.Term && d.Vote != m.To {
		v.fail(QuorumDurable, w, "it gives its vote of term %d to %d, its disk has one for %d", m.Term, m.To, d.Vote)
	}
	v.promisesVote(w, v.term(m.Term), m.To)
}

// repliesPoll: a poll is answered as a vote would be (thesis, section 9.6).
func (v *Invariants) repliesPoll(w *watched, m *raft.Message) {
	q, s := &w.turn.last.message, w.node.Status()
	if m.VoteGranted {
		t := v.term(m.Term)
		if t.polls == nil {
			t.polls = map[raft.ID]map[raft.ID]bool{}
		}
		if t.polls[w.id] == nil {
			t.polls[w.id] = map[raft.ID]bool{}
		}
		t.polls[w.id][m.To] = true
	}
	if w.turn.messages != 1 || w.turn.others || q.Type != raft.RequestVote || q.Seq != m.Seq || q.From != m.To || !q.PreVote {
		return
	}
	due := !w.turn.last.live && q.Term > s.Term && !v.ahead(w, logEnd{q.LastLogIndex, q.LastLogTerm})
	if m.VoteGranted && !due {
		v.fail(Live, w, "it is in favour of %d in term %d, for whom it could not vote", m.To, q.Term)
	} else if due && !m.VoteGranted {
		v.fail(Live, w, "it is not in favour of %d in term %d, for whom it would have to vote", m.To, q.Term)
	}
}

func (v *Invariants) promisesVote(w *watched, t *termRecord, to raft.ID) {
	if first := t.votes[w.id]; first != 0 && first != to {
		v.fail(ElectionSafety, w, "it gives its vote of term %d to %d, after %d", t.term, to, first)
	}
	t.votes[w.id] = to
}

// sendsEntries: an AppendEntries tells what its leader's log holds.
func (v *Invariants) sendsEntries(w *watched, m *raft.Message) {
	if t := v.term(m.Term); t.leader != w.id || t.life != w.life {
		v.fail(ElectionSafety, w, "it sends an AppendEntries of term %d, whose leader is %d", m.Term, t.leader)
		return
	}
	last := uint64(len(w.log))
	switch prev := m.PrevLogIndex; {
	case prev > last:
		v.fail(LogMatching, w, "it sends entries after %d, its log ends at %d", prev, last)
		return
	case prev == 0 && m.PrevLogTerm != 0 || prev > 0 && w.log[prev-1] != m.PrevLogTerm:
		v.fail(LogMatching, w, "it sends entries after %d of term %d, its log has another term there", prev, m.PrevLogTerm)
		return
	}
	for e := range m.Entries.All() {
		if e.Index > last || w.log[e.Index-1] != e.Term {
			v.fail(LogMatching, w, "it sends entry %d of term %d, which its log does not hold", e.Index, e.Term)
			return
		}
	}
	if limit := int(v.maxAppendBytes()); m.Entries.Count > 1 && m.Entries.DataBytes() > limit {
		v.fail(Bounded, w, "it sends %d entries of %d bytes, want at most %d bytes", m.Entries.Count, m.Entries.DataBytes(), limit)
	} else if n := m.Entries.Count; n > 0 && m.Entries.Last() < last && (n+1)*raft.EntryOverhead <= limit &&
		m.Entries.DataBytes()+len(w.node.Log().Entry(m.Entries.Last()+1).Data) <= limit {
		v.fail(Cost, w, "it sends %d entries from %d on, more would go along", n, m.Entries.First)
	}
	if m.Commit > v.Committed() {
		v.fail(CommitImmutable, w, "it announces commitIndex %d, but only %d entries are committed", m.Commit, len(v.committed))
	}
	w.turn.appends++
	if m.Entries.Count > 0 && len(w.searches) > 0 {
		v.sendsEarly(w, placeOf(w.id, m.To), m)
	}
	v.sendsCost(w, m)
	v.sendsAgain(w, m)
	v.sendsFlight(w, m)
}

// repliesEntries: what a follower acknowledges is on its disk, and is what the leader has.
func (v *Invariants) repliesEntries(w *watched, m *raft.Message) {
	if m.Commit > v.Committed() {
		v.fail(CommitImmutable, w, "it replies with commitIndex %d, but only %d entries are committed", m.Commit, len(v.committed))
	}
	if !m.Success {
		v.repliesHint(w, m)
		return
	}
	if m.Match == 0 {
		return
	}
	s := w.node.Status()
	if s.Term > m.Term { // it has moved on before this was handed out, and may have begun to remove the entry
		if d := w.disk.Durable(); d.Term == m.Term && m.Match > max(d.Log.Last(), d.Snapshot.Index) {
			v.fail(QuorumDurable, w, "it acknowledges entry %d, its disk has %s", m.Match, diskAt(w, m.Match))
		}
		return
	}
	if m.Match > s.Last || m.Match >= s.First && m.Match > uint64(len(w.log)) {
		v.fail(QuorumDurable, w, "it acknowledges entry %d, its log ends at %d", m.Match, s.Last)
		return
	}
	own := w.log[m.Match-1]
	if w.disk.Durable().Term == m.Term && !v.onDisk(w, m.Match, own) {
		v.fail(QuorumDurable, w, "it acknowledges entry %d of term %d, its disk has %s", m.Match, own, diskAt(w, m.Match))
	}
	if l := v.replicas[m.To-1]; l.node != nil && l.was.Role == raft.Leader && l.was.Term == m.Term &&
		m.Match >= l.was.First && (m.Match > uint64(len(l.log)) || l.log[m.Match-1] != own) {
		v.fail(QuorumDurable, w, "it acknowledges entry %d of term %d, its leader %d has another there", m.Match, own, m.To)
	}
}

// repliesHint: the hints of a rejection tell where the logs part, as long as it is answered at once.
func (v *Invariants) repliesHint(w *watched, m *raft.Message) {
	q := &w.turn.last.message
	if w.turn.messages != 1 || w.turn.others || q.Type != raft.AppendEntries || q.Seq != m.Seq || q.Term != m.Term || q.From != m.To {
		return // answered later, or refused for its term
	}
	last, prev, first := uint64(len(w.log)), q.PrevLogIndex, w.was.First
	if prev <= last && (prev < first || w.log[prev-1] == q.PrevLogTerm) {
		v.fail(Cost, w, "it rejects entries after %d of term %d, which it has", prev, q.PrevLogTerm)
		return
	}
	var term, from uint64
	if prev <= last {
		term = w.log[prev-1]
		for from = prev; from > first && w.log[from-2] == term; from-- {
		}
		if from == first && first > 1 && w.log[first-2] == term {
			from = first - 1
		}
	}
	if m.XTerm != term || m.XIndex != from || m.XLen != last {
		v.fail(Cost, w, "it rejects %d/%d with the hint XTerm %d, XIndex %d, XLen %d; its log has %d, %d, %d", prev, q.PrevLogTerm,
			m.XTerm, m.XIndex, m.XLen, term, from, last)
	}
	at := min(prev, last)
	for at >= first && w.log[at-1] > q.PrevLogTerm {
		at--
	}
	if at >= first && (m.HintIndex != at || m.HintTerm != w.log[at-1]) || at == 0 && m.HintIndex != 0 {
		v.fail(Cost, w, "it rejects %d/%d with the hint %d/%d; its last entry that can be shared is %d", prev, q.PrevLogTerm,
			m.HintIndex, m.HintTerm, at)
	}
}

// leaderAlone: with check-quorum a leader that a quorum has not answered for two election timeouts, the longest time
// between an answer and the second look after it, has stepped down (thesis, section 6.2).
func (v *Invariants) leaderAlone(w *watched) {
	if !v.cfg.CheckQuorum || v.quorum == 1 {
		return
	}
	recent := 1
	for i := range w.searches {
		if w.now.Sub(w.searches[i].heard) <= 2*v.cfg.ElectionTimeout {
			recent++
		}
	}
	if recent >= v.quorum {
		w.alone = 0
		return
	}
	if w.alone == 0 {
		w.alone = w.now // it may have been stopped meanwhile: then its next look tells
	}
	if w.now.Sub(w.alone) > v.cfg.ElectionTimeout+v.cfg.Heartbeat {
		v.fail(Live, w, "as leader of term %d it has heard from %d of %d within two election timeouts, and leads on", w.was.Term, recent, v.quorum)
	}
}
