package cluster

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Clients are the proposals that wait at one member, and answers them. Every engine's member has one, so all tell the
// same:
//
//   - Committed: the proposal's own entry was applied here.
//   - Failed: an entry of a later term was applied at its index or before it. All logs that may still be committed
//     contain that entry, and terms never decrease within a log, so the proposal's own entry is in none of them.
//   - Unknown: nothing of this was seen within a while after the leader that took the proposal was deposed, or the
//     member's life ended before.
//
// It is not safe for concurrent use. Done is called in the middle of Answer, Tick and Abandon; it must not call the
// member.
type Clients struct {
	// Stamp, if not nil, fills in the stages of a proposal that is committed in the term that it was made in.
	Stamp func(index, term uint64, s *Stages)

	queue    []*Proposal // of the last leadership, in order of index, from head on
	head     int
	orphans  []*Proposal // of earlier ones, whose fate is open, in order of index
	giveUpAt raft.Time   // when orphans become Unknown
}

// Never is later than any moment there is: the deadline of who waits for nothing.
const Never = raft.Time(math.MaxInt64)

// Await notes that a client waits for the entry p.Index of p.Term, which the member has just appended as the leader:
// Index only grows within a term, and terms only grow. The client is told that it was accepted.
func (c *Clients) Await(p *Proposal) {
	switch {
	case c.head > 0 && c.head == len(c.queue):
		c.queue, c.head = c.queue[:0], 0
	case c.head > 1024 && c.head > len(c.queue)/2:
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
	c.queue = append(c.queue, p)
	if p.Accepted != nil {
		p.Accepted(p)
	}
}

// Lead tells whether the member leads, and in which term. It must be told before Answer and Await of anything that
// happened since. Those who wait for a leader that was deposed are told after patience, if nothing is known until then.
func (c *Clients) Lead(now raft.Time, leads bool, term uint64, patience time.Duration) {
	if c.head == len(c.queue) || leads && c.queue[c.head].Term == term {
		return
	}
	c.orphans = append(c.orphans, c.queue[c.head:]...)
	slices.SortStableFunc(c.orphans, func(a, b *Proposal) int { return cmp.Compare(a.Index, b.Index) })
	clear(c.queue)
	c.queue, c.head = c.queue[:0], 0
	c.giveUpAt = now.Add(patience)
}

// Answer tells those whose fate is known by what the member applies: the entries that follow those applied so far.
func (c *Clients) Answer(now raft.Time, e raft.Entries) {
	if len(c.orphans) > 0 {
		c.answerOrphans(now, e)
	}
	if c.head == len(c.queue) || c.queue[c.head].Index > e.Last() {
		return
	}
	for entry := range e.All() {
		p := c.queue[c.head]
		if entry.Index != p.Index {
			continue
		}
		c.queue[c.head] = nil
		c.head++
		p.finish(now, entry.Term, c.Stamp)
		if c.head == len(c.queue) {
			return
		}
	}
}

func (p *Proposal) finish(now raft.Time, committedTerm uint64, stamp func(index, term uint64, s *Stages)) {
	outcome := Failed // its place in the log is taken for ever
	if committedTerm == p.Term {
		outcome = Committed
		if stamp != nil {
			stamp(p.Index, p.Term, &p.Stages)
		}
	}
	p.Stages.Applied = now
	p.Tell(outcome, nil)
}

func (c *Clients) answerOrphans(now raft.Time, e raft.Entries) {
	open := c.orphans
	c.orphans = nil
	var kept []*Proposal
	var term uint64
	for entry := range e.All() {
		for len(open) > 0 && open[0].Index == entry.Index {
			open[0].finish(now, entry.Term, c.Stamp)
			open = open[1:]
		}
		term = entry.Term
	}
	for _, p := range open {
		if p.Term < term {
			p.finish(now, term, nil)
		} else {
			kept = append(kept, p)
		}
	}
	c.orphans = kept
}

// Skip tells those whose entries a snapshot has covered: what the member would have applied up to this index, whose term
// is known, is not seen any more.
func (c *Clients) Skip(now raft.Time, index, term uint64) {
	open := append(c.orphans, c.queue[c.head:]...)
	clear(c.queue)
	c.orphans, c.queue, c.head = nil, c.queue[:0], 0
	var covered, kept []*Proposal
	for _, p := range open {
		if p.Index <= index {
			covered = append(covered, p)
		} else {
			kept = append(kept, p)
		}
	}
	c.orphans = kept
	unknown(covered)
}

// Deadline returns when Tick has something to do; Never if it has not.
func (c *Clients) Deadline() raft.Time {
	if len(c.orphans) == 0 {
		return Never
	}
	return c.giveUpAt
}

// Tick tells those who have waited for long enough that nobody knows.
func (c *Clients) Tick(now raft.Time) {
	if now >= c.Deadline() {
		open := c.orphans
		c.orphans = nil
		unknown(open)
	}
}

// Abandon tells all that nobody knows: the member's life is over.
func (c *Clients) Abandon() {
	open := append(c.orphans, c.queue[c.head:]...)
	c.orphans, c.queue, c.head = nil, nil, 0
	unknown(open)
}

func unknown(list []*Proposal) {
	for _, p := range list {
		p.Tell(Unknown, nil)
	}
}
