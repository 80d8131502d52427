package cluster

import (
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// Node is the Core that is this project's own: a raft.Node whose messages travel in the encoding of transports.
type Node struct {
	*raft.Node
	id      raft.ID
	message raft.Message // the one being handled
	out     Output
	head    []byte   // of all frames of an Output, one after the other
	body    [][]byte // likewise
}

// NewReplica starts a member that runs this project's own core from what its storage holds: an Engine. Errors wrap
// raft.ErrConfig, or are the storage's.
func NewReplica(id raft.ID, cfg *Config, host Host, store storage.Storage) (Member, error) {
	state, err := store.Load()
	if err != nil {
		return nil, err
	}
	voters := make([]raft.ID, cfg.Replicas)
	for i := range voters {
		voters[i] = raft.ID(i + 1)
	}
	node, err := raft.New(host.Now(), raft.Config{
		ID: id, Voters: voters, Strategy: cfg.Strategy, Heartbeat: cfg.Heartbeat, ElectionTimeout: cfg.ElectionTimeout,
		Seed: cfg.Seed, PreVote: cfg.PreVote, CheckQuorum: cfg.CheckQuorum, NoOp: cfg.NoOp, Events: cfg.Events(),
		MaxAppendBytes: cfg.MaxAppendBytes, MaxInFlight: cfg.MaxInFlight, MaxEntryBytes: cfg.MaxEntryBytes,
		MaxUncommittedBytes: cfg.MaxUncommittedBytes, MaxHeld: cfg.MaxHeld,
		SnapshotEntries: cfg.SnapshotEntries, SnapshotBytes: cfg.SnapshotBytes, SnapshotTrailing: cfg.SnapshotTrailing,
		ChunkBytes: cfg.ChunkBytes, MaxChunks: cfg.MaxChunks, MaxLagBytes: cfg.MaxLagBytes,
	}, raft.Saved{Term: state.Term, Vote: state.Vote, Log: state.Log, Snapshot: coreSnapshot(state.Snapshot)})
	if err != nil {
		return nil, err
	}
	return NewShell(id, cfg, host, store, &state, &Node{Node: node, id: id})
}

func coreSnapshot(s storage.Snapshot) raft.Snapshot {
	return raft.Snapshot{Index: s.Index, Term: s.Term, Bytes: uint64(s.Size)}
}

// Propose gives the node proposals one by one.
func (n *Node) Propose(now raft.Time, data [][]byte) (first, term uint64, accepted int, err error) {
	for i, d := range data {
		var index uint64
		if index, term, err = n.Node.Propose(now, d); err != nil {
			return first, term, i, err
		}
		if i == 0 {
			first = index
		}
	}
	return first, term, len(data), nil
}

// Accepting is always so.
func (n *Node) Accepting() bool { return true }

// Receive steps the node with a message.
func (n *Node) Receive(now raft.Time, from raft.ID, frame []byte) error {
	if err := transports.DecodeMessage(frame, &n.message); err != nil {
		return err
	}
	n.message.From, n.message.To = from, n.id
	n.Step(now, &n.message)
	return nil
}

// Take encodes what the node sends.
func (n *Node) Take(_ raft.Time, more bool) *Output {
	var out raft.Output
	if more {
		out = n.TakeMore()
	} else {
		out = n.Node.Take()
	}
	n.out = Output{Save: out.Save, Frames: n.out.Frames[:0], Chunks: out.Chunks, Restore: out.Restore, Apply: out.Apply,
		Snapshot: out.Snapshot, Compact: out.Compact, Events: out.Events}
	n.head, n.body = n.head[:0], n.body[:0]
	for i := range out.Messages {
		m := &out.Messages[i]
		head, body := len(n.head), len(n.body)
		n.head = transports.AppendMessage(n.head, m)
		n.body = transports.AppendBody(n.body, m)
		n.out.Frames = append(n.out.Frames, Frame{To: m.To, Class: transports.ClassOf(m), Head: n.head[head:len(n.head):len(n.head)],
			Body: n.body[body:len(n.body):len(n.body)], Append: m.Type == raft.AppendEntries, Entries: m.EntryCount(),
			Snapshot: m.Snapshot, Offset: m.Offset, ChunkBytes: m.ChunkBytes})
	}
	return &n.out
}
