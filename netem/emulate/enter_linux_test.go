package emulate_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/netem/emulate"
)

// enterStage says what a process that TestEnter starts is to do.
const enterStage = "RAFTBENCH_TEST_ENTER"

// A process that may not make network namespaces starts itself again in a user namespace, where it may, and ends as that
// one ends.
func TestEnter(t *testing.T) {
	switch os.Getenv(enterStage) {
	case "drop":
		loseTheRight(t)
	case "enter":
		status, done, err := emulate.Enter(t.Context())
		if done || err != nil {
			fmt.Println("parent:", status, err)
			os.Exit(status)
		}
		n, err := emulate.New(emulate.Config{Hosts: 2})
		fmt.Println("child:", n != nil, err)
		os.Exit(7)
	}
	if os.Getuid() != 0 {
		t.Skip("it takes root to have a right and lose it")
	}
	open(t, emulate.Config{Hosts: 2}, netem.Link{}) // or it is skipped
	if status, done, err := emulate.Enter(t.Context()); status != 0 || done || err != nil {
		t.Fatalf("%d, %v, %v: this process has the right already", status, done, err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEnter$")
	cmd.Env = append(os.Environ(), enterStage+"=drop")
	out, _ := cmd.CombinedOutput()
	if text := string(out); strings.Contains(text, "no user namespace") || strings.Contains(text, "may not make user namespaces") {
		t.Skip(text)
	}
	if got := cmd.ProcessState.ExitCode(); got != 7 || string(out) != "child: true <nil>\nparent: 7 <nil>\n" {
		t.Errorf("status %d, said %q", got, out)
	}
}

// loseTheRight starts this program anew, as a root that may not administer the system.
func loseTheRight(t *testing.T) {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Setenv(enterStage, "enter")
	t.Fatal(unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}
