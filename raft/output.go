package raft

// Output is what a node wants done. The driver must, in this order of rules:
//
//   - hand Save to its storage, and call Saved once it is durable;
//   - send Messages, in any order, whenever it likes: those that promise something which is not durable yet are not
//     among them, they come with a later Output;
//   - write Chunks, and make a snapshot durable with its last one, then call SnapshotSaved;
//   - restore its state machine from Restore, which is durable already, if its Index is not 0;
//   - apply Apply to its state machine, in order;
//   - take a snapshot of the state machine as it is then, if Snapshot.Index is not 0, and call SnapshotSaved once it is
//     durable, with its size;
//   - let its storage forget the log up to Compact, once what it was asked to save is durable.
//
// Everything in it refers to memory of the node and is valid until the next call of any of its methods.
type Output struct {
	Save     Save
	Messages []Message
	Chunks   []Chunk
	Restore  Snapshot
	Apply    []Entries
	Snapshot Snapshot // Bytes is not known yet
	Compact  uint64
	Events   []Event
}

// Empty reports whether there is nothing to do.
func (o *Output) Empty() bool {
	return o.Save.Seq == 0 && len(o.Messages) == 0 && len(o.Chunks) == 0 && o.Restore.Index == 0 && len(o.Apply) == 0 &&
		o.Snapshot.Index == 0 && o.Compact == 0 && len(o.Events) == 0
}

// Save is a change of what must survive a crash, to be made as one: either all of it or none is there afterwards.
type Save struct {
	Seq          uint64 // to be given to Saved; 0 if there is nothing to save
	Term         uint64
	Vote         ID
	Reset        Snapshot  // if its Index is not 0: forget the whole log, which goes on after this snapshot
	TruncateFrom uint64    // if not 0: forget this entry and all after it, before adding Entries
	Entries      []Entries // to add to the end of the saved log
}

// EventKind tells events apart.
type EventKind uint8

const (
	// EventRole: the node's role, term or known leader changed. Role, Term, Peer (the leader, 0 if unknown).
	EventRole EventKind = iota + 1
	// EventAppended: a leader appended proposals up to Index. Term.
	EventAppended
	// EventSent: AppendEntries sent to Peer. Prev, Index (the last entry; Prev if it has none), Count, Bytes (of
	// entries), Probe.
	EventSent
	// EventSentQuorum: all entries up to Index have been sent to enough followers to make a quorum.
	EventSentQuorum
	// EventAccepted: Peer is now known to agree up to Index. Probe says that this ended a search.
	EventAccepted
	// EventRejected: Peer rejected Prev; Index is the nextIndex to try.
	EventRejected
	// EventStale: an answer of Peer was ignored as late.
	EventStale
	// EventAcked: a quorum holds all entries up to Index durably.
	EventAcked
	// EventCommitted: commitIndex is now Index.
	EventCommitted
	// EventApplied: Index was handed out for applying.
	EventApplied
	// EventTruncated: entries from Index on were removed from this replica's log, Count of them.
	EventTruncated
	// EventSnapshot: a snapshot of everything up to Index is durable here. Term, Bytes.
	EventSnapshot
	// EventChunk: a part of a snapshot sent to Peer. Index (of the snapshot), Prev (the part's offset), Bytes.
	EventChunk
	// EventInstalled: the log was replaced by a snapshot of everything up to Index. Term, Bytes.
	EventInstalled
)

var eventNames = [...]string{
	EventRole: "role", EventAppended: "appended", EventSent: "sent", EventSentQuorum: "sent to quorum",
	EventAccepted: "accepted", EventRejected: "rejected", EventStale: "stale", EventAcked: "acked by quorum",
	EventCommitted: "committed", EventApplied: "applied", EventTruncated: "truncated", EventSnapshot: "snapshot",
	EventChunk: "chunk", EventInstalled: "installed",
}

func (k EventKind) String() string { return eventNames[k] }

// Event tells an observer what happened inside a node; nothing depends on it.
type Event struct {
	Kind  EventKind
	Role  Role
	Probe bool
	Peer  ID
	Term  uint64
	Prev  uint64
	Index uint64
	Count int
	Bytes int
}
