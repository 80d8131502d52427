//go:build !unix

package tcp

import "github.com/raftbench/raftbench/transports"

// tryWrite leaves everything to the writer goroutine on systems whose sockets cannot be written like files.
func (s *stream) tryWrite(uintptr) bool {
	s.err = transports.ErrWouldBlock
	return true
}
