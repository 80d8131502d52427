package raft

import (
	"fmt"
	"math"
)

// ID names a replica within its group. 0 is nobody.
type ID uint64

// MessageType tells the four messages of Raft apart.
type MessageType uint8

const (
	AppendEntries MessageType = iota + 1
	AppendEntriesReply
	RequestVote
	RequestVoteReply
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
	}
	return fmt.Sprintf("MessageType(%d)", uint8(t))
}

// Message is one of Raft's RPCs or the answer to one (Raft paper, figure 2). Only the fields of its type are used;
// the others are zero.
type Message struct {
	Type     MessageType
	From, To ID
	Term     uint64
	Seq      uint64 // number of the request, unique for its sender since it was started; a reply repeats the number of what it answers

	// AppendEntries.
	PrevLogIndex, PrevLogTerm uint64 // a reply of the same term repeats PrevLogIndex; one that refuses an earlier term has 0
	Entries                   Entries

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
}

// plausible reports whether a correct replica may have sent the message, as far as the message itself tells.
func (m *Message) plausible() bool {
	switch m.Type {
	case AppendEntries:
		if m.Term == 0 || m.Term == lastTerm || m.PrevLogTerm > m.Term {
			return false
		}
		if m.Entries.Count == 0 {
			return true
		}
		first, last := m.Entries.terms()
		return m.Entries.First == m.PrevLogIndex+1 && first >= m.PrevLogTerm && last <= m.Term
	case RequestVote:
		return m.Term != 0 && m.Term != lastTerm && m.LastLogTerm <= m.Term
	case AppendEntriesReply, RequestVoteReply:
		return m.Term != lastTerm
	}
	return false
}

// lastTerm is never reached: a forged message must not make the term overflow.
const lastTerm = math.MaxUint64
