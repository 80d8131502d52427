package etcd

import (
	"io"
	"log"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	etcdraft "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// core is a RawNode with its MemoryStorage: a cluster.Core.
type core struct {
	id     raft.ID
	cfg    *cluster.Config
	node   *etcdraft.RawNode
	log    *etcdraft.MemoryStorage
	random *rand.Rand

	// What is known of the node from the Readies so far.
	role         raft.Role
	term, commit uint64
	vote, leader raft.ID
	first, last  uint64 // of the log
	durable      uint64 // last index
	applied      uint64
	peers        []peer // by ID-1

	proposed uint64          // entries proposed since the last Ready
	full     bool            // the library takes no more until the next Ready
	entries  []*raftpb.Entry // scratch: of a MsgProp

	// A Ready whose save is not durable yet, or which is to be carried out now that it is.
	saves   uint64 // handed out so far
	pending *etcdraft.Ready
	saved   bool

	snapshots

	out      cluster.Output
	frame    []byte            // of the frames handed out, one after the other
	held     []*raftpb.Message // of this round: see post
	saving   encoder
	applying encoder
	events   []raft.Event
	spare    []raft.Event

	elections, rejections uint64

	// Timers. Those of elections are not the library's own: see the package's doc.
	beatAt     raft.Time // leader: the next tick
	leaseAt    raft.Time // others: when the leader is forgotten
	electionAt raft.Time // others: when to campaign
	standing   bool      // it was made to campaign, and is not elected yet
}

// peer is what a leader has seen of one follower. All but the snapshot only serves observers.
type peer struct {
	match   uint64
	probing bool
	sending sending
}

// encoder writes entries as everybody else here does. What it returns is valid until the next call.
type encoder struct {
	run  raft.Entries
	runs []raft.Entries
}

func (c *encoder) encode(entries []*raftpb.Entry) []raft.Entries {
	c.run = raft.Entries{First: entries[0].GetIndex(), Bytes: c.run.Bytes[:0]}
	for _, e := range entries {
		c.run.Append(e.GetTerm(), e.Data)
	}
	c.runs = append(c.runs[:0], c.run)
	return c.runs
}

// electionTicks are the library's, of a leader: how often it looks whether a quorum answers.
func electionTicks(cfg *cluster.Config) int {
	return max(2, int((cfg.ElectionTimeout+cfg.Heartbeat-1)/cfg.Heartbeat))
}

// New makes a member that starts from what its storage holds: a cluster.Engine.
func New(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
	state, err := store.Load()
	if err != nil {
		return nil, err
	}
	log, err := load(cfg, &state)
	if err != nil {
		return nil, err
	}
	node, err := newNode(id, cfg, log, state.Snapshot.Index)
	if err != nil {
		return nil, err
	}
	s := state.Snapshot
	c := &core{id: id, cfg: cfg, node: node, log: log, random: rand.New(rand.NewPCG(cfg.Seed, uint64(id))),
		term: state.Term, vote: state.Vote, commit: s.Index, applied: s.Index,
		first: state.Log.First(), last: state.Log.Last(), durable: state.Log.Last(), peers: make([]peer, cfg.Replicas)}
	c.newest, c.known = raft.Snapshot{Index: s.Index, Term: s.Term, Bytes: uint64(s.Size)}, s.Index
	c.restartElectionTimer(host.Now())
	c.leaseAt = host.Now() // nobody has been heard yet
	return cluster.NewShell(id, cfg, host, store, &state, c)
}

func newNode(id raft.ID, cfg *cluster.Config, storage *etcdraft.MemoryStorage, applied uint64) (*etcdraft.RawNode, error) {
	return etcdraft.NewRawNode(&etcdraft.Config{
		ID: uint64(id), ElectionTick: electionTicks(cfg), HeartbeatTick: 1,
		Storage: storage, Applied: applied,
		MaxSizePerMsg:             uint64(limit(cfg.MaxAppendBytes, raft.DefaultMaxAppendBytes)),
		MaxInflightMsgs:           limit(cfg.MaxInFlight, raft.DefaultMaxInFlight),
		MaxCommittedSizePerReady:  math.MaxUint64,
		MaxUncommittedEntriesSize: uint64(limit(cfg.MaxUncommittedBytes, raft.DefaultMaxUncommittedBytes)),
		CheckQuorum:               cfg.CheckQuorum, PreVote: cfg.PreVote,
		DisableProposalForwarding: true,
		Logger:                    &etcdraft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
}

func limit(v, standard int) int {
	if v == 0 {
		return standard
	}
	return v
}

// load makes a MemoryStorage that holds what the storage does.
func load(cfg *cluster.Config, state *storage.State) (*etcdraft.MemoryStorage, error) {
	log := etcdraft.NewMemoryStorage()
	voters := &raftpb.ConfState{}
	for i := range cfg.Replicas {
		voters.Voters = append(voters.Voters, uint64(i+1))
	}
	before := state.Log.First() - 1
	term, _ := state.Log.Term(before)
	err := log.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: voters, Index: &before, Term: &term}})
	if err != nil {
		return nil, err
	}
	if state.Term > 0 {
		vote, commit := uint64(state.Vote), state.Snapshot.Index
		if err := log.SetHardState(&raftpb.HardState{Term: &state.Term, Vote: &vote, Commit: &commit}); err != nil {
			return nil, err
		}
	}
	var entries []*raftpb.Entry
	for i := state.Log.First(); i <= state.Log.Last(); i++ {
		e := state.Log.Entry(i)
		entry := &raftpb.Entry{Term: &e.Term, Index: &e.Index}
		if len(e.Data) > 0 {
			entry.Data = slices.Clone(e.Data)
		}
		entries = append(entries, entry)
	}
	if err := log.Append(entries); err != nil {
		return nil, err
	}
	if state.Snapshot.Index > before {
		_, err = log.CreateSnapshot(state.Snapshot.Index, nil, nil)
	}
	return log, err
}

// Leads reports whether the node leads its term.
func (c *core) Leads() (leads bool, term uint64) { return c.role == raft.Leader, c.term }

// Counts returns the campaigns begun and the rejections heard of.
func (c *core) Counts() (elections, rejections uint64) { return c.elections, c.rejections }

// Accepting reports whether the index of what is proposed next is known: nothing else waits in the node.
func (c *core) Accepting() bool { return c.pending == nil && !c.node.HasReady() }

// Propose makes one MsgProp of what was offered together. The entries follow the last one that is known, and what was
// proposed since.
func (c *core) Propose(_ raft.Time, data [][]byte) (first, term uint64, n int, err error) {
	switch {
	case c.role != raft.Leader:
		return 0, 0, 0, raft.ErrNotLeader
	case c.full:
		return 0, 0, 0, raft.ErrBusy
	}
	first = c.last + c.proposed + 1
	c.entries = c.entries[:0]
	for _, d := range data {
		if len(d) > limit(c.cfg.MaxEntryBytes, raft.DefaultMaxEntryBytes) {
			err = raft.ErrEntryTooLarge
			break
		}
		c.entries = append(c.entries, &raftpb.Entry{Data: d}) // the library copies it
	}
	if n = len(c.entries); n == 0 {
		return first, c.term, 0, err
	}
	from := uint64(c.id)
	dropped := c.node.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: &from, Entries: c.entries})
	clear(c.entries)
	if dropped != nil { // it is the leader as far as it has told, so this is its limit on uncommitted bytes
		c.full = true
		return 0, 0, 0, raft.ErrBusy
	}
	c.proposed += uint64(n)
	return first, c.term, n, err
}

// Saved goes on with what waited for the disk.
func (c *core) Saved(_ raft.Time, seq uint64) {
	if c.pending != nil && seq >= c.saves {
		c.saved, c.durable = true, c.last
	}
}

// Tick fires what is due.
func (c *core) Tick(now raft.Time) {
	if c.role == raft.Leader {
		if now >= c.beatAt {
			c.beatAt = now.Add(c.cfg.Heartbeat)
			c.node.Tick()
			c.giveUpSending(now)
		}
		return
	}
	if now >= c.leaseAt && c.leader != 0 {
		_ = c.node.ForgetLeader() // so that it may vote for another; the error is of leaders only
		c.leaseAt = c.electionAt
	}
	if now >= c.electionAt {
		c.restartElectionTimer(now)
		_ = c.node.Campaign() // the error says that it may not
	}
}

// Deadline returns when Tick has something to do.
func (c *core) Deadline() raft.Time {
	switch {
	case c.role == raft.Leader:
		return c.beatAt
	case c.leader != 0:
		return min(c.leaseAt, c.electionAt)
	}
	return c.electionAt
}

func (c *core) restartElectionTimer(now raft.Time) {
	c.leaseAt = now.Add(c.cfg.ElectionTimeout)
	c.electionAt = c.leaseAt.Add(time.Duration(c.random.Int64N(int64(c.cfg.ElectionTimeout))))
}

// Campaign starts an election without asking first, as after a transfer of leadership.
func (c *core) Campaign(now raft.Time) {
	c.restartElectionTimer(now)
	c.standing = true
	if c.role == raft.Follower {
		self := uint64(c.id)
		_ = c.node.Step(&raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: &self, To: &self})
		return
	}
	_ = c.node.Campaign()
}

// Reachable tells a leader that what was in flight to a peer is lost: the library probes with its next message. A member
// that was made to campaign asks again, since the library asks once.
func (c *core) Reachable(_ raft.Time, id raft.ID) {
	switch {
	case c.role == raft.Leader:
		c.peers[id-1].probing = true
		c.lostSnapshot(id)
		c.node.ReportUnreachable(uint64(id))
	case c.standing && c.role != raft.Follower:
		_ = c.node.Campaign()
	}
}

// Take carries out what the node wants done, until there is something for the shell to do.
func (c *core) Take(now raft.Time, more bool) *cluster.Output {
	c.out = cluster.Output{Frames: c.out.Frames[:0], Chunks: c.out.Chunks[:0]}
	c.frame = c.frame[:0]
	c.takeChunk()
	for c.out.Save.Seq == 0 && len(c.out.Apply) == 0 {
		if c.saved {
			rd := *c.pending
			c.pending, c.saved = nil, false
			c.carryOut(now, rd)
		} else if c.pending == nil && c.node.HasReady() {
			c.ready(now)
		} else {
			break
		}
	}
	if !more {
		for _, msg := range c.held {
			c.send(now, msg)
		}
		clear(c.held)
		c.held = c.held[:0]
	}
	c.out.Compact, c.compact = c.compact, 0
	c.out.Events, c.events, c.spare = c.events, c.spare[:0], c.events
	return &c.out
}

// ready takes the next Ready: its state and entries are handed out to be saved, and the rest follows once they are.
func (c *core) ready(now raft.Time) {
	rd := c.node.Ready()
	c.proposed, c.full = 0, false
	if s := rd.SoftState; s != nil {
		c.leader = raft.ID(s.Lead)
	}
	hard := rd.HardState
	stateChanged := !etcdraft.IsEmptyHardState(hard) && (hard.GetTerm() != c.term || raft.ID(hard.GetVote()) != c.vote)
	if stateChanged {
		c.restartElectionTimer(now)
		c.term, c.vote = hard.GetTerm(), raft.ID(hard.GetVote())
	}
	if s := rd.SoftState; s != nil {
		c.changeRole(now, roleOf(s.RaftState))
	}
	if !etcdraft.IsEmptyHardState(hard) && hard.GetCommit() > c.commit {
		c.commit = hard.GetCommit()
		c.event(raft.Event{Kind: raft.EventCommitted, Index: c.commit, Term: c.term})
	}
	reset := c.installed(rd.Snapshot)
	if !stateChanged && len(rd.Entries) == 0 && reset.Index == 0 {
		c.carryOut(now, rd)
		return
	}
	c.save(rd.Entries, reset)
	if c.role == raft.Leader {
		// The disks of the leader and of the followers write at the same time (thesis, section 10.2.1).
		c.postAll(now, rd.Messages)
		rd.Messages = nil
	}
	c.pending = &rd
}

// save hands out what must survive a crash.
func (c *core) save(entries []*raftpb.Entry, reset raft.Snapshot) {
	c.saves++
	s := raft.Save{Seq: c.saves, Term: c.term, Vote: c.vote, Reset: reset}
	if len(entries) > 0 {
		first := entries[0].GetIndex()
		if first <= c.last {
			s.TruncateFrom = first
			c.durable = min(c.durable, first-1)
			c.event(raft.Event{Kind: raft.EventTruncated, Index: first, Count: int(c.last - first + 1), Term: c.term})
		}
		c.last = first + uint64(len(entries)) - 1
		s.Entries = c.saving.encode(entries)
		_ = c.log.Append(entries) // it cannot fail
		if c.role == raft.Leader {
			c.event(raft.Event{Kind: raft.EventAppended, Index: c.last, Count: len(entries), Term: c.term})
		}
	}
	c.out.Save = s
}

// carryOut does what a Ready asks for once its entries are durable.
func (c *core) carryOut(now raft.Time, rd etcdraft.Ready) {
	c.postAll(now, rd.Messages)
	if len(rd.CommittedEntries) > 0 {
		c.out.Apply = c.applying.encode(rd.CommittedEntries)
		run := c.out.Apply[0]
		c.applied = run.Last()
		c.event(raft.Event{Kind: raft.EventApplied, Index: c.applied, Term: c.term})
		c.out.Snapshot = c.dueSnapshot(run)
		c.adopt()
	}
	c.node.Advance(rd)
}

func roleOf(s etcdraft.StateType) raft.Role {
	switch s {
	case etcdraft.StateLeader:
		return raft.Leader
	case etcdraft.StateCandidate:
		return raft.Candidate
	case etcdraft.StatePreCandidate:
		return raft.PreCandidate
	}
	return raft.Follower
}

func (c *core) changeRole(now raft.Time, role raft.Role) {
	switch {
	case role == raft.Candidate && c.role != raft.Candidate:
		c.elections++
	case role == raft.Leader && c.role != raft.Leader:
		c.beatAt = now.Add(c.cfg.Heartbeat)
		for i := range c.peers {
			c.peers[i] = peer{probing: true}
		}
	case role != raft.Leader && c.role == raft.Leader:
		c.restartElectionTimer(now)
		for i := range c.peers {
			c.peers[i].sending = sending{}
		}
	}
	c.role = role
	c.standing = c.standing && role != raft.Leader && c.leader == 0
	c.event(raft.Event{Kind: raft.EventRole, Role: role, Term: c.term, Peer: c.leader})
}

func (c *core) event(e raft.Event) {
	if c.cfg.Events() {
		c.events = append(c.events, e)
	}
}

// Status returns what is known of the node.
func (c *core) Status() raft.Status {
	return raft.Status{ID: c.id, Role: c.role, Term: c.term, Vote: c.vote, Leader: c.leader, First: c.first, Last: c.last,
		Durable: c.durable, Commit: c.commit, Applied: c.applied}
}
