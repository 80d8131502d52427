//go:build !linux

package conformance

import "testing"

// canBeFull says that there is no way to make a small disk here; stopsAtFailures has a full one at every step.
func canBeFull(*Kind) bool { return false }

func stopsWhenFull(t *testing.T, _ *Kind) { t.Error("there is no small disk") }

func childFull(*Kind, string) (said string, err error) { return "", nil }
