//go:build !linux

package wakeup

func newPrecise() (clock, bool) { return nil, false }
