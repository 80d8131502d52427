package main

import (
	"context"
	"os"
	"testing"

	"github.com/raftbench/raftbench/results"
)

// blocks is a context that notes what it sees in a folder whenever it is asked whether it has ended, and ends after some
// times.
type blocks struct {
	context.Context
	dir   string
	left  int
	names []string
}

func (b *blocks) Err() error {
	list, _ := os.ReadDir(b.dir)
	for _, e := range list {
		b.names = append(b.names, e.Name())
	}
	if b.left--; b.left < 0 {
		return context.Canceled
	}
	return nil
}

// Trying whether there is room ends with the context, block by block, and leaves nothing; on a system that lets an open
// file lose its name, not even while it goes on.
func TestRoomIsTriedUntilInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx := &blocks{Context: t.Context(), dir: dir, left: 10}
	if err := holdsBytes(ctx, dir, 1<<40); err == nil {
		t.Error("it goes on after the context has ended")
	}
	probe, err := os.Create(dir + "/probe")
	if err != nil {
		t.Fatal(err)
	}
	nameless := os.Remove(dir+"/probe") == nil
	probe.Close()
	if nameless && len(ctx.names) > 0 {
		t.Errorf("the folder holds %q meanwhile: a kill would leave it", ctx.names)
	}
	if list, _ := os.ReadDir(dir); nameless && len(list) > 0 {
		t.Errorf("%s is left behind", list[0].Name())
	}
}

// A run that is interrupted before its first trial ends with status 4, and leaves no folder of its own.
func TestBeginInterrupted(t *testing.T) {
	out := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := begin(ctx, out, results.Header{Format: results.Format, Tag: "none"}, 1)
	if exit, ok := err.(exitError); !ok || exit.status != exitInterrupted {
		t.Errorf("%v, want status %d", err, exitInterrupted)
	}
	if list, _ := os.ReadDir(out); len(list) > 0 {
		t.Errorf("%s is left behind", list[0].Name())
	}
}

// However many trials there are, no more than mostRoom is tried: a context that ends one block later is not reached.
func TestRoomIsCapped(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 256 MiB")
	}
	ctx := &blocks{Context: t.Context(), left: mostRoom/(64<<10) + 1}
	w, err := begin(ctx, t.TempDir(), results.Header{Format: results.Format, Tag: "none"}, 1<<40)
	if err != nil {
		t.Fatalf("more is tried than %d MiB: %v", mostRoom>>20, err)
	}
	w.Close()
}
