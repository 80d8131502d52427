//go:build linux

package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// fullVar makes a child one whose disk is full before long: how, by fullTmpfs or fullLimit.
const fullVar = "RAFTBENCH_STORAGE_FULL"

const (
	fullTmpfs = "tmpfs" // a small file system, in a mount namespace of the child's own
	fullLimit = "limit" // a limit to the size of files, where the child may not mount
	fullBytes = 512 << 10
)

func canBeFull(k *Kind) bool { return hasFiles(k) }

// stopsWhenFull has a child write to a disk that has no room for it.
func stopsWhenFull(t *testing.T, kind *Kind) {
	said, err := runFull(t, fullTmpfs)
	if err == nil && said == "cannot mount" {
		said, err = runFull(t, fullLimit)
	}
	if err != nil || said != "kept all" {
		t.Errorf("a child on a full disk says %q, %v", said, err)
	}
}

// runFull returns the last that a child says.
func runFull(t *testing.T, how string) (string, error) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run", "^"+name+"$")
	cmd.Env = append(os.Environ(), childVar+"="+t.TempDir(), fullVar+"="+how)
	if how == fullTmpfs {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.Output()
	if how == fullTmpfs && errors.Is(err, syscall.EPERM) {
		return "cannot mount", nil
	}
	said := ""
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "child "); ok {
			said = strings.TrimSpace(text)
		}
	}
	return said, err
}

// childFull is the life of a child whose disk is full before long.
func childFull(kind *Kind, path string) (said string, err error) {
	switch os.Getenv(fullVar) {
	case "":
		return "", nil
	case fullTmpfs:
		if err := syscall.Mount("raftbench", path, "tmpfs", 0, fmt.Sprintf("size=%d", fullBytes)); err != nil {
			return "cannot mount", nil
		}
	case fullLimit:
		signal.Ignore(syscall.SIGXFSZ) // or it ends the process
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: fullBytes, Max: fullBytes}); err != nil {
			return "", err
		}
	}
	return fillDisk(kind.onPath(filepath.Join(path, "data")))
}

// fillDisk saves larger and larger entries until the storage fails, and looks whether all that was acknowledged is
// there.
func fillDisk(open opener) (said string, err error) {
	acked, failed := make(chan uint64, 1), make(chan error, 1)
	s, err := open(storage.Options{Group: group, Replica: replica,
		Durable: func(seq uint64) { acked <- seq }, Failed: func(err error) { failed <- err }})
	if err != nil {
		return "", err
	}
	if _, err := s.Load(); err != nil {
		return "", err
	}
	for i := uint64(1); ; i++ {
		e := raft.Entries{First: i}
		e.Append(1, data(i, 1, int(i*1000)))
		s.Save(raft.Save{Seq: i, Term: 1, Vote: 1, Entries: []raft.Entries{e}})
		select {
		case <-acked:
			continue
		case err = <-failed:
		}
		text := err.Error() // not every storage wraps the system's error
		full := strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EFBIG.Error())
		if !full || strings.Contains(text, "\n") || i < 10 {
			return "", fmt.Errorf("save %d: %w", i, err)
		}
		if s.Close() == nil {
			return "", errors.New("closed as if all were well")
		}
		return "kept all", kept(open, i-1)
	}
}

func kept(open opener, last uint64) error {
	s, err := open(silent())
	if err != nil {
		return err
	}
	defer s.Close()
	state, err := s.Load()
	if err != nil {
		return err
	}
	if state.Log.Last() < last {
		return fmt.Errorf("entries up to %d are there, %d was acknowledged", state.Log.Last(), last)
	}
	for i := uint64(1); i <= last; i++ {
		if string(state.Log.Entry(i).Data) != string(data(i, 1, int(i*1000))) {
			return fmt.Errorf("entry %d is not what was saved", i)
		}
	}
	return nil
}
