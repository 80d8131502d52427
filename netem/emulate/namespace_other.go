//go:build !linux

package emulate

import (
	"context"
	"runtime"
)

// namespace is a host's part of the system.
type namespace struct{}

func newHost(*Config, int) (*Host, device, error) {
	return nil, nil, unavailable("it needs Linux's network namespaces, and this is %s: run it in a virtual machine, or use --clock virtual", runtime.GOOS)
}

// In runs f where the host's sockets belong.
func (*namespace) In(f func() error) error { return f() }

func (n *Network) inspect() (Info, error) { return Info{}, nil }

func (*namespace) drops() uint64 { return 0 }
func (*namespace) close() error  { return nil }

// Enter finds out whether networks can be made in this process.
func Enter(context.Context) (status int, done bool, err error) {
	_, _, err = newHost(nil, 0)
	return 0, false, err
}
