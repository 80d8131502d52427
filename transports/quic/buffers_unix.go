//go:build unix

package quic

import (
	"fmt"
	"net"
	"syscall"
)

// smallBuffers returns a warning for each of the socket's buffers that the system keeps below udpBuffer.
func smallBuffers(c *net.UDPConn) (warnings []string) {
	raw, err := c.SyscallConn()
	if err != nil {
		return []string{fmt.Sprintf("quic: UDP buffers unknown: %v", err)}
	}
	for _, buffer := range []struct {
		name, limit string
		option      int
	}{
		{"receive", "net.core.rmem_max", syscall.SO_RCVBUF},
		{"send", "net.core.wmem_max", syscall.SO_SNDBUF},
	} {
		var size int
		var failed error
		err := raw.Control(func(fd uintptr) {
			size, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, buffer.option)
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("quic: UDP %s buffer unknown: %v", buffer.name, err))
		} else if size < udpBuffer {
			warnings = append(warnings, fmt.Sprintf("quic: UDP %s buffer is %d KiB, want %d KiB; raise %s",
				buffer.name, size>>10, udpBuffer>>10, buffer.limit))
		}
	}
	return warnings
}
