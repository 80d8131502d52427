package hashicorp

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	hraft "github.com/hashicorp/raft"
)

// store is what survives a replica's crash in memory: the library's log store, stable store and snapshot store in one. It
// keeps the log in a ring, without a map or an object an entry. The library's own snapshot store in memory would show a
// snapshot before it is complete.
type store struct {
	mu    sync.RWMutex
	ring  []hraft.Log // its length is a power of two
	first uint64      // index of the first log; last+1 in an empty store
	last  uint64
	words map[string]uint64
	keys  map[string][]byte

	newest  *hraft.SnapshotMeta // nil if there is none
	content []byte              // of the newest snapshot
}

func newStore() *store {
	return &store{ring: make([]hraft.Log, 16384), first: 1, words: map[string]uint64{}, keys: map[string][]byte{}}
}

func (s *store) at(i uint64) *hraft.Log { return &s.ring[i&uint64(len(s.ring)-1)] }

// FirstIndex returns the index of the first log, 0 if there is none.
func (s *store) FirstIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.last < s.first {
		return 0, nil
	}
	return s.first, nil
}

// LastIndex returns the index of the last log, 0 if there is none.
func (s *store) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.last < s.first {
		return 0, nil
	}
	return s.last, nil
}

// GetLog copies a log. Its data is shared and never changed.
func (s *store) GetLog(index uint64, log *hraft.Log) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if index < s.first || index > s.last {
		return hraft.ErrLogNotFound
	}
	*log = *s.at(index)
	return nil
}

// StoreLog stores one log.
func (s *store) StoreLog(log *hraft.Log) error { return s.StoreLogs([]*hraft.Log{log}) }

// StoreLogs stores logs that follow those that are there.
func (s *store) StoreLogs(logs []*hraft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, log := range logs {
		if s.last < s.first { // an empty store begins wherever the first log says
			s.first, s.last = log.Index, log.Index-1
		}
		if s.last-s.first+1 == uint64(len(s.ring)) {
			s.grow()
		}
		*s.at(log.Index) = *log
		s.last = log.Index
	}
	return nil
}

func (s *store) grow() {
	old := s.ring
	s.ring = make([]hraft.Log, 2*len(old))
	for i := s.first; i <= s.last; i++ {
		*s.at(i) = old[i&uint64(len(old)-1)]
	}
}

// DeleteRange deletes logs at the beginning or at the end.
func (s *store) DeleteRange(low, high uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	low, high = max(low, s.first), min(high, s.last)
	for i := low; i <= high; i++ {
		*s.at(i) = hraft.Log{}
	}
	switch {
	case low > high:
	case low == s.first:
		s.first = high + 1
	default:
		s.last = low - 1
	}
	return nil
}

// IsMonotonic says that logs are stored without gaps.
func (s *store) IsMonotonic() bool { return true }

// Set and the three after it keep term and vote.
func (s *store) Set(key, val []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[string(key)] = bytes.Clone(val)
	return nil
}

// Get returns nothing for a key that was never set.
func (s *store) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys[string(key)], nil
}

// SetUint64 keeps a number.
func (s *store) SetUint64(key []byte, val uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words[string(key)] = val
	return nil
}

// GetUint64 returns 0 for a key that was never set.
func (s *store) GetUint64(key []byte) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.words[string(key)], nil
}

// Create begins a snapshot, which is there once its sink is closed.
func (s *store) Create(version hraft.SnapshotVersion, index, term uint64, servers hraft.Configuration, serversIndex uint64,
	_ hraft.Transport) (hraft.SnapshotSink, error) {
	return &sink{store: s, meta: hraft.SnapshotMeta{Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: servers, ConfigurationIndex: serversIndex}}, nil
}

// List returns the newest snapshot.
func (s *store) List() ([]*hraft.SnapshotMeta, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.newest == nil {
		return nil, nil
	}
	return []*hraft.SnapshotMeta{s.newest}, nil
}

// Open opens the newest snapshot, which stays as it is.
func (s *store) Open(id string) (*hraft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.newest == nil || s.newest.ID != id {
		return nil, nil, fmt.Errorf("hashicorp: there is no snapshot %q any more", id)
	}
	return s.newest, io.NopCloser(bytes.NewReader(s.content)), nil
}

// sink takes the content of a snapshot in.
type sink struct {
	store   *store
	meta    hraft.SnapshotMeta
	content []byte
}

func (s *sink) Write(p []byte) (int, error) {
	s.content = append(s.content, p...)
	return len(p), nil
}

// Close makes the snapshot the newest, unless there is a newer one.
func (s *sink) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if newest := s.store.newest; newest == nil || newest.Index <= s.meta.Index {
		s.meta.Size = int64(len(s.content))
		s.store.newest, s.store.content = &s.meta, s.content
	}
	return nil
}

func (s *sink) ID() string    { return s.meta.ID }
func (s *sink) Cancel() error { return nil }
