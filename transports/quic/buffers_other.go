//go:build !unix

package quic

import "net"

// smallBuffers cannot tell on this system.
func smallBuffers(*net.UDPConn) []string { return nil }
