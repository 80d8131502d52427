// Package snapshots keeps the snapshots of one replica as files of its folder: written under another name, synced,
// renamed.
//
// It does not say when a snapshot is due, compresses nothing, and keeps no more than the newest one.
package snapshots

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
)

const (
	suffix     = ".snapshot"
	unfinished = suffix + ".tmp"
)

// A file is a header of headerBytes and then chunks of chunkBytes, the last shorter, each with its CRC-32C in front.
//
//	magic 8 bytes | version uint32 | 0 uint32 | group | replica | index | term | size uint64 | CRC-32C uint32
const (
	magic       = "rbsnapsh"
	version     = 1
	headerBytes = 60
	chunkBytes  = 64 << 10
	crcBytes    = 4

	// syncEvery keeps a large snapshot from piling up in the page cache, where the log's next sync would wait for it.
	syncEvery = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Store is the snapshots in a folder. It is safe for concurrent use.
type Store struct {
	dir     files.Dir
	options storage.Options

	mu     sync.Mutex
	newest storage.Snapshot
	number uint64 // of the next unfinished file
}

// Open finds the newest snapshot, and removes older and unfinished ones.
func Open(dir files.Dir, options storage.Options) (*Store, error) {
	s := &Store{dir: dir, options: options}
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	var complete, useless []string
	for _, name := range names {
		if strings.HasSuffix(name, unfinished) {
			useless = append(useless, name)
		} else if strings.HasSuffix(name, suffix) {
			complete = append(complete, name) // in order of the index
		}
	}
	if n := len(complete); n > 1 {
		useless = append(useless, complete[:n-1]...)
		// The process that wrote the newest may have been killed before its name was durable; if the machine crashed now,
		// the removal of the older one could be all that survives.
		if err := dir.Sync(); err != nil {
			return nil, err
		}
	}
	for _, name := range useless {
		if err := dir.Remove(name); err != nil {
			return nil, err
		}
	}
	if len(complete) == 0 {
		return s, nil
	}
	r, err := s.open(complete[len(complete)-1])
	if err != nil {
		return nil, err
	}
	s.newest = r.snapshot
	return s, r.Close()
}

// Newest describes the newest complete snapshot; its index is 0 if there is none.
func (s *Store) Newest() storage.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

func fileName(index uint64) string { return fmt.Sprintf("%016x%s", index, suffix) }

// OpenNewest implements storage.Storage's OpenSnapshot.
func (s *Store) OpenNewest() (storage.SnapshotReader, error) {
	s.mu.Lock() // or the file could go before it is open
	defer s.mu.Unlock()
	if s.newest.Index == 0 {
		return nil, fmt.Errorf("%w in %s", storage.ErrNoSnapshot, s.dir.Name())
	}
	return s.open(fileName(s.newest.Index))
}

func (s *Store) open(name string) (*reader, error) {
	f, err := s.dir.Open(name)
	if err != nil {
		return nil, err
	}
	r := &reader{file: f, name: s.dir.Name() + "/" + name}
	if err := r.readHeader(&s.options, name); err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

type reader struct {
	file     files.File
	name     string
	snapshot storage.Snapshot
}

// seed is what the checksums of a snapshot's chunks begin with, after adding the chunk's number: a chunk is good in its
// own place alone.
func seed(s storage.Snapshot) uint32 {
	b := binary.LittleEndian.AppendUint64(nil, s.Index)
	return crc32.Checksum(binary.LittleEndian.AppendUint64(b, s.Term), castagnoli)
}

func (r *reader) readHeader(options *storage.Options, name string) error {
	damaged := func(what string) error { return fmt.Errorf("%w: %s at offset 0: %s", storage.ErrDamaged, r.name, what) }
	var h [headerBytes]byte
	if n, err := r.file.ReadAt(h[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if n < headerBytes || string(h[:8]) != magic {
		return damaged("it is not a snapshot")
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(h[i:]) }
	if err := storage.CheckFormat(r.name, uint64(binary.LittleEndian.Uint32(h[8:])), version); err != nil {
		return err
	}
	if crc32.Checksum(h[:headerBytes-crcBytes], castagnoli) != binary.LittleEndian.Uint32(h[headerBytes-crcBytes:]) {
		return damaged("the header's checksum is wrong")
	}
	if err := options.Identity(r.name, word(16), raft.ID(word(24))); err != nil {
		return err
	}
	r.snapshot = storage.Snapshot{Index: word(32), Term: word(40), Size: int64(word(48))}
	if name != fileName(r.snapshot.Index) {
		return damaged(fmt.Sprintf("it is the snapshot of entry %d", r.snapshot.Index))
	}
	size, err := r.file.Size()
	if err == nil && size != fileBytes(r.snapshot.Size) {
		err = fmt.Errorf("%w: %s at offset %d: the file ends there, want %d bytes",
			storage.ErrDamaged, r.name, size, fileBytes(r.snapshot.Size))
	}
	return err
}

func fileBytes(size int64) int64 {
	return headerBytes + size + (size+chunkBytes-1)/chunkBytes*crcBytes
}

func (r *reader) Snapshot() storage.Snapshot { return r.snapshot }
func (r *reader) Close() error               { return r.file.Close() }

func (r *reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= r.snapshot.Size {
		return 0, io.EOF
	}
	chunk := make([]byte, crcBytes+chunkBytes)
	for n < len(p) && off < r.snapshot.Size {
		number := off / chunkBytes
		size := min(chunkBytes, r.snapshot.Size-number*chunkBytes)
		at := headerBytes + number*(crcBytes+chunkBytes)
		c := chunk[:crcBytes+size]
		if _, err := r.file.ReadAt(c, at); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if crc32.Update(seed(r.snapshot)+uint32(number), castagnoli, c[crcBytes:]) != binary.LittleEndian.Uint32(c) {
			return n, fmt.Errorf("%w: %s at offset %d: a chunk's checksum is wrong", storage.ErrDamaged, r.name, at)
		}
		copied := copy(p[n:], c[crcBytes+off-number*chunkBytes:])
		n += copied
		off += int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Create implements storage.Storage's CreateSnapshot.
func (s *Store) Create(index, term uint64) (storage.SnapshotWriter, error) {
	s.mu.Lock()
	s.number++
	name := fmt.Sprintf("%016x-%d%s", index, s.number, unfinished)
	s.mu.Unlock()
	if index == 0 {
		return nil, errors.New("a snapshot of entry 0 has nothing in it: want 1 or more")
	}
	f, err := s.dir.Create(name)
	if err != nil {
		return nil, err
	}
	w := &writer{store: s, file: f, name: name, snapshot: storage.Snapshot{Index: index, Term: term}}
	w.chunk = make([]byte, crcBytes, crcBytes+chunkBytes)
	return w, nil
}

// writer writes chunks as they fill. The header, which has the size, comes last.
type writer struct {
	store    *Store
	file     files.File // nil when it has ended
	name     string
	snapshot storage.Snapshot
	chunk    []byte // room for the checksum, and what is not written yet
	at       int64  // where it goes, after the header
	synced   int64
	err      error
}

func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		k := min(len(p), cap(w.chunk)-len(w.chunk))
		w.chunk = append(w.chunk, p[:k]...)
		p = p[k:]
		n += k
		if len(w.chunk) == cap(w.chunk) {
			w.err = w.flush()
		}
	}
	return n, w.err
}

func (w *writer) flush() error {
	size := len(w.chunk) - crcBytes
	if size == 0 {
		return nil
	}
	sum := crc32.Update(seed(w.snapshot)+uint32(w.snapshot.Size/chunkBytes), castagnoli, w.chunk[crcBytes:])
	binary.LittleEndian.PutUint32(w.chunk, sum)
	if _, err := w.file.WriteAt(w.chunk, headerBytes+w.at); err != nil {
		return err
	}
	w.at += int64(len(w.chunk))
	w.snapshot.Size += int64(size)
	w.chunk = w.chunk[:crcBytes]
	if w.at-w.synced < syncEvery {
		return nil
	}
	w.synced = w.at
	return w.file.Sync()
}

func (w *writer) writeHeader() error {
	b := binary.LittleEndian.AppendUint32([]byte(magic), version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	o, s := &w.store.options, w.snapshot
	for _, v := range [...]uint64{o.Group, uint64(o.Replica), s.Index, s.Term, uint64(s.Size)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := w.file.WriteAt(b, 0)
	return err
}

// Commit implements storage.SnapshotWriter.
func (w *writer) Commit() error {
	if w.file == nil {
		return errors.New("a snapshot was committed or aborted twice")
	}
	defer w.Abort()
	if w.err == nil {
		w.err = w.flush()
	}
	if w.err == nil {
		w.err = w.writeHeader()
	}
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if w.err != nil {
		return w.err
	}
	s := w.store
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.newest
	if w.snapshot.Index <= old.Index {
		return nil // Abort removes it
	}
	w.file.Close() // everything is synced
	w.file = nil
	if err := s.dir.Rename(w.name, fileName(w.snapshot.Index)); err != nil {
		return err
	}
	if err := s.dir.Sync(); err != nil {
		return err
	}
	s.newest = w.snapshot
	if old.Index != 0 {
		return s.dir.Remove(fileName(old.Index))
	}
	return nil
}

// Abort implements storage.SnapshotWriter. What cannot be removed now, Open removes.
func (w *writer) Abort() {
	if w.file != nil {
		w.file.Close()
		w.store.dir.Remove(w.name)
		w.file = nil
	}
}
