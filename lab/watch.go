package lab

import (
	"fmt"
	"sync"

	"github.com/raftbench/raftbench/raft"
)

// watch is the Observer of a group under test: it keeps what each replica has applied, and notices at once what may
// never happen: two leaders of one term, two values at one index, a gap.
type watch struct {
	mu      sync.Mutex
	applied [][]string         // by replica: values from index 1
	agreed  []string           // the first value applied at each index, by whoever it was
	leaders map[uint64]raft.ID // by term
	broken  error              // the first thing that may never happen
}

func newWatch(replicas int) *watch {
	return &watch{applied: make([][]string, replicas), leaders: map[uint64]raft.ID{}}
}

// Events looks for second leaders: cluster.Observer.
func (w *watch) Events(_ raft.Time, id raft.ID, events []raft.Event) {
	for i := range events {
		if e := &events[i]; e.Kind == raft.EventRole && e.Role == raft.Leader {
			w.leads(id, e.Term)
		}
	}
}

func (w *watch) leads(id raft.ID, term uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other, known := w.leaders[term]; known && other != id {
		w.breaks("term %d has two leaders, replicas %d and %d", term, other, id)
	}
	w.leaders[term] = id
}

// Applied keeps and compares values: cluster.Observer.
func (w *watch) Applied(_ raft.Time, id raft.ID, entries raft.Entries) {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := &w.applied[id-1]
	for e := range entries.All() {
		if want := uint64(len(*log)) + 1; e.Index != want {
			w.breaks("replica %d applied index %d, want %d", id, e.Index, want)
			return
		}
		value := string(e.Data)
		*log = append(*log, value)
		if e.Index > uint64(len(w.agreed)) {
			w.agreed = append(w.agreed, value)
		} else if first := w.agreed[e.Index-1]; first != value {
			w.breaks("replica %d applied %s at index %d, another had applied %s", id, show(value), e.Index, show(first))
		}
	}
}

// Restored takes what the snapshot stands for from those who applied it: cluster.Observer.
func (w *watch) Restored(_ raft.Time, id raft.ID, s raft.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Index > uint64(len(w.agreed)) || s.Index < uint64(len(w.applied[id-1])) {
		w.breaks("replica %d went on from a snapshot of index %d, after applying %d of %d", id, s.Index, len(w.applied[id-1]),
			len(w.agreed))
		return
	}
	w.applied[id-1] = append(w.applied[id-1], w.agreed[len(w.applied[id-1]):s.Index]...)
}

func (w *watch) breaks(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

// restarted forgets what a replica had applied: it applies all of it again.
func (w *watch) restarted(id raft.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied[id-1] = nil
}

// committed returns how many replicas have applied an index, and the value.
func (w *watch) committed(index uint64) (replicas int, value string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, log := range w.applied {
		if uint64(len(log)) >= index {
			replicas++
		}
	}
	if replicas > 0 {
		value = w.agreed[index-1]
	}
	return replicas, value, w.broken
}

// highest returns the last index that anyone has applied.
func (w *watch) highest() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return uint64(len(w.agreed))
}

func (w *watch) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}
