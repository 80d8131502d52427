package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/faults"
	"github.com/raftbench/raftbench/storage/internal/record"
)

var options = storage.Options{Group: 7, Replica: 2, Durable: func(uint64) {}, Failed: func(err error) { panic(err) }}

// load opens the log on a disk with small segments, and returns it with what it held.
func load(disk *faults.Disk) (storage.Storage, storage.State, error) {
	dir, err := disk.Open()
	if err != nil {
		return nil, storage.State{}, err
	}
	s, err := OpenOn(dir, options, MinSegmentBytes)
	if err != nil {
		return nil, storage.State{}, err
	}
	state, err := s.Load()
	if err != nil {
		s.Close()
	}
	return s, state, err
}

// written returns the files of a log with so many entries of 1,000 bytes, each in a frame by itself.
func written(t *testing.T, entries int) map[string][]byte {
	t.Helper()
	disk := faults.NewDisk()
	for i := range entries {
		s, _, err := load(disk)
		if err != nil {
			t.Fatal(err)
		}
		e := raft.Entries{First: uint64(i + 1)}
		e.Append(1, make([]byte, 1000))
		s.Save(raft.Save{Seq: 1, Term: 1, Vote: 2, Entries: []raft.Entries{e}})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return disk.Files()
}

// wantError checks that an error wraps another and is one line that names what it should.
func wantError(t *testing.T, err, wraps error, names string) {
	t.Helper()
	if !errors.Is(err, wraps) || !strings.Contains(err.Error(), names) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line on %q that wraps %q", err, names, wraps)
	}
}

// frameBytes is the size of each frame of written.
const frameBytes = frameHeader + 48 + raft.EntryOverhead + 1000 + 4 // up to a multiple of 8

func TestReadsEveryByteOnce(t *testing.T) {
	files := written(t, 20)
	total := 0
	for _, b := range files {
		total += len(b)
	}
	disk := faults.FromFiles(files)
	s, state, err := load(disk)
	if err != nil || state.Log.Last() != 20 {
		t.Fatalf("%+v, %v", state, err)
	}
	defer s.Close()
	if disk.BytesRead() != int64(total) {
		t.Errorf("%d bytes read of %d", disk.BytesRead(), total)
	}
}

// TestTornOrDamaged: what is wrong in the last frame is cut off; before it, it is damage at a known place.
func TestTornOrDamaged(t *testing.T) {
	files := written(t, 6)
	names := slices.Sorted(maps.Keys(files))
	last := names[len(names)-1]
	frames := 6 - (MinSegmentBytes-headerBytes)/frameBytes*(len(names)-1)
	if frames < 2 {
		t.Fatalf("%d frames in the last of %d files", frames, len(names))
	}
	for i := range frames {
		offset := headerBytes + i*frameBytes
		for _, at := range []int{0, 4, 8, 16, 23, 24, frameBytes - 1} {
			f := maps.Clone(files)
			f[last] = slices.Clone(files[last])
			f[last][offset+at] ^= 1
			s, state, err := load(faults.FromFiles(f))
			if i < frames-1 {
				wantError(t, err, storage.ErrDamaged, fmt.Sprintf("%s at offset %d", last, offset))
				continue
			}
			if err != nil || state.Log.Last() != 5 || state.TornBytes == 0 {
				t.Errorf("the last frame, byte %d: %+v, %v", at, state, err)
				continue
			}
			s.Close()
		}
	}
}

// TestTornIsCutOnce: after what was torn is cut off, there is nothing of it.
func TestTornIsCutOnce(t *testing.T) {
	files := written(t, 2)
	name := segmentName(1)
	files[name][headerBytes+frameBytes+100] ^= 1
	disk := faults.FromFiles(files)
	for i, torn := range []bool{true, false} {
		s, state, err := load(disk)
		if err != nil || (state.TornBytes > 0) != torn || state.Log.Last() != 1 {
			t.Fatalf("load %d: %+v, %v", i, state, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		disk = disk.Reboot(faults.LoseAll, rand.New(rand.NewPCG(1, 1)))
	}
}

func TestMissingSegments(t *testing.T) {
	files := written(t, 20)
	names := slices.Sorted(maps.Keys(files))
	if len(names) < 4 {
		t.Fatalf("only %d files", len(names))
	}
	for _, name := range names[:len(names)-1] { // that the last one is missing, nobody can tell
		f := maps.Clone(files)
		delete(f, name)
		if _, _, err := load(faults.FromFiles(f)); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	_, _, err := load(faults.FromFiles(map[string][]byte{names[0]: files[names[1]]}))
	wantError(t, err, storage.ErrDamaged, names[0])
}

// TestMissingFrames: that the last frame of a file is missing, the next file knows.
func TestMissingFrames(t *testing.T) {
	files := written(t, 6)
	name := segmentName(1)
	clear(files[name][MinSegmentBytes-(MinSegmentBytes-headerBytes)%frameBytes-frameBytes:])
	_, _, err := load(faults.FromFiles(files))
	wantError(t, err, storage.ErrDamaged, name)
}

func TestRefusesFormats(t *testing.T) {
	files := written(t, 1)
	name := segmentName(1)
	binary.LittleEndian.PutUint32(files[name][8:], version+1)
	_, _, err := load(faults.FromFiles(files))
	wantError(t, err, storage.ErrFormat, name)
	_, _, err = load(faults.FromFiles(map[string][]byte{name: []byte("a letter to the editor")}))
	wantError(t, err, storage.ErrDamaged, name)
	for _, size := range []int64{-1, MinSegmentBytes - 8, MinSegmentBytes + 1, MaxSegmentBytes + 8} {
		if _, err := Open(t.TempDir(), options, size); !errors.Is(err, storage.ErrOptions) {
			t.Errorf("segments of %d bytes: %v", size, err)
		}
	}
}

// TestCompactionDeletes: a log that is compacted needs no more than its last segments.
func TestCompactionDeletes(t *testing.T) {
	disk := faults.NewDisk()
	s, _, err := load(disk)
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for i := uint64(1); i <= 500; i++ {
		e := raft.Entries{First: i}
		e.Append(1, make([]byte, 1000))
		s.Save(raft.Save{Seq: i, Term: 1, Entries: []raft.Entries{e}})
		if i%10 == 0 {
			w, err := s.CreateSnapshot(i, 1)
			if err == nil {
				err = w.Commit()
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Compact(i)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, _, err = load(disk); err != nil {
				t.Fatal(err)
			}
			most = max(most, len(disk.Files()))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if most > 5 {
		t.Errorf("%d files for 10 entries of 1,000 bytes and a snapshot", most)
	}
}

// FuzzRecover: whatever a file holds, Load returns an error or a state, and the same state when asked again. What is
// sealed has the checksums that make it a frame.
func FuzzRecover(f *testing.F) {
	o := options
	h := header{number: 1, size: MinSegmentBytes}
	head := h.encode(&o)
	e := raft.Entries{First: 1}
	e.Append(1, []byte("one"))
	e.Append(2, []byte("two"))
	save := record.AppendSave(nil, &raft.Save{Term: 2, Vote: 1, Entries: []raft.Entries{e}})
	cut := record.AppendSave(nil, &raft.Save{Term: 3, TruncateFrom: 2})
	f.Add(true, save)
	f.Add(true, slices.Concat(save, cut))
	f.Add(true, slices.Concat(save, record.AppendCompact(nil, 2), record.AppendReset(nil, 9, 3)))
	f.Add(false, slices.Concat(head, save))
	f.Add(false, []byte{})
	for _, b := range writtenFrames(save, cut) {
		f.Add(false, slices.Concat(head, b))
	}
	f.Fuzz(func(t *testing.T, sealed bool, data []byte) {
		b := make([]byte, MinSegmentBytes)
		if sealed {
			data = data[:min(len(data)&^7, MinSegmentBytes-headerBytes-frameHeader)]
			copy(b, head)
			frame := append(make([]byte, frameHeader), data...)
			seal(frame, sum(head), headerBytes)
			copy(b[headerBytes:], frame)
		} else {
			copy(b, data)
		}
		disk := faults.FromFiles(map[string][]byte{segmentName(1): b})
		s, first, err := load(disk)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		last, from := first.Log.Last(), first.Log.First()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, again, err := load(disk.Reboot(faults.LoseAll, rand.New(rand.NewPCG(1, 1))))
		if err != nil {
			t.Fatalf("loaded once, but then: %v", err)
		}
		if again.Log.Last() != last || again.Log.First() != from || again.Term != first.Term ||
			again.Vote != first.Vote || again.TornBytes != 0 {
			t.Errorf("%+v the second time, %+v the first", again, first)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// writtenFrames returns frames that hold these records, one after the other.
func writtenFrames(records ...[]byte) (list [][]byte) {
	o := options
	h := header{number: 1, size: MinSegmentBytes}
	seed, offset := sum(h.encode(&o)), int64(headerBytes)
	var all []byte
	for _, r := range records {
		frame := append(make([]byte, frameHeader), r...)
		seal(frame, seed, offset)
		offset += int64(len(frame))
		all = append(all, frame...)
		list = append(list, slices.Clone(all))
	}
	return list
}
