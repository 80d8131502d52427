package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// childVar is the environment variable that makes the test binary a child: the folder that it writes in.
const childVar = "RAFTBENCH_STORAGE_CHILD"

// runChild is the life of a child: it writes until it is killed, and says what is acknowledged.
func runChild(t *testing.T, kind Kind) {
	path := os.Getenv(childVar)
	if path == "" {
		return
	}
	said, err := childFull(&kind, path)
	switch {
	case err != nil:
	case said != "":
		fmt.Printf("\nchild %s\n", said)
		os.Exit(0)
	default:
		err = child(kind.onPath(path))
	}
	fmt.Printf("\nchild failed %v\n", err)
	os.Exit(1)
}

// child saves entry after entry, with a snapshot and a compaction now and then. All that it writes follows from the
// index.
func child(open opener) error {
	failed := make(chan error, 1)
	room := make(chan struct{}, 64) // saves that may be under way
	var done uint64                 // the last that is not
	s, err := open(storage.Options{Group: group, Replica: replica,
		Failed: func(err error) { failed <- err },
		Durable: func(seq uint64) {
			os.Stdout.WriteString("\nchild acked " + strconv.FormatUint(seq, 10) + "\n")
			for ; done < seq; done++ {
				<-room
			}
		}})
	if err != nil {
		return err
	}
	state, err := s.Load()
	if err != nil {
		return err
	}
	done = state.Log.Last()
	fmt.Printf("\nchild began\n")
	for i := state.Log.Last() + 1; ; i++ {
		select {
		case err := <-failed:
			return err
		case room <- struct{}{}:
		}
		save := raft.Save{Seq: i, Term: term(i), Vote: 1}
		if i%7 == 0 && i > state.Log.First()+20 { // the last entry anew, as a new leader would have it
			i--
			save.TruncateFrom = i
		}
		e := raft.Entries{First: i}
		e.Append(term(i), data(i, term(i), int(i%300)))
		if save.TruncateFrom != 0 {
			e.Append(term(i+1), data(i+1, term(i+1), int((i+1)%300)))
			i++
		}
		save.Entries = []raft.Entries{e}
		s.Save(save)
		if i%200 == 0 {
			if err := childSnapshot(s, i-100); err != nil {
				return err
			}
		}
	}
}

func term(i uint64) uint64 { return 1 + i/100 }

func childSnapshot(s storage.Storage, index uint64) error {
	w, err := s.CreateSnapshot(index, term(index))
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(content(storage.Snapshot{Index: index, Term: term(index), Size: 1000})); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	s.Compact(index - 50)
	return nil
}

// process is a child that runs.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// start starts a child in a folder and waits until it has loaded.
func start(t *testing.T, path string) *process {
	t.Helper()
	name := strings.Split(t.Name(), "/")[0]
	cmd := exec.Command(os.Args[0], "-test.run", "^"+name+"$")
	cmd.Env = append(os.Environ(), childVar+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, bufio.NewScanner(out)}
	if _, err := p.next("began"); err != nil {
		p.kill()
		t.Fatal(err)
	}
	return p
}

// next returns what follows the next line with this word.
func (p *process) next(word string) (string, error) {
	for p.lines.Scan() {
		text, ok := strings.CutPrefix(p.lines.Text(), "child ")
		if !ok {
			continue
		}
		if rest, ok := strings.CutPrefix(text, word); ok {
			return strings.TrimSpace(rest), nil
		}
		if strings.HasPrefix(text, "failed") {
			return "", errors.New(text)
		}
	}
	return "", errors.New("the child has ended")
}

// kill kills the child as kill -9 does, and returns the last acknowledgement that it still wrote.
func (p *process) kill() (acked uint64) {
	p.cmd.Process.Kill()
	for {
		text, err := p.next("acked")
		if err != nil {
			break
		}
		acked, _ = strconv.ParseUint(text, 10, 64)
	}
	p.cmd.Wait() // of a killed process it is always an error
	return acked
}

func isLocked(t *testing.T, kind *Kind) {
	path := t.TempDir()
	p := start(t, path)
	err := refusal(t, kind.onPath(path), storage.Options{Group: group, Replica: replica})
	if !errors.Is(err, storage.ErrLocked) {
		t.Errorf("while another process has it: %v", err)
	}
	oneLine(t, err)
	p.kill()
	s, err := kind.Open(path, silent())
	if err != nil {
		t.Fatalf("after that process has ended: %v", err)
	}
	s.Close()
}

// survivesKill kills a child that writes, again and again, and looks at what it left each time.
func survivesKill(t *testing.T, kind *Kind) {
	kills := 200
	if testing.Short() {
		kills = 20
	}
	path, random := t.TempDir(), rand.New(rand.NewPCG(6, 6))
	acked, before := uint64(0), uint64(0)
	for i := range kills {
		p := start(t, path)
		for range 1 + random.IntN(40) {
			text, err := p.next("acked")
			if err != nil {
				t.Fatalf("child %d: %v", i, err)
			}
			acked, _ = strconv.ParseUint(text, 10, 64)
		}
		acked = max(acked, p.kill())
		if acked <= before {
			t.Fatalf("child %d acknowledged nothing: %d after %d", i, acked, before)
		}
		before = acked
		if err := inspect(kind.onPath(path), acked); err != nil {
			t.Fatalf("after kill %d: %v", i+1, err)
		}
	}
}

// inspect looks at what a child has left.
func inspect(open opener, acked uint64) error {
	s, err := open(silent())
	if err != nil {
		return err
	}
	defer s.Close()
	state, err := s.Load()
	if err != nil {
		return err
	}
	// A save that cuts off the last entry also writes it anew, so no acknowledged index is ever missing.
	if state.Log.Last() < acked || state.Term < term(acked) || state.Vote != 1 {
		return fmt.Errorf("the log ends at %d in term %d, but %d is acknowledged", state.Log.Last(), state.Term, acked)
	}
	for i := state.Log.First(); i <= state.Log.Last(); i++ {
		if e := state.Log.Entry(i); e.Term != term(i) || string(e.Data) != string(data(i, term(i), int(i%300))) {
			return fmt.Errorf("entry %d has term %d and %d bytes that were not written", i, e.Term, len(e.Data))
		}
	}
	if state.Snapshot.Index == 0 {
		return nil
	}
	return readSnapshot(s, storage.Snapshot{Index: state.Snapshot.Index, Term: term(state.Snapshot.Index), Size: 1000})
}
