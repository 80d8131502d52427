package transports

import (
	"slices"
	"sync"

	"github.com/raftbench/raftbench/raft"
)

// MaxStrangers is how many connections an endpoint has open that have not shown yet whose they are. It is twice what a
// group of raft.MaxVoters needs when all dial at once.
const MaxStrangers = 2 * raft.MaxVoters

// Strangers are the accepted connections whose handshake is not over. Each has a deadline of its own; this bounds how many
// there are. The zero value is ready. It is safe for concurrent use.
type Strangers struct {
	mu      sync.Mutex
	waiting []Conn // in order of arrival
}

// Add takes in a connection. If there are too many it returns the one that has waited for longest, which the caller
// closes: a replica's handshake takes a few round trips, so it is the others that wait. Otherwise it returns nil.
func (s *Strangers) Add(c Conn) (tooMany Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == MaxStrangers {
		tooMany = s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
	}
	s.waiting = append(s.waiting, c)
	return tooMany
}

// Remove forgets a connection whose handshake is over, and reports whether Add had returned it already.
func (s *Strangers) Remove(c Conn) (wasTooMany bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, c)
	if i < 0 {
		return true
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return false
}
