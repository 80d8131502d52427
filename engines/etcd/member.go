package etcd

import (
	"errors"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	etcdraft "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// member is a RawNode with its storage and state machine: a cluster.Member.
type member struct {
	id      raft.ID
	cfg     *cluster.Config
	host    cluster.Host
	node    *etcdraft.RawNode
	storage *etcdraft.MemoryStorage
	machine *engines.Machine
	random  *rand.Rand

	// What is known of the node from the Readies so far.
	role         raft.Role
	term, commit uint64
	vote, leader raft.ID
	last         uint64 // index of the log
	first        uint64
	peers        []peer // by ID-1

	offered  []*cluster.Proposal // since the last Settle
	entries  []*raftpb.Entry     // scratch: of a MsgProp
	frame    []byte              // scratch
	run      raft.Entries        // scratch: entries as raftbench encodes them
	runs     []raft.Entries      // scratch
	counters cluster.Counters
	events   []raft.Event

	bringer cluster.Bringer   // the host, if it is one; nil to send everything apart
	held    []*raftpb.Message // of this round: see post

	// A Ready whose save is not durable yet.
	saves   uint64 // handed to the host so far
	pending *etcdraft.Ready

	// Timers. Those of elections are not the library's own: see the package's doc.
	beatAt     raft.Time // leader: the next tick
	leaseAt    raft.Time // others: when the leader is forgotten
	electionAt raft.Time // others: when to campaign
	standing   bool      // it was made to campaign, and is not elected yet
}

// peer is what a leader has seen of one follower. It only serves observers.
type peer struct {
	match   uint64
	probing bool
}

// electionTicks are the library's, of a leader: how often it looks whether a quorum answers.
func electionTicks(cfg *cluster.Config) int {
	return max(2, int((cfg.ElectionTimeout+cfg.Heartbeat-1)/cfg.Heartbeat))
}

// New makes a member that starts from what its disk holds: a cluster.Engine.
func New(id raft.ID, cfg *cluster.Config, host cluster.Host, disk *cluster.Disk) (cluster.Member, error) {
	saved := disk.Saved()
	storage, err := load(cfg, saved)
	if err != nil {
		return nil, err
	}
	limit := func(v, standard int) int {
		if v == 0 {
			return standard
		}
		return v
	}
	node, err := etcdraft.NewRawNode(&etcdraft.Config{
		ID: uint64(id), ElectionTick: electionTicks(cfg), HeartbeatTick: 1,
		Storage: storage, Applied: saved.Applied,
		MaxSizePerMsg:             uint64(limit(cfg.MaxAppendBytes, raft.DefaultMaxAppendBytes)),
		MaxInflightMsgs:           limit(cfg.MaxInFlight, raft.DefaultMaxInFlight),
		MaxCommittedSizePerReady:  math.MaxUint64,
		MaxUncommittedEntriesSize: raft.DefaultMaxUncommittedBytes,
		CheckQuorum:               cfg.CheckQuorum, PreVote: cfg.PreVote,
		DisableProposalForwarding: true,
		Logger:                    &etcdraft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	if err != nil {
		return nil, err
	}
	m := &member{id: id, cfg: cfg, host: host, node: node, storage: storage, machine: engines.NewMachine(id, cfg, host, disk),
		random: rand.New(rand.NewPCG(cfg.Seed, uint64(id))), term: saved.Term, vote: saved.Vote, commit: saved.Applied,
		first: saved.Log.First(), last: saved.Log.Last(), peers: make([]peer, cfg.Replicas)}
	if !cfg.SendApart {
		m.bringer, _ = host.(cluster.Bringer)
	}
	m.restartElectionTimer(host.Now())
	m.leaseAt = host.Now() // nobody has been heard yet
	return m, nil
}

// load makes a storage that holds what the disk does.
func load(cfg *cluster.Config, saved raft.Saved) (*etcdraft.MemoryStorage, error) {
	storage := etcdraft.NewMemoryStorage()
	voters := &raftpb.ConfState{}
	for i := range cfg.Replicas {
		voters.Voters = append(voters.Voters, uint64(i+1))
	}
	before := saved.Log.First() - 1
	term, _ := saved.Log.Term(before)
	err := storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: voters, Index: &before, Term: &term}})
	if err != nil {
		return nil, err
	}
	if saved.Term > 0 {
		vote := uint64(saved.Vote)
		commit := max(saved.Applied, before)
		err = storage.SetHardState(&raftpb.HardState{Term: &saved.Term, Vote: &vote, Commit: &commit})
		if err != nil {
			return nil, err
		}
	}
	var entries []*raftpb.Entry
	for i := saved.Log.First(); i <= saved.Log.Last(); i++ {
		e := saved.Log.Entry(i)
		entry := &raftpb.Entry{Term: &e.Term, Index: &e.Index}
		if len(e.Data) > 0 {
			entry.Data = slices.Clone(e.Data)
		}
		entries = append(entries, entry)
	}
	return storage, storage.Append(entries)
}

// Propose keeps the proposal until Settle: those that come together become one MsgProp.
func (m *member) Propose(_ raft.Time, p *cluster.Proposal) {
	engines.Begin(p, m.id)
	m.offered = append(m.offered, p)
}

// propose gives the library what was offered. Nothing else may wait in the node: the entries follow the last one that
// is known.
func (m *member) propose() {
	batch := m.offered
	m.offered = nil
	if m.role != raft.Leader {
		refuse(batch, m.id, raft.ErrNotLeader)
		return
	}
	m.entries = m.entries[:0]
	for _, p := range batch {
		m.entries = append(m.entries, &raftpb.Entry{Data: p.Data}) // the library copies it
	}
	from := uint64(m.id)
	err := m.node.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: &from, Entries: m.entries})
	clear(m.entries)
	if err != nil {
		// It is the leader as far as it has told, so this is its limit on uncommitted bytes.
		refuse(batch, m.id, raft.ErrBusy)
		return
	}
	for i, p := range batch {
		p.Index, p.Term = m.last+1+uint64(i), m.term
		m.machine.Await(p)
	}
	clear(batch)
	if m.offered == nil { // nothing was offered meanwhile
		m.offered = batch[:0]
	}
}

func refuse(batch []*cluster.Proposal, id raft.ID, err error) {
	for _, p := range batch {
		p.Refuse(id, err)
	}
}

// Receive steps the node with a message.
func (m *member) Receive(now raft.Time, from raft.ID, frame []byte) error {
	msg := &raftpb.Message{}
	if err := proto.Unmarshal(frame, msg); err != nil {
		return err
	}
	if msg.GetFrom() != uint64(from) || msg.GetTo() != uint64(m.id) || msg.Type == nil || etcdraft.IsLocalMsg(msg.GetType()) {
		return errNotSent
	}
	switch msg.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		if msg.GetTerm() >= m.term {
			m.restartElectionTimer(now)
		}
	case raftpb.MsgAppResp:
		m.sawAnswer(from, msg)
	}
	if err := m.node.Step(msg); err != nil && !errors.Is(err, etcdraft.ErrProposalDropped) && !errors.Is(err, etcdraft.ErrStepPeerNotFound) {
		return err
	}
	return nil
}

var errNotSent = errors.New("etcd: a message that no member sends")

// Saved goes on with what waited for the disk.
func (m *member) Saved(now raft.Time, seq uint64) {
	if m.pending != nil && seq == m.saves {
		rd := *m.pending
		m.pending = nil
		m.carryOut(now, rd)
	}
}

// Tick fires what is due, and answers who has waited for too long.
func (m *member) Tick(now raft.Time) {
	m.machine.Tick(now)
	if m.role == raft.Leader {
		if now >= m.beatAt {
			m.beatAt = now.Add(m.cfg.Heartbeat)
			m.node.Tick()
		}
		return
	}
	if now >= m.leaseAt && m.leader != 0 {
		_ = m.node.ForgetLeader() // so that it may vote for another; the error is of leaders only
		m.leaseAt = m.electionAt
	}
	if now >= m.electionAt {
		m.restartElectionTimer(now)
		_ = m.node.Campaign() // the error says that it may not
	}
}

// Deadline returns when Tick has something to do.
func (m *member) Deadline() raft.Time {
	at := m.machine.Deadline()
	switch {
	case m.role == raft.Leader:
		return min(at, m.beatAt)
	case m.leader != 0:
		return min(at, m.leaseAt, m.electionAt)
	}
	return min(at, m.electionAt)
}

func (m *member) restartElectionTimer(now raft.Time) {
	m.leaseAt = now.Add(m.cfg.ElectionTimeout)
	m.electionAt = m.leaseAt.Add(time.Duration(m.random.Int64N(int64(m.cfg.ElectionTimeout))))
}

// Campaign starts an election without asking first, as after a transfer of leadership.
func (m *member) Campaign(now raft.Time) {
	m.restartElectionTimer(now)
	m.standing = true
	if m.role == raft.Follower {
		self := uint64(m.id)
		_ = m.node.Step(&raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: &self, To: &self})
		return
	}
	_ = m.node.Campaign()
}

// Reachable tells a leader that what was in flight to a peer is lost: the library probes with its next message. A member
// that was made to campaign asks again, since the library asks once.
func (m *member) Reachable(_ raft.Time, id raft.ID) {
	switch {
	case m.role == raft.Leader:
		m.peers[id-1].probing = true
		m.node.ReportUnreachable(uint64(id))
	case m.standing && m.role != raft.Follower:
		_ = m.node.Campaign()
	}
}

// Settle carries out what the node wants done, until it wants nothing more.
func (m *member) Settle(now raft.Time) {
	for m.pending == nil {
		if m.node.HasReady() {
			m.ready(now)
		} else if len(m.offered) > 0 {
			m.propose()
		} else {
			break
		}
	}
	m.sendHeld()
	if len(m.events) > 0 {
		m.cfg.Observer.Events(now, m.id, m.events)
		m.events = m.events[:0]
	}
}

// ready takes the next Ready: its state and entries go to the disk, and the rest follows once they are there.
func (m *member) ready(now raft.Time) {
	rd := m.node.Ready()
	if !etcdraft.IsEmptySnap(rd.Snapshot) {
		panic("etcd: a member was sent a snapshot of entries that it does not have")
	}
	if s := rd.SoftState; s != nil {
		m.leader = raft.ID(s.Lead)
	}
	hard := rd.HardState
	stateChanged := !etcdraft.IsEmptyHardState(hard) && (hard.GetTerm() != m.term || raft.ID(hard.GetVote()) != m.vote)
	if stateChanged {
		m.restartElectionTimer(now)
		m.term, m.vote = hard.GetTerm(), raft.ID(hard.GetVote())
	}
	if s := rd.SoftState; s != nil {
		m.changeRole(now, roleOf(s.RaftState))
	}
	m.machine.Lead(now, m.role == raft.Leader, m.term, m.cfg.ElectionTimeout)
	if !etcdraft.IsEmptyHardState(hard) && hard.GetCommit() > m.commit {
		m.commit = hard.GetCommit()
		m.event(raft.Event{Kind: raft.EventCommitted, Index: m.commit, Term: m.term})
	}
	if !stateChanged && len(rd.Entries) == 0 {
		m.carryOut(now, rd)
		return
	}
	if m.save(rd.Entries) {
		m.carryOut(now, rd)
		return
	}
	if m.role == raft.Leader {
		// The disks of the leader and of the followers write at the same time (thesis, section 10.2.1).
		m.sendAll(rd.Messages)
		rd.Messages = nil
	}
	m.pending = &rd
}

// save hands what must survive a crash to the host.
func (m *member) save(entries []*raftpb.Entry) bool {
	m.saves++
	s := raft.Save{Seq: m.saves, Term: m.term, Vote: m.vote}
	if len(entries) > 0 {
		first := entries[0].GetIndex()
		if first <= m.last {
			s.TruncateFrom = first
			m.event(raft.Event{Kind: raft.EventTruncated, Index: first, Count: int(m.last - first + 1), Term: m.term})
		}
		m.last = first + uint64(len(entries)) - 1
		m.runs = append(m.runs[:0], m.encode(entries))
		s.Entries = m.runs
		_ = m.storage.Append(entries) // it cannot fail
		if m.role == raft.Leader {
			m.event(raft.Event{Kind: raft.EventAppended, Index: m.last, Count: len(entries), Term: m.term})
		}
	}
	return m.host.Save(s)
}

// encode writes entries as everybody else here does. The result is valid until the next call.
func (m *member) encode(entries []*raftpb.Entry) raft.Entries {
	m.run = raft.Entries{First: entries[0].GetIndex(), Bytes: m.run.Bytes[:0]}
	for _, e := range entries {
		m.run.Append(e.GetTerm(), e.Data)
	}
	return m.run
}

// carryOut does what a Ready asks for once its entries are durable.
func (m *member) carryOut(now raft.Time, rd etcdraft.Ready) {
	m.sendAll(rd.Messages)
	if len(rd.CommittedEntries) > 0 {
		run := m.encode(rd.CommittedEntries)
		m.machine.Apply(run)
		m.event(raft.Event{Kind: raft.EventApplied, Index: run.Last(), Term: m.term})
		if upTo := m.machine.Compact(m.last); upTo > 0 {
			m.compact(upTo)
		}
	}
	m.node.Advance(rd)
}

// compact forgets the log up to an index that all members have applied. A leader that does not know this of a follower, of
// whom answers were lost, sends a snapshot in place of what is gone. It needs no content: the follower finds that its log
// has the snapshot's last entry, and says how far it is.
func (m *member) compact(upTo uint64) {
	if _, err := m.storage.CreateSnapshot(upTo, nil, nil); err != nil {
		return // there is a later one
	}
	if m.storage.Compact(upTo) == nil {
		m.first = upTo + 1
	}
}

func (m *member) sendAll(messages []*raftpb.Message) {
	for _, msg := range messages {
		m.post(msg)
	}
}

// post sends a message. As in cluster.Replica, an append without entries waits for the end of its round, and is left out
// if one with entries goes to the same member until then.
func (m *member) post(msg *raftpb.Message) {
	switch {
	case m.bringer == nil || msg.GetType() != raftpb.MsgApp:
	case len(msg.Entries) == 0:
		m.held = append(m.held, msg)
		return
	default:
		m.held = slices.DeleteFunc(m.held, func(held *raftpb.Message) bool { return held.GetTo() == msg.GetTo() })
	}
	m.send(msg)
}

func (m *member) sendHeld() {
	if len(m.held) > 0 && !m.bringer.Pending() {
		for _, msg := range m.held {
			m.send(msg)
		}
		clear(m.held)
		m.held = m.held[:0]
	}
}

func (m *member) send(msg *raftpb.Message) {
	to := raft.ID(msg.GetTo())
	if to == m.id {
		return // MsgTimeoutNow of Campaign is never sent; what is for itself comes back by Advance
	}
	frame, err := proto.MarshalOptions{}.MarshalAppend(m.frame[:0], msg)
	if err != nil {
		panic("etcd: a message that cannot be marshalled: " + err.Error())
	}
	m.frame = frame
	class := transports.ClassVote
	m.counters.Messages++
	m.counters.Bytes += uint64(engines.FramePrefix + len(frame))
	switch msg.GetType() {
	case raftpb.MsgApp:
		class = transports.ClassAppend
		m.counters.AppendEntries++
		m.counters.EntriesSent += uint64(len(msg.Entries))
		m.sawAppend(to, msg)
	case raftpb.MsgAppResp, raftpb.MsgSnap:
		class = transports.ClassAppend
	case raftpb.MsgHeartbeat:
		class = transports.ClassHeartbeat
		m.counters.AppendEntries++
	case raftpb.MsgHeartbeatResp:
		class = transports.ClassHeartbeat
	}
	m.host.Send(to, class, frame)
	if msg.GetType() == raftpb.MsgSnap {
		// The library sends nothing more until it is told what became of it; should it be lost, the next append says so.
		m.node.ReportSnapshot(msg.GetTo(), etcdraft.SnapshotFinish)
	}
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

func (m *member) changeRole(now raft.Time, role raft.Role) {
	switch {
	case role == raft.Candidate && m.role != raft.Candidate:
		m.counters.Elections++
	case role == raft.Leader && m.role != raft.Leader:
		m.beatAt = now.Add(m.cfg.Heartbeat)
		for i := range m.peers {
			m.peers[i] = peer{probing: true}
		}
	case role != raft.Leader && m.role == raft.Leader:
		m.restartElectionTimer(now)
	}
	m.role = role
	m.standing = m.standing && role != raft.Leader && m.leader == 0
	m.event(raft.Event{Kind: raft.EventRole, Role: role, Term: m.term, Peer: m.leader})
}

func (m *member) event(e raft.Event) {
	if m.cfg.Events() {
		m.events = append(m.events, e)
	}
}

// sawAppend tells observers of a MsgApp to a follower.
func (m *member) sawAppend(to raft.ID, msg *raftpb.Message) {
	if !m.cfg.Events() {
		return
	}
	bytes := 0
	for _, e := range msg.Entries {
		bytes += raft.EntryOverhead + len(e.Data)
	}
	m.event(raft.Event{Kind: raft.EventSent, Peer: to, Prev: msg.GetIndex(), Index: msg.GetIndex() + uint64(len(msg.Entries)),
		Count: len(msg.Entries), Bytes: bytes, Probe: m.peers[to-1].probing, Term: m.term})
}

// sawAnswer tells observers of a follower's answer.
func (m *member) sawAnswer(from raft.ID, msg *raftpb.Message) {
	if m.role != raft.Leader || msg.GetTerm() != m.term {
		return
	}
	p := &m.peers[from-1]
	switch {
	case msg.GetReject():
		if msg.GetIndex() > p.match {
			p.probing = true
		}
		m.counters.Rejections++
		m.event(raft.Event{Kind: raft.EventRejected, Peer: from, Prev: msg.GetIndex(), Index: msg.GetRejectHint() + 1})
	case msg.GetIndex() > p.match || p.probing:
		p.match = max(p.match, msg.GetIndex())
		m.event(raft.Event{Kind: raft.EventAccepted, Peer: from, Index: p.match, Probe: p.probing})
		p.probing = false
	}
}

// Status returns what a scenario may know of the member.
func (m *member) Status() cluster.Status {
	return cluster.Status{Up: true, Digest: m.machine.Digest(), Status: raft.Status{ID: m.id, Role: m.role, Term: m.term,
		Vote: m.vote, Leader: m.leader, First: m.first, Last: m.last, Durable: m.last, Commit: m.commit, Applied: m.machine.Applied()}}
}

// Counters returns what the member has done since it was made.
func (m *member) Counters() cluster.Counters { return m.counters }

// Abandon ends the member's life.
func (m *member) Abandon() {
	for _, p := range m.offered {
		p.Refuse(m.id, cluster.ErrDown)
	}
	m.offered = nil
	m.machine.Abandon()
}
