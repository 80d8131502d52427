package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

const (
	group   = 7
	replica = 2
)

// session is one life of a storage, from Open to Close.
type session struct {
	storage.Storage
	history *history
	random  *rand.Rand
	seq     uint64 // of the last save

	mu      sync.Mutex
	changed sync.Cond
	acked   uint64
	failure error
	broken  error // a promise that the storage did not keep
}

// silent returns the options of whoever only looks.
func silent() storage.Options {
	return storage.Options{Group: group, Replica: replica, Durable: func(uint64) {}, Failed: func(error) {}}
}

// opener opens a storage.
type opener func(storage.Options) (storage.Storage, error)

// begin opens a storage, loads it, and checks what is there against the history, of which saves up to acked are known
// to be durable.
func begin(open opener, each bool, h *history, acked uint64, random *rand.Rand) (*session, storage.State, error) {
	s := &session{history: h, random: random}
	s.changed.L = &s.mu
	var err error
	o := storage.Options{Group: group, Replica: replica, SyncEach: each, Durable: s.durable, Failed: s.failed}
	if s.Storage, err = open(o); err != nil {
		return nil, storage.State{}, err
	}
	state, err := s.Load()
	if err != nil {
		s.Close()
		return nil, state, err
	}
	m, err := h.check(s, &state, h.least(acked))
	if err != nil {
		s.Close()
		return nil, state, fmt.Errorf("%w: %w", errBroken, err)
	}
	h.settle(m)
	h.committed = state.Snapshot.Index
	return s, state, nil
}

// errBroken says that a promise was broken, and is never what a fault leads to.
var errBroken = errors.New("broken promise")

func (s *session) durable(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failure != nil:
		s.broken = fmt.Errorf("%w: save %d is acknowledged after the failure %w", errBroken, seq, s.failure)
	case seq <= s.acked || seq > s.seq:
		s.broken = fmt.Errorf("%w: save %d is acknowledged after %d, with %d the last", errBroken, seq, s.acked, s.seq)
	}
	s.acked = seq
	s.changed.Broadcast()
}

func (s *session) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil || err == nil {
		s.broken = fmt.Errorf("%w: it failed with %v after it failed with %w", errBroken, err, s.failure)
	}
	s.failure = err
	s.changed.Broadcast()
}

// save has the storage save, and spoils the memory that was only valid during the call.
func (s *session) save(save raft.Save) {
	s.mu.Lock()
	s.seq++
	save.Seq = s.seq
	s.mu.Unlock()
	m := *s.history.now()
	m.save(&save)
	s.history.add(m, save.Seq)
	if s.Save(save) {
		s.mu.Lock()
		s.acked = save.Seq
		s.mu.Unlock()
	}
	for _, e := range save.Entries {
		for i := range e.Bytes {
			e.Bytes[i] = 0xAA
		}
	}
}

// wait waits until all saves are durable, or returns why that never comes.
func (s *session) wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.acked < s.seq && s.failure == nil && s.broken == nil {
		s.changed.Wait()
	}
	if s.broken != nil {
		return s.broken
	}
	return s.failure
}

// end closes the storage and returns how far saves were acknowledged, and its failure.
func (s *session) end() (acked uint64, err error) {
	err = s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		err = s.broken
	case err == nil && s.acked != s.seq:
		err = fmt.Errorf("%w: closed after saves up to %d, but only %d is acknowledged", errBroken, s.seq, s.acked)
	}
	return s.acked, err
}

// play makes random calls. It returns the failure that ends it.
func (s *session) play(calls int) error {
	for range calls {
		var err error
		switch p := s.random.IntN(100); {
		case p < 70:
			s.randomSave()
		case p < 82:
			err = s.randomSnapshot()
		case p < 92:
			s.compact(s.random.Uint64N(s.history.committed + 5))
		case p < 96:
			err = s.install()
		default:
			err = s.crossing()
		}
		if err == nil && s.random.IntN(2) == 0 {
			err = s.wait()
		}
		if err != nil {
			return err
		}
	}
	return s.wait()
}

func (s *session) randomSave() {
	m, r := s.history.now(), s.random
	save := raft.Save{Term: m.term, Vote: m.vote}
	if save.Term == 0 || r.IntN(8) == 0 {
		save.Term += 1 + r.Uint64N(3)
		save.Vote = raft.ID(r.IntN(4))
	}
	last, low := m.last(), max(m.commit, m.base)
	if last > low && r.IntN(5) == 0 {
		save.TruncateFrom = low + 1 + r.Uint64N(last-low)
		last = save.TruncateFrom - 1
	}
	for range r.IntN(3) {
		e := raft.Entries{First: last + 1}
		for range 1 + r.IntN(3) {
			last++
			e.Append(save.Term, data(last, save.Term, s.size()))
		}
		save.Entries = append(save.Entries, e)
	}
	s.save(save)
	m = s.history.now()
	if m.last() > m.commit {
		m.commit += r.Uint64N(m.last() - m.commit + 1)
	}
}

// size draws the size of an entry: mostly small, some larger than a block, a few larger than a small segment.
func (s *session) size() int {
	switch p := s.random.IntN(40); {
	case p == 0:
		return 10_000
	case p < 5:
		return s.random.IntN(3000)
	}
	return s.random.IntN(200)
}

// snapshot writes a snapshot in pieces and commits it.
func (s *session) snapshot(index, term uint64) error {
	w, err := s.begun(index, term)
	if err != nil {
		return err
	}
	return s.commit(w, index)
}

func (s *session) begun(index, term uint64) (storage.SnapshotWriter, error) {
	snap := storage.Snapshot{Index: index, Term: term, Size: s.random.Int64N(500)}
	if s.random.IntN(20) == 0 {
		snap.Size += 150_000
	}
	w, err := s.CreateSnapshot(index, term)
	if err != nil {
		return nil, err
	}
	for b := content(snap); len(b) > 0; {
		k := min(len(b), 1+s.random.IntN(100_000))
		if n, err := w.Write(b[:k]); err != nil || n != k {
			w.Abort()
			return nil, err
		}
		b = b[k:]
	}
	s.history.begun[index] = snap
	return w, nil
}

func (s *session) commit(w storage.SnapshotWriter, index uint64) error {
	defer w.Abort()
	if err := w.Commit(); err != nil {
		return err
	}
	s.history.committed = max(s.history.committed, index)
	return nil
}

// randomSnapshot takes a snapshot of what is committed, or begins to and does not end.
func (s *session) randomSnapshot() error {
	m := s.history.now()
	low := max(s.history.committed, m.base)
	if m.commit <= low {
		return nil
	}
	index := low + 1 + s.random.Uint64N(m.commit-low)
	if s.random.IntN(4) == 0 {
		w, err := s.begun(index, m.termOf(index))
		delete(s.history.begun, index)
		if err == nil {
			w.Abort()
		}
		return err
	}
	return s.snapshot(index, m.termOf(index))
}

func (s *session) compact(index uint64) {
	m := *s.history.now()
	s.Compact(index)
	m.compact(min(index, s.history.committed))
	s.history.add(m, 0)
}

// install does what a follower does with a snapshot that its log does not contain: one beyond its end, or one that
// contradicts it.
func (s *session) install() error {
	m := *s.history.now()
	index := m.last() + 1 + s.random.Uint64N(5)
	if m.commit < m.last() && m.commit >= s.history.committed && s.random.IntN(2) == 0 {
		index = m.commit + 1
	}
	term := m.term + 1 // of no entry
	s.save(raft.Save{Term: term, Vote: m.vote})
	if err := s.snapshot(index, term); err != nil {
		return err
	}
	m = *s.history.now()
	s.Reset(index, term)
	m.reset(index, term)
	s.history.add(m, 0)
	return nil
}

// crossing has two snapshots under way, and the older one end last.
func (s *session) crossing() error {
	m := s.history.now()
	if m.commit < max(s.history.committed, m.base)+2 {
		return nil
	}
	older, err := s.begun(m.commit-1, m.termOf(m.commit-1))
	if err != nil {
		return err
	}
	defer older.Abort()
	if err := s.snapshot(m.commit, m.termOf(m.commit)); err != nil {
		return err
	}
	return s.commit(older, m.commit-1)
}
