package etcd

import (
	"slices"

	etcdraft "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftbench/raftbench/raft"
)

// snapshots are those that a core takes, sends and receives.
type snapshots struct {
	newest       raft.Snapshot // that is durable
	known        uint64        // the index of the library's
	taking       uint64        // 0 if none is
	appliedBytes int           // since the last one
	compact      uint64        // to be handed out

	// One that was received: its message waits until its content is durable.
	incoming   *raftpb.Message // nil if there is none
	content    []byte          // until it is handed out
	installing bool            // the message is with the library
}

// sending is a snapshot on its way to a follower; the zero value if none is.
type sending struct {
	index    uint64
	giveUpAt raft.Time
	lost     int // times in a row
}

// dueSnapshot returns the snapshot to take once a run is applied, by the rule of raft.Config.
func (c *core) dueSnapshot(run raft.Entries) raft.Snapshot {
	c.appliedBytes += len(run.Bytes)
	since := c.applied - min(c.applied, c.newest.Index)
	if c.taking != 0 || since == 0 {
		return raft.Snapshot{}
	}
	entries := c.cfg.SnapshotEntries > 0 && since >= uint64(c.cfg.SnapshotEntries)
	if !entries && (c.cfg.SnapshotBytes == 0 || c.appliedBytes < c.cfg.SnapshotBytes) {
		return raft.Snapshot{}
	}
	c.taking, c.appliedBytes = c.applied, 0
	term, _ := c.log.Term(c.applied) // it has just been applied
	return raft.Snapshot{Index: c.applied, Term: term}
}

// SnapshotSaved goes on with a snapshot that was taken or received.
func (c *core) SnapshotSaved(_ raft.Time, s raft.Snapshot) {
	if s.Index >= c.taking {
		c.taking = 0
	}
	if s.Index > c.newest.Index {
		c.newest = s
		c.event(raft.Event{Kind: raft.EventSnapshot, Index: s.Index, Term: s.Term, Bytes: int(s.Bytes)})
	}
	if c.incoming != nil && !c.installing && s.Index >= c.incoming.GetSnapshot().GetMetadata().GetIndex() {
		c.install()
	}
	c.adopt()
}

// adopt gives the library a snapshot whose entries the log holds and which are applied, and forgets the log before it: but
// for SnapshotTrailing entries, and what follows a snapshot that is being sent. etcd's server does the same.
func (c *core) adopt() {
	s := c.newest.Index
	if s <= c.known || s > c.applied {
		return
	}
	if _, err := c.log.CreateSnapshot(s, nil, nil); err != nil {
		return // there is a later one
	}
	c.known = s
	upTo := s - min(s, uint64(c.cfg.SnapshotTrailing))
	for i := range c.peers {
		if index := c.peers[i].sending.index; index != 0 {
			upTo = min(upTo, index)
		}
	}
	if upTo >= c.first && c.log.Compact(upTo) == nil {
		c.first, c.compact = upTo+1, upTo
	}
}

// keep takes a received snapshot in, and reports whether its message has to wait for that, or is of no use.
func (c *core) keep(msg *raftpb.Message, content []byte) bool {
	index := msg.GetSnapshot().GetMetadata().GetIndex()
	if msg.GetTerm() < c.term || index <= c.commit {
		return false // the library answers
	}
	if c.incoming != nil {
		return true // one at a time: the leader sends again what is not answered
	}
	c.incoming = msg
	if index > c.newest.Index {
		c.content = slices.Clone(content)
		return true
	}
	// An earlier leader sent one that is as good, or better: what a snapshot holds is committed.
	m := msg.GetSnapshot().GetMetadata()
	m.Index, m.Term = new(c.newest.Index), new(c.newest.Term)
	c.install()
	return true
}

// install gives the library the message of a snapshot whose content is durable. Of an earlier term by now, it is ignored.
func (c *core) install() {
	c.installing = true
	_ = c.step(c.incoming)
	if !c.node.HasReady() {
		c.incoming, c.installing = nil, false
	}
}

// takeChunk hands out a received snapshot to be written.
func (c *core) takeChunk() {
	if c.content == nil {
		return
	}
	m := c.incoming.GetSnapshot().GetMetadata()
	c.out.Chunks = append(c.out.Chunks, raft.Chunk{Data: c.content,
		Snapshot: raft.Snapshot{Index: m.GetIndex(), Term: m.GetTerm(), Bytes: uint64(len(c.content))}})
	c.content = nil
}

// installed goes on from the snapshot of a Ready, whose content is durable, and returns what replaces the log; the zero
// value if the Ready has none.
func (c *core) installed(of *raftpb.Snapshot) raft.Snapshot {
	if c.installing {
		c.incoming, c.installing = nil, false
	}
	if etcdraft.IsEmptySnap(of) {
		return raft.Snapshot{}
	}
	m := of.GetMetadata()
	s := raft.Snapshot{Index: m.GetIndex(), Term: m.GetTerm(), Bytes: c.newest.Bytes}
	_ = c.log.ApplySnapshot(of) // it is later than what is committed, and so than the library's
	c.known, c.applied, c.commit = s.Index, s.Index, max(c.commit, s.Index)
	c.first, c.last, c.durable = s.Index+1, s.Index, s.Index
	c.appliedBytes = 0
	c.out.Restore = s
	c.event(raft.Event{Kind: raft.EventInstalled, Index: s.Index, Term: s.Term, Bytes: int(s.Bytes)})
	return s
}

// Sending returns the index of the snapshot that a peer is being sent, 0 if none is.
func (c *core) Sending(peer raft.ID) uint64 { return c.peers[peer-1].sending.index }

// beginSending notes that a snapshot leaves. False means that its content is no longer there: there is a newer one.
func (c *core) beginSending(now raft.Time, to raft.ID, of *raftpb.Snapshot) bool {
	index := of.GetMetadata().GetIndex()
	if index != c.newest.Index {
		c.node.ReportSnapshot(uint64(to), etcdraft.SnapshotFailure)
		return false
	}
	p := &c.peers[to-1]
	p.sending.index, p.sending.giveUpAt = index, now.Add(2*c.cfg.ElectionTimeout<<min(p.sending.lost, 6))
	c.event(raft.Event{Kind: raft.EventChunk, Peer: to, Index: index, Bytes: int(c.newest.Bytes)})
	return true
}

// giveUpSending reports snapshots as failed that nobody has answered for too long.
func (c *core) giveUpSending(now raft.Time) {
	for i := range c.peers {
		if s := &c.peers[i].sending; s.index != 0 && now >= s.giveUpAt {
			lost := s.lost + 1
			c.lostSnapshot(raft.ID(i + 1))
			s.lost = lost
		}
	}
}

// lostSnapshot reports a snapshot as failed: the library asks again what the follower has.
func (c *core) lostSnapshot(to raft.ID) {
	if s := &c.peers[to-1].sending; s.index != 0 {
		*s = sending{}
		c.node.ReportSnapshot(uint64(to), etcdraft.SnapshotFailure)
	}
}
