package hashicorp

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// replica is one member of the group.
type replica struct {
	g     *Group
	id    raft.ID
	addr  string
	store *store // nil if it is on a disk

	life    sync.RWMutex // held for reading while a life of the replica is used
	raft    *hraft.Raft  // nil while crashed
	streams *streams
	net     *transport
	disk    *disk
	machine *machine
	last    cluster.Status // of the life before, while crashed
	down    chan struct{}  // closed when this life is over and nothing will be answered any more
	answers *answers

	messages, appends, entries, bytes, elections, rejections, writes atomic.Uint64

	closing sync.Mutex // one crash at a time, and no life begins meanwhile
}

func serverID(id raft.ID) hraft.ServerID { return hraft.ServerID(strconv.FormatUint(uint64(id), 10)) }

func idOf(id hraft.ServerID) raft.ID {
	n, _ := strconv.ParseUint(string(id), 10, 64)
	return raft.ID(n)
}

// open starts a life of the replica on a carrier.
func (r *replica) open(carrier transports.Carrier) error {
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
	disk, err := r.openDisk()
	if err != nil {
		return errors.Join(err, net.Close())
	}
	r.streams, r.disk, r.machine = streams, disk, newMachine(r)
	logs := &told{disk.logs, r.stored}
	r.net = &transport{NetworkTransport: net, r: r, pipelines: map[*pipeline]bool{}}
	node, err := hraft.NewRaft(r.config(logger), r.machine, logs, disk.stable, disk.snapshots, r.net)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", raft.ErrConfig, err), net.Close(), disk.close())
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

// openDisk opens what survives the replica's lives.
func (r *replica) openDisk() (*disk, error) {
	if r.store != nil {
		return r.store.disk(), nil
	}
	return openFiles(filepath.Join(r.g.data, fmt.Sprintf("replica-%d", r.id)))
}

func (r *replica) config(logger hclog.Logger) *hraft.Config {
	c := hraft.DefaultConfig()
	c.LocalID = serverID(r.id)
	c.HeartbeatTimeout, c.ElectionTimeout = r.g.cfg.ElectionTimeout, r.g.cfg.ElectionTimeout
	c.LeaderLeaseTimeout = r.g.cfg.ElectionTimeout / 2
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries, c.BatchApplyCh = r.g.options.MaxAppendEntries, true
	c.PreVoteDisabled = !r.g.cfg.PreVote
	c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = snapshotInterval, math.MaxUint64, uint64(r.g.cfg.SnapshotTrailing)
	if n := r.g.cfg.SnapshotEntries; n > 0 {
		c.SnapshotThreshold = uint64(n)
	}
	c.Logger = logger
	return c
}

// snapshotInterval is how often the library looks whether a snapshot is due, rather than its default of two minutes: a log
// must not grow for that long.
const snapshotInterval = 10 * time.Millisecond

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

// status returns what the library tells of itself.
func (r *replica) status() cluster.Status {
	r.life.RLock()
	defer r.life.RUnlock()
	if r.raft == nil {
		return r.last
	}
	return r.statusOf(r.raft)
}

// statusOf returns the status of a life that is not over. r.life is held.
func (r *replica) statusOf(node *hraft.Raft) cluster.Status {
	applied, digest := r.machine.now()
	s := cluster.Status{Up: true, Digest: digest, Status: raft.Status{ID: r.id, Role: roleOf(node.State()), Term: node.CurrentTerm(),
		Last: node.LastIndex(), Commit: max(node.CommitIndex(), applied), Applied: applied}}
	s.Durable = s.Last
	if s.First, _ = r.disk.logs.FirstIndex(); s.First == 0 { // an empty log
		s.First = s.Last + 1
	}
	_, leader := node.LeaderWithID()
	s.Leader = idOf(leader)
	// What is no command never reaches the state machine.
	if handed := node.AppliedIndex(); handed > applied && !commandIn(r.disk.logs, applied+1, handed) {
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
	r.last = r.statusOf(node)
	r.last.Up, r.last.Role = false, raft.Follower
	r.raft = nil
	r.life.Unlock()
	_ = shutdown.Error()
	close(r.down)
	r.answers.end()
	if err := r.disk.close(); err != nil {
		r.life.Lock()
		r.last.Err = err
		r.life.Unlock()
	}
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
