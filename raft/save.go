package raft

// Persistence. A change of term, vote or log is handed out as a Save with the next Take; the node goes on at once, but
// a message that promises what is not durable yet is held back until Saved says so (paper, section 5.1 and figure 2:
// "updated on stable storage before responding to RPCs").

// pendingSave is a save that was handed out and is not durable yet.
type pendingSave struct {
	seq  uint64
	last uint64 // last index of the log with it, lowered when a later truncation cuts that off
}

// heldMessage waits for a save.
type heldMessage struct {
	seq uint64
	Message
}

// Saved tells that the Save with this number, and all before it, are durable.
func (n *Node) Saved(now Time, seq uint64) {
	n.advance(now)
	if seq <= n.savedSeq || seq > n.saveSeq {
		return
	}
	n.savedSeq = seq
	done := 0
	for done < len(n.pending) && n.pending[done].seq <= seq {
		n.durable = max(n.durable, n.pending[done].last)
		done++
	}
	n.pending = n.pending[:copy(n.pending, n.pending[done:])]
	n.commitProven()
	done = 0
	for done < len(n.held) && n.held[done].seq <= seq {
		m := n.held[done].Message
		if m.Type == AppendEntriesReply {
			m.Commit = n.commit
		}
		n.outMsgs = append(n.outMsgs, m)
		done++
	}
	n.held = n.held[:copy(n.held, n.held[done:])]
	n.tallyVotes()
}

// sendDurably sends a message once everything that has changed so far is durable.
func (n *Node) sendDurably(m Message) {
	seq := n.saveSeq
	if n.unsaved() {
		seq++
	}
	if seq <= n.savedSeq {
		n.send(m)
		return
	}
	if len(n.held) == n.cfg.MaxHeld {
		n.held = n.held[:copy(n.held, n.held[1:])]
	}
	m.From = n.cfg.ID
	n.held = append(n.held, heldMessage{seq, m})
}

// unsaved reports whether something has changed that no Save has carried yet.
func (n *Node) unsaved() bool {
	return n.hardChanged || n.reset.Index != 0 || n.truncateTo != 0 || n.handed < n.log.Last()
}

// setHardState changes term and vote together: a crash must find both or neither.
func (n *Node) setHardState(term uint64, vote ID) {
	if term != n.term {
		// What was promised in an earlier term must not be heard once this term has begun: an old leader could count
		// an acknowledgement of entries that this replica's vote in the new term lets a new leader remove.
		n.held = n.held[:0]
	}
	if term != n.term || vote != n.vote {
		n.term, n.vote, n.hardChanged = term, vote, true
	}
}

// truncate removes entries from index i on. What the storage holds of them no longer counts as durable.
func (n *Node) truncate(i uint64) {
	if i <= n.commit {
		panic("raft: a committed entry would be removed")
	}
	n.event(Event{Kind: EventTruncated, Index: i, Count: int(n.log.Last() - i + 1), Term: n.term})
	n.log.TruncateFrom(i)
	if i <= n.handed {
		n.handed = i - 1
		n.truncateTo = i // below an earlier one: nothing from there on has been handed out since
	}
	n.durable = min(n.durable, i-1)
	for p := range n.pending {
		n.pending[p].last = min(n.pending[p].last, i-1)
	}
}

// takeSave hands out everything that has changed since the last one.
func (n *Node) takeSave() Save {
	if !n.unsaved() {
		return Save{}
	}
	n.saveSeq++
	n.saveRuns = n.log.AppendRuns(n.saveRuns[:0], n.handed+1, n.log.Last(), maxRun)
	s := Save{Seq: n.saveSeq, Term: n.term, Vote: n.vote, Reset: n.reset, TruncateFrom: n.truncateTo, Entries: n.saveRuns}
	n.hardChanged, n.reset, n.truncateTo, n.handed = false, Snapshot{}, 0, n.log.Last()
	p := pendingSave{n.saveSeq, n.log.Last()}
	if len(n.pending) == n.cfg.MaxHeld {
		n.pending[len(n.pending)-1] = p // what the earlier one made durable is believed when this one is
	} else {
		n.pending = append(n.pending, p)
	}
	return s
}
