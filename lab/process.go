package lab

import (
	"iter"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// process is a client that runs beside the test: a coroutine that the test's own waits drive. Only one of them runs at
// a time, and never on its own, so that a test with clients is as deterministic as its group.
type process struct {
	wake  raft.Time // when it goes on
	yield func(raft.Time) bool
	next  func() (raft.Time, bool)
	stop  func()
}

// ended unwinds a process that is stopped before its end.
type ended struct{}

// spawn starts a client. It begins when the test waits next.
func (g *group) spawn(client func()) {
	p := &process{wake: g.c.Now()}
	p.next, p.stop = iter.Pull(iter.Seq[raft.Time](func(yield func(raft.Time) bool) {
		p.yield = yield
		defer func() {
			if cause := recover(); cause != nil && cause != (ended{}) {
				panic(cause)
			}
		}()
		client()
	}))
	g.processes = append(g.processes, p)
}

// pause waits for d. Within a client the others go on meanwhile, and so they do while the test itself waits.
func (g *group) pause(d time.Duration) {
	until := g.c.Now().Add(d)
	if p := g.running; p != nil {
		if !p.yield(until) {
			panic(ended{})
		}
		return
	}
	for g.step(until) {
	}
	g.idle(until)
}

// join waits until all clients have ended.
func (g *group) join() {
	begin := g.c.Now()
	for g.step(never) {
	}
	g.lab.Agreements += g.c.Now().Sub(begin)
}

// never is later than any client wakes.
const never raft.Time = 1<<63 - 1

// step lets the client go on that wakes first, if one does until then.
func (g *group) step(until raft.Time) bool {
	first := -1
	for i, p := range g.processes {
		if p.wake <= until && (first < 0 || p.wake < g.processes[first].wake) {
			first = i
		}
	}
	if first < 0 {
		return false
	}
	p := g.processes[first]
	g.idle(p.wake)
	g.running = p
	wake, more := p.next()
	g.running = nil
	if p.wake = wake; !more {
		g.processes = append(g.processes[:first], g.processes[first+1:]...)
	}
	return true
}

// stopProcesses ends all clients that are left, after a test that failed.
func (g *group) stopProcesses() {
	g.running = nil
	for _, p := range g.processes {
		p.stop()
	}
	g.processes = nil
}
