//go:build !linux

package files

import "os"

func (f *file) syncData() error           { return f.File.Sync() }
func (f *file) allocate(size int64) error { return f.Truncate(size) }

// Linked returns ErrRemoved if nothing has the file's name any more.
func Linked(f *os.File) error {
	if _, err := os.Stat(f.Name()); os.IsNotExist(err) {
		return ErrRemoved
	}
	return nil
}
