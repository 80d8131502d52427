package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/raftbench/raftbench/netem/emulate"
	"github.com/raftbench/raftbench/results"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"raftbench": main})
}

// TestDialogues plays what users and testers type, and checks what they are told and how the program ends.
func TestDialogues(t *testing.T) {
	// Under nohup, programs that a test starts would ignore a hangup, too; a signal that is caught is theirs to decide
	// on.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	testscript.Run(t, testscript.Params{
		Dir:       "testdata/script",
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus, "during": cmdDuring, "columns": cmdColumns, "tinydisk": cmdTinyDisk, "occupy": cmdOccupy,
			"again": cmdAgain,
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
// end it with a status: during 'trials' interrupt 4 raftbench run matrix. What can be done: interrupt, interrupt-twice,
// hangup, hangup-twice, hangup-on (until it has ended), remove:FOLDER, and fill:FOLDER, which writes a file until the
// folder's disk is full.
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
		what, twice := strings.CutSuffix(args[1], "-twice")
		disturb(ts, cmd.Process, what)
		if twice {
			moment, args[1] = regexp.MustCompile(`once more`), what // the first has arrived
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

// disturb does to a running program what cmdDuring can.
func disturb(ts *testscript.TestScript, p *os.Process, what string) {
	what, folder, _ := strings.Cut(what, ":")
	send := func(s os.Signal) {
		if err := p.Signal(s); !errors.Is(err, os.ErrProcessDone) { // it may be quick to end
			ts.Check(err)
		}
	}
	switch what {
	case "fill":
		fill(ts, ts.MkAbs(folder))
	case "remove":
		ts.Check(os.RemoveAll(ts.MkAbs(folder)))
	case "interrupt":
		send(os.Interrupt)
	case "hangup":
		send(syscall.SIGHUP)
	case "hangup-on":
		go func() {
			for p.Signal(syscall.SIGHUP) == nil { // to its last moment
				runtime.Gosched()
			}
		}()
	default:
		ts.Fatalf("during cannot %q", what)
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

// cmdAgain pastes the line that a run's report gives to run it again into a shell, and checks that the second run, in a
// folder of its own, is the same: again FIRST SECOND, where both are --out folders that hold one run.
func cmdAgain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: again FIRST SECOND")
	}
	readOnly := func(out string) (*results.Run, string) {
		found, err := filepath.Glob(ts.MkAbs(out) + "/2*")
		ts.Check(err)
		if len(found) != 1 {
			ts.Fatalf("%d runs in %s", len(found), out)
		}
		run, err := results.Read(found[0])
		ts.Check(err)
		return run, found[0]
	}
	first, dir := readOnly(args[0])
	_, rest, _ := strings.Cut(ts.ReadFile(dir+"/report.md"), "## Run it again\n\n```sh\n")
	line, _, ok := strings.Cut(rest, "\n```")
	if !ok || line != first.Header.Again {
		ts.Fatalf("the report says %q, the run file %q", line, first.Header.Again)
	}
	ts.Check(ts.Exec("sh", "-c", line+" --out "+args[1]))
	second, _ := readOnly(args[1])
	if line != second.Header.Again {
		ts.Fatalf("the second run would be run again by another line:\n%s\n%s", line, second.Header.Again)
	}
	for _, run := range []*results.Run{first, second} { // where a topology was read from, and what it has beside, may differ
		if t := run.Header.Topology; t != nil {
			used := 0
			for _, c := range run.Header.Cells {
				used = max(used, min(c.Nodes, len(t.Regions)))
			}
			t.Name, t.Source, t.Regions, t.RoundTripsMs = "", "", t.Regions[:used], t.RoundTripsMs[:used]
			for i, row := range t.RoundTripsMs {
				t.RoundTripsMs[i] = row[:used]
			}
			delete(run.Header.Settings, "topology")
		}
		run.Header.Started, run.Header.Args, run.End.Finished = time.Time{}, nil, time.Time{}
		for i := range run.Trials {
			t := &run.Trials[i]
			if run.Header.Clock == clockWall {
				run.Trials[i] = results.Trial{Cell: t.Cell, Repeat: t.Repeat, Order: t.Order}
			}
		}
	}
	a, err := json.Marshal(first)
	ts.Check(err)
	b, err := json.Marshal(second)
	ts.Check(err)
	if !bytes.Equal(a, b) {
		ts.Fatalf("another run:\n%.2000s\n%.2000s", a, b)
	}
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
