package labadapter

import (
	"flag"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/lab"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/strategies"
)

var all = flag.Bool("all", false, "play all of parts 2A, 2C and 2D too: two minutes")

// always are the tests of those parts that are played in any case: crashes, with calls to the dead that hang for seconds,
// calls that are lost, and snapshots.
var always = []string{"Persist3", "UnreliableAgree", "SnapshotBasic", "SnapshotInstallCrash", "SnapshotAllCrash", "SnapshotInit"}

// The driver passes the lab's tests on a network of calls. They run on the wall clock and sleep most of the time.
//
//	go test ./examples/labadapter -all
func TestLab(t *testing.T) {
	defer goleak.VerifyNone(t)
	eager, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	var passed, late atomic.Int32
	t.Run("tests", func(t *testing.T) {
		for _, test := range lab.Tests {
			if test.Suite != "2B" && !*all && !slices.Contains(always, test.Name) || testing.Short() && test.Name == "Backup" {
				continue
			}
			t.Run(test.Suite+"/"+test.Name, func(t *testing.T) {
				t.Parallel()
				for range 5 {
					var n *network
					r := lab.Play(t.Context(), test, lab.Settings{Strategy: eager, Heartbeat: 100 * time.Millisecond,
						ElectionTimeout: lab.DefaultElectionTimeout, Seed: 1,
						Open: func(cfg cluster.Config, m *lab.Meter) (cluster.Cluster, error) {
							c, err := open(cfg, m)
							n, _ = c.(*network)
							return c, err
						}})
					switch r.Status {
					case results.OK:
						passed.Add(1)
						if strings.HasPrefix(test.Name, "SnapshotInstall") && n.restored == 0 {
							t.Error("no service got another's snapshot")
						}
						t.Logf("%.1f s, %d RPCs, %d bytes, %d committed", r.Lab.Total.Seconds(), r.Lab.RPCs, r.Lab.Bytes(), r.Lab.Committed)
						return
					case results.Inconclusive:
						t.Log(r.Reason) // the machine was too late; again
					default:
						t.Fatalf("%s: %s", r.Status, r.Reason)
					}
				}
				late.Add(1)
				t.Skip("the machine is too busy for heartbeats")
			})
		}
	})
	if late.Load() > 0 && passed.Load() == 0 {
		t.Error("every test was too late to say anything: is it the machine, or the adapter?")
	}
}

// A reply answers the very call, also when several are under way.
func TestReplyAnswersItsCall(t *testing.T) {
	defer goleak.VerifyNone(t)
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	applyCh := make(chan ApplyMsg)
	rf, err := Make([]Peer{nil, nil}, 0, &disk{}, applyCh, Config{Strategy: strategy, Heartbeat: time.Second, ElectionTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 3; seq++ {
		request := raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 1, Seq: seq, PrevLogIndex: seq - 1}
		var reply raft.Message
		rf.Handle(&request, &reply)
		if reply.Type != raft.AppendEntriesReply || reply.Seq != seq || reply.PrevLogIndex != seq-1 || reply.Success != (seq == 1) {
			t.Errorf("request %d was answered with %+v", seq, reply)
		}
	}
	var none raft.Message
	rf.Handle(&raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 1, Entries: raft.Entries{First: 1, Count: 1}}, &none)
	if none.Type != 0 {
		t.Errorf("malformed entries were answered with %+v", none)
	}
	rf.Kill()
	rf.Handle(&raft.Message{Type: raft.RequestVote, From: 2, To: 1, Term: 5, Seq: 9}, &none)
	if _, open := <-applyCh; open || none.Type != 0 {
		t.Errorf("a killed replica answers %+v, or applies", none)
	}
}

// A replica that is killed in the middle of what it hands over ends, although nobody reads any more. Killing it twice does
// nothing more.
func TestKillEndsWhatIsHandedOver(t *testing.T) {
	defer goleak.VerifyNone(t)
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	applyCh := make(chan ApplyMsg)
	rf, err := Make([]Peer{nil, nil}, 0, &disk{}, applyCh, Config{Strategy: strategy, Heartbeat: time.Second, ElectionTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	entries := raft.Entries{First: 1}
	for range 100 {
		command := any("command")
		entries.Append(1, encode(&command))
	}
	request := raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 1, Seq: 1, Entries: entries, Commit: 100}
	rf.Handle(&request, &raft.Message{})
	if msg := <-applyCh; msg.CommandIndex != 1 {
		t.Fatalf("applied %+v, want command 1", msg)
	}
	rf.Kill()
	rf.Kill()
	if err := goleak.Find(); err != nil {
		t.Error(err)
	}
	last := 1
	for msg := range applyCh {
		last = msg.CommandIndex
	}
	if last > 2 {
		t.Errorf("command %d was handed over after the replica was killed", last)
	}
}

// What was saved by one life is there in the next.
func TestStateSurvives(t *testing.T) {
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{}
	start := func() (*Raft, chan ApplyMsg) {
		applyCh := make(chan ApplyMsg, 10)
		rf, err := Make([]Peer{nil}, 0, d, applyCh, Config{Strategy: strategy, Heartbeat: time.Millisecond, ElectionTimeout: 2 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return rf, applyCh
	}
	rf, applyCh := start()
	deadline := time.After(10 * time.Second)
	for want := 1; want <= 2; want++ {
		index, ok := 0, false
		for again := time.NewTicker(time.Millisecond); !ok; {
			if index, _, ok = rf.Start("command"); ok && index != want {
				t.Fatalf("index %d, want %d", index, want)
			}
			select {
			case <-again.C:
			case <-deadline:
				t.Fatal("it never leads")
			}
		}
		// In the second life the first command is applied anew, once one of that life commits.
		for i := 1; i <= want; i++ {
			select {
			case msg := <-applyCh:
				if msg.Command != "command" || msg.CommandIndex != i {
					t.Errorf("applied %+v, want command %d", msg, i)
				}
			case <-deadline:
				t.Fatalf("command %d is not applied", i)
			}
		}
		term, _ := rf.GetState()
		rf.Kill()
		rf, applyCh = start()
		if again, _ := rf.GetState(); again < term {
			t.Errorf("term %d after term %d", again, term)
		}
	}
	rf.Kill()
	d.state = []byte("nonsense")
	if _, err := Make([]Peer{nil}, 0, d, applyCh, Config{Strategy: strategy}); err == nil {
		t.Error("a damaged state is taken")
	}
}

// A service's snapshot takes the log before it along, survives with the rest of the log, and is given to a peer in the call
// that lacks it; what the service is too late with, or has not got yet, is ignored.
func TestSnapshotReplacesTheLog(t *testing.T) {
	defer goleak.VerifyNone(t)
	strategy, err := strategies.Parse("eager")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Strategy: strategy, Heartbeat: time.Second, ElectionTimeout: time.Hour}
	d := &disk{}
	applyCh := make(chan ApplyMsg)
	rf, err := Make([]Peer{nil, nil}, 0, d, applyCh, cfg)
	if err != nil {
		t.Fatal(err)
	}
	entries := raft.Entries{First: 1}
	for range 100 {
		command := any("command")
		entries.Append(1, encode(&command))
	}
	rf.Handle(&raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: 1, Seq: 1, Entries: entries, Commit: 90}, &raft.Message{})
	for range 90 {
		<-applyCh
	}
	whole := len(d.state)
	rf.Snapshot(91, []byte("not committed"))
	if len(d.snapshot) > 0 {
		t.Fatalf("a snapshot of what is not applied was saved: %q", d.snapshot)
	}
	rf.Snapshot(90, []byte("ninety"))
	rf.Snapshot(50, []byte("late"))
	if string(d.snapshot) != "ninety" || len(d.state) > whole/4 {
		t.Errorf("saved %q with %d bytes of state, want \"ninety\" with far less than %d", d.snapshot, len(d.state), whole)
	}

	newer := raft.Snapshot{Index: 200, Term: 1, Bytes: 7}
	var reply raft.Message
	for seq, part := range []string{"two ", "hun"} {
		rf.Handle(&raft.Message{Type: raft.InstallSnapshot, From: 2, To: 1, Term: 1, Seq: uint64(seq + 2), Snapshot: newer,
			Offset: uint64(4 * seq), Chunk: []byte(part)}, &reply)
	}
	if !reply.Success || reply.Match != 200 || string(d.snapshot) != "two hun" {
		t.Errorf("answered %+v with %q saved, want success", reply, d.snapshot)
	}
	if msg := <-applyCh; !msg.SnapshotValid || msg.CommandValid || msg.SnapshotIndex != 200 || msg.SnapshotTerm != 1 || string(msg.Snapshot) != "two hun" {
		t.Errorf("the service got %+v, want the snapshot", msg)
	}
	rf.Kill()
	if rf, err = Make([]Peer{nil, nil}, 0, d, make(chan ApplyMsg), cfg); err != nil {
		t.Fatal(err)
	}
	rf.Kill()
	if s := rf.node.Status(); s.First != 201 || s.Applied != 200 {
		t.Errorf("the next life begins with %+v, want a log after 200", s)
	}
}
