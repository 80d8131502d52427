package raft

import "time"

// Elections: paper, section 5.2 and 5.4.1; thesis, sections 4.2.3 and 9.6.

func (n *Node) resetElectionTimer() {
	// Drawn anew each time (paper, section 5.2), so that two replicas that split a vote once do not do it for ever.
	d := n.cfg.ElectionTimeout + time.Duration(n.random.Int64N(int64(n.cfg.ElectionTimeout)))
	n.electionAt = n.now.Add(d)
}

// becomeFollower enters a term, or steps down within one. Within a term the vote stays: it was given.
func (n *Node) becomeFollower(term uint64, leader ID) {
	wasLeader := n.role == Leader
	changed := n.role != Follower || term != n.term || leader != n.lead
	vote := n.vote
	if term != n.term {
		vote = 0
	}
	n.setHardState(term, vote)
	n.role, n.lead = Follower, leader
	n.beat, n.gateAt = false, forever
	if wasLeader {
		n.resetElectionTimer()
	}
	if changed {
		n.roleEvent()
	}
}

func (n *Node) roleEvent() {
	n.event(Event{Kind: EventRole, Role: n.role, Term: n.term, Peer: n.lead})
}

func (n *Node) startCampaign(pre bool) {
	n.resetElectionTimer()
	if n.term >= lastTerm-1 {
		return
	}
	n.lead = 0
	clear(n.votes)
	n.seq++
	n.campaign = Message{Type: RequestVote, Term: n.term + 1, Seq: n.seq, PreVote: pre,
		LastLogIndex: n.log.Last(), LastLogTerm: n.log.LastTerm()}
	if pre {
		n.role, n.voteSaved = PreCandidate, 0
	} else {
		n.role = Candidate
		n.elections++
		n.setHardState(n.term+1, n.cfg.ID)
		n.voteSaved = n.saveSeq + 1
	}
	n.roleEvent()
	n.votes[n.cfg.ID] = true
	for i := range n.peers {
		n.requestVote(n.peers[i].id)
	}
	n.tallyVotes()
}

func (n *Node) requestVote(to ID) {
	m := n.campaign
	m.To = to
	n.sendDurably(m)
}

// tallyVotes moves a campaign on if a quorum is for it, the own vote counted once it is durable.
func (n *Node) tallyVotes() {
	if n.role != Candidate && n.role != PreCandidate || n.savedSeq < n.voteSaved {
		return
	}
	granted := 0
	for _, g := range n.votes {
		if g {
			granted++
		}
	}
	if granted < n.quorum {
		return
	}
	if n.role == PreCandidate {
		n.startCampaign(false)
	} else {
		n.becomeLeader()
	}
}

// ignoresTerm reports whether a message's higher term does not concern this node: a poll, or its positive answer,
// names a term that nobody has begun; and a vote that a live leader makes needless is not given at all.
func (n *Node) ignoresTerm(m *Message) bool {
	switch m.Type {
	case RequestVote:
		return m.PreVote || n.cfg.CheckQuorum && n.hasLiveLeader()
	case RequestVoteReply:
		return m.PreVote && m.VoteGranted
	}
	return false
}

// hasLiveLeader reports whether this node leads or has heard a leader within the least election timeout. Then it refuses
// polls (thesis, section 9.6) and, with CheckQuorum, votes (section 4.2.3), so that a replica that comes back cannot depose
// a healthy leader. Without CheckQuorum a leader that hears nobody, but is heard, would be protected from votes for ever.
func (n *Node) hasLiveLeader() bool {
	return n.lead != 0 && (n.role == Leader || n.now.Sub(n.leaderAt) < n.cfg.ElectionTimeout)
}

func (n *Node) stepRequestVote(m *Message) {
	upToDate := m.LastLogTerm > n.log.LastTerm() ||
		m.LastLogTerm == n.log.LastTerm() && m.LastLogIndex >= n.log.Last()
	reply := Message{Type: RequestVoteReply, To: m.From, Term: n.term, Seq: m.Seq, PreVote: m.PreVote}
	switch {
	case m.Term < n.term || (m.PreVote || n.cfg.CheckQuorum) && n.hasLiveLeader():
		// Refused, with our own term, so that a replica left behind learns of it.
	case m.PreVote:
		// A poll promises nothing. The answer names the term that was asked about.
		if upToDate && m.Term > n.term {
			reply.VoteGranted, reply.Term = true, m.Term
		}
	case upToDate && (n.vote == 0 || n.vote == m.From):
		n.setHardState(n.term, m.From)
		n.resetElectionTimer() // only for a vote that was granted, or a hopeless candidate would keep others waiting
		reply.VoteGranted = true
	}
	n.sendDurably(reply)
}

func (n *Node) stepRequestVoteReply(m *Message) {
	// The number and the term tie the answer to this campaign; an answer to an earlier one must not be counted.
	// (Numbers begin anew when a replica restarts.)
	if m.Seq != n.campaign.Seq || m.PreVote != n.campaign.PreVote || m.VoteGranted && m.Term != n.campaign.Term {
		return
	}
	if n.role == Candidate && !m.PreVote && m.Term == n.term || n.role == PreCandidate && m.PreVote {
		n.votes[m.From] = m.VoteGranted
		n.tallyVotes()
	}
}

// checkQuorum steps down if fewer than a quorum have answered since the last look.
func (n *Node) checkQuorum() {
	active := 1
	for i := range n.peers {
		if n.peers[i].active {
			active++
		}
		n.peers[i].active = false
	}
	n.quorumAt = n.now.Add(n.cfg.ElectionTimeout)
	if active < n.quorum {
		n.becomeFollower(n.term, 0)
	}
}
