package raft

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// What checkers and explorers may see of a node beyond Status. The core itself uses none of it.

// Progress is what a leader knows of one follower.
type Progress struct {
	Peer        ID
	Match, Next uint64
	Probing     bool   // the place where the logs agree is still searched for
	Stalled     bool   // what was sent went unanswered for too long
	InFlight    int    // unanswered AppendEntries that carried entries or were probes
	Snapshot    uint64 // index of the snapshot that it is being sent, 0 if none
	// InFlightBytes are those of the data of all entries from the first unanswered one to the last that was sent.
	InFlightBytes uint64
}

// AppendProgress appends what a leader knows of each of the others, in order of ID. It means nothing of another role.
func (n *Node) AppendProgress(list []Progress) []Progress {
	for i := range n.peers {
		p := &n.peers[i]
		list = append(list, Progress{Peer: p.id, Match: p.match, Next: p.next, Probing: p.probing, Stalled: p.stalled,
			Snapshot: p.install.Index, InFlight: len(p.flights), InFlightBytes: n.inFlightBytes(p)})
	}
	return list
}

// Queues are the lengths of what waits inside a node.
type Queues struct {
	Held             int    // messages that wait for the disk
	PendingSaves     int    // saves that are not durable yet
	UncommittedBytes uint64 // of a leader's entries of its term that are not committed
}

// Queues returns the lengths of the node's queues.
func (n *Node) Queues() Queues {
	return Queues{Held: len(n.held), PendingSaves: len(n.pending), UncommittedBytes: n.uncommittedBytes()}
}

// The sizes of the segments of a small log, and of the log of a clone, of which there may be millions.
const (
	smallSegmentBytes  = 1 << 10
	clonedSegmentBytes = 1 << 6
)

// NewSmallLog is NewLog for many logs that stay short: its memory grows in small pieces, as does that of a node that
// starts from it.
func NewSmallLog(first, prevTerm uint64) *Log { return newLog(first, prevTerm, smallSegmentBytes) }

// Clone returns a node that goes on from the same state by itself: for explorers, which try all that may happen next. It
// must be made right after Take. The clone draws its timeouts from a seed of its own.
func (n *Node) Clone(seed uint64) *Node {
	c := *n
	c.random = rand.New(rand.NewPCG(seed, uint64(n.cfg.ID)))
	c.log = n.log.cloneInto(clonedSegmentBytes)
	c.peers = slices.Clone(n.peers)
	for i := range c.peers {
		p := &c.peers[i]
		p.flights, p.overdue, p.install.flights = slices.Clone(p.flights), slices.Clone(p.overdue), slices.Clone(p.install.flights)
	}
	c.votes = make(map[ID]bool, len(n.votes))
	for _, id := range n.cfg.Voters {
		if granted, answered := n.votes[id]; answered {
			c.votes[id] = granted
		}
	}
	c.pending, c.held = slices.Clone(n.pending), slices.Clone(n.held)
	c.out, c.outMsgs, c.events, c.scratch, c.saveRuns, c.sendRuns = Output{}, nil, nil, nil, nil, nil
	c.chunks, c.chunkMem, c.chunkSpare = nil, nil, nil
	return &c
}

// AppendState appends all that decides what the node does next, except for its timers: two nodes of one configuration
// that differ only in when they would time out, or in how many saves are behind them, give the same bytes.
func (n *Node) AppendState(b []byte) []byte {
	u := func(values ...uint64) {
		for _, v := range values {
			b = binary.AppendUvarint(b, v)
		}
	}
	flag := func(set bool) {
		if set {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	u(uint64(n.role), n.term, uint64(n.vote), uint64(n.lead), n.commit, n.applied, n.proven,
		max(n.voteSaved, n.savedSeq)-n.savedSeq, n.saveSeq-n.savedSeq, n.handed, n.truncateTo, n.durable, n.quorumIndex, n.seq)
	in := &n.incoming
	u(n.snapshot.Index, n.snapshot.Term, n.snapshot.Bytes, n.taking, n.reset.Index, n.restore.Index, in.Index,
		in.Snapshot.Term, in.Bytes, uint64(in.leader), in.term, in.received, in.answer.Seq)
	flag(n.hardChanged)
	u(n.log.First(), n.log.Last())
	for i := n.log.First(); i <= n.log.Last(); {
		e := n.log.Slice(i, n.log.Last())
		b = append(b, e.Bytes...)
		i = e.Last() + 1
	}
	for _, p := range n.pending {
		u(p.seq-n.savedSeq, p.last)
	}
	for i := range n.held {
		u(n.held[i].seq - n.savedSeq)
		b = n.held[i].Message.appendState(b)
	}
	switch n.role {
	case Candidate, PreCandidate:
		b = n.campaign.appendState(b)
		for i := range n.peers {
			granted, answered := n.votes[n.peers[i].id]
			flag(answered)
			flag(granted)
		}
	case Leader:
		for i := range n.peers {
			p := &n.peers[i]
			u(p.match, p.next, uint64(p.rounds), p.told, p.commit, uint64(len(p.flights)), uint64(len(p.overdue)), uint64(p.unheard))
			flag(p.probing)
			flag(p.probeDue)
			flag(p.stalled)
			flag(p.deferred)
			flag(p.active && n.cfg.CheckQuorum)
			u(p.resent.seq, p.resent.first, p.resent.last)
			for _, f := range slices.Concat(p.flights, p.overdue) {
				u(f.seq, f.first, f.last)
			}
			t := &p.install
			u(t.Index, t.Term, t.Bytes, t.acked, t.next, uint64(len(t.flights)))
			flag(t.begun)
			flag(t.losses > 0)
			for _, f := range t.flights {
				u(f.seq, f.end)
			}
		}
	}
	return b
}

// appendState appends the whole message, which a promise that waits for the disk is a part of a node's state by.
func (m *Message) appendState(b []byte) []byte {
	for _, v := range [...]uint64{uint64(m.Type), uint64(m.To), m.Term, m.Seq, m.PrevLogIndex, m.Match, m.XTerm, m.XIndex,
		m.XLen, m.HintIndex, m.HintTerm, m.LastLogIndex, m.LastLogTerm, m.Snapshot.Index, m.Snapshot.Term, m.Snapshot.Bytes,
		m.Offset} {
		b = binary.AppendUvarint(b, v)
	}
	flags := byte(0)
	for i, set := range [...]bool{m.Success, m.PreVote, m.VoteGranted} {
		if set {
			flags |= 1 << i
		}
	}
	return append(b, flags)
}

// Concerns reports whether a success that a follower sent to this leader would change what the leader knows, now or
// later in its term.
func (n *Node) Concerns(m *Message) bool {
	p := n.peer(m.From)
	for _, f := range p.flights {
		if f.seq == m.Seq {
			return true
		}
	}
	return m.Type == InstallSnapshotReply || m.Match > p.match || m.Commit > p.commit || p.stalled || p.probing
}
