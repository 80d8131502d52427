package sim_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports"
)

// probe is a member without Raft: it sends what it is told to, saves what it is told to, and notes what happens to it.
type probe struct {
	id       raft.ID
	host     cluster.Host
	store    storage.Storage
	got      []note // frames received
	ups      []note // peers that became reachable
	saved    []note // saves that became durable
	ticks    []raft.Time
	deadline raft.Time
	settled  int
	proposed []*cluster.Proposal
	send     []func() // to be done with the next settling
}

// note says when something happened, and to what number.
type note struct {
	at     raft.Time
	number int
}

func (p *probe) Receive(now raft.Time, _ raft.ID, frame []byte) error {
	p.got = append(p.got, note{now, int(binary.LittleEndian.Uint32(frame))})
	return nil
}
func (p *probe) Propose(_ raft.Time, c *cluster.Proposal) { p.proposed = append(p.proposed, c) }
func (p *probe) Saved(now raft.Time, seq uint64)          { p.saved = append(p.saved, note{now, int(seq)}) }
func (p *probe) Tick(now raft.Time)                       { p.ticks = append(p.ticks, now); p.deadline = never }
func (p *probe) Campaign(raft.Time)                       {}
func (p *probe) Reachable(now raft.Time, peer raft.ID)    { p.ups = append(p.ups, note{now, int(peer)}) }
func (p *probe) Deadline() raft.Time                      { return p.deadline }
func (p *probe) Status() cluster.Status                   { return cluster.Status{Up: true} }
func (p *probe) Counters() cluster.Counters               { return cluster.Counters{} }
func (p *probe) Abandon()                                 {}
func (p *probe) Settle(raft.Time) {
	p.settled++
	todo := p.send
	p.send = nil
	for _, f := range todo {
		f()
	}
}

const never raft.Time = 1<<63 - 1

// world is a group of probes.
type world struct {
	*testing.T
	*sim.Cluster
	probes map[raft.ID]*probe // of the latest life
	number int
	fates  []string
}

func newWorld(t *testing.T, n int, cfg sim.Config) *world {
	t.Helper()
	w := &world{T: t, probes: map[raft.ID]*probe{}}
	cfg.Replicas = n
	cfg.Seed = 1
	cfg.Engine = func(id raft.ID, _ *cluster.Config, host cluster.Host, store storage.Storage) (cluster.Member, error) {
		w.probes[id] = &probe{id: id, host: host, store: store, deadline: never}
		return w.probes[id], nil
	}
	cfg.OnFrame = func(f sim.Frame) {
		w.fates = append(w.fates, fmt.Sprintf("%v %v #%d", time.Duration(f.At), f.Fate, f.Number))
	}
	c, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Cluster = c
	return w
}

// all gives every direction the same link.
func all(l sim.Link) func(from, to raft.ID) sim.Link {
	return func(raft.ID, raft.ID) sim.Link { return l }
}

// at makes something happen after a while.
func (w *world) at(d time.Duration, f func()) {
	w.At(raft.Time(d), func(raft.Time) raft.Time { f(); return 0 })
}

// sendAt makes replica 1 send a numbered frame to 2 of a number of bytes, the framing included.
func (w *world) sendAt(d time.Duration, class transports.Class, size int) {
	w.number++
	frame := make([]byte, size-4)
	binary.LittleEndian.PutUint32(frame, uint32(w.number))
	w.at(d, func() { w.probes[1].host.Send(2, class, frame, nil) })
}

func (w *world) run(d time.Duration) {
	w.Helper()
	if err := w.Wait(context.Background(), d, func() bool { return false }); !errors.Is(err, cluster.ErrTimeout) {
		w.Fatal(err)
	}
}

// arrived checks when replica 2 got which frames.
func (w *world) arrived(want ...note) {
	w.Helper()
	if got := w.probes[2].got; !slices.Equal(got, want) {
		w.Fatalf("arrived:\n got %v\nwant %v", got, want)
	}
}

func ms(d float64) raft.Time { return raft.Time(d * float64(time.Millisecond)) }
