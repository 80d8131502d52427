package cluster

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// Replica is the Member that runs this project's own core: a raft.Node, its disk, its state machine and the clients
// that wait for it.
type Replica struct {
	id       raft.ID
	cfg      *Config
	host     Host
	disk     *Disk
	node     *raft.Node
	leading  bool
	counters Counters

	bringer Bringer        // the host, if it is one; nil to send everything apart
	held    []raft.Message // of this round: see post

	digest  xxhash.Digest // of what was applied
	message raft.Message  // the one being handled
	head    []byte        // scratch
	body    [][]byte      // scratch

	pruning Pruning
	clients Clients
	marks   watermarks
}

// NewReplica starts a replica from its disk: an Engine. Errors wrap raft.ErrConfig.
func NewReplica(id raft.ID, cfg *Config, host Host, disk *Disk) (Member, error) {
	voters := make([]raft.ID, cfg.Replicas)
	for i := range voters {
		voters[i] = raft.ID(i + 1)
	}
	node, err := raft.New(host.Now(), raft.Config{
		ID: id, Voters: voters, Strategy: cfg.Strategy, Heartbeat: cfg.Heartbeat, ElectionTimeout: cfg.ElectionTimeout,
		Seed: cfg.Seed, PreVote: cfg.PreVote, CheckQuorum: cfg.CheckQuorum, NoOp: cfg.NoOp, Events: cfg.Events(),
		MaxAppendBytes: cfg.MaxAppendBytes, MaxInFlight: cfg.MaxInFlight, MaxEntryBytes: cfg.MaxEntryBytes,
		MaxUncommittedBytes: cfg.MaxUncommittedBytes, MaxHeld: cfg.MaxHeld,
	}, disk.Saved())
	if err != nil {
		return nil, err
	}
	r := &Replica{id: id, cfg: cfg, host: host, disk: disk, node: node, digest: disk.digest}
	r.clients.Stamp = r.marks.fill
	if !cfg.SendApart {
		r.bringer, _ = host.(Bringer)
	}
	return r, nil
}

// Node gives access to the core, for looking at its state.
func (r *Replica) Node() *raft.Node { return r.node }

// Receive steps the core with a message.
func (r *Replica) Receive(now raft.Time, from raft.ID, frame []byte) error {
	if err := transports.DecodeMessage(frame, &r.message); err != nil {
		return err
	}
	r.message.From, r.message.To = from, r.id
	r.node.Step(now, &r.message)
	return nil
}

// Tick fires the core's timers, and answers who has waited for too long.
func (r *Replica) Tick(now raft.Time) {
	r.node.Tick(now)
	r.clients.Tick(now)
}

// Deadline returns when Tick has something to do.
func (r *Replica) Deadline() raft.Time { return min(r.node.Deadline(), r.clients.Deadline()) }

// Campaign starts an election.
func (r *Replica) Campaign(now raft.Time) { r.node.Campaign(now) }

// Reachable tells that messages can travel to a peer again.
func (r *Replica) Reachable(now raft.Time, peer raft.ID) { r.node.Reachable(now, peer) }

// Saved tells that a save that Host.Save began is durable.
func (r *Replica) Saved(now raft.Time, seq uint64) { r.node.Saved(now, seq) }

// Counters returns what the replica has done since it was made.
func (r *Replica) Counters() Counters {
	c := r.counters
	c.Elections, c.Rejections = r.node.Counts()
	return c
}

// Status returns what a scenario may know of the replica.
func (r *Replica) Status() Status {
	return Status{Status: r.node.Status(), Up: true, Digest: r.digest.Sum64()}
}

// Propose offers a proposal to the node; Settle must follow. A refusal is told at once.
func (r *Replica) Propose(now raft.Time, p *Proposal) {
	p.Replica, p.Outcome, p.Err, p.Stages = r.id, Pending, nil, Stages{}
	index, term, err := r.node.Propose(now, p.Data)
	if err != nil {
		p.Tell(Refused, err)
		return
	}
	r.clients.Lead(now, true, term, r.cfg.ElectionTimeout)
	p.Index, p.Term = index, term
	r.clients.Await(p)
}

// Settle carries out everything that the node wants done, until it wants nothing more.
func (r *Replica) Settle(now raft.Time) {
	for {
		out := r.node.Take()
		leads, term := r.node.Leads()
		r.clients.Lead(now, leads, term, r.cfg.ElectionTimeout)
		if out.Empty() {
			r.sendHeld()
			return
		}
		r.observe(now, out.Events)
		durable := out.Save.Seq != 0 && r.host.Save(out.Save)
		for i := range out.Messages {
			r.post(&out.Messages[i])
		}
		if len(out.Apply) > 0 {
			r.apply(out.Apply)
		}
		if durable {
			r.node.Saved(now, out.Save.Seq)
		}
	}
}

// A Bringer is a Host that knows whether it will bring proposals and call Settle once more before it lets anything go.
type Bringer interface {
	Pending() bool
}

// post sends a message. If the host says what is still to come, an AppendEntries without entries waits for the end of
// its round: when answering clients has made new proposals, the entries that go to the same follower then carry all that
// it would have said, and it is left out. Nothing leaves later for it.
func (r *Replica) post(m *raft.Message) {
	switch {
	case r.bringer == nil || m.Type != raft.AppendEntries:
	case m.Entries.Count == 0:
		r.held = append(r.held, *m)
		return
	default:
		r.held = slices.DeleteFunc(r.held, func(held raft.Message) bool { return held.To == m.To })
	}
	r.send(m)
}

func (r *Replica) sendHeld() {
	if len(r.held) > 0 && !r.bringer.Pending() {
		for i := range r.held {
			r.send(&r.held[i])
		}
		r.held = r.held[:0]
	}
}

func (r *Replica) send(m *raft.Message) {
	r.counters.Messages++
	if m.Type == raft.AppendEntries {
		r.counters.AppendEntries++
		r.counters.EntriesSent += uint64(m.EntryCount())
	}
	r.counters.Bytes += uint64(transports.EncodedSize(m))
	r.head = transports.AppendMessage(r.head[:0], m)
	r.body = transports.AppendBody(r.body[:0], m)
	r.host.Send(m.To, transports.ClassOf(m), r.head, r.body...)
}

func (r *Replica) observe(now raft.Time, events []raft.Event) {
	if len(events) == 0 || !r.cfg.Events() {
		return
	}
	for i := range events {
		if e := &events[i]; e.Kind == raft.EventRole {
			r.leading = e.Role == raft.Leader
			r.marks.reset(e.Term)
		}
	}
	if r.leading {
		r.marks.observe(now, events)
	}
	r.cfg.Observer.Events(now, r.id, events)
}

func (r *Replica) apply(runs []raft.Entries) {
	now := r.host.Now() // what applying answers, it answers now, however long the input before it took
	due := false        // to look at what may be forgotten
	for _, e := range runs {
		due = r.pruning.Due(e) || due
		r.digest.Write(e.Bytes)
		if r.cfg.Observer != nil {
			r.cfg.Observer.Applied(now, r.id, e)
		}
		r.clients.Answer(now, e)
	}
	applied := runs[len(runs)-1].Last()
	if r.cfg.Retain > 0 && due {
		r.compact(applied)
	}
}

// compact must come last in apply: it lets memory that the node handed out be used again.
func (r *Replica) compact(applied uint64) {
	if upTo := r.host.Compactable(); upTo > r.cfg.Retain && applied <= r.node.Status().Durable {
		upTo = min(upTo-r.cfg.Retain, applied)
		r.disk.Checkpoint(applied, r.digest, upTo)
		r.node.Compact(upTo)
	}
}

// Abandon tells all clients that wait that nobody knows: the replica crashed, or is closed.
func (r *Replica) Abandon() { r.clients.Abandon() }
