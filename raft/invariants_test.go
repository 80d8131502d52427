package raft_test

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// invariants watches a group. What it finds broken is named as in figure 3 of the Raft paper, or after the property of
// this implementation that it is.
type invariants struct {
	g         *group
	off       bool                    // a message was forged: what holds between correct replicas need not hold
	leaders   map[uint64]raft.ID      // of each term
	entries   map[position]raft.Entry // every entry that any replica ever saved; with the term of the one before it
	committed []position
	last      map[raft.ID]raft.Status // as last seen since the replica was started
	match     map[link]uint64         // as last seen, of a leader in its term
}

// position names an entry: a leader makes only one with an index in its term.
type position struct{ index, term uint64 }

func newInvariants(g *group) *invariants {
	return &invariants{g: g, leaders: map[uint64]raft.ID{}, entries: map[position]raft.Entry{},
		last: map[raft.ID]raft.Status{}, match: map[link]uint64{}}
}

func (v *invariants) started(r *replica) {
	v.last[r.id] = r.node.Status()
	for _, peer := range v.g.replicas {
		delete(v.match, link{r.id, peer.id})
	}
}

// holds reports whether a disk has an entry, in the log or in the snapshot.
func (d *disk) holds(i, term uint64) bool {
	t, ok := d.log.Term(i)
	return i <= d.snapshot.Index || ok && t == term
}

// snapshot: a snapshot is what applying the committed log's prefix gives.
func (v *invariants) snapshot(r *replica, s raft.Snapshot, content []byte) {
	v.g.t.Helper()
	if v.off {
		return
	}
	d := disk{content: content}
	list := d.applied()
	if uint64(len(list)) != s.Index || s.Index > uint64(len(v.committed)) {
		v.broken(r, "A snapshot is a prefix", "%+v has %d entries, %d are committed", s, len(list), len(v.committed))
	}
	for i, e := range list {
		if c := v.committed[i]; e.Term != c.term || string(e.Data) != string(v.entries[c].Data) {
			v.broken(r, "A snapshot is a prefix", "entry %d of %+v is %q of term %d, committed is %q of term %d", i+1, s, e.Data,
				e.Term, v.entries[c].Data, c.term)
		}
	}
	if last := v.committed[s.Index-1]; last.term != s.Term {
		v.broken(r, "A snapshot is a prefix", "%+v ends in term %d", s, last.term)
	}
}

// check looks at a replica when it hands out an output.
func (v *invariants) check(r *replica, out *raft.Output) {
	v.g.t.Helper()
	if v.off {
		return
	}
	s, was := r.node.Status(), v.last[r.id]
	v.monotonic(r, s, was)
	v.ordered(r, s, was)
	for _, run := range out.Save.Entries {
		v.logMatching(r, r.node.Log(), run)
	}
	for i := was.Commit + 1; i <= s.Commit; i++ {
		v.commit(r, i)
	}
	for _, e := range out.Events {
		if e.Kind == raft.EventRole && e.Role == raft.Leader {
			v.lead(r, e.Term)
		}
	}
	for i := range out.Messages {
		v.promise(r, &out.Messages[i])
	}
	v.stateMachineSafety(r, out)
	v.last[r.id] = s
}

func (v *invariants) broken(r *replica, rule, format string, args ...any) {
	v.g.t.Helper()
	v.g.t.Errorf("%s is broken by replica %d at %v: "+format, append([]any{rule, r.id, time.Duration(v.g.now)}, args...)...)
	v.g.t.FailNow()
}

// lead: at most one leader can be elected in a term, and it has every committed entry.
func (v *invariants) lead(r *replica, term uint64) {
	v.g.t.Helper()
	if other := v.leaders[term]; other != 0 && other != r.id {
		v.broken(r, "Election Safety", "term %d has leader %d already", term, other)
	}
	v.leaders[term] = r.id
	for _, c := range v.committed {
		if t, ok := r.node.Log().Term(c.index); c.index >= r.node.Log().First() && (!ok || t != c.term) {
			v.broken(r, "Leader Completeness", "as leader of term %d it lacks entry %d of term %d", term, c.index, c.term)
		}
	}
}

// logMatching: logs that have an entry of one index and term are the same up to it.
func (v *invariants) logMatching(r *replica, l *raft.Log, run raft.Entries) {
	v.g.t.Helper()
	before, ok := l.Term(run.First - 1)
	if !ok {
		v.broken(r, "Log Matching", "a hole before entry %d", run.First)
	}
	for e := range run.All() {
		if e.Term < before {
			v.broken(r, "Log Matching", "entry %d of term %d follows one of term %d", e.Index, e.Term, before)
		}
		at := position{e.Index, e.Term}
		if seen, ok := v.entries[at]; !ok {
			v.entries[at] = raft.Entry{Term: before, Data: append([]byte(nil), e.Data...)}
		} else if seen.Term != before || string(seen.Data) != string(e.Data) {
			v.broken(r, "Log Matching", "entry %d of term %d is %q after term %d, elsewhere %q after term %d", e.Index, e.Term,
				e.Data, before, seen.Data, seen.Term)
		}
		before = e.Term
	}
}

// commit: what is committed never changes, and a quorum holds it on disk.
func (v *invariants) commit(r *replica, i uint64) {
	v.g.t.Helper()
	term, _ := r.node.Log().Term(i)
	if i < r.node.Log().First() && i <= uint64(len(v.committed)) {
		return // it came in a snapshot
	}
	if i <= uint64(len(v.committed)) {
		if c := v.committed[i-1]; c.term != term {
			v.broken(r, "Committed is immutable", "entry %d of term %d, committed before with term %d", i, term, c.term)
		}
		return
	}
	v.committed = append(v.committed, position{i, term})
	holders := 0
	for _, peer := range v.g.replicas {
		if peer.disk.holds(i, term) {
			holders++
		}
	}
	if quorum := len(v.g.replicas)/2 + 1; holders < quorum {
		v.broken(r, "Committed is durable on a quorum", "entry %d of term %d is on %d disks, want %d", i, term, holders, quorum)
	}
}

func (v *invariants) monotonic(r *replica, s, was raft.Status) {
	v.g.t.Helper()
	if s.Term < was.Term || s.Commit < was.Commit || s.Applied < was.Applied || s.First < was.First {
		v.broken(r, "Monotonicity", "from %+v to %+v", was, s)
	}
	if s.Term == was.Term && was.Vote != 0 && s.Vote != was.Vote {
		v.broken(r, "One vote a term", "from %+v to %+v", was, s)
	}
	for _, peer := range v.g.replicas {
		to := link{r.id, peer.id}
		if s.Role != raft.Leader || s.Term != was.Term {
			delete(v.match, to)
		}
		if s.Role != raft.Leader || peer.id == r.id {
			continue
		}
		match := r.node.Match(peer.id)
		if match < v.match[to] {
			v.broken(r, "Monotonicity", "matchIndex of %d falls from %d to %d", peer.id, v.match[to], match)
		}
		v.match[to] = match
		own, known := r.node.Log().Term(match)
		if peer.disk.term == s.Term && known && match > 0 && !peer.disk.holds(match, own) {
			v.broken(r, "A match is durable", "it takes %d for having entry %d of term %d", peer.id, match, own)
		}
	}
}

// ordered: applied <= commit <= last, what a follower commits is durable, and what is said to be durable is.
func (v *invariants) ordered(r *replica, s, was raft.Status) {
	v.g.t.Helper()
	if s.First > s.Applied+1 || s.First > r.disk.snapshot.Index+1 || s.Applied > s.Commit || s.Commit > s.Last || s.Durable > s.Last {
		v.broken(r, "First-1 <= applied <= commit <= last >= durable", "%+v", s)
	}
	if s.Role != raft.Leader && s.Commit > was.Commit && s.Commit > s.Durable {
		v.broken(r, "A follower commits what is durable", "%+v", s)
	}
	if own, _ := r.node.Log().Term(s.Durable); s.Durable > 0 && !r.disk.holds(s.Durable, own) {
		v.broken(r, "Durable is durable", "the disk lacks entry %d of term %d: %+v", s.Durable, own, s)
	}
}

// promise: what a message promises is on the disk (figure 2: "updated on stable storage before responding to RPCs").
func (v *invariants) promise(r *replica, m *raft.Message) {
	v.g.t.Helper()
	d := &r.disk
	switch {
	case m.Type == raft.AppendEntriesReply && m.Success:
		own, _ := r.node.Log().Term(m.Match)
		if r.node.Status().Term > m.Term {
			own, _ = d.log.Term(m.Match) // it has moved on before this was handed out, and may have begun to remove the entry
		}
		if d.term < m.Term || m.Match > 0 && !d.holds(m.Match, own) {
			v.broken(r, "Durable before acknowledged", "%+v with term %d and log up to %d on disk", *m, d.term, d.log.Last())
		}
	case m.Type == raft.InstallSnapshotReply && m.Success:
		if own, _ := r.node.Log().Term(m.Match); d.term < m.Term || m.Match < m.Snapshot.Index || !d.holds(m.Match, own) {
			v.broken(r, "Durable before acknowledged", "%+v with term %d, snapshot %+v and log up to %d on disk", *m, d.term,
				d.snapshot, d.log.Last())
		}
	case m.Type == raft.RequestVoteReply && m.VoteGranted && !m.PreVote && (d.term != m.Term || d.vote != m.To),
		m.Type == raft.RequestVote && !m.PreVote && (d.term != m.Term || d.vote != m.From):
		v.broken(r, "Durable before voted", "%+v with term %d and vote %d on disk", *m, d.term, d.vote)
	case (m.Type == raft.AppendEntries || m.Type == raft.InstallSnapshot) && d.term < m.Term:
		v.broken(r, "Durable before led", "%+v with term %d on disk", *m, d.term)
	}
}

// stateMachineSafety: every replica applies the same entries in the same order, all of them and each once.
func (v *invariants) stateMachineSafety(r *replica, out *raft.Output) {
	v.g.t.Helper()
	next := uint64(len(r.applied)) + 1
	if i := out.Restore.Index; i != 0 {
		if i < next {
			v.broken(r, "Applied never goes back", "it restores %d after applying %d", i, next-1)
		}
		next = i + 1
	}
	for _, run := range out.Apply {
		for e := range run.All() {
			if e.Index != next || next > uint64(len(v.committed)) {
				v.broken(r, "State Machine Safety", "applies entry %d, want %d; %d are committed", e.Index, next, len(v.committed))
			}
			c := v.committed[next-1]
			if want := v.entries[c].Data; e.Term != c.term || string(e.Data) != string(want) {
				v.broken(r, "State Machine Safety", "applies %d/%d %q, want term %d %q", e.Index, e.Term, e.Data, c.term, want)
			}
			next++
		}
	}
}
