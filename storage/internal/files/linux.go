//go:build linux

package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func (f *file) syncData() error { return retry(func() error { return unix.Fdatasync(f.fd) }) }

func (f *file) allocate(size int64) error {
	err := retry(func() error { return unix.Fallocate(f.fd, 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.Truncate(size)
	}
	return err
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// Linked returns ErrRemoved if an open file has no name any more.
func Linked(f *os.File) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return err
	}
	if stat.Nlink == 0 {
		return ErrRemoved
	}
	return nil
}
