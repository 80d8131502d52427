package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// model is what a storage should hold.
type model struct {
	term           uint64
	vote           raft.ID
	base, baseTerm uint64
	entries        []raft.Entry // from base+1 on; never changed, only cut and added to
	commit         uint64       // nothing up to it is ever truncated
}

func (m *model) last() uint64 { return m.base + uint64(len(m.entries)) }

// termOf returns the term of an entry from base to last.
func (m *model) termOf(i uint64) uint64 {
	if i == m.base {
		return m.baseTerm
	}
	return m.entries[i-m.base-1].Term
}

func (m *model) save(s *raft.Save) {
	m.term, m.vote = s.Term, s.Vote
	if s.TruncateFrom != 0 {
		m.entries = m.entries[: s.TruncateFrom-m.base-1 : s.TruncateFrom-m.base-1]
	}
	for _, run := range s.Entries {
		for e := range run.All() {
			e.Data = bytes.Clone(e.Data)
			m.entries = append(m.entries, e)
		}
	}
}

func (m *model) compact(i uint64) {
	if i = min(i, m.last()); i > m.base {
		m.baseTerm = m.termOf(i)
		m.entries = m.entries[i-m.base:]
		m.base = i
	}
}

func (m *model) reset(index, term uint64) {
	m.base, m.baseTerm, m.entries, m.commit = index, term, nil, index
}

// reconcile does what Load does with a snapshot that the log does not contain.
func (m *model) reconcile(s storage.Snapshot) {
	if s.Index > m.last() || s.Index >= m.base && m.termOf(s.Index) != s.Term {
		m.reset(s.Index, s.Term)
	}
	m.commit = max(m.commit, s.Index)
	if m.term < s.Term {
		m.term, m.vote = s.Term, 0
	}
}

// equal says how a state differs from the model, or "". It may have kept more than was asked for.
func (m *model) equal(s *storage.State) string {
	log := s.Log
	switch {
	case s.Term != m.term || s.Vote != m.vote:
		return fmt.Sprintf("term %d and vote %d, want %d and %d", s.Term, s.Vote, m.term, m.vote)
	case log.Last() != m.last() || log.First()-1 > m.base:
		return fmt.Sprintf("a log from %d to %d, want %d to %d", log.First(), log.Last(), m.base+1, m.last())
	}
	if term, ok := log.Term(m.base); !ok || term != m.baseTerm {
		return fmt.Sprintf("entry %d is of term %d, want %d", m.base, term, m.baseTerm)
	}
	for _, e := range m.entries {
		if got := log.Entry(e.Index); got.Term != e.Term || !bytes.Equal(got.Data, e.Data) {
			return fmt.Sprintf("entry %d is of term %d with %d bytes, want term %d with %d bytes",
				e.Index, got.Term, len(got.Data), e.Term, len(e.Data))
		}
	}
	return ""
}

// history is all that a storage was told since it was last known to hold something: it may hold every state in it that
// is not before what was acknowledged.
type history struct {
	states    []model
	seqs      []uint64                    // of the save that led there, 0 if it was none
	begun     map[uint64]storage.Snapshot // snapshots of which Commit was called, by index
	committed uint64                      // the index of the newest whose Commit returned nil
}

func newHistory() *history {
	return &history{states: []model{{}}, seqs: []uint64{0}, begun: map[uint64]storage.Snapshot{}}
}

func (h *history) now() *model { return &h.states[len(h.states)-1] }

// add notes the next state.
func (h *history) add(m model, seq uint64) {
	h.states = append(h.states, m)
	h.seqs = append(h.seqs, seq)
}

// settle goes on from a state that the storage is known to hold.
func (h *history) settle(m model) { h.states, h.seqs = []model{m}, []uint64{0} }

// least returns the first state that may be there if saves up to acked were acknowledged.
func (h *history) least(acked uint64) int {
	least := 0
	for i, seq := range h.seqs {
		if seq != 0 && seq <= acked {
			least = i
		}
	}
	return least
}

// check finds what was loaded among the states from least on, and reads the snapshot.
func (h *history) check(s storage.Storage, state *storage.State, least int) (model, error) {
	if err := h.checkSnapshot(s, state.Snapshot); err != nil {
		return model{}, err
	}
	why := ""
	for _, m := range slices.Backward(h.states[least:]) {
		m.reconcile(state.Snapshot)
		if why = m.equal(state); why == "" {
			return m, nil
		}
	}
	return model{}, fmt.Errorf("it holds none of the %d states that it may: %s", len(h.states)-least, why)
}

func (h *history) checkSnapshot(s storage.Storage, snap storage.Snapshot) error {
	if snap.Index < h.committed {
		return fmt.Errorf("the newest snapshot is of %d, want %d at least", snap.Index, h.committed)
	}
	if snap.Index == 0 {
		if _, err := s.OpenSnapshot(); !errors.Is(err, storage.ErrNoSnapshot) {
			return fmt.Errorf("OpenSnapshot without one: %v", err)
		}
		return nil
	}
	if snap != h.begun[snap.Index] {
		return fmt.Errorf("the newest snapshot is %v, want %v", snap, h.begun[snap.Index])
	}
	return readSnapshot(s, snap)
}

func readSnapshot(s storage.Storage, want storage.Snapshot) error {
	r, err := s.OpenSnapshot()
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Snapshot() != want {
		return fmt.Errorf("the open snapshot is %v, want %v", r.Snapshot(), want)
	}
	return readContent(r)
}

// readContent compares a snapshot with what content says.
func readContent(r storage.SnapshotReader) error {
	want := r.Snapshot()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<40))
	if err == nil && !bytes.Equal(got, content(want)) {
		err = fmt.Errorf("snapshot %v has other bytes than were written", want)
	}
	return err
}

// content is what a snapshot of that description holds.
func content(s storage.Snapshot) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], s.Index)
	binary.LittleEndian.PutUint64(seed[8:], s.Term)
	b := make([]byte, s.Size)
	rand.NewChaCha8(seed).Read(b)
	return b
}

// data returns the bytes of an entry, which no other has.
func data(index, term uint64, size int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, index)
	b = binary.LittleEndian.AppendUint64(b, term)
	for len(b) < size {
		b = append(b, byte(len(b))^byte(index))
	}
	return b[:size]
}
