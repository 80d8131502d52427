package raft_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

var update = flag.Bool("update", false, "write what the traces in testdata/traces give now into them")

// TestTraces plays the scripts in testdata/traces. In each, a line that is not indented is a command; the indented lines
// after it are all that the replicas did because of it. See script for the commands.
func TestTraces(t *testing.T) {
	paths, err := filepath.Glob("testdata/traces/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := playTrace(t, string(want))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			was, is := strings.Split(string(want), "\n"), strings.Split(got, "\n")
			for i := range max(len(was), len(is)) {
				if a, b := lineAt(was, i), lineAt(is, i); a != b {
					t.Fatalf("%s:%d: (-update accepts it)\nwant %s\ngot  %s", path, i+1, a, b)
				}
			}
		})
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(the end)"
}

// playTrace returns the script with what its commands do now.
func playTrace(t *testing.T, text string) string {
	var out strings.Builder
	s := &script{t: t}
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&out, line)
		s.out = &out
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "#" {
			s.command(fields[0], fields[1:])
		}
	}
	return out.String()
}

// script plays commands on a group:
//
//	group N [prevote] [checkquorum] [noop] [send=G] [commit=G] [announce=G] [apply=G] [backup=B] [inflight=N] [bytes=N]
//	        [heartbeat=DURATION]
//	holding ID TERM T...     before the start: this replica's disk holds TERM and entries of terms T
//	campaign ID              starts an election
//	timeout ID               time moves to this replica's deadline, and it alone is called
//	tick DURATION            time passes, replicas are called at their deadlines
//	propose ID DATA...       a client's entries, together
//	forge A->B term=T prev=I/T [entries=T,T] [commit=I]
//	                         B gets an AppendEntries that looks as if from A
//	deliver [A->B]           what is in flight now, on all links or one
//	settle                   all messages, until there are none
//	drop [A->B]              what is in flight now is lost
//	keep A->B, late          takes the messages in flight on a link aside; late delivers them, and may do so again
//	cut ID, heal             ID is cut off; all links work again
//	reachable A B            A hears that messages can travel to B again
//	slow ID, finish ID [N]   its writes wait from now on; N of them, or all, become durable
//	fast ID                  its writes are durable at once, as at first
//	crash ID, restart ID
//	compact ID I             its log forgets entries up to I
//	status [ID]
type script struct {
	t       *testing.T
	out     *strings.Builder
	size    int
	setup   []func(*group)
	g       *group
	putAway []raft.Message
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(s.out, "    "+format+"\n", args...) }

func (s *script) command(name string, args []string) {
	s.t.Helper()
	switch name {
	case "group":
		s.size = int(s.number(args[0]))
		s.setup = append(s.setup, func(g *group) { g.trace = s.say }, using(func(c *raft.Config) { s.configure(c, args[1:]) }))
		return
	case "holding":
		n := s.numbers(args)
		s.setup = append(s.setup, holding(raft.ID(n[0]), n[1], n[2:]...))
		return
	}
	if s.g == nil {
		s.g = newGroup(s.t, s.size, s.setup...)
	}
	g := s.g
	id := func(i int) raft.ID { return raft.ID(s.number(args[i])) }
	switch name {
	case "campaign":
		g.campaign(id(0))
	case "timeout":
		g.timeout(id(0))
	case "tick":
		d, err := time.ParseDuration(args[0])
		s.check(err)
		g.advance(d)
	case "propose":
		if err := g.propose(id(0), args[1:]...); err != nil {
			s.say("%v", err)
		}
	case "forge":
		g.rules.off = true
		g.step(s.forged(args))
	case "deliver":
		g.deliver(s.links(args)...)
	case "settle":
		g.deliverAll()
	case "drop":
		g.drop(s.links(args)...)
	case "keep":
		for i := 0; i < len(g.net); {
			if s.links(args)[0](&g.net[i]) {
				s.putAway = append(s.putAway, g.take(i))
			} else {
				i++
			}
		}
	case "late":
		for _, m := range s.putAway {
			g.step(m)
		}
	case "cut":
		g.isolate(id(0))
	case "heal":
		g.heal()
	case "reachable":
		g.node(id(0)).Reachable(g.now, id(1))
		g.settle(id(0))
	case "slow":
		g.replica(id(0)).slow = true
	case "fast":
		g.replica(id(0)).slow = false
	case "finish":
		var count []int
		for _, n := range s.numbers(args[1:]) {
			count = append(count, int(n))
		}
		g.finish(id(0), count...)
	case "crash":
		g.crash(id(0))
	case "restart":
		g.restart(id(0))
		s.status(id(0))
	case "compact":
		g.compact(id(0), s.number(args[1]))
		s.status(id(0))
	case "status":
		for _, r := range g.up() {
			if len(args) == 0 || r.id == id(0) {
				s.status(r.id)
			}
		}
	default:
		s.t.Fatalf("unknown command %q", name)
	}
}

func (s *script) status(id raft.ID) {
	st := s.g.status(id)
	s.say("%d: %v, term %d, vote %d, leader %d, commit %d, applied %d, durable %d, log from %d of terms %v", id, st.Role, st.Term,
		st.Vote, st.Leader, st.Commit, st.Applied, st.Durable, st.First, s.g.terms(id))
}

func (s *script) configure(c *raft.Config, options []string) {
	gates := map[string]raft.Gate{}
	for _, g := range []gate{now, ride, barrier, confirmed, hold3ms, window1, window2} {
		gates[g.name] = g
	}
	backups := map[string]raft.Backup{}
	for _, b := range allBackups {
		backups[b.name] = b
	}
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "prevote":
			c.PreVote = true
		case "checkquorum":
			c.CheckQuorum = true
		case "noop":
			c.NoOp = true
		case "send":
			c.Strategy.Send = gates[value]
		case "commit":
			c.Strategy.Commit = gates[value]
		case "announce":
			c.Strategy.Announce = gates[value]
		case "apply":
			c.Strategy.Apply = gates[value]
		case "backup":
			c.Strategy.Backup = backups[value]
		case "heartbeat":
			d, err := time.ParseDuration(value)
			s.check(err)
			c.Heartbeat = d
		case "inflight":
			c.MaxInFlight = int(s.number(value))
		case "bytes":
			c.MaxAppendBytes = int(s.number(value))
		default:
			s.t.Fatalf("unknown option %q", o)
		}
	}
}

func (s *script) forged(args []string) raft.Message {
	l := s.link(args[0])
	m := raft.Message{Type: raft.AppendEntries, From: l.from, To: l.to}
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "term":
			m.Term = s.number(value)
		case "commit":
			m.Commit = s.number(value)
		case "prev":
			i, t, _ := strings.Cut(value, "/")
			m.PrevLogIndex, m.PrevLogTerm = s.number(i), s.number(t)
			m.Entries.First = m.PrevLogIndex + 1
		case "entries":
			for _, t := range strings.Split(value, ",") {
				m.Entries.Append(s.number(t), fmt.Appendf(nil, "%d/%s", m.Entries.Last()+1, t))
			}
		default:
			s.t.Fatalf("unknown field %q", a)
		}
	}
	return m
}

func (s *script) link(text string) link {
	from, to, ok := strings.Cut(text, "->")
	if !ok {
		s.t.Fatalf("%q is no link", text)
	}
	return link{raft.ID(s.number(from)), raft.ID(s.number(to))}
}

func (s *script) links(args []string) (chosen []func(*raft.Message) bool) {
	for _, a := range args {
		l := s.link(a)
		chosen = append(chosen, on(l.from, l.to))
	}
	return chosen
}

func (s *script) number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	s.check(err)
	return n
}

func (s *script) numbers(texts []string) (n []uint64) {
	for _, t := range texts {
		n = append(n, s.number(t))
	}
	return n
}

func (s *script) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// traceOutput writes what a replica wants done as the lines of a trace.
func (g *group) traceOutput(id raft.ID, out *raft.Output) {
	for _, e := range out.Events {
		switch e.Kind {
		case raft.EventRole:
			if e.Role == raft.Follower && e.Peer != 0 {
				g.trace("%d: %v of %d in term %d", id, e.Role, e.Peer, e.Term)
			} else {
				g.trace("%d: %v in term %d", id, e.Role, e.Term)
			}
		case raft.EventTruncated:
			g.trace("%d: removes %d entries from %d on", id, e.Count, e.Index)
		case raft.EventCommitted:
			g.trace("%d: commits up to %d", id, e.Index)
		case raft.EventStale:
			g.trace("%d: ignores an answer of %d as late", id, e.Peer)
		}
	}
	if s := out.Save; s.Seq != 0 {
		line := fmt.Sprintf("%d: saves term %d, vote %d", id, s.Term, s.Vote)
		if s.TruncateFrom != 0 {
			line += fmt.Sprintf(", nothing from %d on", s.TruncateFrom)
		}
		if len(s.Entries) > 0 {
			line += ", entries" + showEntries(s.Entries...)
		}
		g.trace("%s", line)
	}
	for i := range out.Messages {
		g.trace("%s", showMessage(&out.Messages[i]))
	}
	if len(out.Apply) > 0 {
		g.trace("%d: applies%s", id, showEntries(out.Apply...))
	}
}

// showEntries shows entries as index/term and data; a test's own data that says the same is left out.
func showEntries(runs ...raft.Entries) string {
	text := ""
	for _, run := range runs {
		for e := range run.All() {
			at := fmt.Sprintf("%d/%d", e.Index, e.Term)
			text += " " + at
			if string(e.Data) != at {
				text += ":" + string(e.Data)
			}
		}
	}
	return text
}

func showMessage(m *raft.Message) string {
	head := fmt.Sprintf("%d->%d ", m.From, m.To)
	answer := map[bool]string{true: "yes", false: "no"}
	switch m.Type {
	case raft.AppendEntries:
		entries := "nothing"
		if m.Entries.Count > 0 {
			entries = showEntries(m.Entries)[1:]
		}
		return head + fmt.Sprintf("AppendEntries term %d: after %d/%d %s, commit %d", m.Term, m.PrevLogIndex, m.PrevLogTerm, entries,
			m.Commit)
	case raft.AppendEntriesReply:
		if m.Success {
			return head + fmt.Sprintf("yes, term %d: match %d, commit %d", m.Term, m.Match, m.Commit)
		}
		return head + fmt.Sprintf("no, term %d: prev %d, XTerm %d XIndex %d XLen %d, hint %d/%d", m.Term, m.PrevLogIndex, m.XTerm,
			m.XIndex, m.XLen, m.HintIndex, m.HintTerm)
	case raft.RequestVote:
		name := "RequestVote"
		if m.PreVote {
			name = "PreVote"
		}
		return head + fmt.Sprintf("%s term %d: last %d/%d", name, m.Term, m.LastLogIndex, m.LastLogTerm)
	default:
		name := "vote"
		if m.PreVote {
			name = "pre-vote"
		}
		return head + fmt.Sprintf("%s %s, term %d", name, answer[m.VoteGranted], m.Term)
	}
}
