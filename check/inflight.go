package check

import "github.com/raftbench/raftbench/raft"

// An account of what is in flight that owes nothing to the core's own: it is kept from the messages that leave and the
// answers that arrive. It knows nothing of how long a leader waits before it takes something for lost, only that it
// does so when the progress that it shows says so.

// flight is an AppendEntries with entries, or a probe, that a follower has not answered.
type flight struct {
	seq   uint64
	first uint64 // index of its first entry
	last  uint64 // of its last entry, or the index that it probes
	from  uint64 // bytes of data of entries sent since the leader last began anew, before this one
}

// flights is what is in flight from a leader to one follower.
type flights struct {
	list    []flight // unanswered, in order of sending
	current int      // those from here on were sent since the leader last began anew
	bytes   uint64   // of their data, sent since then
	tried   bool     // it may have begun anew in this turn, with nothing that shows it
	changed bool     // since it was last compared
}

// begins notes that the leader may have given up what was in flight, or taken it up again: it alone knows which.
func (f *flights) begins() {
	f.current, f.bytes, f.changed = len(f.list), 0, true
}

func (f *flights) sent(m *raft.Message) {
	f.list = append(f.list, flight{seq: m.Seq, first: m.PrevLogIndex + 1, last: m.PrevLogIndex + uint64(m.Entries.Count), from: f.bytes})
	f.bytes += uint64(m.Entries.DataBytes())
	f.changed = true
}

func (f *flights) answered(seq uint64) {
	for i := range f.list {
		if f.list[i].seq == seq {
			f.remove(i)
			return
		}
	}
}

func (f *flights) remove(i int) {
	f.list = append(f.list[:i], f.list[i+1:]...)
	if i < f.current {
		f.current--
	}
	f.changed = true
}

// landed drops what is in flight of which the follower is known to have all entries.
func (f *flights) landed(match uint64) {
	for i := 0; i < len(f.list); {
		if f.list[i].last <= match {
			f.remove(i)
		} else {
			i++
		}
	}
}

// sendsFlight accounts for an AppendEntries that leaves, unless it is a heartbeat or news: those are not in flight.
func (v *Invariants) sendsFlight(w *watched, m *raft.Message) {
	if len(w.searches) == 0 {
		return
	}
	place := placeOf(w.id, m.To)
	p := &w.progress[place]
	if m.Entries.Count > 0 || p.Probing && m.PrevLogIndex > p.Match {
		w.searches[place].flights.sent(m)
	}
}

// answersFlight accounts for an answer that arrives.
func (v *Invariants) answersFlight(w *watched, m *raft.Message) {
	refused := !m.Success && m.PrevLogIndex == 0 // it was of an earlier term: every log agrees at 0
	if w.was.Role != raft.Leader || m.Term != w.was.Term || len(w.searches) == 0 || refused {
		return
	}
	place := placeOf(w.id, m.From)
	f := &w.searches[place].flights
	if f.answered(m.Seq); m.Success && w.progress[place].Probing {
		f.begins() // the search ends; where the log begins after that place another one begins at once
	}
}

// beginsFlights notes that a leader is told of a new connection to a follower: what was in flight may be lost.
func (v *Invariants) beginsFlights(w *watched, peer raft.ID) {
	if len(w.searches) > 0 {
		w.searches[placeOf(w.id, peer)].flights.begins()
	}
}

// flightsAtRest compares what a leader takes for being in flight with the account. Where the leader has begun anew since
// the oldest of them was sent it may have given up any of those before; otherwise the numbers are the same.
func (v *Invariants) flightsAtRest(w *watched) {
	for i := range w.searches {
		p, f := &w.progress[i], &w.searches[i].flights
		if !f.changed {
			continue
		}
		f.changed = false
		if !p.Probing {
			f.landed(p.Match)
		}
		least, most := len(f.list)-f.current, len(f.list)
		if p.InFlight < least || p.InFlight > most {
			v.fail(Bounded, w, "it takes %d AppendEntries to %d for unanswered, %d to %d are", p.InFlight, p.Peer, least, most)
			return
		}
		if least < most || most == 0 || p.Probing || f.list[0].first < w.was.First {
			continue
		}
		if bytes := f.bytes - f.list[0].from; p.InFlightBytes != bytes {
			v.fail(Bounded, w, "it takes %d bytes to %d for unanswered, %d are", p.InFlightBytes, p.Peer, bytes)
			return
		}
	}
}

// sendsAgain looks at entries that have been sent to a follower before in this leadership. Where nothing is lost, only
// late, a leader that has waited in vain may try with one AppendEntries, at a heartbeat; anything more makes the queue
// longer behind which the answers wait.
func (v *Invariants) sendsAgain(w *watched, m *raft.Message) {
	if len(w.searches) == 0 || m.Entries.Count == 0 {
		return
	}
	place := placeOf(w.id, m.To)
	st := &w.searches[place]
	last := m.Entries.Last()
	if v.lossless && m.Entries.First <= st.highest {
		if !w.turn.tick || st.again {
			v.fail(Cost, w, "it sends entries %d to %d to %d again, and nothing was lost", m.Entries.First, min(last, st.highest), m.To)
		}
		st.again = true
	}
	st.highest = max(st.highest, last)
}
