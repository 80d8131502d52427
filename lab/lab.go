// Package lab plays the scenarios of the MIT 6.824 (now 6.5840) Raft lab, parts 2A to 2D, on any strategy and any kind of
// group, and measures what each took: seconds and where they went, RPCs, bytes, rejections, time per agreement.
//
// The scenarios, constants and limits are the course's; text and code are this project's own. They see a group through
// cluster.Cluster alone, so one text runs over sockets and in virtual time. A limit that does not hold fails the test
// and is told with the figure and the limit.
//
// Where this differs from the course's own tester: replicas send messages rather than calls, so a call that hangs for
// seconds has nothing to correspond to (a message to a replica that is cut off is counted and lost); and leaders of one
// term and applied values are watched all the time, not only when a test looks.
//
// It does not print and does not know transports.
package lab

import (
	"slices"
	"time"

	"github.com/raftbench/raftbench/cluster"
)

// electionSpan is the span within which the course expects a new leader: its RaftElectionTimeout, called T in the
// descriptions. A replica's own timeout is shorter, see Settings.
const electionSpan = time.Second

// Test is one of the lab's scenarios.
type Test struct {
	Name     string
	Suite    string // one of Suites
	Replicas int
	Doc      string        // one sentence
	Typical  time.Duration // how long it takes with a loop of 100 ms, roughly, to plan with
	Network  cluster.Conditions
	// SnapshotEntries is how many entries a replica applies from one snapshot to the next, 0 for no snapshots.
	SnapshotEntries int
	play            func(*group)
}

// Edition is a year of the course, where its tests differ. The zero value is DefaultEdition.
type Edition string

// The editions. Until 2023 the lab was the course's second, with parts 2A to 2D; in 2024 the same tests became 3A to
// 3D. From 2025 on, replicas that leave the group in Persist1 and Persist2 crash: until then they were cut off, and in
// Persist2 a leader came back that did not know of its successor, which costs a wait of two seconds in many rounds.
const (
	Edition2023 Edition = "2023"
	Edition2025 Edition = "2025"
)

// DefaultEdition is the one that the timings that are known of the lab come from.
const DefaultEdition = Edition2023

// Editions lists all editions.
var Editions = []Edition{Edition2023, Edition2025}

// Suites lists the parts of the lab that there are tests for.
var Suites = []string{"2A", "2B", "2C", "2D"}

// Tests is the table of all tests, in the course's order: a new one is a function and a line here.
var Tests = slices.Concat(elections, agreements, persistence, snapshots)

// TestsOf returns the tests of one suite.
func TestsOf(suite string) []Test {
	var list []Test
	for _, t := range Tests {
		if t.Suite == suite {
			list = append(list, t)
		}
	}
	return list
}

// FindTest returns the test of that name.
func FindTest(name string) (Test, bool) {
	i := slices.IndexFunc(Tests, func(t Test) bool { return t.Name == name })
	if i < 0 {
		return Test{}, false
	}
	return Tests[i], true
}

// reliable is the network that delays and loses nothing.
var reliable cluster.Conditions

// The course's unreliable network: a request waits and may be lost, a reply may be lost.
var unreliable = cluster.Conditions{RequestLoss: 0.1, ReplyLoss: 0.1, RequestDelay: 26 * time.Millisecond}

// reordering is the unreliable network once replies are held back for long as well: two thirds of them, for 200 to 2199
// ms and 700 ms in the mean.
var reordering = cluster.Conditions{RequestLoss: 0.1, ReplyLoss: 0.1, RequestDelay: 26 * time.Millisecond,
	ReplyHold: 2.0 / 3, HoldMin: 200 * time.Millisecond, HoldMax: 2199 * time.Millisecond}
