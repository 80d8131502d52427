package hashicorp

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// replica is one member of the group. It is the library's state machine.
type replica struct {
	g     *Group
	id    raft.ID
	addr  string
	store *store

	life    sync.RWMutex // held for reading while a life of the replica is used
	raft    *hraft.Raft  // nil while crashed
	streams *streams
	net     *transport
	down    chan struct{} // closed when this life is over and nothing will be answered any more
	answers *answers

	messages, appends, entries, bytes, elections, rejections, writes atomic.Uint64

	// The state machine, touched by one goroutine of the library at a time.
	machine sync.Mutex
	digest  xxhash.Digest
	applied uint64
	term    uint64       // of the last entry
	boxed   any          // that term, as it is answered
	run     raft.Entries // scratch
	results []any        // scratch
	since   int          // entries applied since the last look at what may be forgotten

	closing sync.Mutex // one crash at a time
}

func serverID(id raft.ID) hraft.ServerID { return hraft.ServerID(strconv.FormatUint(uint64(id), 10)) }

func idOf(id hraft.ServerID) raft.ID {
	n, _ := strconv.ParseUint(string(id), 10, 64)
	return raft.ID(n)
}

// open starts a life of the replica on a carrier.
func (r *replica) open(carrier transports.Carrier) error {
	r.store.mu.RLock()
	digest, applied, term := r.store.digest, r.store.applied, r.store.appliedTerm
	r.store.mu.RUnlock()
	r.machine.Lock()
	r.digest, r.applied, r.term, r.boxed = digest, applied, term, term
	r.machine.Unlock()
	streams := newStreams(r.g.identity, r.id, carrier, r.g.idOf, &r.bytes, &r.writes)
	for _, peer := range r.g.replicas {
		if far := r.g.reach(r.id, peer.id); peer != r && far != open {
			streams.setLink(peer.id, far)
		}
	}
	logger := hclog.NewNullLogger()
	net := hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{Stream: streams, MaxPool: 8,
		MaxRPCsInFlight: r.g.options.MaxInFlight, Timeout: dialTimeout, Logger: logger})
	r.life.Lock()
	defer r.life.Unlock()
	r.streams = streams
	r.net = &transport{NetworkTransport: net, r: r, pipelines: map[*pipeline]bool{}}
	node, err := hraft.NewRaft(r.config(logger), r, r.store, r.store, r.store, r.net)
	if err != nil {
		net.Close()
		return fmt.Errorf("%w: %w", raft.ErrConfig, err)
	}
	r.raft, r.down = node, make(chan struct{})
	r.answers = newAnswers(r)
	role := raft.Follower
	node.RegisterObserver(hraft.NewObserver(nil, false, func(o *hraft.Observation) bool {
		if state, ok := o.Data.(hraft.RaftState); ok {
			if now := roleOf(state); now != role {
				role = now
				r.changed(o.Raft, now)
			}
		}
		return false
	}))
	return nil
}

func (r *replica) config(logger hclog.Logger) *hraft.Config {
	c := hraft.DefaultConfig()
	c.LocalID = serverID(r.id)
	c.HeartbeatTimeout, c.ElectionTimeout = r.g.cfg.ElectionTimeout, r.g.cfg.ElectionTimeout
	c.LeaderLeaseTimeout = r.g.cfg.ElectionTimeout / 2
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries, c.BatchApplyCh = r.g.options.MaxAppendEntries, true
	c.PreVoteDisabled = !r.g.cfg.PreVote
	c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = 1000*time.Hour, math.MaxUint64, math.MaxUint64
	c.NoSnapshotRestoreOnStart = true
	c.Logger = logger
	return c
}

// commitTimeout is the least that the library allows, rather than its default of 50 ms. It is also how often a pipeline
// sends a batch when nothing is proposed: a follower that fell behind by a hundred thousand entries, as happens under
// load since a leader takes one entry more at a time than it sends, is a minute or two behind with the default.
const commitTimeout = time.Millisecond

func roleOf(s hraft.RaftState) raft.Role {
	switch s {
	case hraft.Leader:
		return raft.Leader
	case hraft.Candidate:
		return raft.Candidate
	}
	return raft.Follower
}

func (r *replica) changed(node *hraft.Raft, role raft.Role) {
	if role == raft.Candidate {
		r.elections.Add(1)
	}
	term := node.CurrentTerm()
	if role == raft.Candidate {
		term++ // which it is about to begin
	}
	r.event(raft.Event{Kind: raft.EventRole, Role: role, Term: term})
}

// event tells the observer that something happened here.
func (r *replica) event(e raft.Event) {
	if r.g.cfg.Events() {
		r.g.cfg.Observer.Events(r.g.Now(), r.id, []raft.Event{e})
	}
}

// stored is told by the store. A follower's tells in the leader's place that it agrees, a moment before the leader
// knows: the library's pipeline shows answers to nobody.
func (r *replica) stored(last uint64) {
	if !r.g.cfg.Events() || !r.g.catchingUp.Load() {
		return
	}
	if leader := cluster.Leader(r.g); leader != 0 && leader != r.id {
		r.g.replica(leader).event(raft.Event{Kind: raft.EventAccepted, Peer: r.id, Index: last})
	}
}

// propose hands a proposal to the library.
func (r *replica) propose(p *cluster.Proposal) {
	p.Replica, p.Outcome, p.Err, p.Stages = r.id, cluster.Pending, nil, cluster.Stages{}
	if len(p.Data) > raft.DefaultMaxEntryBytes {
		p.Refuse(r.id, raft.ErrEntryTooLarge)
		return
	}
	r.life.RLock()
	node, down, answers := r.raft, r.down, r.answers
	if node == nil {
		r.life.RUnlock()
		p.Refuse(r.id, cluster.ErrDown)
		return
	}
	future := node.Apply(slices.Clone(p.Data), 0) // the library keeps it
	answers.await(future, p, down)
	r.life.RUnlock()
}

// Apply is not called: the library sees that ApplyBatch is there.
func (r *replica) Apply(log *hraft.Log) any { return r.ApplyBatch([]*hraft.Log{log})[0] }

// ApplyBatch applies entries. Those that the library keeps to itself, such as a leader's first, count as empty ones.
func (r *replica) ApplyBatch(logs []*hraft.Log) []any {
	r.machine.Lock()
	defer r.machine.Unlock()
	r.run = raft.Entries{First: r.applied + 1, Bytes: r.run.Bytes[:0]}
	r.results = r.results[:0]
	for _, log := range logs {
		for r.run.Last()+1 < log.Index {
			r.run.Append(log.Term, nil)
		}
		if log.Type == hraft.LogCommand {
			r.run.Append(log.Term, log.Data)
		} else {
			r.run.Append(log.Term, nil)
		}
		if r.term != log.Term {
			r.term, r.boxed = log.Term, log.Term
		}
		r.results = append(r.results, r.boxed)
	}
	r.digest.Write(r.run.Bytes)
	r.applied = r.run.Last()
	now := r.g.Now()
	if o := r.g.cfg.Observer; o != nil {
		o.Applied(now, r.id, r.run)
	}
	if r.g.cfg.Events() {
		r.g.cfg.Observer.Events(now, r.id, []raft.Event{{Kind: raft.EventCommitted, Index: r.applied, Term: r.term},
			{Kind: raft.EventApplied, Index: r.applied, Term: r.term}})
	}
	r.g.applied[r.id-1].Store(r.applied)
	if r.since += len(logs); r.g.cfg.SnapshotEntries > 0 && r.since >= r.g.cfg.SnapshotEntries {
		r.since = 0
		if retain, upTo := uint64(r.g.cfg.SnapshotTrailing), r.g.compactable(); upTo > retain {
			r.store.checkpoint(r.applied, r.term, r.digest, min(upTo-retain, r.applied))
		}
	}
	return r.results
}

// Snapshot refuses.
func (r *replica) Snapshot() (hraft.FSMSnapshot, error) { return nil, errNoSnapshots }

// Restore refuses: a restarted state machine is as of its checkpoint already.
func (r *replica) Restore(io.ReadCloser) error { return errNoSnapshots }

// status returns what the library tells of itself.
func (r *replica) status() cluster.Status {
	r.life.RLock()
	node := r.raft
	r.life.RUnlock()
	r.machine.Lock()
	applied, digest := r.applied, r.digest.Sum64()
	r.machine.Unlock()
	s := cluster.Status{Digest: digest, Status: raft.Status{ID: r.id, Applied: applied, Commit: applied}}
	r.store.mu.RLock()
	s.First, s.Last = r.store.first, r.store.last
	s.Term = r.store.words["CurrentTerm"]
	r.store.mu.RUnlock()
	s.Durable = s.Last
	if node == nil {
		return s
	}
	s.Up, s.Role, s.Term, s.Commit = true, roleOf(node.State()), node.CurrentTerm(), max(node.CommitIndex(), applied)
	_, leader := node.LeaderWithID()
	s.Leader = idOf(leader)
	// What is no command never reaches the state machine.
	if handed := node.AppliedIndex(); handed > applied && !r.store.commandIn(applied+1, handed) {
		s.Applied = handed
	}
	return s
}

func (r *replica) counters() cluster.Counters {
	return cluster.Counters{Messages: r.messages.Load(), AppendEntries: r.appends.Load(), EntriesSent: r.entries.Load(),
		Bytes: r.bytes.Load(), Elections: r.elections.Load(), Rejections: r.rejections.Load(), Writes: r.writes.Load()}
}

// crash ends the replica's life.
func (r *replica) crash() {
	r.closing.Lock()
	defer r.closing.Unlock()
	r.life.RLock()
	node, streams := r.raft, r.streams
	r.life.RUnlock()
	if node == nil {
		return
	}
	streams.thaw()
	streams.Close() // nothing that it still does is seen by the others
	shutdown := node.Shutdown()
	r.net.closePipelines()
	r.life.Lock() // those who propose have come back, since the library is closing
	r.raft = nil
	r.life.Unlock()
	_ = shutdown.Error()
	close(r.down)
	r.answers.end()
	r.store.mu.RLock()
	r.g.applied[r.id-1].Store(r.store.applied)
	r.store.mu.RUnlock()
}

// campaign makes a replica stand for election. The library has no call for it: a follower looks at once whether it has
// heard of a leader when its timeout is made shorter, and a leader can hand its leadership over.
func (r *replica) campaign() {
	if leader := cluster.Leader(r.g); leader != 0 && leader != r.id && r.g.linked(leader, r.id) {
		l := r.g.replica(leader)
		l.life.RLock()
		if l.raft != nil {
			l.raft.LeadershipTransferToServer(serverID(r.id), hraft.ServerAddress(r.addr)) // the group's watch tells what became of it
		}
		l.life.RUnlock()
		return
	}
	until := r.g.Now().Add(2 * r.g.cfg.ElectionTimeout)
	shorter := r.g.cfg.ElectionTimeout
	r.g.At(r.g.Now(), func(now raft.Time) raft.Time {
		r.life.RLock()
		defer r.life.RUnlock()
		if r.raft == nil || r.raft.State() != hraft.Follower || now >= until {
			return 0
		}
		shorter -= time.Microsecond
		c := r.raft.ReloadableConfig()
		c.HeartbeatTimeout = shorter
		_ = r.raft.ReloadConfig(c) // it stays above the lease
		return now.Add(5 * time.Millisecond)
	})
}

// answers waits for what becomes of a replica's proposals, in the order in which they were offered.
type answers struct {
	r    *replica
	wake chan struct{}
	done chan struct{}

	mu    sync.Mutex
	queue []answer
	ended bool
}

type answer struct {
	future hraft.ApplyFuture
	p      *cluster.Proposal
}

func newAnswers(r *replica) *answers {
	a := &answers{r: r, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go a.wait()
	return a
}

// shutdownField is where the library's futures keep the channel that ends waiting for them. Only some of its futures
// have it set, though all look at it; without it nothing would end the wait for a proposal that was under way, inside
// the library, when it was shut down.
var shutdownField = reflect.TypeFor[chan struct{}]()

func (a *answers) await(future hraft.ApplyFuture, p *cluster.Proposal, down chan struct{}) {
	setShutdown(future, down)
	a.mu.Lock()
	a.queue = append(a.queue, answer{future, p})
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func setShutdown(future hraft.ApplyFuture, down chan struct{}) {
	v := reflect.ValueOf(future)
	if v.Kind() != reflect.Pointer { // an error that is known already
		return
	}
	if f := v.Elem().FieldByName("ShutdownCh"); f.CanSet() && f.Type() == shutdownField {
		f.Set(reflect.ValueOf(down))
	}
}

// wait answers until the replica's life is over and everything is answered.
func (a *answers) wait() {
	defer close(a.done)
	var batch []answer
	for {
		a.mu.Lock()
		batch, a.queue = a.queue, batch[:0]
		ended := a.ended
		a.mu.Unlock()
		for i := range batch {
			a.answer(batch[i].future, batch[i].p)
			batch[i] = answer{}
		}
		if len(batch) == 0 {
			if ended {
				return
			}
			<-a.wake
		}
	}
}

func (a *answers) answer(future hraft.ApplyFuture, p *cluster.Proposal) {
	err := future.Error()
	switch {
	case err == nil:
		p.Index = future.Index()
		p.Term, _ = future.Response().(uint64)
		if p.Accepted != nil {
			p.Accepted(p)
		}
		p.Stages.Applied = a.r.g.Now()
		p.Tell(cluster.Committed, nil)
	case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrLeadershipTransferInProgress):
		p.Refuse(a.r.id, raft.ErrNotLeader)
	default: // leadership lost, or shut down: it may be committed or not
		p.Tell(cluster.Unknown, nil)
	}
}

// end makes wait return, once all is answered, and waits for that.
func (a *answers) end() {
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	<-a.done
}
