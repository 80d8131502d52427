package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Role is what a node is in its term.
type Role uint8

const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Errors of Propose. ErrNotLeader and ErrBusy leave the log as it was.
var (
	ErrNotLeader     = errors.New("raft: not the leader")
	ErrBusy          = errors.New("raft: too many uncommitted bytes")
	ErrEntryTooLarge = errors.New("raft: entry too large")
)

// Node is one replica's Raft: a deterministic state machine. Its methods must be called by one goroutine at a time.
// Each takes the present time, which never goes back: an earlier one is taken for the latest known.
type Node struct {
	cfg    Config
	peers  []progress // the other voters, in order of ID
	quorum int
	random *rand.Rand
	phase  time.Duration

	now  Time
	idle bool // nothing has come in since the last Take
	more bool // the driver is about to bring more: see TakeMore
	role Role
	term uint64
	vote ID
	lead ID // 0 if unknown
	log  *Log

	commit  uint64
	applied uint64
	proven  uint64 // follower: the largest commitIndex the leader told that its messages also proved equal

	// Timers.
	electionAt Time // not a leader: when it campaigns
	leaderAt   Time // when a legitimate leader was last heard
	beatAt     Time // leader: the next heartbeat
	quorumAt   Time // leader: when it next looks whether a quorum answers
	gateAt     Time // when the first shut gate opens by itself
	beat       bool // a heartbeat is due

	// Campaign.
	votes     map[ID]bool
	campaign  Message // the RequestVote of the running campaign
	voteSaved uint64  // the save that makes the own vote durable

	// Storage: see save.go.
	savedSeq    uint64 // all saves up to this one are durable
	saveSeq     uint64 // last one handed out
	hardChanged bool
	handed      uint64 // last index handed to the storage
	truncateTo  uint64 // lowest index that the storage must forget from, 0 if none
	durable     uint64 // last index that is durable and still in the log
	pending     []pendingSave
	held        []heldMessage

	quorumSince, commitSince Time   // when the work at the Commit and the Apply gate arrived, if there is any
	quorumIndex              uint64 // leader: highest index of this term that a quorum holds durably
	sentQuorum               uint64 // leader: EventSentQuorum was given up to here
	heardAppend              bool   // follower: AppendEntries arrived since the last Take

	// Snapshots: see snapshot.go.
	snapshot     Snapshot // the newest durable one
	taking       uint64   // index of the one that an Output asked for; 0 if none is under way
	appliedBytes uint64   // of entries applied since the last was asked for
	incoming     incoming
	chunks       []Chunk // received since the last Take, in chunkMem
	chunkMem     []byte
	chunkSpare   []byte
	reset        Snapshot // what the storage's log must begin after; Index 0 if it goes on
	restore      Snapshot // what the state machine must be restored from; Index 0 if it goes on

	seq                   uint64
	elections, rejections uint64 // since New

	scratch []uint64
	out     Output
	outMsgs []Message // collected between two Takes
	events  []Event

	saveRuns []Entries // memory of Output.Save.Entries
	sendRuns []Entries // memory of Message.More
}

// New starts a replica from what its storage held. Errors wrap ErrConfig.
func New(now Time, cfg Config, saved Saved) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Voters = slices.Clone(cfg.Voters)
	slices.Sort(cfg.Voters)
	n := &Node{
		cfg:    cfg,
		quorum: len(cfg.Voters)/2 + 1,
		random: rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.ID))),
		now:    now,
		term:   saved.Term,
		vote:   saved.Vote,
		log:    NewLog(1, 0),
		votes:  map[ID]bool{},
		gateAt: forever,
	}
	n.phase = time.Duration(n.random.Int64N(int64(time.Hour)))
	for _, id := range cfg.Voters {
		if id != cfg.ID {
			n.peers = append(n.peers, progress{id: id})
		}
	}
	if saved.Log != nil {
		n.log = saved.Log.clone()
	}
	if err := n.recoverSnapshot(saved.Snapshot); err != nil {
		return nil, err
	}
	if n.term >= lastTerm {
		return nil, fmt.Errorf("%w: saved term is %d", ErrConfig, n.term)
	}
	if n.log.LastTerm() > n.term {
		return nil, fmt.Errorf("%w: saved term is %d, but the saved log ends in term %d", ErrConfig, n.term, n.log.LastTerm())
	}
	if saved.Applied > n.log.Last() {
		// It would give the state machine other entries at indexes that it has already.
		return nil, fmt.Errorf("%w: entries up to %d are saved as applied, but the saved log ends at %d", ErrConfig, saved.Applied, n.log.Last())
	}
	n.handed, n.durable = n.log.Last(), n.log.Last()
	n.applied = max(n.snapshot.Index, saved.Applied)
	n.commit, n.proven = n.applied, n.applied
	n.resetElectionTimer()
	n.leaderAt = now.Add(-cfg.ElectionTimeout) // nobody has been heard yet
	return n, nil
}

// Status is a snapshot of a node.
type Status struct {
	ID      ID
	Role    Role
	Term    uint64
	Vote    ID
	Leader  ID // 0 if unknown
	First   uint64
	Last    uint64
	Durable uint64 // last index that is durable
	Commit  uint64
	Applied uint64
}

// Status returns a snapshot of the node.
func (n *Node) Status() Status {
	return Status{ID: n.cfg.ID, Role: n.role, Term: n.term, Vote: n.vote, Leader: n.lead, First: n.log.First(),
		Last: n.log.Last(), Durable: n.durable, Commit: n.commit, Applied: n.applied}
}

// Leads reports whether the node leads its term, which it returns too.
func (n *Node) Leads() (leads bool, term uint64) { return n.role == Leader, n.term }

// Counts returns how often the node has begun a campaign, polls not counted, and how often its AppendEntries were
// rejected. It counts without Config.Events as well.
func (n *Node) Counts() (elections, rejections uint64) { return n.elections, n.rejections }

// Log returns the node's log, for reading only and until the next call of a method.
func (n *Node) Log() *Log { return n.log }

// Propose appends data, which is copied, to the leader's log and returns the index and term that it will have if it
// is ever committed. ErrNotLeader: ask Status().Leader. ErrBusy: try again when something has been committed.
// ErrEntryTooLarge: longer than MaxEntryBytes.
//
// Several proposals before one Take travel together.
func (n *Node) Propose(now Time, data []byte) (index, term uint64, err error) {
	n.advance(now)
	switch {
	case n.role != Leader:
		return 0, 0, ErrNotLeader
	case len(data) > n.cfg.MaxEntryBytes:
		return 0, 0, fmt.Errorf("%w: %d bytes, at most %d", ErrEntryTooLarge, len(data), n.cfg.MaxEntryBytes)
	case n.uncommittedBytes() > uint64(n.cfg.MaxUncommittedBytes):
		return 0, 0, ErrBusy
	}
	n.appendOwn(data)
	return n.log.Last(), n.term, nil
}

// uncommittedBytes returns the bytes of this leader's entries that are not committed. What it has from earlier terms does
// not count: only an entry of its own commits that, so there must always be room for one.
func (n *Node) uncommittedBytes() uint64 {
	last := n.log.Last()
	if n.role != Leader || n.commit >= last || n.log.LastTerm() != n.term {
		return 0
	}
	return n.log.offset(last+1) - n.log.offset(max(n.commit+1, n.log.FirstOfTermAt(last), n.log.First()))
}

// Step handles a message, of which it keeps nothing. Messages from replicas outside the group are ignored, and so are
// those that no correct replica sends: whatever arrives, Step does not panic and takes nothing back that is committed.
// Entries must have passed Validate.
func (n *Node) Step(now Time, m *Message) {
	n.advance(now)
	if n.peer(m.From) == nil || !m.plausible() {
		return
	}
	if m.Term > n.term && !n.ignoresTerm(m) {
		leader := ID(0)
		if m.Type == AppendEntries || m.Type == InstallSnapshot {
			leader = m.From
		}
		n.becomeFollower(m.Term, leader)
	}
	switch m.Type {
	case AppendEntries:
		n.stepAppendEntries(m)
	case AppendEntriesReply:
		n.stepAppendEntriesReply(m)
	case RequestVote:
		n.stepRequestVote(m)
	case RequestVoteReply:
		n.stepRequestVoteReply(m)
	case InstallSnapshot:
		n.stepInstallSnapshot(m)
	case InstallSnapshotReply:
		n.stepInstallSnapshotReply(m)
	}
}

// Tick fires the timers that are due. Gates whose wait is over open with the following Take.
func (n *Node) Tick(now Time) {
	n.advance(now)
	if n.role != Leader {
		if n.now >= n.electionAt {
			n.startCampaign(n.cfg.PreVote)
		}
		return
	}
	if n.now >= n.beatAt {
		n.beat = true
		n.beatAt = n.nextBeat()
	}
	if n.cfg.CheckQuorum && n.now >= n.quorumAt {
		n.checkQuorum()
	}
}

// Deadline returns when Tick next has something to do: a driver that has nothing else to do sleeps until then, calls
// Tick, and then Take. It is right after Take.
func (n *Node) Deadline() Time {
	if n.role != Leader {
		return min(n.electionAt, n.gateAt)
	}
	at := min(n.beatAt, n.gateAt)
	if n.cfg.CheckQuorum {
		at = min(at, n.quorumAt)
	}
	return at
}

// Sending returns the index of the snapshot that a leader is sending to a peer, 0 if none.
func (n *Node) Sending(id ID) uint64 {
	if p := n.peer(id); p != nil && n.role == Leader {
		return p.install.Index
	}
	return 0
}

// Campaign starts an election at once, without asking first.
func (n *Node) Campaign(now Time) {
	n.advance(now)
	if n.role != Leader {
		n.startCampaign(false)
	}
}

// advance begins each input.
func (n *Node) advance(now Time) {
	n.now = max(n.now, now)
	n.idle = false
}

func (n *Node) peer(id ID) *progress {
	for i := range n.peers {
		if n.peers[i].id == id {
			return &n.peers[i]
		}
	}
	return nil
}

// send queues a message that promises nothing which the disk does not hold yet.
func (n *Node) send(m Message) {
	m.From = n.cfg.ID
	n.outMsgs = append(n.outMsgs, m)
}

func (n *Node) event(e Event) {
	if e.Kind == EventRejected {
		n.rejections++
	}
	if n.cfg.Events {
		n.events = append(n.events, e)
	}
}

// quorumOf returns the largest value that a quorum has reached, where own is this node's and of gives the others'.
func (n *Node) quorumOf(own uint64, of func(*progress) uint64) uint64 {
	n.scratch = append(n.scratch[:0], own)
	for i := range n.peers {
		n.scratch = append(n.scratch, of(&n.peers[i]))
	}
	slices.Sort(n.scratch)
	return n.scratch[len(n.scratch)-n.quorum]
}
