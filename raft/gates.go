package raft

// The four gates. Nothing is sent, committed or applied anywhere else: every input only changes what waits, and the
// next Take asks each gate once. What a driver puts between two Takes is therefore decided together.

// Take returns what is to be done now. It opens every gate whose time has come. What one Take lets through never opens a
// gate that the same Take found shut, so nothing is left to do before something else comes in.
func (n *Node) Take() Output { return n.take(false) }

// TakeMore is Take for a driver that is about to bring more and calls Take then, before it lets anything leave the
// machine: an AppendEntries without entries waits until then, and is left out if one with entries goes to the same
// follower meanwhile and says the same. Nothing else waits.
func (n *Node) TakeMore() Output { return n.take(true) }

func (n *Node) take(more bool) Output {
	if n.idle {
		return Output{}
	}
	n.idle = true
	n.settleCompact()
	n.more = more
	n.gateAt = forever
	n.sendRuns = n.sendRuns[:0]
	sent, beat := false, n.beat
	n.beat = false
	if n.role == Leader {
		sent = n.settleLeader(beat)
	}
	n.settleApply(sent || n.heardAppend, beat || n.heardAppend)
	n.heardAppend = false
	n.out.Chunks = n.takeChunks()
	n.out.Restore, n.restore = n.restore, Snapshot{}
	n.out.Snapshot = n.dueSnapshot()

	n.out.Save = n.takeSave()
	n.out.Messages, n.outMsgs = n.outMsgs, n.out.Messages[:0]
	n.out.Events, n.events = n.events, n.out.Events[:0]
	if n.compactable() != 0 && (!n.out.Empty() || n.settleCompact()) {
		n.idle = false // the driver comes back, and what it was given now is then no longer needed
	}
	return n.out
}

// opens asks a gate. rides says that a message goes out anyway, beat that it is a heartbeat.
func (n *Node) opens(g Gate, w Waiting, rides, beat bool) bool {
	w.Now, w.Beat, w.Phase = n.now, n.cfg.Heartbeat, n.phase
	switch d := g.Wait(w); {
	case d <= 0:
		return true
	case d == NextMessage:
		return rides || beat
	case d == NextBeat:
		return beat
	case d != Shut && n.now.Add(d) > n.now: // or it is beyond the end of time
		n.gateAt = min(n.gateAt, n.now.Add(d))
	}
	return false
}

// settleLeader opens the leader's gates and reports whether an AppendEntries was sent.
func (n *Node) settleLeader(beat bool) (sent bool) {
	owed := 0 // for the Send gate: before anything of this round is sent
	for i := range n.peers {
		p := &n.peers[i]
		if beat && p.install.Index != 0 {
			n.expireTransfer(p)
		} else if beat {
			n.expire(p)
		}
		n.meetCompaction(p)
		if len(p.flights) > 0 && !p.stalled {
			owed++
		}
	}
	// Committing before sending lets the commitIndex travel with what is sent; a Commit gate that rides needs to know
	// whether anything will be.
	n.moveQuorum()
	n.settleCommit(func() bool {
		for i := range n.peers {
			if n.wantsSend(&n.peers[i], owed, false, beat) {
				return true
			}
		}
		return beat
	}, beat)
	for i := range n.peers {
		if n.settlePeer(&n.peers[i], owed, beat) {
			sent = true
		}
	}
	return sent
}

// settleCommit opens the Commit gate for as many acknowledged entries as it lets through: all, or those for which
// nobody owes an answer any more.
func (n *Node) settleCommit(sends func() bool, beat bool) {
	if n.quorumIndex <= n.commit {
		return
	}
	complete := n.quorumIndex // every follower that was sent entries up to here has answered
	owed := 0
	for i := range n.peers {
		p := &n.peers[i]
		if len(p.flights) > 0 && !p.probing && !p.stalled && p.flights[0].first <= n.quorumIndex {
			owed++
			complete = min(complete, p.match)
		}
	}
	upTo := n.quorumIndex
	if !n.commitGate(upTo, owed, sends, beat) {
		upTo = complete
		if owed == 0 || upTo <= n.commit || n.termAt(upTo) != n.term || !n.commitGate(upTo, 0, sends, beat) {
			return
		}
	}
	n.quorumSince = n.now // of those that go on waiting
	n.setCommit(upTo)
}

func (n *Node) commitGate(upTo uint64, owed int, sends func() bool, beat bool) bool {
	g := n.cfg.Strategy.Commit
	w := Waiting{Since: n.quorumSince, Count: int(upTo - n.commit), Owed: owed,
		Bytes: int(n.log.offset(upTo+1) - n.log.offset(n.commit+1))}
	return n.opens(g, w, false, beat) || n.opens(g, w, true, beat) && sends()
}

// wantsSend asks the Send gate about one follower.
func (n *Node) wantsSend(p *progress, owed int, rides, beat bool) bool {
	w := Waiting{Since: p.since, InFlight: len(p.flights), Owed: owed}
	if p.install.Index != 0 || p.next < n.log.First() {
		return false
	}
	if p.probing {
		if !p.probeDue {
			return false
		}
	} else if p.next > n.log.Last() {
		return false
	}
	if n.full(p) || p.silent() || p.stalled && !(beat && len(p.flights) == 0) {
		return false
	}
	if p.next <= n.log.Last() {
		w.Count = int(n.log.Last() - p.next + 1)
		w.Bytes = int(n.log.offset(n.log.Last()+1) - n.log.offset(p.next))
	}
	return n.opens(n.cfg.Strategy.Send, w, rides, beat)
}

// full reports whether a follower has been sent as much as may be unanswered: MaxInFlight messages, or as many bytes of data
// as so many full ones have, since an entry can be larger than MaxAppendBytes.
func (n *Node) full(p *progress) bool {
	return len(p.flights) >= n.cfg.MaxInFlight ||
		n.inFlightBytes(p) >= uint64(n.cfg.MaxInFlight)*uint64(n.cfg.MaxAppendBytes)
}

// inFlightBytes returns the bytes of data of all entries from the first unanswered one to the last that was sent.
func (n *Node) inFlightBytes(p *progress) uint64 {
	if p.probing || len(p.flights) == 0 || p.next < n.log.First() { // the last: meetCompaction has not seen it yet
		return 0
	}
	first := max(p.flights[0].first, n.log.First())
	return n.log.offset(p.next) - n.log.offset(first) - (p.next-first)*EntryOverhead
}

// settlePeer opens the Send and Announce gates towards one follower.
func (n *Node) settlePeer(p *progress, owed int, beat bool) (sent bool) {
	news := n.commitFor(p) > p.told
	if news && p.tellSince == 0 {
		p.tellSince = n.now
	}
	if p.install.Index != 0 {
		n.sendChunks(p, owed, beat) // no AppendEntries: nothing rides with them, and heartbeats go on
	}
	for n.wantsSend(p, owed, sent, beat) {
		n.appendTo(p)
		sent = true
	}
	if !n.more && p.deferred || beat && !sent {
		n.sendEmpty(p)
		if sent = true; beat {
			return true
		}
	}
	if p.deferred {
		n.idle = false // still to be sent
	}
	if news && n.commitFor(p) > p.told {
		w := Waiting{Since: p.tellSince, Count: int(n.commitFor(p) - p.told), InFlight: len(p.flights)}
		if n.opens(n.cfg.Strategy.Announce, w, sent, beat) {
			// Entries that wait for a message to ride with go first: they may carry the news themselves.
			for n.wantsSend(p, owed, true, beat) {
				n.appendTo(p)
			}
			if n.commitFor(p) > p.told {
				n.sendEmpty(p)
			}
			sent = true
		}
	}
	return sent
}

// commitFor returns the commitIndex that this follower can use: up to what it is known to have. If that was compacted away
// here, no message can prove it, and there is nothing to tell before a search has found more.
func (n *Node) commitFor(p *progress) uint64 {
	if p.match+1 < n.log.First() {
		return 0
	}
	return min(n.commit, p.match)
}

// settleApply opens the Apply gate.
func (n *Node) settleApply(rides, beat bool) {
	n.out.Apply = n.out.Apply[:0]
	if n.commit == n.applied {
		return
	}
	upTo, owed := n.commit, 0
	if n.role == Leader {
		have := 1
		for i := range n.peers {
			if n.peers[i].commit >= n.commit {
				have++
			}
		}
		owed = max(0, n.quorum-have)
	}
	if !n.applyGate(upTo, owed, rides, beat) {
		if owed == 0 {
			return
		}
		upTo = n.quorumOf(n.commit, func(p *progress) uint64 { return min(p.commit, n.commit) })
		if upTo <= n.applied || !n.applyGate(upTo, 0, rides, beat) {
			return
		}
	}
	n.out.Apply = n.log.AppendRuns(n.out.Apply, n.applied+1, upTo, maxRun)
	for _, e := range n.out.Apply {
		n.appliedBytes += uint64(len(e.Bytes))
	}
	n.applied = upTo
	n.commitSince = n.now
	n.event(Event{Kind: EventApplied, Index: upTo, Term: n.term})
}

func (n *Node) applyGate(upTo uint64, owed int, rides, beat bool) bool {
	w := Waiting{Since: n.commitSince, Count: int(upTo - n.applied), Owed: owed,
		Bytes: int(n.log.offset(upTo+1) - n.log.offset(n.applied+1))}
	return n.opens(n.cfg.Strategy.Apply, w, rides, beat)
}
