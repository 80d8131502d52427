//go:build unix

package tcp

import (
	"syscall"

	"github.com/raftbench/raftbench/transports"
)

// tryWrite writes to the non-blocking socket until it takes no more. It is a callback of RawConn.Write; returning true
// means not to be called again, and so not to wait until the socket is writable.
func (s *stream) tryWrite(fd uintptr) bool {
	for s.n < len(s.b) {
		n, err := syscall.Write(int(fd), s.b[s.n:])
		switch err {
		case nil:
			s.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			s.err = transports.ErrWouldBlock
			return true
		default:
			s.err = err
			return true
		}
	}
	return true
}
