package raft

import (
	"fmt"
	"math"
)

// ID names a replica within its group. 0 is nobody.
type ID uint64

// MessageType tells the messages of Raft apart.
type MessageType uint8

const (
	AppendEntries MessageType = iota + 1
	AppendEntriesReply
	RequestVote
	RequestVoteReply
	InstallSnapshot
	InstallSnapshotReply
)

func (t MessageType) String() string {
	switch t {
	case AppendEntries:
		return "AppendEntries"
	case AppendEntriesReply:
		return "AppendEntriesReply"
	case RequestVote:
		return "RequestVote"
	case RequestVoteReply:
		return "RequestVoteReply"
	case InstallSnapshot:
		return "InstallSnapshot"
	case InstallSnapshotReply:
		return "InstallSnapshotReply"
	}
	return fmt.Sprintf("MessageType(%d)", uint8(t))
}

// Message is one of Raft's RPCs or the answer to one (Raft paper, figure 2). Only the fields of its type are used;
// the others are zero.
type Message struct {
	Type     MessageType
	From, To ID
	Term     uint64
	// Seq is the number of the request among those of its sender since it was started. Each AppendEntries has its own; the
	// RequestVotes of a campaign have one, since they are one request, to whomever and however often it is sent. A reply
	// repeats the number of what it answers.
	Seq uint64

	// AppendEntries.
	// A reply of the same term repeats PrevLogIndex; one that refuses an earlier term has 0.
	PrevLogIndex, PrevLogTerm uint64
	// Entries, and after them those of More, which a leader uses if what it sends lies in several pieces of its log. On
	// the wire they are one run, and so in a message that was received: then More is nil.
	Entries Entries
	More    []Entries

	// AppendEntries: the leader's commitIndex. AppendEntriesReply: the follower's.
	Commit uint64

	// AppendEntriesReply.
	Success bool
	Match   uint64 // Success: the last index that this request proved equal
	// Not Success: where the logs part, as seen by the follower. Every reply carries both kinds of hint, so that the
	// leader alone decides how to search.
	XTerm     uint64 // term of the follower's entry at PrevLogIndex, 0 if it has none
	XIndex    uint64 // first index that the follower holds with XTerm
	XLen      uint64 // the follower's last index
	HintIndex uint64 // the follower's last index at or before PrevLogIndex whose term is at most PrevLogTerm
	HintTerm  uint64 // its term

	// RequestVote.
	PreVote                   bool // a poll that changes nobody's term (thesis, section 9.6); a reply repeats it
	LastLogIndex, LastLogTerm uint64

	// RequestVoteReply.
	VoteGranted bool

	// InstallSnapshot carries the part of Snapshot that begins at Offset. One that a node hands out says how long the
	// part is, and its driver puts the bytes in Chunk. A reply repeats Snapshot; its Offset is how much of it the follower
	// has, and Success says that all of it is installed, or was not needed: Match is then the last index that it has
	// committed.
	Snapshot   Snapshot
	Offset     uint64
	ChunkBytes int
	Chunk      []byte
}

// EntryCount returns the number of entries that the message carries.
func (m *Message) EntryCount() int {
	n := m.Entries.Count
	for _, e := range m.More {
		n += e.Count
	}
	return n
}

// EntryBytes returns the number of bytes that the message's entries have in their encoded form.
func (m *Message) EntryBytes() int {
	n := len(m.Entries.Bytes)
	for _, e := range m.More {
		n += len(e.Bytes)
	}
	return n
}

// Clone returns a copy that is independent of the Node that handed m out: its entries are one run, in memory of its own.
func (m *Message) Clone() Message {
	c := *m
	c.More = nil
	if n := m.EntryBytes(); n > 0 {
		c.Entries.Count = m.EntryCount()
		c.Entries.Bytes = append(make([]byte, 0, n), m.Entries.Bytes...)
		for _, e := range m.More {
			c.Entries.Bytes = append(c.Entries.Bytes, e.Bytes...)
		}
	}
	return c
}

// plausible reports whether a correct replica may have sent the message, as far as the message itself tells.
func (m *Message) plausible() bool {
	switch m.Type {
	case AppendEntries:
		if m.Term == 0 || m.Term == lastTerm || m.PrevLogTerm > m.Term {
			return false
		}
		return m.plausibleEntries()
	case RequestVote:
		return m.Term != 0 && m.Term != lastTerm && m.LastLogTerm <= m.Term
	case InstallSnapshot:
		return m.plausibleChunk()
	case AppendEntriesReply, RequestVoteReply, InstallSnapshotReply:
		return m.Term != lastTerm
	}
	return false
}

// plausibleEntries reports whether the entries follow each other, in index and in term, and the entry before them.
func (m *Message) plausibleEntries() bool {
	index, term := m.PrevLogIndex, m.PrevLogTerm
	for r := -1; r < len(m.More); r++ {
		e := m.Entries
		if r >= 0 {
			e = m.More[r]
		}
		if e.Count == 0 {
			continue
		}
		first, last := e.terms()
		if e.First != index+1 || first < term {
			return false
		}
		index, term = e.Last(), last
	}
	return term <= m.Term
}

// lastTerm is never reached: a forged message must not make the term overflow.
const lastTerm = math.MaxUint64
