// Package files is what a storage does with files, small enough that a test can stand in for the operating system: see
// storage/internal/faults.
//
// It has no buffers and no caches of its own, knows one folder without folders below it, and does not lock anything on
// systems without flock (see lockFile).
package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/raftbench/raftbench/storage"
)

// Dir is one folder that is locked for its owner.
type Dir interface {
	// Name returns the folder's path, for messages.
	Name() string
	// Names returns the names of its files in order.
	Names() ([]string, error)
	// Open opens a file to read and write it.
	Open(name string) (File, error)
	// Create makes an empty file, in place of one of that name.
	Create(name string) (File, error)
	// Rename gives a file another name, in place of a file that had it.
	Rename(from, to string) error
	Remove(name string) error
	// Sync makes creations, renames and removals durable.
	Sync() error
	// Close releases the lock.
	Close() error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns its length in bytes.
	Size() (int64, error)
	// Allocate makes it that long, with zeros, and has the disk set the space aside where the system can.
	Allocate(size int64) error
	// Sync makes content and length durable. It fails if nobody can find the file any more, because it was removed.
	Sync() error
}

// ErrRemoved says that somebody removed a file that is in use.
var ErrRemoved = errors.New("it was removed while in use")

const lockName = "LOCK"

// OpenDir opens a folder, which it makes if necessary, and locks it. The error wraps storage.ErrLocked if another
// process, or this one, has it open already.
func OpenDir(path string) (Dir, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		if errors.Is(err, errHeld) {
			return nil, fmt.Errorf("%w: %s is locked by another process: stop that one, or give another folder",
				storage.ErrLocked, path)
		}
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return &dir{path: path, lock: lock}, nil
}

// makeDir makes a folder and its parents, and what it makes durable.
func makeDir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	} else if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a folder: give another", path)
	}
	return syncDir(parent)
}

type dir struct {
	path string
	lock *os.File
}

func (d *dir) Name() string { return d.path }

func (d *dir) Names() ([]string, error) {
	list, err := os.ReadDir(d.path)
	var names []string
	for _, e := range list {
		if !e.IsDir() && e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d *dir) Open(name string) (File, error)   { return d.open(name, 0) }
func (d *dir) Create(name string) (File, error) { return d.open(name, os.O_CREATE|os.O_TRUNC) }

func (d *dir) open(name string, flags int) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{File: f, fd: int(f.Fd())}, nil
}

func (d *dir) Rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d *dir) Remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }
func (d *dir) Sync() error              { return syncDir(d.path) }
func (d *dir) Close() error             { return d.lock.Close() }

type file struct {
	*os.File
	fd int
}

func (f *file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *file) Allocate(size int64) error {
	if err := f.allocate(size); err != nil {
		return &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
	}
	return nil
}

// Sync returns an error also for a file without a name: what is written there is gone with the process.
func (f *file) Sync() error {
	err := f.syncData()
	if err == nil {
		err = Linked(f.File)
	}
	if err != nil {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	return nil
}
