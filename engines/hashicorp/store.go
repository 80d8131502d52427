package hashicorp

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"
	hraft "github.com/hashicorp/raft"
)

// store is what survives a replica's crash: the library's log store, stable store and snapshot store in one. It keeps
// the log in a ring, without a map or an object an entry.
type store struct {
	onStored func(last uint64) // told of each batch that was stored

	mu    sync.RWMutex
	ring  []hraft.Log // its length is a power of two
	first uint64      // index of the first log; last+1 in an empty store
	last  uint64
	words map[string]uint64
	keys  map[string][]byte

	// The state machine as of its last checkpoint: logs up to applied may be gone.
	applied, appliedTerm uint64
	digest               xxhash.Digest
	servers              hraft.Configuration
}

func newStore(servers hraft.Configuration) *store {
	s := &store{ring: make([]hraft.Log, 16384), first: 1, words: map[string]uint64{}, keys: map[string][]byte{}, servers: servers}
	s.digest.Reset()
	return s
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
	s.mu.Unlock()
	if s.onStored != nil && len(logs) > 0 {
		s.onStored(logs[len(logs)-1].Index)
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
	s.deleteRange(low, high)
	return nil
}

func (s *store) deleteRange(low, high uint64) {
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
}

// checkpoint keeps the state machine as of the applied index, and forgets logs up to compact, which is not later.
func (s *store) checkpoint(applied, term uint64, digest xxhash.Digest, compact uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied, s.appliedTerm, s.digest = applied, term, digest
	s.deleteRange(s.first, compact)
}

// IsMonotonic says that logs are stored without gaps.
func (s *store) IsMonotonic() bool { return true }

// commandIn reports whether there is anything for the state machine from low to high.
func (s *store) commandIn(low, high uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := max(low, s.first); i <= min(high, s.last); i++ {
		if s.at(i).Type == hraft.LogCommand {
			return true
		}
	}
	return false
}

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

// errNoSnapshots is what the library hears when it wants to send or take a snapshot, which it never has to.
var errNoSnapshots = errors.New("hashicorp: snapshots are not used")

// Create refuses.
func (s *store) Create(hraft.SnapshotVersion, uint64, uint64, hraft.Configuration, uint64, hraft.Transport) (hraft.SnapshotSink, error) {
	return nil, errNoSnapshots
}

// List returns the checkpoint, which the library takes for a snapshot that the state machine holds already.
func (s *store) List() ([]*hraft.SnapshotMeta, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.applied == 0 {
		return nil, nil
	}
	return []*hraft.SnapshotMeta{{Version: hraft.SnapshotVersionMax, ID: "checkpoint", Index: s.applied, Term: s.appliedTerm,
		Configuration: s.servers, ConfigurationIndex: 1}}, nil
}

// Open refuses.
func (s *store) Open(string) (*hraft.SnapshotMeta, io.ReadCloser, error) {
	return nil, nil, errNoSnapshots
}
