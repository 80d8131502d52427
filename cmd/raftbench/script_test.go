package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/raftbench/raftbench/netem/emulate"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"raftbench": main})
}

// TestDialogues plays what users and testers type, and checks what they are told and how the program ends.
func TestDialogues(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:       "testdata/script",
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus, "during": cmdDuring, "columns": cmdColumns, "tinydisk": cmdTinyDisk, "occupy": cmdOccupy,
		},
	})
}

// cmdStatus runs a command that must end with an exit status: status 2 raftbench run matrix --nodes 4. After bad input,
// and where the environment is to blame, nothing but one line of the program's may be on standard error.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	got := statusOf(ts, ts.Exec(args[1], args[2:]...))
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit status is %d, want %s", got, want)
	}
	if got == exitUsage || got == exitEnvironment {
		if text := ts.ReadFile("stderr"); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "raftbench: ") {
			ts.Fatalf("want one line from raftbench on standard error, got %q", text)
		}
		if text := ts.ReadFile("stdout"); text != "" {
			ts.Fatalf("want nothing on standard output, got %q", text)
		}
	}
}

func statusOf(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return -1
}

// cmdDuring runs a command and, as soon as its standard error matches an expression, does something to it, which must
// end it with a status: during 'trials' interrupt 4 raftbench run matrix. What can be done: interrupt, interrupt-twice, and
// fill:FOLDER, which writes a file until the folder's disk is full.
func cmdDuring(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: during REGEXP interrupt|interrupt-twice|fill:FOLDER STATUS command...")
	}
	moment, err := regexp.Compile(args[0])
	ts.Check(err)
	cmd := exec.Command(args[3], args[4:]...)
	cmd.Dir = ts.MkAbs(".")
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &stdout
	pipe, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	for lines := bufio.NewReader(pipe); ; {
		line, err := lines.ReadString('\n')
		stderr.WriteString(line)
		if err != nil {
			if err != io.EOF {
				ts.Logf("%v", err)
			}
			break
		}
		if moment == nil || !moment.MatchString(line) {
			continue
		}
		moment = nil
		what, folder, _ := strings.Cut(args[1], ":")
		switch what {
		case "fill":
			fill(ts, ts.MkAbs(folder))
		case "interrupt":
			ts.Check(cmd.Process.Signal(os.Interrupt))
		case "interrupt-twice":
			ts.Check(cmd.Process.Signal(os.Interrupt))
			moment = regexp.MustCompile(`once more`) // the first has arrived
			args[1] = "interrupt"
		default:
			ts.Fatalf("during cannot %q", what)
		}
	}
	got := statusOf(ts, cmd.Wait())
	ts.Logf("[stdout]\n%s[stderr]\n%s", stdout.String(), stderr.String())
	ts.Check(os.WriteFile(ts.MkAbs("during.out"), stdout.Bytes(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("during.err"), stderr.Bytes(), 0o644))
	if moment != nil {
		ts.Fatalf("%q was not to be seen on standard error", moment)
	}
	if strconv.Itoa(got) != args[2] {
		ts.Fatalf("exit status is %d, want %s", got, args[2])
	}
}

// fill writes until the disk is full.
func fill(ts *testscript.TestScript, folder string) {
	f, err := os.Create(folder + "/fill")
	ts.Check(err)
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		ts.Fatalf("filling the disk: %v", err)
	}
	f.Close()
}

// cmdColumns checks that no line of the last command's standard output is wider than so many columns.
func cmdColumns(ts *testscript.TestScript, neg bool, args []string) {
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if line = strings.TrimRight(line, "\n"); len([]rune(line)) > most {
			ts.Fatalf("%d columns: %s", len([]rune(line)), line)
		}
	}
}

// cmdTinyDisk makes a disk of a size in a folder, in memory: tinydisk disk 200k.
func cmdTinyDisk(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(tinyDisk(dir, args[1]))
	ts.Defer(func() { exec.Command("umount", dir).Run() })
}

func tinyDisk(dir, size string) error {
	return exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).Run()
}

// cmdOccupy takes a free TCP port, by itself and not for the next one, until the script ends, and puts its number into
// the environment: occupy PORT.
func cmdOccupy(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// condition answers the scripts' [tinydisk]: whether small disks can be made here.
func condition(name string) (bool, error) {
	if name == "emulated" {
		n, err := emulate.New(emulate.Config{Hosts: 2})
		if errors.Is(err, emulate.ErrUnavailable) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, n.Close()
	}
	if name != "tinydisk" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	dir, err := os.MkdirTemp("", "tinydisk")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	if tinyDisk(dir, "100k") != nil {
		return false, nil
	}
	return true, exec.Command("umount", dir).Run()
}
