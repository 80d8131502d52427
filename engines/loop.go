package engines

import (
	"sync"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// Loop is a goroutine on which a node does all its work, so that the node's own state needs no lock. A node that embeds
// one has the methods Propose, Status, Counters and Stop of a Node.
type Loop struct {
	id     raft.ID
	worker Worker

	mu       sync.Mutex
	inbox    []func()
	stopped  bool
	status   cluster.Status // as of when there was last nothing left to do
	counters cluster.Counters
	wake     chan struct{}
	done     chan struct{}
}

// Worker is what a Loop calls, on its goroutine.
type Worker interface {
	// Take handles a proposal: it refuses it, or notes that its client waits.
	Take(p *cluster.Proposal)
	// Beat is called at intervals.
	Beat()
	// Settle does what follows from everything that was done since the last time.
	Settle()
	// Abandon is called at the end, and tells all clients that wait.
	Abandon()
	// Now is what Status and Counters tell from now on.
	Now() (cluster.Status, cluster.Counters)
}

// NewLoop returns a loop for a replica, which Run starts.
func NewLoop(id raft.ID) *Loop {
	return &Loop{id: id, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Run starts the goroutine.
func (l *Loop) Run(beat time.Duration, w Worker) {
	l.worker = w
	l.publish()
	go l.run(beat)
}

func (l *Loop) run(interval time.Duration) {
	defer close(l.done)
	beat := time.NewTicker(interval)
	defer beat.Stop()
	for {
		select {
		case <-l.wake:
		case <-beat.C:
			l.worker.Beat()
		}
		l.mu.Lock()
		batch, stopped := l.inbox, l.stopped
		l.inbox = nil
		l.mu.Unlock()
		for _, f := range batch {
			f()
		}
		if stopped {
			l.worker.Abandon()
			return
		}
		l.worker.Settle()
		l.publish()
	}
}

func (l *Loop) publish() {
	status, counters := l.worker.Now()
	l.mu.Lock()
	l.status, l.counters = status, counters
	l.mu.Unlock()
}

// Do leaves the goroutine something to do. It returns false, and f is not called, once Stop was called.
func (l *Loop) Do(f func()) bool {
	l.mu.Lock()
	stopped := l.stopped
	if !stopped {
		l.inbox = append(l.inbox, f)
	}
	l.mu.Unlock()
	l.notify()
	return !stopped
}

func (l *Loop) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Propose leaves a proposal to the worker.
func (l *Loop) Propose(p *cluster.Proposal) {
	p.Replica, p.Outcome, p.Err, p.Stages = l.id, cluster.Pending, nil, cluster.Stages{}
	if !l.Do(func() { l.worker.Take(p) }) {
		p.Refuse(l.id, cluster.ErrDown)
	}
}

// Status returns what the worker last told.
func (l *Loop) Status() cluster.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Counters returns what the worker last told.
func (l *Loop) Counters() cluster.Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counters
}

// Stop ends the goroutine and waits for it.
func (l *Loop) Stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.notify()
	<-l.done
}
