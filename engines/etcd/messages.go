package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	etcdraft "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// A frame is a Message as the library encodes it, which never begins with a byte 0; or, for a MsgSnap, a byte 0, the
// encoded Message's length as uint32 (little endian), the Message, and the snapshot's content.
const snapshotHead = 1 + 4

var errNotSent = errors.New("etcd: a message that no member sends")

// Receive steps the node with a message.
func (c *core) Receive(now raft.Time, from raft.ID, frame []byte) error {
	msg, content := &raftpb.Message{}, []byte(nil)
	if len(frame) > 0 && frame[0] == 0 {
		if len(frame) < snapshotHead || uint64(len(frame)-snapshotHead) < uint64(binary.LittleEndian.Uint32(frame[1:])) {
			return fmt.Errorf("etcd: a frame of %d bytes, which is cut off", len(frame))
		}
		end := snapshotHead + int(binary.LittleEndian.Uint32(frame[1:]))
		frame, content = frame[snapshotHead:end], frame[end:]
	}
	if err := proto.Unmarshal(frame, msg); err != nil {
		return err
	}
	if msg.GetFrom() != uint64(from) || msg.GetTo() != uint64(c.id) || msg.Type == nil || etcdraft.IsLocalMsg(msg.GetType()) ||
		(msg.GetType() == raftpb.MsgSnap) != (len(content) > 0) {
		return errNotSent
	}
	switch msg.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		if msg.GetTerm() >= c.term {
			c.restartElectionTimer(now)
		}
	case raftpb.MsgAppResp:
		c.sawAnswer(from, msg)
	}
	if msg.GetType() == raftpb.MsgSnap && c.keep(msg, content) {
		return nil
	}
	return c.step(msg)
}

func (c *core) step(msg *raftpb.Message) error {
	err := c.node.Step(msg)
	if errors.Is(err, etcdraft.ErrProposalDropped) || errors.Is(err, etcdraft.ErrStepPeerNotFound) {
		return nil
	}
	return err
}

func (c *core) postAll(now raft.Time, messages []*raftpb.Message) {
	for _, msg := range messages {
		c.post(now, msg)
	}
}

// post sends a message. An append without entries waits for the end of the round, and is left out if one with entries
// goes to the same member until then.
func (c *core) post(now raft.Time, msg *raftpb.Message) {
	switch {
	case msg.GetType() != raftpb.MsgApp:
	case len(msg.Entries) == 0:
		c.held = append(c.held, msg)
		return
	default:
		c.held = slices.DeleteFunc(c.held, func(held *raftpb.Message) bool { return held.GetTo() == msg.GetTo() })
	}
	c.send(now, msg)
}

func (c *core) send(now raft.Time, msg *raftpb.Message) {
	to := raft.ID(msg.GetTo())
	if to == c.id {
		return // MsgTimeoutNow of Campaign is never sent; what is for itself comes back by Advance
	}
	f := cluster.Frame{To: to, Class: transports.ClassVote}
	start := len(c.frame)
	switch msg.GetType() {
	case raftpb.MsgApp:
		f.Class, f.Append, f.Entries = transports.ClassAppend, true, len(msg.Entries)
		c.sawAppend(to, msg)
	case raftpb.MsgAppResp:
		f.Class = transports.ClassAppend
	case raftpb.MsgHeartbeat:
		f.Class, f.Append = transports.ClassHeartbeat, true
	case raftpb.MsgHeartbeatResp:
		f.Class = transports.ClassHeartbeat
	case raftpb.MsgSnap:
		if !c.beginSending(now, to, msg.GetSnapshot()) {
			return
		}
		f.Class, f.Snapshot, f.ChunkBytes = transports.ClassSnapshot, c.newest, int(c.newest.Bytes)
		c.frame = append(c.frame, 0)
		c.frame = binary.LittleEndian.AppendUint32(c.frame, uint32(proto.Size(msg)))
	}
	frame, err := proto.MarshalOptions{}.MarshalAppend(c.frame, msg)
	if err != nil {
		panic("etcd: a message that cannot be marshalled: " + err.Error())
	}
	c.frame = frame
	f.Head = frame[start:len(frame):len(frame)]
	c.out.Frames = append(c.out.Frames, f)
}

// sawAppend tells observers of a MsgApp to a follower.
func (c *core) sawAppend(to raft.ID, msg *raftpb.Message) {
	if !c.cfg.Events() {
		return
	}
	bytes := 0
	for _, e := range msg.Entries {
		bytes += raft.EntryOverhead + len(e.Data)
	}
	c.event(raft.Event{Kind: raft.EventSent, Peer: to, Prev: msg.GetIndex(), Index: msg.GetIndex() + uint64(len(msg.Entries)),
		Count: len(msg.Entries), Bytes: bytes, Probe: c.peers[to-1].probing, Term: c.term})
}

// sawAnswer notes what a follower has, for what is being sent to it and for observers.
func (c *core) sawAnswer(from raft.ID, msg *raftpb.Message) {
	if c.role != raft.Leader || msg.GetTerm() != c.term {
		return
	}
	p := &c.peers[from-1]
	switch {
	case msg.GetReject():
		if msg.GetIndex() > p.match {
			p.probing = true
		}
		c.rejections++
		c.event(raft.Event{Kind: raft.EventRejected, Peer: from, Prev: msg.GetIndex(), Index: msg.GetRejectHint() + 1})
	case msg.GetIndex() > p.match || p.probing:
		p.match = max(p.match, msg.GetIndex())
		c.event(raft.Event{Kind: raft.EventAccepted, Peer: from, Index: p.match, Probe: p.probing})
		p.probing = false
	}
	if p.sending.index != 0 && p.match >= p.sending.index {
		p.sending = sending{}
	}
}
