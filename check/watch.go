package check

import (
	"slices"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// Watch makes a group's replicas, and those that are started again later, be watched: it takes the place of the
// configuration's Engine and Observer, the latter being told as before. The group must run this project's own core, all of it
// in one goroutine, and on storage whose durable state can be looked at, as cluster/sim does.
func Watch(cfg *cluster.Config) *Invariants {
	inner := *cfg // as it was
	v := NewInvariants(&inner)
	tell := cfg.Observer
	cfg.Observer = &observer{v, tell}
	cfg.Engine = func(id raft.ID, cfg *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		m := &member{v: v, w: v.replica(id), Host: host, Storage: store}
		inside, err := cluster.NewReplica(id, cfg, m, m)
		if err != nil {
			return nil, err
		}
		m.shell = inside.(*cluster.Shell)
		v.start(host.Now(), id, m.shell, store.(durable))
		return m, nil
	}
	return v
}

// observer passes on what it is told.
type observer struct {
	v    *Invariants
	tell cluster.Observer
}

// Events is called right after the core was asked what it wants: before anything of it is sent, saved or applied.
func (o *observer) Events(now raft.Time, id raft.ID, events []raft.Event) {
	w := o.v.replica(id)
	o.v.look(w, w.now)
	o.v.events(w, events)
	if o.tell != nil {
		o.tell.Events(now, id, events)
	}
}

// Applied is called for each piece that the state machine gets.
func (o *observer) Applied(now raft.Time, id raft.ID, e raft.Entries) {
	if o.v.err == nil {
		o.v.applies(o.v.replica(id), e)
	}
	if o.tell != nil {
		o.tell.Applied(now, id, e)
	}
}

// Restored is called when the state machine goes on from a snapshot.
func (o *observer) Restored(now raft.Time, id raft.ID, s raft.Snapshot) {
	o.v.restored(o.v.replica(id), s)
	if o.tell != nil {
		o.tell.Restored(now, id, s)
	}
}

// member is a replica, and the host and the storage that it sees: everything that goes in or out passes here. Times are by
// the replica's own clock.
type member struct {
	shell *cluster.Shell
	cluster.Host
	storage.Storage
	v *Invariants
	w *watched

	frame []byte
	sent  raft.Message // scratch
}

func (m *member) Propose(now raft.Time, p *cluster.Proposal) {
	m.shell.Propose(now, p)
	m.v.look(m.w, now)
}

func (m *member) Receive(now raft.Time, from raft.ID, frame []byte) error {
	m.v.receives(m.w, now, from, frame)
	err := m.shell.Receive(now, from, frame)
	m.v.handled(m.w, now)
	return err
}

func (m *member) Saved(now raft.Time, seq uint64) {
	m.w.turn.others = true
	m.shell.Saved(now, seq)
	m.v.look(m.w, now)
}

func (m *member) Tick(now raft.Time) {
	m.w.turn.tick, m.w.turn.others = true, true
	m.shell.Tick(now)
	m.v.look(m.w, now)
}

func (m *member) Campaign(now raft.Time) {
	m.w.turn.campaign, m.w.turn.others = true, true
	m.shell.Campaign(now)
	m.v.look(m.w, now)
}

func (m *member) Reachable(now raft.Time, peer raft.ID) {
	m.w.turn.reachable, m.w.turn.others = true, true
	m.v.beginsFlights(m.w, peer)
	m.shell.Reachable(now, peer)
	m.v.look(m.w, now)
}

func (m *member) Settle(now raft.Time) {
	m.w.now = max(m.w.now, now)
	m.shell.Settle(now)
	m.v.rest(m.w, now)
	m.v.countersAtRest(m.w, m.shell.Counters())
}

// Deadline, Status and Counters are the replica's.
func (m *member) Deadline() raft.Time        { return m.shell.Deadline() }
func (m *member) Status() cluster.Status     { return m.shell.Status() }
func (m *member) Counters() cluster.Counters { return m.shell.Counters() }

func (m *member) Abandon() {
	m.v.stop(m.w.id)
	m.shell.Abandon()
}

func (m *member) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) {
	if m.w.turn.sent++; m.w.turn.sent > mostSent {
		m.v.fail(Bounded, m.w, "it sends more than %d messages for what it was brought at one moment", mostSent)
		panic(m.v.err) // it would never end
	}
	if m.v.err == nil {
		frame := head
		if len(body) > 0 {
			m.frame = append(m.frame[:0], head...)
			for _, piece := range body {
				m.frame = append(m.frame, piece...)
			}
			frame = m.frame
		}
		if err := transports.DecodeMessage(frame, &m.sent); err != nil {
			m.v.fail(LogMatching, m.w, "it sends what cannot be read: %v", err)
		} else {
			m.sent.From, m.sent.To = m.w.id, to
			m.w.counts(&m.sent, transports.FrameSize(head, body))
			m.v.sends(m.w, &m.sent)
		}
	}
	if m.v.hold != nil {
		if d := m.v.hold(m.w.id, to); d > 0 {
			kept := slices.Concat(head, slices.Concat(body...))
			m.v.later(d, func() { m.Host.Send(to, class, kept) })
			return
		}
	}
	m.Host.Send(to, class, head, body...)
}

func (m *member) Save(s raft.Save) bool {
	m.v.saves(m.w, &s)
	return m.Storage.Save(s)
}
