package main

import (
	"context"
	"errors"
	"testing"
)

// A topology that never comes is given up with the context, and ends the program as an interrupt does.
func TestReadingATopologyEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := make(chan struct{})
	defer close(never)
	_, err := unlessInterrupted(ctx, func() (int, error) { <-never; return 0, nil })
	var exit exitError
	if !errors.As(err, &exit) || exit.status != exitInterrupted {
		t.Errorf("%v, want status %d", err, exitInterrupted)
	}
	n, err := unlessInterrupted(t.Context(), func() (int, error) { return 7, nil })
	if n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
