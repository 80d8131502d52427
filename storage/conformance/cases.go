package conformance

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/faults"
)

// fresh returns what opens the storage on a folder of the test: in memory where that is possible.
func (k *Kind) fresh(t *testing.T) opener {
	if k.OpenOn != nil {
		return k.on(faults.NewDisk())
	}
	return k.onPath(t.TempDir())
}

func (k *Kind) onPath(path string) opener {
	return func(o storage.Options) (storage.Storage, error) { return k.Open(path, o) }
}

// live is begin on a new history, which must succeed. The test ends the session.
func live(t *testing.T, open opener) *session {
	t.Helper()
	s, _, err := begin(open, false, newHistory(), 0, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// again ends a session and begins the next, which goes on with the history.
func (s *session) again(t *testing.T, open opener) (*session, storage.State) {
	t.Helper()
	acked, err := s.end()
	if err != nil {
		t.Fatal(err)
	}
	next, state, err := begin(open, false, s.history, acked, s.random)
	if err != nil {
		t.Fatal(err)
	}
	return next, state
}

func (s *session) done(t *testing.T) {
	t.Helper()
	if _, err := s.end(); err != nil {
		t.Error(err)
	}
}

// entry returns a save of one entry after the last.
func (s *session) entry(size int) raft.Save {
	m := s.history.now()
	e := raft.Entries{First: m.last() + 1}
	term := max(m.term, 1)
	e.Append(term, data(e.First, term, size))
	return raft.Save{Term: term, Vote: 1, Entries: []raft.Entries{e}}
}

func beginsEmpty(t *testing.T, kind *Kind) {
	open := kind.fresh(t)
	s := live(t, open)
	s, state := s.again(t, open)
	defer s.done(t)
	if state.Log.First() != 1 || state.Log.Last() != 0 || state.Term != 0 || state.Vote != 0 || state.TornBytes != 0 {
		t.Errorf("a fresh folder holds %+v", state)
	}
}

// keepsHistories plays random calls over several lives.
func keepsHistories(t *testing.T, kind *Kind) {
	eachWay(t, func(t *testing.T, each bool) {
		for seed := range uint64(8) {
			random := rand.New(rand.NewPCG(seed, 3))
			open, h, acked := kind.fresh(t), newHistory(), uint64(0)
			for range 5 {
				s, _, err := begin(open, each, h, acked, random)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				err = s.play(60)
				var end error
				if acked, end = s.end(); errors.Join(err, end) != nil {
					t.Fatalf("seed %d: %v", seed, errors.Join(err, end))
				}
			}
		}
	})
}

// copies: session.save spoils the memory of every save as soon as the call returns.
func copies(t *testing.T, kind *Kind) {
	open := kind.fresh(t)
	s := live(t, open)
	for i := range 100 {
		s.save(s.entry(i * 10))
	}
	s, _ = s.again(t, open)
	s.done(t)
}

// acknowledgesInOrder: session.durable notices what is out of order; Close acknowledges all that was saved.
func acknowledgesInOrder(t *testing.T, kind *Kind) {
	eachWay(t, func(t *testing.T, each bool) {
		open, h := kind.fresh(t), newHistory()
		s, _, err := begin(open, each, h, 0, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			s.save(s.entry(100))
		}
		acked, err := s.end()
		if err != nil || acked != 200 {
			t.Fatalf("acknowledged up to %d of 200: %v", acked, err)
		}
	})
}

func keepsSnapshots(t *testing.T, kind *Kind) {
	open := kind.fresh(t)
	s := live(t, open)
	s.save(s.entry(10))
	s.save(s.entry(10))
	if _, err := s.CreateSnapshot(0, 0); err == nil {
		t.Error("a snapshot of entry 0 was begun")
	}
	for _, size := range []int64{0, 1, 64 << 10, 64<<10 + 1, 300_000} {
		snap := storage.Snapshot{Index: s.history.committed + 1, Term: 1, Size: size}
		w, err := s.CreateSnapshot(snap.Index, snap.Term)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(snap)); err != nil {
			t.Fatal(err)
		}
		s.history.begun[snap.Index] = snap
		if err := s.commit(w, snap.Index); err != nil {
			t.Fatal(err)
		}
		if err := readSnapshot(s, snap); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		s, _ = s.again(t, open)
	}
	r, err := s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	want := content(r.Snapshot())
	for _, at := range []int64{0, 1, 65_535, 65_536, 299_990} {
		b := make([]byte, 10)
		if n, err := r.ReadAt(b, at); err != nil || !bytes.Equal(b[:n], want[at:at+10]) {
			t.Errorf("ReadAt %d: %d bytes, %v", at, n, err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 10), 299_995); n != 5 || err == nil {
		t.Errorf("ReadAt near the end: %d bytes, %v", n, err)
	}
	r.Close()
	s.done(t)
}

func readsReplaced(t *testing.T, kind *Kind) {
	s := live(t, kind.fresh(t))
	defer s.done(t)
	if err := s.snapshot(5, 1); err != nil {
		t.Fatal(err)
	}
	r, err := s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.snapshot(9, 1); err != nil {
		t.Fatal(err)
	}
	if err := readContent(r); err != nil || r.Snapshot().Index != 5 {
		t.Errorf("after a newer one was committed: %v, %v", r.Snapshot(), err)
	}
	if err := readSnapshot(s, s.history.begun[9]); err != nil {
		t.Error(err)
	}
}

// compactsToSnapshot: history.check would find too few entries.
func compactsToSnapshot(t *testing.T, kind *Kind) {
	open := kind.fresh(t)
	s := live(t, open)
	for range 10 {
		s.save(s.entry(10))
	}
	s.compact(8)
	if err := s.snapshot(4, 1); err != nil {
		t.Fatal(err)
	}
	s, state := s.again(t, open)
	if state.Log.First() != 1 {
		t.Errorf("compacted to %d without a snapshot", state.Log.First())
	}
	s.compact(8)
	s.save(s.entry(10))
	s, state = s.again(t, open)
	if state.Log.First() > 5 || state.Log.Last() != 11 {
		t.Errorf("the log is from %d to %d after a snapshot of 4", state.Log.First(), state.Log.Last())
	}
	s.done(t)
}

func resets(t *testing.T, kind *Kind) {
	for name, reset := range map[string]bool{"with Reset": true, "crashed before Reset": false} {
		t.Run(name, func(t *testing.T) {
			open := kind.fresh(t)
			s := live(t, open)
			for range 5 {
				s.save(s.entry(10))
			}
			if err := s.snapshot(100, 1); err != nil {
				t.Fatal(err)
			}
			if reset {
				s.Reset(100, 1)
				m := *s.history.now()
				m.reset(100, 1)
				s.history.add(m, 0)
				s.save(s.entry(10))
			}
			s, state := s.again(t, open)
			if state.Log.First() != 101 {
				t.Errorf("the log begins at %d, want 101", state.Log.First())
			}
			s.save(s.entry(10)) // and it goes on there
			s, state = s.again(t, open)
			if state.Log.Last() < 101 {
				t.Errorf("the log ends at %d", state.Log.Last())
			}
			s.done(t)
		})
	}
}

func isOpenedOnce(t *testing.T, kind *Kind) {
	for name, open := range map[string]opener{"": kind.fresh(t), " on files": kind.onPath(t.TempDir())} {
		s := live(t, open)
		o := storage.Options{Group: group, Replica: replica, Durable: s.durable, Failed: s.failed}
		if _, err := open(o); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("opened twice%s: %v", name, err)
		} else {
			oneLine(t, err)
		}
		s, _ = s.again(t, open) // and is free again afterwards
		s.done(t)
	}
}

func restarts(t *testing.T, kind *Kind) {
	open := kind.fresh(t)
	s := live(t, open)
	for i := range kind.Restarts {
		s.save(s.entry(20))
		if i%50 == 49 {
			last := s.history.now().last()
			if err := s.snapshot(last-10, 1); err != nil {
				t.Fatal(err)
			}
			s.compact(last - 10)
			s.save(s.entry(20))
			clear(s.history.begun)
			s.history.begun[last-10] = s.lastSnapshot(t)
		}
		s, _ = s.again(t, open)
	}
	s.done(t)
}

func (s *session) lastSnapshot(t *testing.T) storage.Snapshot {
	t.Helper()
	r, err := s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.Snapshot()
}

func refusesOptions(t *testing.T, kind *Kind) {
	durable, failed := func(uint64) {}, func(error) {}
	for name, o := range map[string]storage.Options{
		"no replica": {Durable: durable, Failed: failed},
		"no Durable": {Replica: 1, Failed: failed},
		"no Failed":  {Replica: 1, Durable: durable},
	} {
		if _, err := kind.Open(t.TempDir(), o); !errors.Is(err, storage.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusal opens and loads, and returns the error that must come.
func refusal(t *testing.T, open opener, o storage.Options) error {
	t.Helper()
	o.Durable, o.Failed = func(uint64) {}, func(error) {}
	s, err := open(o)
	if err != nil {
		return err
	}
	_, err = s.Load()
	s.Close()
	if err == nil {
		t.Error("nothing was refused")
		err = errors.New("nil")
	}
	return err
}

func refusesForeign(t *testing.T, kind *Kind) {
	for _, only := range []string{"log", "snapshot"} {
		open := kind.fresh(t)
		s := live(t, open)
		s.save(s.entry(10))
		if only == "snapshot" {
			if err := s.snapshot(1, 1); err != nil {
				t.Fatal(err)
			}
		}
		s.done(t)
		for _, o := range []storage.Options{{Group: group + 1, Replica: replica}, {Group: group, Replica: replica + 1}} {
			err := refusal(t, open, o)
			if !errors.Is(err, storage.ErrForeign) {
				t.Errorf("%+v: %v", o, err)
			}
			oneLine(t, err)
		}
	}
}

func refusesNoFolder(t *testing.T, kind *Kind) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join(path, "below")} {
		oneLine(t, refusal(t, kind.onPath(path), storage.Options{Group: group, Replica: replica}))
	}
}

// noticesVanished removes the folder below a storage. Nothing that is saved then may be acknowledged.
func noticesVanished(t *testing.T, kind *Kind) {
	path := filepath.Join(t.TempDir(), "made", "by", "Open")
	s := live(t, kind.onPath(path))
	s.save(s.entry(10))
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	s.save(s.entry(10))
	err := s.wait()
	if err == nil || s.acked != 1 {
		t.Errorf("save %d is acknowledged in a folder that is gone: %v", s.acked, err)
	} else {
		oneLine(t, err)
	}
	s.end()
}

// oneLine checks that an error can be shown to a user.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); strings.Contains(text, "\n") || len(text) > 400 {
		t.Errorf("not one line: %q", text)
	}
}
