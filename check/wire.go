package check

import (
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
)

// What a group says of itself in its counters, against what passed by: the messages that each replica gave to its host,
// read again from their bytes, and the frames that the network saw.

// framePrefix is the length that stands before a message on a stream, which counts as a byte sent everywhere.
const framePrefix = 4

// counts notes a message that leaves a replica, of so many bytes.
func (w *watched) counts(m *raft.Message, bytes int) {
	w.wire.Messages++
	w.wire.Bytes += uint64(framePrefix + bytes)
	if m.Type == raft.AppendEntries {
		w.wire.AppendEntries++
		w.wire.EntriesSent += uint64(m.Entries.Count)
	}
}

// countersAtRest compares a replica's counters with what it sent in this life.
func (v *Invariants) countersAtRest(w *watched, said cluster.Counters) {
	if v.err != nil {
		return
	}
	if is := &w.wire; said.Messages != is.Messages || said.AppendEntries != is.AppendEntries || said.EntriesSent != is.EntriesSent || said.Bytes != is.Bytes {
		v.fail(Accounting, w, "its counters say %d messages, %d AppendEntries, %d entries and %d bytes; %d, %d, %d and %d left it",
			said.Messages, said.AppendEntries, said.EntriesSent, said.Bytes, is.Messages, is.AppendEntries, is.EntriesSent, is.Bytes)
	}
}

// frames is what the network saw of a group's messages.
type frames struct{ sent, bytes, dropped uint64 }

// count notes a moment of a frame's way. One that is dropped before it is sent has no number.
func (f *frames) count(frame sim.Frame) {
	if frame.Fate == sim.FrameSent || frame.Fate == sim.FrameDropped && frame.Number == 0 {
		f.sent++
		f.bytes += uint64(framePrefix + len(frame.Bytes))
	}
	if frame.Fate == sim.FrameDropped {
		f.dropped++
	}
}

// counted compares the group's counters with what the network saw.
func (r *run) counted() error {
	said := r.c.Counters()
	if f := r.frames; said.Messages != f.sent || said.Bytes != f.bytes || said.Dropped != f.dropped {
		return r.fail(Accounting, "the counters say %d messages of %d bytes, %d dropped; the network saw %d of %d, %d dropped",
			said.Messages, said.Bytes, said.Dropped, f.sent, f.bytes, f.dropped)
	}
	return nil
}
