package lab

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// snapshotEntries is how many entries a replica of part 2D applies from one snapshot to the next, as the course's service
// does, which takes one wherever its next index is a multiple of ten. The log before a snapshot goes at once.
const snapshotEntries = 10

// Part 2D: replicas take snapshots, and who lacks what the leader's log has forgotten gets one.
var snapshots = []Test{
	{Name: "SnapshotBasic", Suite: "2D", Replicas: 3, Typical: 7 * time.Second, SnapshotEntries: snapshotEntries,
		Doc: "thirty rounds of entries that all replicas keep up with", play: snapshotBasic},
	{Name: "SnapshotInstall", Suite: "2D", Replicas: 3, Typical: 75 * time.Second, SnapshotEntries: snapshotEntries,
		Doc: "thirty rounds in which a replica is cut off and lacks what has been forgotten", play: snapshotInstall},
	{Name: "SnapshotInstallUnreliable", Suite: "2D", Replicas: 3, Typical: 80 * time.Second, Network: unreliable,
		SnapshotEntries: snapshotEntries, Doc: "as SnapshotInstall, on a network that loses messages", play: snapshotInstall},
	{Name: "SnapshotInstallCrash", Suite: "2D", Replicas: 3, Typical: 40 * time.Second, SnapshotEntries: snapshotEntries,
		Doc: "as SnapshotInstall, with replicas that crash", play: snapshotInstallCrash},
	{Name: "SnapshotInstallUnCrash", Suite: "2D", Replicas: 3, Typical: 45 * time.Second, Network: unreliable,
		SnapshotEntries: snapshotEntries, Doc: "as SnapshotInstallCrash, on a network that loses messages", play: snapshotInstallCrash},
	{Name: "SnapshotAllCrash", Suite: "2D", Replicas: 3, Typical: 16 * time.Second, SnapshotEntries: snapshotEntries,
		Doc: "all replicas crash five times, and go on after their snapshots", play: snapshotAllCrash},
	{Name: "SnapshotInit", Suite: "2D", Replicas: 3, Typical: 4 * time.Second, SnapshotEntries: snapshotEntries,
		Doc: "all replicas crash again after saving something that is not a snapshot", play: snapshotInit},
}

// snapshotRounds is how often part 2D makes trouble, and stateLimit how many bytes of term, vote and log may be left then.
const (
	snapshotRounds = 30
	stateLimit     = 1999
)

func snapshotBasic(g *group)        { g.snapshotRounds(nil, nil) }
func snapshotInstall(g *group)      { g.snapshotRounds(g.cut, g.connect) }
func snapshotInstallCrash(g *group) { g.snapshotRounds(g.crash, g.comeBack) }

// snapshotRounds takes a replica away, has enough entries agreed for a snapshot, and brings the replica back, thirty times.
// Every third is the leader. Without a way to take one away, all replicas keep up.
func (g *group) snapshotRounds(away, back func(...raft.ID)) {
	g.agree(g.command(), g.n, true)
	leader := g.oneLeader()
	for round := range snapshotRounds {
		sender, victim := leader, g.after(leader, 1)
		if round%3 == 1 {
			sender, victim = victim, sender
		}
		present := g.n
		if away != nil {
			present--
			away(victim)
			g.agree(g.command(), present, true)
		}
		for range g.enoughForSnapshot() {
			g.propose(sender, g.command()) // which need not lead
		}
		g.agree(g.command(), present, true)
		g.limit("bytes of the largest saved Raft state", g.meter.LargestState(), stateLimit)
		if away != nil {
			back(victim)
			g.agree(g.command(), g.n, true)
			leader = g.oneLeader()
		}
	}
}

// enoughForSnapshot returns how many entries a round of part 2D adds: 5 to 14, so that most lead to a snapshot.
func (g *group) enoughForSnapshot() int { return snapshotEntries/2 + g.random.IntN(snapshotEntries) }

func snapshotAllCrash(g *group) {
	g.agree(g.command(), g.n, true)
	for range 5 {
		for range g.enoughForSnapshot() {
			g.agree(g.command(), g.n, true)
		}
		g.agree(g.command(), g.n, true)
		g.crashAll()
		g.agree(g.command(), g.n, true) // at a later index, or the watch sees two values at one
	}
}

// snapshotInit finds a snapshot that is lost by the first save after a restart.
func snapshotInit(g *group) {
	for range snapshotEntries + 1 {
		g.agree(g.command(), g.n, true)
	}
	for range 2 {
		g.crashAll()
		g.agree(g.command(), g.n, true)
	}
}

// crashAll crashes all replicas before it restarts the first.
func (g *group) crashAll() {
	g.crash(g.all()...)
	g.comeBack(g.all()...)
}
