// Package faults is a folder in memory that loses what was not synced: what a storage does at a crash, a full disk or a
// damaged one can be tried at every step, thousands of times a second.
//
// It models a disk that keeps its word: what a successful Sync covers survives. Reads never fail, except after a crash.
package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
)

// ErrCrashed is what everything returns after the crash.
var ErrCrashed = errors.New("the machine has crashed")

// sector is what a disk writes at once, in bytes.
const sector = 512

// Loss says what becomes of changes that no sync covers when the machine crashes.
type Loss int

const (
	LoseAll   Loss   = iota // all are lost
	LoseNone                // none are
	LoseTail                // the first so many survive, the next one in part
	Reorder                 // each sector, and each change of a name, survives or does not, by itself
	LossKinds = iota        // how many there are
)

// Disk is a folder with the operating system above it.
type Disk struct {
	mu      sync.Mutex
	durable map[string]*node // names as of the last sync of the folder
	current map[string]*node
	renames [][]rename // since then, what happens at once together
	locked  bool

	steps   int  // changes and syncs so far
	removal bool // the step that failed was one
	crashed bool
	read    int64

	// CrashAt is the step, from 1 on, at which the machine crashes: a change may then have happened in part, a sync has
	// not. 0 is never.
	CrashAt int
	// FailAt is the step that fails with FailWith, from 1 on; a write that fails happens in part, and what a failed sync
	// should have covered is lost although it can still be read. The next step works again.
	FailAt   int
	FailWith error
}

// node is a file, whatever its name.
type node struct {
	durable []byte
	current []byte
	changes []change // since the last sync
}

// change is a write of data at offset, or, if data is nil, a file made that long.
type change struct {
	offset int64
	data   []byte
}

// rename is a change of the folder: name now means node, or nothing.
type rename struct {
	name string
	node *node
}

// NewDisk returns an empty folder.
func NewDisk() *Disk { return &Disk{durable: map[string]*node{}, current: map[string]*node{}} }

// Open locks the folder, as files.OpenDir does.
func (d *Disk) Open() (files.Dir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, fmt.Errorf("%w: it is locked", storage.ErrLocked)
	}
	d.locked = true
	return &folder{d}, nil
}

// Steps returns how many changes and syncs there were.
func (d *Disk) Steps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps
}

// FailedRemoval reports whether the step that failed was the removal of a file, which can be made up for.
func (d *Disk) FailedRemoval() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.removal
}

// Crashed reports whether the machine has crashed.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// BytesRead returns how many bytes were read.
func (d *Disk) BytesRead() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.read
}

// Files returns a copy of all files, as programs see them.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := map[string][]byte{}
	for name, n := range d.current {
		m[name] = bytes.Clone(n.current)
	}
	return m
}

// FromFiles returns a folder with these files, all durable.
func FromFiles(m map[string][]byte) *Disk {
	d := NewDisk()
	for name, content := range m {
		n := &node{durable: bytes.Clone(content), current: bytes.Clone(content)}
		d.current[name], d.durable[name] = n, n
	}
	return d
}

// Reboot returns what is there after a crash now. The old disk is of no more use.
func (d *Disk) Reboot(loss Loss, random *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
	names := maps.Clone(d.durable)
	kept := survivors(loss, len(d.renames), random)
	for i, list := range d.renames {
		if kept(i) {
			apply(names, list)
		}
	}
	fresh := NewDisk()
	content := map[*node]*node{} // two names may mean one file
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old := names[name]
		if content[old] == nil {
			b := old.reboot(loss, random)
			content[old] = &node{durable: b, current: bytes.Clone(b)}
		}
		fresh.durable[name], fresh.current[name] = content[old], content[old]
	}
	return fresh
}

// Kill returns the disk after the process has died and the machine has not: everything is still there, but what was not
// synced can be lost later. The old disk is of no more use.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
	return &Disk{durable: d.durable, current: d.current, renames: d.renames}
}

// survivors says which of n changes survive.
func survivors(loss Loss, n int, random *rand.Rand) func(i int) bool {
	first := random.IntN(n + 1)
	return func(i int) bool {
		switch loss {
		case LoseNone:
			return true
		case LoseTail:
			return i < first
		case Reorder:
			return random.IntN(2) == 0
		}
		return false
	}
}

func (n *node) reboot(loss Loss, random *rand.Rand) []byte {
	b := bytes.Clone(n.durable)
	if loss == Reorder {
		for _, c := range n.changes {
			for _, part := range c.sectors() {
				if random.IntN(2) == 0 {
					b = part.apply(b)
				}
			}
		}
		return b
	}
	kept := survivors(loss, len(n.changes), random)
	for i, c := range n.changes {
		if kept(i) {
			b = c.apply(b)
			continue
		}
		if parts := c.sectors(); loss == LoseTail {
			for _, part := range parts[:random.IntN(len(parts)+1)] {
				b = part.apply(b)
			}
		}
		break
	}
	return b
}

// sectors splits a write into what a disk does at once.
func (c change) sectors() []change {
	if c.data == nil {
		return []change{c}
	}
	var parts []change
	for at, b := c.offset, c.data; len(b) > 0; {
		k := min(sector-at%sector, int64(len(b)))
		parts = append(parts, change{at, b[:k:k]})
		at += k
		b = b[k:]
	}
	return parts
}

func (c change) apply(b []byte) []byte {
	end := int(c.offset) + len(c.data)
	if end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[c.offset:], c.data)
	return b
}

// step counts a change or sync. While it returns an error, the change must not happen; cut says that it may happen in
// part.
func (d *Disk) step() (cut bool, err error) {
	if d.crashed {
		return false, ErrCrashed
	}
	d.steps++
	switch d.steps {
	case d.CrashAt:
		d.crashed = true
		return true, ErrCrashed
	case d.FailAt:
		return true, d.FailWith
	}
	return false, nil
}

type folder struct{ d *Disk }

func (f *folder) Name() string { return "disk" }

func (f *folder) Names() ([]string, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.crashed {
		return nil, ErrCrashed
	}
	return slices.Sorted(maps.Keys(f.d.current)), nil
}

func (f *folder) Open(name string) (files.File, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n := f.d.current[name]
	if f.d.crashed {
		return nil, ErrCrashed
	}
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{f.d, n, name}, nil
}

func (f *folder) Create(name string) (files.File, error) {
	n := &node{}
	return &file{f.d, n, name}, f.change(rename{name, n})
}

func (f *folder) Remove(name string) error {
	err := f.change(rename{name, nil})
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.removal = f.d.removal || err != nil
	return err
}

func (f *folder) Rename(from, to string) error {
	f.d.mu.Lock()
	n := f.d.current[from]
	f.d.mu.Unlock()
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	return f.change(rename{to, n}, rename{from, nil})
}

func (f *folder) change(list ...rename) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	cut, err := f.d.step()
	if err != nil && !(cut && f.d.crashed) {
		return err
	}
	apply(f.d.current, list)
	f.d.renames = append(f.d.renames, list)
	return err
}

func apply(names map[string]*node, list []rename) {
	for _, r := range list {
		if r.node == nil {
			delete(names, r.name)
		} else {
			names[r.name] = r.node
		}
	}
}

func (f *folder) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if _, err := f.d.step(); err != nil {
		return err
	}
	f.d.durable, f.d.renames = maps.Clone(f.d.current), nil
	return nil
}

func (f *folder) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.locked = false
	return nil
}

type file struct {
	d    *Disk
	n    *node
	name string
}

func (f *file) Close() error { return nil }

func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.n.current)), nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.crashed {
		return 0, ErrCrashed
	}
	if off >= int64(len(f.n.current)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.current[off:])
	f.d.read += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.change(change{off, bytes.Clone(p)})
	return n, err
}

func (f *file) Allocate(size int64) error {
	_, err := f.change(change{size, nil})
	return err
}

func (f *file) change(c change) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	cut, err := f.d.step()
	switch {
	case err == nil:
	case !cut:
		return 0, err
	case !f.d.crashed:
		c.data = c.data[:len(c.data)/2]
		if len(c.data) == 0 {
			return 0, f.wrap(err)
		}
	}
	f.n.current = c.apply(f.n.current)
	f.n.changes = append(f.n.changes, c)
	return len(c.data), f.wrap(err)
}

func (f *file) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	cut, err := f.d.step()
	if err != nil {
		if cut && !f.d.crashed {
			f.n.changes = nil // Linux forgets that they were dirty: the next sync succeeds, without them
		}
		return f.wrap(err)
	}
	f.n.durable, f.n.changes = bytes.Clone(f.n.current), nil
	return nil
}

func (f *file) wrap(err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: "change", Path: f.name, Err: err}
}
