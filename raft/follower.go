package raft

// The follower's side of replication: paper, figure 2, "AppendEntries RPC", in five steps.

func (n *Node) stepAppendEntries(m *Message) {
	// 1. The leader is legitimate: not of a past term. A refused one learns the present term.
	if m.Term < n.term {
		n.reply(m, Message{})
		return
	}
	if n.role == Leader {
		return // two leaders of one term cannot be: a message that forges one is ignored
	}
	// 2. Whoever leads this term is followed, and the timer begins anew.
	n.follow(m)

	// 3. The entry before the new ones must be there.
	if !n.matches(m.PrevLogIndex, m.PrevLogTerm) {
		n.rejectAppend(m)
		return
	}
	// 4. Entries that are contained are left alone: a late message must not cut off what later ones added. The first
	// that conflicts goes, with all after it; those that are missing are added.
	if !n.appendMissing(m.Entries) {
		return
	}
	for _, e := range m.More {
		if !n.appendMissing(e) {
			return
		}
	}

	// 5. commitIndex moves, never past the last entry that this message proves equal to the leader's.
	match := m.PrevLogIndex + uint64(m.EntryCount())
	n.proven = max(n.proven, min(m.Commit, match))
	n.commitProven()
	n.reply(m, Message{Success: true, Match: match})
}

// follow follows the leader that sent a message of the present term.
func (n *Node) follow(m *Message) {
	if n.role != Follower || n.lead != m.From {
		n.becomeFollower(m.Term, m.From)
	}
	n.leaderAt = n.now
	n.resetElectionTimer()
	n.heardAppend = true
}

// matches reports whether this log has an entry of that index and term. What was compacted away is committed, and that
// the log of every leader has (leader completeness).
func (n *Node) matches(index, term uint64) bool {
	if t, ok := n.log.Term(index); ok {
		return t == term
	}
	return index < n.log.First()
}

// appendMissing brings the log to hold these entries, whose predecessor matches. It returns false, and changes nothing,
// if that would remove a committed entry: no leader asks for it (leader completeness), so the message is forged.
func (n *Node) appendMissing(e Entries) bool {
	for e.Count > 0 && e.First <= n.log.Last() {
		term, _, rest := splitEntry(e.Bytes)
		if have, ok := n.log.Term(e.First); ok && have != term {
			if e.First <= n.commit {
				return false
			}
			n.truncate(e.First)
			break
		}
		e = Entries{First: e.First + 1, Count: e.Count - 1, Bytes: rest}
	}
	if e.Count > 0 {
		n.log.AppendEntries(e)
	}
	return true
}

// commitProven moves a follower's commitIndex as far as entries are proven, committed and durable here.
func (n *Node) commitProven() {
	if n.role != Leader {
		n.setCommit(min(n.proven, n.durable))
	}
}

func (n *Node) setCommit(i uint64) {
	if i <= n.commit {
		return
	}
	if n.commit == n.applied {
		n.commitSince = n.now
	}
	n.commit = i
	n.event(Event{Kind: EventCommitted, Index: i, Term: n.term})
}

func (n *Node) rejectAppend(m *Message) {
	r := Message{XLen: n.log.Last()}
	if t, ok := n.log.Term(m.PrevLogIndex); ok {
		r.XTerm, r.XIndex = t, n.log.FirstOfTermAt(m.PrevLogIndex)
	}
	r.HintIndex, r.HintTerm = n.log.LastUpTo(m.PrevLogIndex, m.PrevLogTerm)
	n.reply(m, r)
}

// reply answers an AppendEntries, once what the answer promises is durable.
func (n *Node) reply(m *Message, r Message) {
	r.Type, r.To, r.Term, r.Seq, r.Commit = AppendEntriesReply, m.From, n.term, m.Seq, n.commit
	if m.Term == n.term {
		r.PrevLogIndex = m.PrevLogIndex // a refusal of an earlier term says nothing of the log, also to who leads again
	}
	n.sendDurably(r)
}
