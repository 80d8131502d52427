package bbolt

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// The pages of bbolt, and what a disk writes at once, in bytes.
var pageBytes = os.Getpagesize()

const sectorBytes = 512

// life is a folder and what the last load of it found.
type life struct {
	storage.Storage
	state storage.State
	acked chan uint64
}

func begin(path string) (*life, error) {
	l := &life{acked: make(chan uint64, 100)}
	var err error
	l.Storage, err = Open(path, storage.Options{Group: 1, Replica: 1,
		Durable: func(seq uint64) { l.acked <- seq }, Failed: func(error) { close(l.acked) }})
	if err != nil {
		return nil, err
	}
	if l.state, err = l.Load(); err != nil {
		l.Close()
	}
	return l, err
}

// TestCrashInTransaction takes the file as it is before and after a save, and makes of both what a crash in between may
// leave: any sectors of the pages that the transaction wrote, and its meta page only if all of them are there. bbolt
// writes the meta page after it has synced the others. What is loaded must be the state before or after.
//
// It cannot tell whether bbolt does sync; that is believed.
func TestCrashInTransaction(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	path := t.TempDir()
	l, err := begin(path)
	if err != nil {
		t.Fatal(err)
	}
	last, torn := uint64(0), 0
	before := readFile(t, path)
	for i := uint64(1); i <= 120; i++ {
		save := raft.Save{Seq: i, Term: i, Vote: raft.ID(i % 3)}
		from := last
		if last > 5 && random.IntN(4) == 0 {
			save.TruncateFrom = last - random.Uint64N(3)
			last = save.TruncateFrom - 1
		}
		e := raft.Entries{First: last + 1}
		for range 1 + random.IntN(4) {
			e.Append(i, bytes.Repeat([]byte{byte(i)}, random.IntN(2000)))
			last++
		}
		save.Entries = []raft.Entries{e}
		l.Save(save)
		if seq, ok := <-l.acked; !ok || seq != i {
			t.Fatalf("save %d: %d, %v", i, seq, ok)
		}
		after := readFile(t, path)
		for range 4 {
			left, whole := tear(before, after, random)
			state, err := loadCopy(t, left)
			if err != nil {
				t.Fatalf("after a crash in save %d: %v", i, err)
			}
			if want := (raft.Save{Term: i - 1, Vote: raft.ID((i - 1) % 3)}); !whole {
				torn++
				if state.Term != want.Term || state.Vote != want.Vote || state.Log.Last() != from {
					t.Fatalf("after a crash in save %d: %+v up to %d, want the state before it up to %d",
						i, state, state.Log.Last(), from)
				}
			} else if state.Term != i || state.Log.Last() != last {
				t.Fatalf("after save %d: %+v up to %d, want %d", i, state, state.Log.Last(), last)
			}
		}
		before = after
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if torn < 100 {
		t.Errorf("only %d of 480 were torn", torn)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tear returns a file that has some of what was written, and whether it has all.
func tear(before, after []byte, random *rand.Rand) (left []byte, whole bool) {
	left = make([]byte, len(after))
	copy(left, before)
	whole = random.IntN(3) == 0
	for at := 2 * pageBytes; at < len(after); at += sectorBytes {
		if whole || random.IntN(2) == 0 {
			copy(left[at:at+sectorBytes], after[at:])
		}
	}
	if whole {
		copy(left, after[:2*pageBytes])
	}
	return left, whole
}

func loadCopy(t *testing.T, content []byte) (storage.State, error) {
	t.Helper()
	path, err := os.MkdirTemp(t.TempDir(), "")
	if err == nil {
		err = os.WriteFile(filepath.Join(path, fileName), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(path)
	l, err := begin(path)
	if err != nil {
		return storage.State{}, err
	}
	if err := l.Close(); err != nil {
		return storage.State{}, fmt.Errorf("close: %w", err)
	}
	return l.state, nil
}
