package transports

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/raftbench/raftbench/raft"
)

// A message travels as the payload of one frame, little endian, the fields in the order of these tables:
//
//	AppendEntries       type u8 | term u64 | seq u64 | prevLogIndex u64 | prevLogTerm u64 | commit u64 | count u32 | entries
//	AppendEntriesReply  type u8 | flags u8 | term u64 | seq u64 | prevLogIndex u64 | commit u64 | match u64 |
//	                    xTerm u64 | xIndex u64 | xLen u64 | hintIndex u64 | hintTerm u64
//	RequestVote         type u8 | flags u8 | term u64 | seq u64 | lastLogIndex u64 | lastLogTerm u64
//	RequestVoteReply    type u8 | flags u8 | term u64 | seq u64
//	InstallSnapshot     type u8 | term u64 | seq u64 | index u64 | term u64 | bytes u64 | offset u64 |
//	                    length u32 | chunk
//	InstallSnapshotReply type u8 | flags u8 | term u64 | seq u64 | index u64 | term u64 | bytes u64 | offset u64 |
//	                    match u64
//
// From and To are not on the wire, the handshake of the connection has settled them; nor is Entries.First, which is
// always PrevLogIndex+1. Numbers have a fixed width, so that a message of a type has one length and decoding is loads.
const (
	appendEntriesHead      = 1 + 5*8 + 4
	appendEntriesReplySize = 1 + 1 + 10*8
	requestVoteSize        = 1 + 1 + 4*8
	requestVoteReplySize   = 1 + 1 + 2*8
	installSnapshotHead    = 1 + 6*8 + 4
	installReplySize       = 1 + 1 + 7*8
)

const (
	flagSuccess     = 1 << 0 // AppendEntriesReply, InstallSnapshotReply
	flagPreVote     = 1 << 0 // RequestVote, RequestVoteReply
	flagVoteGranted = 1 << 1 // RequestVoteReply
)

// ErrMalformed is wrapped by the errors of DecodeMessage.
var ErrMalformed = errors.New("malformed message")

// AppendMessage appends the encoding of m to head, all but its entries, and returns the extended slice. It and what
// AppendBody returns are what Transport.Send takes. It panics on a type that Raft does not have and on entries which do
// not start at PrevLogIndex+1: neither can come from a correct core.
func AppendMessage(head []byte, m *raft.Message) []byte {
	le := binary.LittleEndian
	head = append(head, byte(m.Type))
	switch m.Type {
	case raft.AppendEntries:
		if m.Entries.Count > 0 && m.Entries.First != m.PrevLogIndex+1 {
			panic(fmt.Sprintf("transports: AppendEntries with entries from %d after PrevLogIndex %d", m.Entries.First, m.PrevLogIndex))
		}
		head = le.AppendUint64(head, m.Term)
		head = le.AppendUint64(head, m.Seq)
		head = le.AppendUint64(head, m.PrevLogIndex)
		head = le.AppendUint64(head, m.PrevLogTerm)
		head = le.AppendUint64(head, m.Commit)
		head = le.AppendUint32(head, uint32(m.EntryCount()))
	case raft.AppendEntriesReply:
		head = append(head, flag(m.Success, flagSuccess))
		head = le.AppendUint64(head, m.Term)
		head = le.AppendUint64(head, m.Seq)
		head = le.AppendUint64(head, m.PrevLogIndex)
		head = le.AppendUint64(head, m.Commit)
		head = le.AppendUint64(head, m.Match)
		head = le.AppendUint64(head, m.XTerm)
		head = le.AppendUint64(head, m.XIndex)
		head = le.AppendUint64(head, m.XLen)
		head = le.AppendUint64(head, m.HintIndex)
		head = le.AppendUint64(head, m.HintTerm)
	case raft.RequestVote:
		head = append(head, flag(m.PreVote, flagPreVote))
		head = le.AppendUint64(head, m.Term)
		head = le.AppendUint64(head, m.Seq)
		head = le.AppendUint64(head, m.LastLogIndex)
		head = le.AppendUint64(head, m.LastLogTerm)
	case raft.RequestVoteReply:
		head = append(head, flag(m.PreVote, flagPreVote)|flag(m.VoteGranted, flagVoteGranted))
		head = le.AppendUint64(head, m.Term)
		head = le.AppendUint64(head, m.Seq)
	case raft.InstallSnapshot:
		head = le.AppendUint64(head, m.Term)
		head = le.AppendUint64(head, m.Seq)
		head = appendSnapshot(head, m)
		head = le.AppendUint32(head, uint32(m.ChunkBytes))
	case raft.InstallSnapshotReply:
		head = append(head, flag(m.Success, flagSuccess))
		head = le.AppendUint64(head, m.Term)
		head = le.AppendUint64(head, m.Seq)
		head = appendSnapshot(head, m)
		head = le.AppendUint64(head, m.Match)
	default:
		panic(fmt.Sprintf("transports: message of type %v", m.Type))
	}
	return head
}

func appendSnapshot(head []byte, m *raft.Message) []byte {
	le := binary.LittleEndian
	head = le.AppendUint64(head, m.Snapshot.Index)
	head = le.AppendUint64(head, m.Snapshot.Term)
	head = le.AppendUint64(head, m.Snapshot.Bytes)
	return le.AppendUint64(head, m.Offset)
}

// AppendBody appends the encoded entries of m, or its chunk, to body, in the pieces that they lie in: nothing is copied.
func AppendBody(body [][]byte, m *raft.Message) [][]byte {
	if m.Type == raft.InstallSnapshot {
		return append(body, m.Chunk)
	}
	body = append(body, m.Entries.Bytes)
	for i := range m.More {
		body = append(body, m.More[i].Bytes)
	}
	return body
}

// DecodeMessage decodes a frame into m, overwriting all of it; From and To are left 0 for the caller to fill in.
// Entries.Bytes and Chunk refer to the frame. Nothing is taken on trust: the type and the flags must be known, the length
// exact and the entries valid, and an AppendEntries must not reach beyond the last index there can be. An error wraps
// ErrMalformed and leaves m undefined. A decoded message, encoded again, gives the same bytes.
func DecodeMessage(frame []byte, m *raft.Message) error {
	*m = raft.Message{}
	if len(frame) == 0 {
		return fmt.Errorf("%w: empty frame", ErrMalformed)
	}
	m.Type = raft.MessageType(frame[0])
	size, flags := 0, byte(0)
	switch m.Type {
	case raft.AppendEntries:
		return decodeAppendEntries(frame, m)
	case raft.AppendEntriesReply:
		size, flags = appendEntriesReplySize, flagSuccess
	case raft.RequestVote:
		size, flags = requestVoteSize, flagPreVote
	case raft.RequestVoteReply:
		size, flags = requestVoteReplySize, flagPreVote|flagVoteGranted
	case raft.InstallSnapshot:
		return decodeInstallSnapshot(frame, m)
	case raft.InstallSnapshotReply:
		size, flags = installReplySize, flagSuccess
	default:
		return fmt.Errorf("%w: unknown type %d", ErrMalformed, frame[0])
	}
	if len(frame) != size {
		return fmt.Errorf("%w: %v of %d bytes, want %d", ErrMalformed, m.Type, len(frame), size)
	}
	if frame[1]&^flags != 0 {
		return fmt.Errorf("%w: %v with unknown flags %#x", ErrMalformed, m.Type, frame[1]&^flags)
	}
	flags, b := frame[1], frame[2:]
	m.Term, m.Seq = word(b, 0), word(b, 1)
	switch m.Type {
	case raft.AppendEntriesReply:
		m.Success = flags&flagSuccess != 0
		m.PrevLogIndex, m.Commit, m.Match = word(b, 2), word(b, 3), word(b, 4)
		m.XTerm, m.XIndex, m.XLen = word(b, 5), word(b, 6), word(b, 7)
		m.HintIndex, m.HintTerm = word(b, 8), word(b, 9)
	case raft.RequestVote:
		m.PreVote = flags&flagPreVote != 0
		m.LastLogIndex, m.LastLogTerm = word(b, 2), word(b, 3)
	case raft.RequestVoteReply:
		m.PreVote, m.VoteGranted = flags&flagPreVote != 0, flags&flagVoteGranted != 0
	case raft.InstallSnapshotReply:
		m.Success = flags&flagSuccess != 0
		m.Snapshot, m.Offset, m.Match = snapshotOf(b), word(b, 5), word(b, 6)
	}
	return nil
}

// snapshotOf reads a snapshot's name, the third to fifth number of b.
func snapshotOf(b []byte) raft.Snapshot {
	return raft.Snapshot{Index: word(b, 2), Term: word(b, 3), Bytes: word(b, 4)}
}

func decodeInstallSnapshot(frame []byte, m *raft.Message) error {
	if len(frame) < installSnapshotHead {
		return fmt.Errorf("%w: %v of %d bytes, want at least %d", ErrMalformed, m.Type, len(frame), installSnapshotHead)
	}
	b := frame[1:]
	m.Term, m.Seq, m.Snapshot, m.Offset = word(b, 0), word(b, 1), snapshotOf(b), word(b, 5)
	m.Chunk = frame[installSnapshotHead:]
	m.ChunkBytes = len(m.Chunk)
	if n := binary.LittleEndian.Uint32(b[6*8:]); uint64(n) != uint64(m.ChunkBytes) {
		return fmt.Errorf("%w: a chunk of %d bytes, want %d", ErrMalformed, m.ChunkBytes, n)
	}
	return nil
}

func decodeAppendEntries(frame []byte, m *raft.Message) error {
	if len(frame) < appendEntriesHead {
		return fmt.Errorf("%w: %v of %d bytes, want at least %d", ErrMalformed, m.Type, len(frame), appendEntriesHead)
	}
	b := frame[1:]
	m.Term, m.Seq, m.PrevLogIndex, m.PrevLogTerm, m.Commit = word(b, 0), word(b, 1), word(b, 2), word(b, 3), word(b, 4)
	count := binary.LittleEndian.Uint32(b[5*8:])
	if m.PrevLogIndex >= math.MaxUint64-uint64(count) {
		return fmt.Errorf("%w: %d entries after index %d", ErrMalformed, count, m.PrevLogIndex)
	}
	m.Entries = raft.Entries{First: m.PrevLogIndex + 1, Count: int(count), Bytes: frame[appendEntriesHead:]}
	if err := m.Entries.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// EncodedSize returns how many bytes m takes on the wire, the length prefix of its frame included. Of a type that Raft
// does not have it returns 0.
func EncodedSize(m *raft.Message) int {
	switch m.Type {
	case raft.AppendEntries:
		return framePrefix + appendEntriesHead + m.EntryBytes()
	case raft.AppendEntriesReply:
		return framePrefix + appendEntriesReplySize
	case raft.RequestVote:
		return framePrefix + requestVoteSize
	case raft.RequestVoteReply:
		return framePrefix + requestVoteReplySize
	case raft.InstallSnapshot:
		return framePrefix + installSnapshotHead + m.ChunkBytes
	case raft.InstallSnapshotReply:
		return framePrefix + installReplySize
	}
	return 0
}

// MaxFrameBytes returns how large a frame can be that carries a message of a core with these limits, which are those of
// raft.Config: for Config.MaxFrameBytes.
func MaxFrameBytes(maxAppendBytes, maxEntryBytes int) int {
	// Of a full AppendEntries encoding makes at most twice as much as it has data: see raft.Log.AppendRuns.
	return appendEntriesHead + max(2*maxAppendBytes, maxEntryBytes+raft.EntryOverhead)
}

// ClassOf returns the class that m travels in. A reply does not say whether its request carried entries: a success
// that proved no more than PrevLogIndex answers a heartbeat; a rejection belongs to the search for where two logs
// agree, and so to the appends.
func ClassOf(m *raft.Message) Class {
	switch m.Type {
	case raft.AppendEntries:
		if m.Entries.Count == 0 {
			return ClassHeartbeat
		}
		return ClassAppend
	case raft.AppendEntriesReply:
		if m.Success && m.Match <= m.PrevLogIndex {
			return ClassHeartbeat
		}
		return ClassAppend
	case raft.InstallSnapshot, raft.InstallSnapshotReply:
		return ClassSnapshot
	}
	return ClassVote
}

// word returns the i-th 64-bit number of b.
func word(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// IsReply reports whether an encoded message answers another, without decoding it.
func IsReply(frame []byte) bool {
	if len(frame) == 0 {
		return false
	}
	t := raft.MessageType(frame[0])
	return t == raft.AppendEntriesReply || t == raft.RequestVoteReply || t == raft.InstallSnapshotReply
}
