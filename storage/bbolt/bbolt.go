// Package bbolt keeps a replica's state in a bbolt database, as users of hashicorp/raft have it with raft-boltdb: a
// B+tree of entries by index, one synced transaction for all that gathered, snapshots as files beside it.
//
// bbolt has no checksums of its pages. Entries and state have one here, so what was damaged in them is noticed, as is
// what is missing; damage to pages that are free, or hold only the tree's shape, may be noticed later, by a
// transaction that fails or a panic. An error names the file, and an offset only where the file is too short. The file
// never shrinks.
package bbolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
	"github.com/raftbench/raftbench/storage/internal/folder"
	"github.com/raftbench/raftbench/storage/internal/group"
	"github.com/raftbench/raftbench/storage/internal/record"
)

const (
	fileName   = "raft.db"
	unfinished = ".tmp"
	version    = 1

	// maxTransaction is where a transaction ends although more has gathered, in bytes of records.
	maxTransaction = 4 << 20
)

var (
	entriesBucket = []byte("entries") // index, big endian: CRC-32C uint32 | term uint64 | data, little endian
	metaBucket    = []byte("meta")
	stateKey      = []byte("state")
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)
)

// state is what is kept beside the entries.
type state struct {
	term           uint64
	vote           raft.ID
	base, baseTerm uint64 // the entry before the first
	last           uint64
}

// database is the storage. After Load, state belongs to the queue's goroutine.
type database struct {
	folder.Folder
	path string
	file *os.File // the database's
	db   *bolt.DB
	state
}

// Open opens the database in a folder, which it makes if there is none, and locks it. Errors wrap storage.ErrOptions,
// storage.ErrLocked or what the system says.
func Open(path string, o storage.Options) (storage.Storage, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("bbolt: %w", err)
	}
	dir, err := files.OpenDir(path)
	if err != nil {
		return nil, fmt.Errorf("bbolt: %w", err)
	}
	return &database{Folder: folder.New("bbolt", dir, o), path: filepath.Join(path, fileName)}, nil
}

func (d *database) Load() (storage.State, error) {
	return d.Folder.Load(d.path, d.read, func() *group.Queue { return group.Start(d.Options, 0, maxTransaction, d.commit) })
}

// read opens the database and reads all of it. Where the tree is damaged bbolt panics, or reads memory that is not
// there.
func (d *database) read() (s storage.State, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = d.damaged(fmt.Sprint(p))
			if d.db == nil && d.file != nil { // Open did not return: its mapping remains, its lock must not
				files.Unlock(d.file)
				d.file.Close()
			}
		}
	}()
	info, err := os.Stat(d.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = d.create()
	case err == nil && info.Size() == 0: // bbolt would begin anew
		err = d.damaged("it is empty")
	}
	if err != nil {
		return s, err
	}
	if d.db, err = d.open(d.path); err != nil {
		return s, err
	}
	if err := d.db.View(func(tx *bolt.Tx) error { s, err = d.readAll(tx); return err }); err != nil {
		return s, err
	}
	// What a process wrote that was killed may be in the page cache alone, the file's name too.
	return s, errors.Join(d.file.Sync(), d.Dir.Sync())
}

// create makes a database that has its name when it is complete.
func (d *database) create() error {
	if newest := d.Snapshots.Newest(); newest.Index != 0 {
		return d.damaged(fmt.Sprintf("it is missing, but there is a snapshot of entry %d", newest.Index))
	}
	if err := os.Remove(d.path + unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := d.open(d.path + unfinished)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(entriesBucket); err != nil {
			return err
		}
		if _, err := tx.CreateBucket(metaBucket); err != nil {
			return err
		}
		return d.putState(tx)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := d.Dir.Rename(fileName+unfinished, fileName); err != nil {
		return err
	}
	return d.Dir.Sync()
}

// open opens a database and keeps its file.
func (d *database) open(path string) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: time.Nanosecond, // the folder is locked: nobody has it
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			d.file = f
			return f, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		err = fmt.Errorf("%w: %s is locked by another process: stop that one", storage.ErrLocked, path)
	case err != nil && d.file != nil && !errors.As(err, new(*os.PathError)):
		err = d.damaged(err.Error())
	}
	return db, err
}

func (d *database) damaged(what string) error {
	return fmt.Errorf("%w: %s: %s", storage.ErrDamaged, d.path, what)
}

func (d *database) putState(tx *bolt.Tx) error {
	return tx.Bucket(metaBucket).Put(stateKey, d.encode())
}

func (d *database) encode() []byte {
	var b []byte
	o := &d.Options
	for _, v := range [...]uint64{version, o.Group, uint64(o.Replica),
		d.term, uint64(d.vote), d.base, d.baseTerm, d.last} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (d *database) decode(b []byte) error {
	if len(b) < 8 {
		return d.damaged("there is no state in it")
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	if err := storage.CheckFormat(d.path, word(0), version); err != nil {
		return err
	}
	if len(b) != 8*8+4 || crc32.Checksum(b[:64], castagnoli) != binary.LittleEndian.Uint32(b[64:]) {
		return d.damaged("the checksum of its state is wrong")
	}
	d.state = state{word(3), raft.ID(word(4)), word(5), word(6), word(7)}
	return d.Options.Identity(d.path, word(1), raft.ID(word(2)))
}

// readAll reads what is beside the entries, and then those.
func (d *database) readAll(tx *bolt.Tx) (storage.State, error) {
	info, err := d.file.Stat()
	if err != nil {
		return storage.State{}, err
	}
	if info.Size() < tx.Size() {
		return storage.State{}, fmt.Errorf("%w: %s at offset %d: the file ends there, want %d bytes",
			storage.ErrDamaged, d.path, info.Size(), tx.Size())
	}
	meta := tx.Bucket(metaBucket)
	if meta == nil || tx.Bucket(entriesBucket) == nil {
		return storage.State{}, d.damaged("it is a database, but not of this program")
	}
	if err := d.decode(meta.Get(stateKey)); err != nil {
		return storage.State{}, err
	}
	return d.readEntries(tx)
}

func (d *database) readEntries(tx *bolt.Tx) (storage.State, error) {
	s := storage.State{Term: d.term, Vote: d.vote, Log: raft.NewLog(d.base+1, d.baseTerm)}
	c := tx.Bucket(entriesBucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		next := s.Log.Last() + 1
		if len(k) != 8 || len(v) < 12 || binary.BigEndian.Uint64(k) != next {
			return s, d.damaged(fmt.Sprintf("entry %d is missing", next))
		}
		term := binary.LittleEndian.Uint64(v[4:])
		if entrySum(k, v) != binary.LittleEndian.Uint32(v) || term < s.Log.LastTerm() {
			return s, d.damaged(fmt.Sprintf("the checksum of entry %d is wrong", next))
		}
		s.Log.Append(term, v[12:])
	}
	if s.Log.Last() != d.last {
		return s, d.damaged(fmt.Sprintf("entries end at %d, want %d", s.Log.Last(), d.last))
	}
	return s, nil
}

func entrySum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[4:])
}

// commit applies records in one transaction.
func (d *database) commit(records []byte) error {
	err := d.db.Update(func(tx *bolt.Tx) error {
		for len(records) > 0 {
			r, rest, err := record.Next(records)
			if err == nil {
				err = d.apply(tx.Bucket(entriesBucket), &r)
			}
			if err != nil {
				return err
			}
			records = rest
		}
		return d.putState(tx)
	})
	if err == nil {
		err = files.Linked(d.file)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	return nil
}

func (d *database) apply(entries *bolt.Bucket, r *record.Record) error {
	switch r.Kind {
	case record.Compact:
		index := min(r.Index, d.last)
		if index <= d.base {
			return nil
		}
		v := entries.Get(key(index))
		if len(v) < 12 {
			return d.damaged(fmt.Sprintf("entry %d is missing", index))
		}
		d.baseTerm = binary.LittleEndian.Uint64(v[4:])
		first := d.base + 1
		d.base = index
		return remove(entries, first, index)
	case record.Reset:
		first, last := d.base+1, d.last
		d.base, d.baseTerm, d.last = r.Index, r.Term, r.Index
		return remove(entries, first, last)
	}
	d.term, d.vote = r.Term, r.Vote
	if t := r.TruncateFrom; t != 0 && t <= d.last {
		last := d.last
		d.last = t - 1
		if err := remove(entries, t, last); err != nil {
			return err
		}
	}
	for e := range r.Entries.All() {
		if e.Index != d.last+1 {
			return fmt.Errorf("a save has entry %d after entry %d", e.Index, d.last)
		}
		v := make([]byte, 12, 12+len(e.Data)) // bbolt keeps it until the transaction ends
		binary.LittleEndian.PutUint64(v[4:], e.Term)
		v = append(v, e.Data...)
		binary.LittleEndian.PutUint32(v, entrySum(key(e.Index), v))
		if err := entries.Put(key(e.Index), v); err != nil {
			return err
		}
		d.last = e.Index
	}
	return nil
}

func key(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func remove(entries *bolt.Bucket, first, last uint64) error {
	for i := first; i <= last; i++ {
		if err := entries.Delete(key(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) Close() error {
	err := d.Stop()
	if d.db != nil {
		err = errors.Join(err, d.db.Close())
	}
	return errors.Join(err, d.Dir.Close())
}
