package conformance

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/faults"
)

// shelf is a folder's files and what they should hold.
type shelf struct {
	kind    *Kind
	files   map[string][]byte
	history *history
	least   int    // the state that is there if the last save is lost
	path    string // for a storage that opens its files itself
}

// fill makes a folder with some life behind it, whose last save is one frame by itself.
func fill(t *testing.T, kind *Kind) *shelf {
	t.Helper()
	h := newHistory()
	sh := &shelf{kind: kind, history: h}
	disk := faults.NewDisk()
	open := kind.on(disk)
	if kind.OpenOn == nil {
		sh.path = t.TempDir()
		open = kind.onPath(sh.path)
	}
	s, _, err := begin(open, true, h, 0, rand.New(rand.NewPCG(4, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.play(150); err != nil {
		t.Fatal(err)
	}
	// The last frame: nothing else is written with it.
	s.save(s.entry(50))
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
	sh.least = len(h.states) - 1
	s.save(s.entry(50))
	s.done(t)
	if h.committed == 0 || h.now().base == 0 {
		t.Fatal("there is no snapshot, or nothing is compacted")
	}
	if sh.files = disk.Files(); sh.path != "" {
		sh.files = map[string][]byte{}
		paths, _ := filepath.Glob(filepath.Join(sh.path, "*"))
		for _, path := range paths {
			if sh.files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		delete(sh.files, "LOCK")
	}
	return sh
}

// try opens the storage with one file changed. It must refuse with an error that says where, or hold what it should;
// only the last save may be missing, if it says so.
func (sh *shelf) try(name string, changed []byte) error {
	files := maps.Clone(sh.files)
	files[name] = changed
	open := sh.kind.onPath(sh.path)
	if sh.path == "" {
		open = sh.kind.on(faults.FromFiles(files))
	} else {
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(sh.path, name), b, 0o600); err != nil {
				return err
			}
		}
	}
	h := *sh.history
	h.states, h.seqs = h.states[sh.least:], h.seqs[sh.least:]
	s, err := open(silent())
	if err != nil {
		return says(err, name)
	}
	defer s.Close()
	state, err := s.Load()
	if err != nil {
		return says(err, name)
	}
	least := 0
	if state.TornBytes == 0 {
		least = len(h.states) - 1
	}
	if _, err = h.check(s, &state, least); errors.Is(err, storage.ErrDamaged) {
		return says(err, name)
	}
	return err
}

// says returns nil if an error says what is wrong in which file.
func says(err error, name string) error {
	text := err.Error()
	switch {
	case !errors.Is(err, storage.ErrDamaged) && !errors.Is(err, storage.ErrForeign) && !errors.Is(err, storage.ErrFormat):
		return fmt.Errorf("not an error for damage: %w", err)
	case !strings.Contains(text, strings.TrimSuffix(name, filepath.Ext(name))) || strings.Contains(text, "\n"):
		return fmt.Errorf("it does not name %s in one line: %w", name, err)
	case strings.HasSuffix(name, ".wal") && errors.Is(err, storage.ErrDamaged) && !strings.Contains(text, " at offset "):
		return fmt.Errorf("it names no offset: %w", err)
	}
	return nil
}

// samples returns about n numbers below limit, all of them if there are fewer.
func samples(limit, n int) []int {
	var list []int
	for i := 0; i < limit; i += max(1, limit/max(1, n)) {
		list = append(list, i)
	}
	return list
}

// tries is how many bytes of a file are tried, of n that would be: a storage that opens its files itself is slow.
func (sh *shelf) tries(n int) int {
	switch {
	case sh.path != "":
		return 200
	case testing.Short():
		return 500
	}
	return n
}

func noticesFlips(t *testing.T, kind *Kind) {
	sh := fill(t, kind)
	random := rand.New(rand.NewPCG(5, 5))
	for _, name := range slices.Sorted(maps.Keys(sh.files)) {
		b := slices.Clone(sh.files[name])
		for _, at := range samples(len(b), sh.tries(4000)) {
			bit := byte(1) << random.IntN(8)
			b[at] ^= bit
			if err := sh.try(name, b); err != nil {
				t.Fatalf("bit %#x of byte %d of %s: %v", bit, at, name, err)
			}
			b[at] ^= bit
		}
	}
}

func noticesCuts(t *testing.T, kind *Kind) {
	sh := fill(t, kind)
	for _, name := range slices.Sorted(maps.Keys(sh.files)) {
		b := sh.files[name]
		for _, n := range samples(len(b), sh.tries(len(b))) {
			if err := sh.try(name, b[:n]); err != nil {
				t.Fatalf("%s with %d of %d bytes: %v", name, n, len(b), err)
			}
		}
	}
}
