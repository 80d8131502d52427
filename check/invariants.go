package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// Invariants watches a group of replicas that runs in one goroutine, and looks after each event at what it changed. What
// it found broken first stays in Err; after that it looks no more.
//
// Each look costs about the same however long the logs are: the log before the last entry is not read again, since logs
// match (LM, by induction over every entry that was ever appended); Audit reads all.
type Invariants struct {
	cfg      *cluster.Config
	quorum   int
	replicas []*watched

	entries   []version            // by index: the first entry that any replica had there
	more      map[uint64][]version // further ones
	committed []commitment         // by index
	terms     map[uint64]*termRecord
	recent    *termRecord // the one last used
	given     uint64      // entries up to this term were there at the start
	largest   uint64      // bytes of the largest entry
	machine   prefixes

	err      *Violation
	progress []raft.Progress // scratch

	searches  searchLimits
	opens     struct{ send, commit, apply bool } // these gates are always open
	rules     struct{ send, commit, announce, apply gateRule }
	window    int                                  // the Send gate's, 0 if it has none
	hold      func(from, to raft.ID) time.Duration // for how long a message is kept before it is sent; nil: none is
	later     func(d time.Duration, do func())     // does something after a while
	transfers func(from, to raft.ID)               // told of each part of a snapshot that is sent; nil: nobody
	lossless  bool                                 // nothing is lost on the way, nor overtaken, and nobody crashes: what is late comes
	exact     bool                                 // timers fire to the nanosecond: no replica is ever stopped or busy, no clock goes wrong
}

// version is an entry that some replica had at an index.
type version struct {
	term, before uint64 // before: term of the entry at the index before
	hash         uint64 // of its data
}

// commitment is an entry that is committed.
type commitment struct {
	term, hash uint64
	in         uint64 // the term in which it was
}

// termRecord is what happened in a term.
type termRecord struct {
	term      uint64
	leader    raft.ID
	life      int                          // the leader's
	votes     map[raft.ID]raft.ID          // whom a replica has promised its vote
	polls     map[raft.ID]map[raft.ID]bool // whom a replica was in favour of, when asked
	campaigns map[raft.ID]logEnd
}

type logEnd struct{ index, term uint64 }

// watched is what is known of one replica.
type watched struct {
	id   raft.ID
	node *raft.Node     // nil while it is down
	of   *cluster.Shell // around it
	disk durable        // nil before its first life
	life int            // counted from 1

	now      raft.Time // by its own clock
	was      raft.Status
	log      []uint64 // terms of the entries, from index 1
	progress []raft.Progress
	searches []search // by place in progress
	applied  uint64   // last index that the state machine has
	tasks    int      // snapshots that its disk is busy with
	digested uint64   // up to where it was held against the entries
	promised uint64   // the highest term it has ever told anybody, in any life
	looks    int

	saved struct {
		term uint64
		vote raft.ID
	}
	campaigned struct { // see timers
		after time.Duration
		times int
	}
	heard raft.Time        // when it last heard a legitimate leader, by its own clock
	alone raft.Time        // as a leader, when it was found that no quorum answers; 0 if one does
	turn  turn             // what it is handling now
	wire  cluster.Counters // what it has sent, in this life

	commitGate, applyGate gateWatch
	owed                  int    // as a leader: followers that owed an answer when it was last looked at
	knew                  uint64 // its highest commitIndex, in any life
}

// NewInvariants returns a watcher of a group with this configuration, and no replica yet.
func NewInvariants(cfg *cluster.Config) *Invariants {
	v := &Invariants{cfg: cfg, quorum: cfg.Replicas/2 + 1, more: map[uint64][]version{}, terms: map[uint64]*termRecord{}}
	for id := range cfg.Replicas {
		v.replicas = append(v.replicas, &watched{id: raft.ID(id + 1)})
	}
	for _, b := range cfg.Boot {
		v.given = max(v.given, b.Term)
	}
	s := cfg.Strategy
	v.searches = limitsOf(s.Backup.String())
	v.opens.send, v.opens.commit, v.opens.apply = s.Send.String() == "now", s.Commit.String() == "now", s.Apply.String() == "now"
	v.rules.send, v.rules.commit, v.rules.announce, v.rules.apply = ruleOf(s.Send), ruleOf(s.Commit), ruleOf(s.Announce), ruleOf(s.Apply)
	if v.rules.send.name == "window" {
		v.window = v.rules.send.n
	}
	return v
}

// Err returns what was broken first, nil if nothing was.
func (v *Invariants) Err() error {
	if v.err == nil {
		return nil
	}
	return v.err
}

// Committed returns how many entries are known to be committed.
func (v *Invariants) Committed() uint64 { return uint64(len(v.committed)) }

func (v *Invariants) fail(rule Rule, w *watched, format string, args ...any) {
	if v.err != nil {
		return
	}
	v.err = &Violation{Rule: rule, What: fmt.Sprintf(format, args...)}
	if w != nil {
		v.err.Replica, v.err.At = w.id, w.now
	}
}

func (v *Invariants) replica(id raft.ID) *watched { return v.replicas[id-1] }

func (v *Invariants) term(t uint64) *termRecord {
	if v.recent != nil && v.recent.term == t {
		return v.recent
	}
	r := v.terms[t]
	if r == nil {
		r = &termRecord{term: t, votes: map[raft.ID]raft.ID{}, campaigns: map[raft.ID]logEnd{}}
		v.terms[t] = r
	}
	v.recent = r
	return r
}

// start begins to watch a life of a replica.
func (v *Invariants) start(now raft.Time, id raft.ID, of *cluster.Shell, disk durable) {
	w := v.replica(id)
	saved, node := disk.Durable(), of.Core().(*cluster.Node).Node
	*w = watched{id: id, node: node, of: of, disk: disk, life: w.life + 1, now: now, was: node.Status(), log: w.log[:0],
		applied: saved.Snapshot.Index, promised: w.promised, knew: w.knew, heard: longAgo}
	w.saved.term, w.saved.vote = saved.Term, saved.Vote
	s := &w.was
	if s.Term != saved.Term || s.Vote != saved.Vote {
		v.fail(Monotonic, w, "it starts with term %d and vote %d, its disk has %d and %d", s.Term, s.Vote, saved.Term, saved.Vote)
	}
	if saved.Term < w.promised {
		v.fail(Monotonic, w, "it starts with term %d, and was in term %d before", saved.Term, w.promised)
	}
	if mine := v.term(saved.Term).votes[id]; mine != 0 && saved.Vote != mine {
		v.fail(ElectionSafety, w, "its disk has forgotten that it voted for %d in term %d", mine, saved.Term)
	}
	if s.Applied != saved.Snapshot.Index || s.First > s.Applied+1 {
		v.fail(Order, w, "it starts with %d entries applied and a log from %d on, its snapshot ends at %d", s.Applied, s.First, saved.Snapshot.Index)
	}
	v.begins(w, s, node.Log())
	if v.err != nil {
		return
	}
	v.appended(w, s, node.Log(), s.First)
	if s.Applied > v.Committed() {
		v.fail(Order, w, "it starts with %d entries applied, but only %d are committed", s.Applied, len(v.committed))
		return
	}
	v.digest(w)
}

// stop ends a life.
func (v *Invariants) stop(id raft.ID) {
	w := v.replica(id)
	v.audit(w)
	w.node = nil
}

// auditEvery is how many looks at a replica go by until all of its log is read again.
const auditEvery = 4096

// look follows a replica after something has happened to it.
func (v *Invariants) look(w *watched, now raft.Time) {
	if v.err != nil || w.node == nil {
		return
	}
	w.now = max(w.now, now)
	s, log := w.node.Status(), w.node.Log()
	was := &w.was
	if s.Term != was.Term || s.Vote != was.Vote || s.Role != was.Role || s.Leader != was.Leader {
		v.role(w, &s)
	}
	if s.First != was.First {
		if v.begins(w, &s, log); v.err != nil {
			return
		}
	}
	if s.Last != uint64(len(w.log)) || s.Last > 0 && log.LastTerm() != w.log[s.Last-1] {
		v.changed(w, &s, log)
	}
	if s.Commit != was.Commit || s.Applied != was.Applied || s.Durable != was.Durable || s.First != was.First {
		v.indexes(w, &s, log)
	}
	if v.err != nil {
		return
	}
	v.applyGate(w, &s)
	if s.Role == raft.Leader {
		v.leads(w, &s)
	} else {
		w.commitGate.since = 0
	}
	w.was, w.knew = s, max(w.knew, s.Commit)
	if w.looks%auditEvery == 0 {
		v.audit(w)
	}
	w.looks++
}

// role follows term, vote and role.
func (v *Invariants) role(w *watched, s *raft.Status) {
	was := &w.was
	if s.Term < was.Term {
		v.fail(Monotonic, w, "its term falls from %d to %d", was.Term, s.Term)
	}
	if s.Term == was.Term && was.Vote != 0 && s.Vote != was.Vote {
		v.fail(ElectionSafety, w, "in term %d it voted for %d, now its vote is %d", s.Term, was.Vote, s.Vote)
	}
	if s.Vote != 0 && (s.Vote != was.Vote || s.Term != was.Term) {
		v.voted(w, s)
	}
	if s.Leader != 0 && s.Leader != w.id {
		if l := v.term(s.Term).leader; l != s.Leader {
			v.fail(ElectionSafety, w, "in term %d it follows %d, but the leader is %d", s.Term, s.Leader, l)
		}
	}
	if s.Role == raft.Leader && (was.Role != raft.Leader || s.Term != was.Term) {
		v.elected(w, s)
	}
	if s.Role == raft.Candidate && (was.Role != raft.Candidate || s.Term != was.Term) {
		v.campaigns(w, s, was)
	}
}

// voted follows a vote that a replica gives: for none whose log is behind its own (paper, section 5.4.1).
func (v *Invariants) voted(w *watched, s *raft.Status) {
	t := v.term(s.Term)
	if first := t.votes[w.id]; first != 0 && first != s.Vote {
		v.fail(ElectionSafety, w, "in term %d it voted for %d before, now for %d", s.Term, first, s.Vote)
	}
	if s.Vote == w.id {
		return
	}
	c, known := t.campaigns[s.Vote]
	if !known {
		v.fail(ElectionSafety, w, "in term %d it votes for %d, who does not stand", s.Term, s.Vote)
		return
	}
	if own := w.node.Log().LastTerm(); own > c.term || own == c.term && s.Last > c.index {
		v.fail(LeaderCompleteness, w, "in term %d it votes for %d, whose log ends at %d/%d, behind its own at %d/%d (index/term)",
			s.Term, s.Vote, c.index, c.term, s.Last, own)
	}
}

// elected follows a replica that has become leader.
func (v *Invariants) elected(w *watched, s *raft.Status) {
	t := v.term(s.Term)
	if t.leader != 0 && (t.leader != w.id || t.life != w.life) {
		v.fail(ElectionSafety, w, "it becomes leader of term %d, whose leader is %d already", s.Term, t.leader)
		return
	}
	t.leader, t.life = w.id, w.life
	if d := w.disk.Durable(); d.Term == s.Term && d.Vote == w.id {
		t.votes[w.id] = w.id
	}
	votes := 0
	for _, for_ := range t.votes {
		if for_ == w.id {
			votes++
		}
	}
	if votes < v.quorum {
		v.fail(ElectionSafety, w, "it becomes leader of term %d with %d durable votes, want %d", s.Term, votes, v.quorum)
	}
	// Entries committed in an earlier term must be there. Having the last of them is having all: logs match.
	for i := len(v.committed); i > 0; i-- {
		c := &v.committed[i-1]
		if c.in >= s.Term {
			continue
		}
		if uint64(i) >= s.First {
			if have, ok := w.node.Log().Term(uint64(i)); !ok || have != c.term {
				v.fail(LeaderCompleteness, w, "as leader of term %d it lacks entry %d of term %d, committed in term %d", s.Term, i, c.term, c.in)
			}
		}
		break
	}
	w.progress, w.searches, w.alone = w.progress[:0], w.searches[:0], 0
	w.looks = 0        // audit
	w.turn.tick = true // it announces itself with a heartbeat
}

// changed follows a log whose end is another than it was.
func (v *Invariants) changed(w *watched, s *raft.Status, log *raft.Log) {
	was := uint64(len(w.log))
	same := min(s.Last, was)
	for same >= s.First {
		if t, ok := log.Term(same); ok && t == w.log[same-1] {
			break
		}
		same--
	}
	if same < was {
		if s.Role == raft.Leader && w.was.Role == raft.Leader && s.Term == w.was.Term {
			v.fail(LogMatching, w, "as leader of term %d it removes its own entries from %d on", s.Term, same+1)
		}
		if same < w.was.Commit {
			v.fail(AcknowledgedKept, w, "it removes entries from %d on, but has committed up to %d", same+1, w.was.Commit)
		}
		w.log = w.log[:same]
	}
	v.appended(w, s, log, same+1)
}

// appended follows entries from an index on that are new to a replica.
func (v *Invariants) appended(w *watched, s *raft.Status, log *raft.Log, from uint64) {
	before := uint64(0)
	if from > 1 {
		before = w.log[from-2]
	}
	for i := from; i <= s.Last && v.err == nil; {
		run := log.Slice(i, s.Last)
		for e := range run.All() {
			if e.Term < before {
				v.fail(LogMatching, w, "entry %d of term %d follows one of term %d", e.Index, e.Term, before)
			}
			v.entry(w, s, e, before)
			w.log = append(w.log, e.Term)
			before = e.Term
		}
		i = run.Last() + 1
	}
}

// entry follows one entry that a replica has now.
func (v *Invariants) entry(w *watched, s *raft.Status, e raft.Entry, before uint64) {
	v.largest = max(v.largest, uint64(raft.EntryOverhead+len(e.Data)))
	hash := xxhash.Sum64(e.Data)
	if known := v.version(e.Index, e.Term); known != nil {
		if known.before != before || known.hash != hash {
			v.fail(LogMatching, w, "entry %d of term %d follows term %d with data %016x, elsewhere term %d with %016x",
				e.Index, e.Term, before, hash, known.before, known.hash)
		}
		return
	}
	if t := v.term(e.Term); e.Term > v.given && (t.leader != w.id || s.Term != e.Term) {
		v.fail(LogMatching, w, "entry %d of term %d is new, but the leader of that term is %d", e.Index, e.Term, t.leader)
	}
	fresh := version{term: e.Term, before: before, hash: hash}
	switch n := uint64(len(v.entries)); {
	case e.Index == n+1:
		v.entries = append(v.entries, fresh)
	case e.Index <= n:
		v.more[e.Index] = append(v.more[e.Index], fresh)
	default:
		v.fail(LogMatching, w, "entry %d of term %d, but nobody has entry %d", e.Index, e.Term, n+1)
	}
}

func (v *Invariants) version(i, term uint64) *version {
	if i == 0 || i > uint64(len(v.entries)) {
		return nil
	}
	if e := &v.entries[i-1]; e.term == term {
		return e
	}
	for k := range v.more[i] {
		if e := &v.more[i][k]; e.term == term {
			return e
		}
	}
	return nil
}

// indexes follows commit, applied, durable and the log's beginning.
func (v *Invariants) indexes(w *watched, s *raft.Status, log *raft.Log) {
	was := &w.was
	if s.Commit < was.Commit || s.Applied < was.Applied || s.First < was.First {
		v.fail(Monotonic, w, "from first %d, applied %d, commit %d to %d, %d, %d", was.First, was.Applied, was.Commit, s.First, s.Applied, s.Commit)
	}
	if s.First > s.Applied+1 || s.Applied > s.Commit || s.Commit > s.Last || s.Durable > s.Last {
		v.fail(Order, w, "first %d, applied %d, commit %d, durable %d, last %d", s.First, s.Applied, s.Commit, s.Durable, s.Last)
		return
	}
	if s.Durable != was.Durable {
		v.durable(w, s, log)
	}
	if s.Commit > was.Commit {
		if s.Role != raft.Leader && s.Commit > s.Durable {
			v.fail(Order, w, "as %v it commits up to %d, but only %d is durable there", s.Role, s.Commit, s.Durable)
		}
		v.commits(w, s)
		if s.Role == raft.Leader && was.Role == raft.Leader && s.Term == was.Term {
			v.committedEarly(w, s)
		}
	}
}

// durable: what a node takes for durable is on its disk.
func (v *Invariants) durable(w *watched, s *raft.Status, log *raft.Log) {
	own, _ := log.Term(s.Durable)
	if !v.onDisk(w, s.Durable, own) {
		v.fail(QuorumDurable, w, "it takes entry %d of term %d for durable, its disk has %s", s.Durable, own, diskAt(w, s.Durable))
	}
}

// commits follows a commitIndex that has moved.
func (v *Invariants) commits(w *watched, s *raft.Status) {
	known := v.Committed()
	for i := w.was.Commit + 1; i <= s.Commit; i++ {
		term := w.log[i-1]
		if i <= known {
			if c := v.committed[i-1]; c.term != term {
				v.fail(CommitImmutable, w, "it commits entry %d of term %d, committed before with term %d", i, term, c.term)
				return
			}
			continue
		}
		if s.Role != raft.Leader {
			v.fail(CommitImmutable, w, "as %v it commits entry %d of term %d, which no leader has committed", s.Role, i, term)
			return
		}
		v.committed = append(v.committed, commitment{term: term, hash: v.version(i, term).hash, in: s.Term})
	}
	if s.Role == raft.Leader && w.log[s.Commit-1] != s.Term {
		v.fail(CommitImmutable, w, "as leader of term %d it commits up to entry %d of term %d by counting", s.Term, s.Commit, w.log[s.Commit-1])
	}
	if v.Committed() == known {
		return
	}
	v.quorumHolds(w, s.Commit)
	for _, other := range v.replicas {
		if other.node != nil && other.was.Role == raft.Leader && other.was.Term > s.Term && s.Commit >= other.was.First {
			if t, ok := other.node.Log().Term(s.Commit); !ok || t != v.committed[s.Commit-1].term {
				v.fail(LeaderCompleteness, w, "in term %d it commits entry %d, which the leader %d of term %d lacks", s.Term, s.Commit, other.id, other.was.Term)
			}
		}
	}
}

// quorumHolds: a committed entry, and so all before it, is on the disks of a quorum.
func (v *Invariants) quorumHolds(w *watched, i uint64) {
	c, holders := v.committed[i-1], 0
	for _, r := range v.replicas {
		if v.onDisk(r, i, c.term) {
			holders++
		}
	}
	if holders < v.quorum {
		v.fail(QuorumDurable, w, "committed entry %d of term %d is on %d disks, want %d", i, c.term, holders, v.quorum)
	}
}

// leads follows what a leader knows of the others.
func (v *Invariants) leads(w *watched, s *raft.Status) {
	v.progress = w.node.AppendProgress(v.progress[:0])
	if len(w.progress) == 0 { // a new leader
		w.progress = append(w.progress[:0], v.progress...)
		w.searches = append(w.searches[:0], make([]search, len(v.progress))...)
		for i := range w.progress {
			w.searches[i].heard = w.now
			if p := &v.progress[i]; p.Match != 0 {
				v.fail(QuorumDurable, w, "as new leader of term %d it takes %d for having entry %d, and has not heard from it", s.Term, p.Peer, p.Match)
			}
		}
	}
	w.owed = 0
	for i := range w.progress {
		// A snapshot that begins takes the place of what was sent: nobody waits for an answer to that.
		if was := &w.progress[i]; was.InFlight > 0 && !was.Stalled && v.progress[i].Snapshot == 0 {
			w.owed++
		}
	}
	for i := range v.progress {
		p, was := &v.progress[i], &w.progress[i]
		v.sendGate(w, s, &w.searches[i], p, was)
		if f := &w.searches[i].flights; p.Stalled && w.turn.tick && !f.tried {
			f.begins() // a try that failed may be followed by the next, which shows in nothing
			f.tried = true
		}
		if *p == *was {
			continue
		}
		if p.Match < was.Match {
			v.fail(Monotonic, w, "matchIndex of %d falls from %d to %d", p.Peer, was.Match, p.Match)
		}
		if p.Match > was.Match {
			v.matched(w, s, p, was.Match)
		}
		if p.Next <= p.Match || p.Next > s.Last+1 {
			v.fail(Bounded, w, "nextIndex of %d is %d, with a match of %d and a log up to %d", p.Peer, p.Next, p.Match, s.Last)
		}
		if p.Next < was.Next {
			v.rewound(w, p, was)
		}
		if p.Next < was.Next || p.Stalled {
			w.searches[i].told = 0
		}
		w.searches[i].flights.changed = true
		if p.Snapshot != was.Snapshot || p.Next < was.Next || p.Stalled != was.Stalled || p.Probing != was.Probing {
			w.searches[i].flights.begins()
		}
		v.inFlight(w, p)
		*was = *p
	}
}

// matched: a follower has on its disk what a leader takes it to have. One that has gone on to a later term may have
// lost it again, unless it is committed.
func (v *Invariants) matched(w *watched, s *raft.Status, p *raft.Progress, was uint64) {
	peer := v.replica(p.Peer)
	if p.Match == 0 || p.Match > s.Last {
		if p.Match > s.Last {
			v.fail(QuorumDurable, w, "it takes %d for having entry %d, its own log ends at %d", p.Peer, p.Match, s.Last)
		}
		return
	}
	if peer.disk.Durable().Term == s.Term && !v.onDisk(peer, p.Match, w.log[p.Match-1]) {
		v.fail(QuorumDurable, w, "it takes %d for having entry %d of term %d (before: %d), whose disk has %s",
			p.Peer, p.Match, w.log[p.Match-1], was, diskAt(peer, p.Match))
	}
}

func (v *Invariants) inFlight(w *watched, p *raft.Progress) {
	limit := v.limit()
	if p.InFlight > limit {
		v.fail(Bounded, w, "%d AppendEntries to %d are unanswered, want at most %d", p.InFlight, p.Peer, limit)
	}
	// One that is sent while there is room may go beyond the limit, by its own size.
	if most := v.maxInFlightBytes() + max(v.maxAppendBytes(), v.largest); p.InFlightBytes >= most {
		v.fail(Bounded, w, "%d bytes to %d are unanswered, want less than %d", p.InFlightBytes, p.Peer, most)
	}
}

// rest looks at a replica that has done everything it wanted to.
func (v *Invariants) rest(w *watched, now raft.Time) {
	v.look(w, now)
	ticked := w.turn.tick
	if v.err == nil && w.node != nil {
		v.gatesAtRest(w)
		if w.was.Role == raft.Leader {
			v.flightsAtRest(w)
		}
	}
	if v.settled(w); v.err != nil || w.node == nil {
		return
	}
	s := &w.was
	if s.Applied != w.applied {
		v.fail(StateMachine, w, "it says that %d entries are applied, its state machine was given %d", s.Applied, w.applied)
		return
	}
	v.digest(w)
	// One proposal that is taken while there is room may go beyond the limit, by its own size.
	held, uncommitted := cmp.Or(v.cfg.MaxHeld, raft.DefaultMaxHeld), cmp.Or(v.cfg.MaxUncommittedBytes, raft.DefaultMaxUncommittedBytes)
	if q := w.node.Queues(); q.Held > held || q.PendingSaves > held || q.UncommittedBytes > uint64(uncommitted)+v.largest {
		v.fail(Bounded, w, "%d messages are held back, %d saves are under way and %d bytes are not committed", q.Held, q.PendingSaves, q.UncommittedBytes)
	}
	v.memory(w, s)
	if s.Role == raft.Leader {
		v.leaderWaits(w, s)
		if ticked {
			v.leaderAlone(w)
		}
	}
}

// leaderWaits: nothing waits at the gates for longer than they say.
func (v *Invariants) leaderWaits(w *watched, s *raft.Status) {
	var have [raft.MaxVoters]uint64
	list := append(have[:0], s.Durable)
	for i := range w.progress {
		list = append(list, w.progress[i].Match)
	}
	slices.Sort(list)
	v.commitGate(w, s, list[len(list)-v.quorum])
}

// applies follows the entries that a replica gives to its state machine.
func (v *Invariants) applies(w *watched, run raft.Entries) {
	for e := range run.All() {
		if e.Index != w.applied+1 {
			v.fail(StateMachine, w, "it applies entry %d after %d", e.Index, w.applied)
			return
		}
		if e.Index > v.Committed() {
			v.fail(StateMachine, w, "it applies entry %d, but only %d are committed", e.Index, len(v.committed))
			return
		}
		if c := &v.committed[e.Index-1]; c.term != e.Term || c.hash != xxhash.Sum64(e.Data) {
			v.fail(StateMachine, w, "it applies entry %d of term %d with data %016x, committed is term %d with %016x",
				e.Index, e.Term, xxhash.Sum64(e.Data), c.term, c.hash)
			return
		}
		w.applied = e.Index
		v.machine.apply(e)
	}
}

// acknowledged follows a client that was told that its proposal is committed.
func (v *Invariants) acknowledged(p *cluster.Proposal) {
	w := v.replica(p.Replica)
	if p.Index == 0 || p.Index > v.Committed() {
		v.fail(AcknowledgedKept, w, "a client was told that entry %d is committed, but only %d are", p.Index, len(v.committed))
		return
	}
	if c := &v.committed[p.Index-1]; c.term != p.Term || c.hash != xxhash.Sum64(p.Data) {
		v.fail(AcknowledgedKept, w, "a client was told that its entry %d of term %d is committed, committed is one of term %d with other data",
			p.Index, p.Term, c.term)
	}
}

// audit reads all of a replica's log.
func (v *Invariants) audit(w *watched) {
	if v.err != nil || w.node == nil {
		return
	}
	log := w.node.Log()
	before := uint64(0)
	if f := log.First(); f > 1 {
		before, _ = log.Term(f - 1)
	}
	for i := log.First(); i <= log.Last() && v.err == nil; {
		run := log.Slice(i, log.Last())
		for e := range run.All() {
			if t := w.log[e.Index-1]; t != e.Term {
				v.fail(LogMatching, w, "entry %d has term %d, and had %d when it was appended", e.Index, e.Term, t)
				return
			}
			if k := v.version(e.Index, e.Term); k == nil || k.before != before || k.hash != xxhash.Sum64(e.Data) {
				v.fail(LogMatching, w, "entry %d of term %d is not what it was when it was appended", e.Index, e.Term)
				return
			}
			before = e.Term
		}
		i = run.Last() + 1
	}
}

// Audit reads all logs, and holds every committed entry against the disks of a quorum.
func (v *Invariants) Audit() error {
	for _, w := range v.replicas {
		v.audit(w)
	}
	if n := v.Committed(); n > 0 && v.err == nil {
		v.quorumHolds(nil, n)
	}
	return v.Err()
}
