package cluster

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/raft"
)

// StateMachine is what a group replicates. It is deterministic: replicas that have applied the same entries have the same
// digest, and write the same snapshot. Its methods are called by one goroutine at a time, those of a View by another.
type StateMachine interface {
	// Apply applies the entries that follow those applied so far.
	Apply(e raft.Entries)
	// Digest is of all entries applied so far, in order.
	Digest() uint64
	// Snapshot returns the state as it is now. It stays so, whatever is applied, until it is closed.
	Snapshot() View
	// Restore replaces the state by what a View wrote. An error leaves the state undefined.
	Restore(r io.Reader) error
}

// View is a state that does not change. Close is for the goroutine of the StateMachine.
type View interface {
	io.WriterTo
	Close()
}

// NewStateMachine returns a state machine whose state has about so many bytes: a digest of everything applied, and the
// rest in 4 KiB pages, of which every entry changes one.
func NewStateMachine(bytes int) StateMachine {
	m := &machine{pages: make([]*page, (bytes+pageBytes-1)/pageBytes), owned: make([]uint64, (bytes+pageBytes-1)/pageBytes)}
	m.digest.Reset()
	for i := range m.pages {
		m.pages[i] = new(page)
	}
	return m
}

const pageBytes = 4 << 10

type page [pageBytes]byte

// machine copies a page when it is changed while a view may still read it.
type machine struct {
	digest xxhash.Digest
	pages  []*page
	owned  []uint64 // the generation in which a page was last copied
	views  int      // open
	gen    uint64   // counts views
}

func (m *machine) Apply(e raft.Entries) {
	m.digest.Write(e.Bytes)
	if len(m.pages) == 0 {
		return
	}
	for entry := range e.All() {
		place := entry.Index * 0x9e3779b97f4a7c15 // all over the state, whatever the indexes
		i := place >> 32 % uint64(len(m.pages))
		if m.views > 0 && m.owned[i] < m.gen {
			copied := *m.pages[i]
			m.pages[i], m.owned[i] = &copied, m.gen
		}
		binary.LittleEndian.PutUint64(m.pages[i][place%(pageBytes/8)*8:], entry.Index^entry.Term<<32)
	}
}

func (m *machine) Digest() uint64 { return m.digest.Sum64() }

func (m *machine) Snapshot() View {
	m.views++
	m.gen++
	digest, _ := m.digest.MarshalBinary() // it never fails
	return &view{m: m, digest: digest, pages: slices.Clone(m.pages)}
}

type view struct {
	m      *machine
	digest []byte
	pages  []*page
}

func (v *view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v.digest)
	total := int64(n)
	for _, p := range v.pages {
		if err != nil {
			break
		}
		n, err = w.Write(p[:])
		total += int64(n)
	}
	return total, err
}

func (v *view) Close() { v.m.views-- }

// digestBytes is the length of an encoded digest.
var digestBytes = func() int {
	b, _ := xxhash.New().MarshalBinary()
	return len(b)
}()

func (m *machine) Restore(r io.Reader) error {
	digest := make([]byte, digestBytes)
	if _, err := io.ReadFull(r, digest); err != nil {
		return fmt.Errorf("restoring a state machine: %w", err)
	}
	if err := m.digest.UnmarshalBinary(digest); err != nil {
		return fmt.Errorf("restoring a state machine: %w", err)
	}
	for i := range m.pages {
		if m.views > 0 {
			m.pages[i], m.owned[i] = new(page), m.gen
		}
		if _, err := io.ReadFull(r, m.pages[i][:]); err != nil {
			return fmt.Errorf("restoring page %d of %d of a state machine: %w", i+1, len(m.pages), err)
		}
	}
	return nil
}
