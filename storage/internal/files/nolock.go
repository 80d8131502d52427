//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package files

import (
	"errors"
	"os"
)

var errHeld = errors.New("held")

// lockFile does not lock anything here.
func lockFile(*os.File) error { return nil }

// Unlock does nothing.
func Unlock(*os.File) error { return nil }

// syncDir does nothing: folders cannot be synced here.
func syncDir(string) error { return nil }
