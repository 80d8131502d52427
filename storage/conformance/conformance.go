// Package conformance is the suite of tests that every storage passes: what storage.Storage promises, tried with
// random saves against a model, with a crash or a failure at every step, with damaged files, and with processes that
// are killed.
//
// It measures nothing except in Benchmark, and does not know how a storage keeps what it keeps. A storage that opens
// its files itself is not crashed at every step: storage/bbolt says what it does instead.
package conformance

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/files"
)

// Kind is a storage to be tested.
type Kind struct {
	// Open opens the storage on a folder.
	Open func(path string, o storage.Options) (storage.Storage, error)
	// OpenOn opens it on files that are not the system's; nil if it can only open files by itself.
	OpenOn func(dir files.Dir, o storage.Options) (storage.Storage, error)
	// Volatile says that there are no files: the storage survives Close, but not the process.
	Volatile bool
	// Restarts is how often it is opened anew in a row.
	Restarts int
}

// Run runs all cases as subtests of t.
func Run(t *testing.T, kind Kind) {
	runChild(t, kind)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range cases {
		if c.needs != nil && !c.needs(&kind) {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, &kind) })
	}
}

func hasFiles(k *Kind) bool { return !k.Volatile }
func onFiles(k *Kind) bool  { return k.OpenOn != nil }

// cases are in the order of what builds upon what. A case without needs is for every storage.
var cases = []struct {
	name  string
	needs func(*Kind) bool
	run   func(*testing.T, *Kind)
}{
	{"begins empty", nil, beginsEmpty},
	{"keeps random histories", nil, keepsHistories},
	{"copies what it needs", nil, copies},
	{"acknowledges in order", nil, acknowledgesInOrder},
	{"keeps snapshots", nil, keepsSnapshots},
	{"reads a snapshot that was replaced", nil, readsReplaced},
	{"compacts no further than a snapshot", nil, compactsToSnapshot},
	{"resets", nil, resets},
	{"is opened once", nil, isOpenedOnce},
	{"restarts", nil, restarts},
	{"refuses options", hasFiles, refusesOptions},
	{"refuses folders of others", hasFiles, refusesForeign},
	{"refuses what is no folder", hasFiles, refusesNoFolder},
	{"notices that its folder vanished", hasFiles, noticesVanished},
	{"notices flipped bits", hasFiles, noticesFlips},
	{"notices files cut short", hasFiles, noticesCuts},
	{"survives a crash at every step", onFiles, survivesCrashes},
	{"survives a kill and then a crash", onFiles, survivesKills},
	{"stops at a failure at every step", onFiles, stopsAtFailures},
	{"stops when the disk is full", canBeFull, stopsWhenFull},
	{"is locked for other processes", hasFiles, isLocked},
	{"survives kill -9", hasFiles, survivesKill},
}
