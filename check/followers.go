package check

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// deadFollower: whatever gate stands at whatever place, and however followers die, as long as a quorum lives a commit takes
// as long as it did when all lived, once the leader has had some heartbeats' time to find out.
func deadFollower(ctx context.Context, g *stage) error {
	for _, strategy := range gatesAlone() {
		for _, death := range []string{"crash", "pause", "silence"} {
			for _, replicas := range []int{3, 5} {
				if err := g.commitsWithout(ctx, strategy, death, replicas); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// gatesAlone returns strategies that have one gate other than the usual, every gate at every place that it may stand.
func gatesAlone() (list []string) {
	for _, k := range strategies.Gates() {
		gate := strings.NewReplacer("(n,hold)", "(3,5ms)", "(n)", "(2)", "(d)", "(3ms)").Replace(k.Form)
		for _, axis := range k.Axes {
			list = append(list, "fast,"+axis+"="+gate)
		}
	}
	return list
}

// commitsWithout compares how long commits take before and after as many followers have died as may.
func (g *stage) commitsWithout(ctx context.Context, strategy, death string, replicas int) error {
	g.transport = "datagram"
	if err := g.open(ctx, replicas, strategy, sim.Link{Delay: time.Millisecond}, sim.Disk{}); err != nil {
		return err
	}
	defer g.c.Close()
	beat := g.cfg.Heartbeat
	longest := func(limit time.Duration) (time.Duration, error) {
		var all []time.Duration
		for range 12 {
			took, err := g.commit(g.cfg.ElectionTimeout)
			if err == nil && took > limit {
				err = g.fail(WakeUp, "with %s a commit takes %v after the %s of a minority of %d replicas, want at most %v", strategy, took, death, replicas, limit)
			}
			if err == nil {
				err = g.sleep(beat*37/100 + 100*time.Microsecond)
			}
			if err != nil {
				return 0, err
			}
			all = append(all, took)
		}
		return slices.Max(all), nil
	}
	before, err := longest(2 * beat)
	if err != nil {
		return err
	}
	for id := raft.ID(replicas); id > raft.ID(replicas/2+1); id-- {
		if err := g.kill(id, death); err != nil {
			return err
		}
	}
	if _, err := longest(before + 3*beat); err != nil { // it finds out
		return err
	}
	_, err = longest(before + beat/10)
	return err
}

// kill makes a replica fall silent for good.
func (g *stage) kill(id raft.ID, death string) error {
	switch death {
	case "crash":
		g.c.Crash(id)
	case "pause":
		g.c.Pause(id)
	case "silence":
		for other := raft.ID(1); other <= raft.ID(g.c.Size()); other++ {
			if other == id {
				continue
			}
			for _, way := range [][2]raft.ID{{id, other}, {other, id}} {
				l := g.c.Link(way[0], way[1])
				l.Down = true
				if err := g.c.SetLink(way[0], way[1], l); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// slowFollower: followers whose answers come late, because of the way, a disk or a pause, are sent each entry once, but for
// one try with each heartbeat until the leader knows how slow they are.
func slowFollower(ctx context.Context, g *stage) error {
	for _, slow := range []struct {
		about string
		link  sim.Link
		disk  sim.Disk
	}{
		{"a way of three heartbeats", sim.Link{Delay: 300 * time.Millisecond}, sim.Disk{}},
		{"a disk that syncs in three heartbeats", sim.Link{Delay: time.Millisecond}, sim.Disk{Sync: 300 * time.Millisecond}},
		{"a narrow way", sim.Link{Delay: time.Millisecond, Rate: 400_000, QueueBytes: 1 << 30}, sim.Disk{}},
	} {
		for _, transport := range []string{"mem", "tcp"} {
			g.transport = transport
			if err := g.sendsOnce(ctx, slow.about, slow.link, slow.disk); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendsOnce makes bursts of proposals to a group whose third replica is slow.
func (g *stage) sendsOnce(ctx context.Context, about string, link sim.Link, disk sim.Disk) error {
	if err := g.open(ctx, 3, "eager", sim.Link{Delay: time.Millisecond}, sim.Disk{}); err != nil {
		return err
	}
	defer g.c.Close()
	g.v.lossless = true
	for _, way := range [][2]raft.ID{{1, 3}, {3, 1}} {
		if err := g.c.SetLink(way[0], way[1], link); err != nil {
			return err
		}
	}
	if err := g.c.SetDisk(3, disk); err != nil {
		return err
	}
	const bursts, each = 40, 25
	for _, most := range []uint64{bursts * each, 0} { // entries sent again: while it finds out, and when it knows
		before := g.c.Counters()
		for range bursts {
			for range each {
				g.c.Propose(1, &cluster.Proposal{Data: make([]byte, 100), Due: g.c.Now(), Done: func(*cluster.Proposal) {}})
			}
			if err := g.sleep(g.cfg.Heartbeat / 2); err != nil {
				return err
			}
		}
		if err := g.wait(100*g.cfg.ElectionTimeout, func() bool { return g.c.Status(3).Applied == g.c.Status(1).Last }); err != nil {
			return err
		}
		sent := g.c.Counters().Sub(before).EntriesSent
		if sent > 2*bursts*each+most {
			return g.fail(Cost, "with %s over %s %d entries are sent for %d proposals to 2 followers, want at most %d: nothing is lost",
				about, g.transport, sent, bursts*each, 2*bursts*each+most)
		}
	}
	return nil
}
