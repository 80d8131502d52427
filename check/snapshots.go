package check

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// What snapshots must be, from outside: each is the state after the committed entries up to its index, whoever made it;
// what is sent of one is what it holds, and installed only once it is durable; the log after one that is being sent stays.

// snapshotBytes is about what a snapshot has beside the pages of its state.
const snapshotBytes = 100

// durable is a storage that can be looked into: cluster/sim's disk.
type durable interface{ Durable() storage.State }

// prefixes is what every state machine must be after so many entries, and what snapshots of it hold.
type prefixes struct {
	hash     xxhash.Digest
	begun    bool
	digests  []uint64 // by index: after the entry
	contents map[uint64][]byte
	scratch  [raft.EntryOverhead]byte
}

// apply goes on with a committed entry that a replica applies, if it is the first.
func (p *prefixes) apply(e raft.Entry) {
	if e.Index != uint64(len(p.digests))+1 {
		return
	}
	if !p.begun {
		p.hash.Reset()
		p.begun = true
	}
	binary.LittleEndian.PutUint64(p.scratch[:], e.Term)
	binary.LittleEndian.PutUint32(p.scratch[8:], uint32(len(e.Data)))
	p.hash.Write(p.scratch[:])
	p.hash.Write(e.Data)
	p.digests = append(p.digests, p.hash.Sum64())
}

// digest holds a replica's state against the entries that it has applied.
func (v *Invariants) digest(w *watched) {
	if w.applied == 0 || w.applied == w.digested || v.err != nil {
		return
	}
	w.digested = w.applied
	if is, want := w.of.Status().Digest, v.machine.digests[w.applied-1]; is != want {
		v.fail(StateMachine, w, "its state is %016x after %d entries, which give %016x", is, w.applied, want)
	}
}

// begins follows a log that begins elsewhere than before: after a snapshot. If that has replaced it, the entries before its
// beginning are the committed ones.
func (v *Invariants) begins(w *watched, s *raft.Status, log *raft.Log) {
	base := s.First - 1
	if base > v.Committed() {
		v.fail(Order, w, "its log begins at %d, but only %d entries are committed", s.First, len(v.committed))
		return
	}
	if d := w.disk.Durable(); d.Snapshot.Index < base || d.Log.First() > d.Snapshot.Index+1 {
		v.fail(Order, w, "its log begins at %d, on disk at %d, and its snapshot ends at %d", s.First, d.Log.First(), d.Snapshot.Index)
		return
	}
	term, known := log.Term(base)
	if base > 0 && (!known || term != v.committed[base-1].term) {
		v.fail(CommitImmutable, w, "its log begins after entry %d of term %d, committed is one of term %d", base, term, v.committed[base-1].term)
		return
	}
	if base <= uint64(len(w.log)) && (base == 0 || w.log[base-1] == term) {
		if kept := uint64(v.cfg.SnapshotTrailing); base > w.was.First && base <= w.was.Applied && base+kept > w.disk.Durable().Snapshot.Index {
			v.fail(Bounded, w, "its log is compacted to begin at %d, with a snapshot of %d and %d entries to be kept before it",
				s.First, w.disk.Durable().Snapshot.Index, kept)
		}
		return
	}
	w.log = w.log[:0]
	for _, c := range v.committed[:base] {
		w.log = append(w.log, c.term)
	}
}

// restored follows a replica that goes on from a snapshot which it was sent.
func (v *Invariants) restored(w *watched, s raft.Snapshot) {
	if v.err != nil || w.node == nil {
		return // it starts: see start
	}
	if s.Index <= w.applied {
		v.fail(Monotonic, w, "it goes on from a snapshot of %d entries and has applied %d", s.Index, w.applied)
		return
	}
	if d := w.disk.Durable(); d.Snapshot.Index < s.Index {
		v.fail(QuorumDurable, w, "it goes on from a snapshot of %d entries, that on its disk has %d", s.Index, d.Snapshot.Index)
		return
	}
	if s.Index > uint64(len(v.machine.digests)) || v.committed[s.Index-1].term != s.Term {
		v.fail(StateMachine, w, "it goes on from a snapshot of %d entries, the last of term %d, which nobody has applied", s.Index, s.Term)
		return
	}
	w.applied = s.Index
	v.digest(w)
}

// onDisk reports whether a replica would have an entry after a crash: in its log, or as a part of its snapshot.
func (v *Invariants) onDisk(w *watched, i, term uint64) bool {
	if w.disk == nil {
		return false
	}
	d := w.disk.Durable()
	if s := &d.Snapshot; s.Index > 0 {
		if i <= s.Index {
			return i <= v.Committed() && v.committed[i-1].term == term
		}
		if t, ok := d.Log.Term(s.Index); !ok || t != s.Term {
			return false // it would begin with an empty log
		}
	}
	t, ok := d.Log.Term(i)
	return ok && t == term
}

func diskAt(w *watched, i uint64) string {
	d := w.disk.Durable()
	if t, ok := d.Log.Term(i); ok {
		return fmt.Sprintf("term %d there", t)
	}
	return fmt.Sprintf("entries up to %d and a snapshot of %d", d.Log.Last(), d.Snapshot.Index)
}

// saved looks at a snapshot that is about to be durable: its own, or one that it was sent.
func (v *Invariants) snapshotSaved(w *watched, index, term uint64, content []byte) {
	switch {
	case v.err != nil:
		return
	case index > uint64(len(v.machine.digests)):
		v.fail(StateMachine, w, "it makes a snapshot of %d entries, of which only %d were ever applied", index, len(v.machine.digests))
		return
	case v.committed[index-1].term != term:
		v.fail(StateMachine, w, "it makes a snapshot of entry %d of term %d, committed is one of term %d", index, term, v.committed[index-1].term)
		return
	}
	if known := v.machine.contents[index]; known != nil {
		if !bytes.Equal(known, content) {
			v.fail(StateMachine, w, "its snapshot of %d entries has other bytes than an earlier one", index)
		}
		return
	}
	m := cluster.NewStateMachine(v.cfg.StateBytes)
	if err := m.Restore(bytes.NewReader(content)); err != nil {
		v.fail(StateMachine, w, "its snapshot of %d entries cannot be restored: %v", index, err)
	} else if is, want := m.Digest(), v.machine.digests[index-1]; is != want {
		v.fail(StateMachine, w, "its snapshot of %d entries is of the state %016x, they give %016x", index, is, want)
	}
	if v.machine.contents == nil {
		v.machine.contents = map[uint64][]byte{}
	}
	v.machine.contents[index] = content
}

// sendsChunk: what is sent of a snapshot is what it holds, and the log after it is there.
func (v *Invariants) sendsChunk(w *watched, m *raft.Message) {
	w.turn.chunks--
	if len(w.searches) > 0 {
		st := &w.searches[placeOf(w.id, m.To)]
		st.chunks++
		most := v.cfg.MaxChunks
		if most == 0 {
			most = raft.DefaultMaxChunks
		}
		if st.chunks > most*(1+w.turn.messages) {
			v.fail(Bounded, w, "it sends %d parts of a snapshot to %d at once, want at most %d unanswered", st.chunks, m.To, most)
		}
	}
	if t := v.term(m.Term); t.leader != w.id || t.life != w.life {
		v.fail(ElectionSafety, w, "it sends an InstallSnapshot of term %d, whose leader is %d", m.Term, t.leader)
		return
	}
	s, size := &m.Snapshot, uint64(len(m.Chunk))
	content := v.machine.contents[s.Index]
	if content == nil || s.Bytes != uint64(len(content)) || m.Offset+size > s.Bytes || !bytes.Equal(content[m.Offset:m.Offset+size], m.Chunk) ||
		v.committed[s.Index-1].term != s.Term {
		v.fail(StateMachine, w, "it sends %d bytes from %d on of a snapshot of %d entries, which are not its", size, m.Offset, s.Index)
		return
	}
	limit := v.cfg.ChunkBytes
	if limit == 0 {
		limit = raft.DefaultChunkBytes
	}
	if size > uint64(limit) {
		v.fail(Bounded, w, "it sends %d bytes of a snapshot at once, want at most %d", size, limit)
	}
	if v.transfers != nil {
		v.transfers(w.id, m.To)
	}
	if first := w.node.Log().First(); first > s.Index+1 {
		v.fail(Live, w, "it sends a snapshot of %d entries to %d, and its log begins at %d: nothing follows on it", s.Index, m.To, first)
	}
}

// repliesChunk: who says that a snapshot is installed has all of it on disk.
func (v *Invariants) repliesChunk(w *watched, m *raft.Message) {
	if !m.Success {
		return
	}
	if m.Match > v.Committed() || m.Match < m.Snapshot.Index {
		v.fail(CommitImmutable, w, "it acknowledges a snapshot of %d entries with commitIndex %d, and %d are committed", m.Snapshot.Index, m.Match, len(v.committed))
		return
	}
	if !v.onDisk(w, m.Match, v.committed[m.Match-1].term) {
		v.fail(QuorumDurable, w, "it acknowledges a snapshot and all up to entry %d, its disk has %s", m.Match, diskAt(w, m.Match))
	}
}

// memory: a snapshot is taken when it is due, and then what it holds of the log goes, but for the entries that are kept
// before it and what followers that answer still need, within its limit, or what follows a snapshot that one is sent.
func (v *Invariants) memory(w *watched, s *raft.Status) {
	if v.cfg.SnapshotEntries == 0 || w.tasks > 0 {
		return
	}
	index := w.disk.Durable().Snapshot.Index
	if due := uint64(v.cfg.SnapshotEntries); s.Applied >= index+due {
		v.fail(Bounded, w, "it has applied %d entries, and no snapshot is taken after that of %d", s.Applied, index)
		return
	}
	upTo := min(index-min(index, uint64(v.cfg.SnapshotTrailing)), s.Durable, s.Applied)
	if s.First > upTo {
		return
	}
	limit := uint64(v.cfg.MaxLagBytes)
	if limit == 0 {
		limit = raft.DefaultMaxLagBytes
	}
	for i := range w.progress {
		if s.Role == raft.Leader && w.progress[i].Snapshot != 0 {
			return
		}
	}
	if s.Role != raft.Leader || (s.Last-s.First+1)*raft.EntryOverhead > limit {
		v.fail(Bounded, w, "its log holds %d to %d, and everything up to %d may go", s.First, s.Last, upTo)
	}
}

// snapshotWriter passes on a snapshot that is written, and keeps what it is.
type snapshotWriter struct {
	storage.SnapshotWriter
	m           *member
	index, term uint64
	content     []byte
}

func (s *snapshotWriter) Write(p []byte) (int, error) {
	s.content = append(s.content, p...)
	return s.SnapshotWriter.Write(p)
}

func (s *snapshotWriter) Commit() error {
	s.m.v.snapshotSaved(s.m.w, s.index, s.term, s.content)
	return s.SnapshotWriter.Commit()
}

// CreateSnapshot is that of the storage, with a look at what is written.
func (m *member) CreateSnapshot(index, term uint64) (storage.SnapshotWriter, error) {
	inner, err := m.Storage.CreateSnapshot(index, term)
	if err != nil {
		return nil, err
	}
	return &snapshotWriter{SnapshotWriter: inner, m: m, index: index, term: term}, nil
}

// Background is that of the host, with a look at the core once it knows of a snapshot.
func (m *member) Background(work func(), then func(raft.Time)) {
	m.w.tasks++
	life := m.w.life
	m.Host.Background(work, func(now raft.Time) {
		m.w.turn.others = true
		if m.w.life == life {
			m.w.tasks--
		}
		then(now)
		m.v.look(m.w, now)
	})
}
