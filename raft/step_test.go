package raft_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// TestForgedMessages: what no correct replica sends changes nothing that matters, and above all does not panic.
func TestForgedMessages(t *testing.T) {
	const huge = math.MaxUint64
	for name, m := range map[string]raft.Message{
		"of no type":                       {Term: 9},
		"of an unknown type":               {Type: 77, Term: 9},
		"entries that do not follow":       {Type: raft.AppendEntries, Term: 3, PrevLogIndex: 3, PrevLogTerm: 2, Entries: entries(9, 3)},
		"entries of a later term":          {Type: raft.AppendEntries, Term: 3, PrevLogIndex: 3, PrevLogTerm: 2, Entries: entries(4, 3, 9)},
		"entries of falling terms":         {Type: raft.AppendEntries, Term: 3, PrevLogIndex: 3, PrevLogTerm: 2, Entries: entries(4, 1)},
		"against what is committed":        {Type: raft.AppendEntries, Term: 2, Entries: entries(1, 2, 2)},
		"against it, from below":           {Type: raft.AppendEntries, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entries(2, 2)},
		"AppendEntries of term 0":          {Type: raft.AppendEntries},
		"AppendEntries of the last term":   {Type: raft.AppendEntries, Term: huge},
		"RequestVote of the last term":     {Type: raft.RequestVote, Term: huge, LastLogIndex: huge, LastLogTerm: huge},
		"a reply of the last term":         {Type: raft.AppendEntriesReply, Term: huge},
		"RequestVote with a later log":     {Type: raft.RequestVote, Term: 3, LastLogIndex: 1, LastLogTerm: 4},
		"a previous entry of a later term": {Type: raft.AppendEntries, Term: 3, PrevLogIndex: 3, PrevLogTerm: 4},
		"an acknowledgement to a follower": {Type: raft.AppendEntriesReply, Term: 2, Success: true, Match: huge, Commit: huge},
	} {
		t.Run(name, func(t *testing.T) {
			g := follower(t, 1, 1, 2)
			answer(t, g, raft.Message{Type: raft.AppendEntries, From: 3, To: 1, Term: 2, PrevLogIndex: 2, PrevLogTerm: 1, Commit: 2})
			before := g.status(1)
			m.From, m.To = 2, 1
			g.step(m)
			after := g.status(1)
			after.Leader = before.Leader
			if after != before {
				t.Errorf("before %+v, after %+v", before, after)
			}
			wantTerms(t, g, 1, 1, 1, 2)
		})
	}
	t.Run("the last term but one", func(t *testing.T) {
		g := follower(t, 1)
		g.step(raft.Message{Type: raft.AppendEntries, From: 2, To: 1, Term: huge - 1})
		for range 3 {
			g.timeout(1) // no further term to campaign in
		}
		if s := g.status(1); s.Term != huge-1 || s.Role != raft.Follower {
			t.Errorf("%+v", s)
		}
	})
	t.Run("from a stranger", func(t *testing.T) {
		g := follower(t, 1)
		for _, from := range []raft.ID{0, 1, 4} {
			m := raft.Message{Type: raft.AppendEntries, From: from, To: 1, Term: 9}
			g.node(1).Step(g.now, &m)
		}
		wantRole(t, g, 1, raft.Follower, 1)
	})
}

// FuzzStep feeds a replica, in whatever role it gets into, with messages made of arbitrary bytes, between its own doings.
// It must not panic, lose what is committed, or go back in anything.
func FuzzStep(f *testing.F) {
	f.Add(uint8(0), []byte{1, 1, 2, 1, 9, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint8(7), bytes.Repeat([]byte{9, 30, 6, 0, 8, 0, 7, 1, 1, 2, 2, 0, 1, 0, 0, 1, 0, 4, 1}, 9))
	f.Add(uint8(1), []byte{6, 0, 8, 0, 3, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 5, 1, 1, 1, 9, 9, 255, 255, 255, 255, 8})
	f.Fuzz(func(t *testing.T, options uint8, input []byte) {
		if len(input) > 2000 {
			return
		}
		playForged(t, options, input)
	})
}

// forger makes messages of bytes.
type forger struct{ input []byte }

func (f *forger) byte() byte {
	if len(f.input) == 0 {
		return 0
	}
	b := f.input[0]
	f.input = f.input[1:]
	return b
}

// number is mostly near what is at hand, now and then huge.
func (f *forger) number() uint64 {
	switch b := f.byte(); {
	case b < 250:
		return uint64(b % 16)
	case b == 250:
		return uint64(f.byte())
	default:
		return math.MaxUint64 - uint64(b-251)
	}
}

func (f *forger) message() raft.Message {
	flags := f.byte()
	m := raft.Message{
		Type: raft.MessageType(flags % 7), From: raft.ID(flags/7) % 5, To: 1,
		Term: f.number(), Seq: f.number(), PrevLogIndex: f.number(), PrevLogTerm: f.number(), Commit: f.number(),
		Success: flags&32 != 0, Match: f.number(),
		XTerm: f.number(), XIndex: f.number(), XLen: f.number(), HintIndex: f.number(), HintTerm: f.number(),
		PreVote: flags&64 != 0, LastLogIndex: f.number(), LastLogTerm: f.number(), VoteGranted: flags&128 != 0,
	}
	m.Entries.First = m.PrevLogIndex + 1
	if m.Type == raft.AppendEntries {
		if f.byte() == 0 {
			m.Entries.First = f.number()
		}
		term := m.PrevLogTerm
		for range f.byte() % 6 {
			term += uint64(f.byte() % 3)
			m.Entries.Append(term, binary.LittleEndian.AppendUint16(nil, uint16(f.byte())))
		}
		if m.Entries.Validate() != nil {
			m.Entries = raft.Entries{}
		}
	}
	if m.Type == raft.InstallSnapshot || m.Type == raft.InstallSnapshotReply {
		m.Snapshot = raft.Snapshot{Index: f.number(), Term: f.number(), Bytes: uint64(f.byte() % 8)}
		m.Offset = f.number() % 8
		m.Chunk = make([]byte, f.byte()%8)
	}
	return m
}

func playForged(t *testing.T, options uint8, input []byte) {
	fake := &forger{input}
	saved := disk{log: raft.NewLogOfSegments(1, 0, 64)}
	cfg := raft.Config{ID: 1, Voters: []raft.ID{1, 2, 3}, Heartbeat: heartbeat, ElectionTimeout: electionTimeout, Events: true,
		PreVote: options&1 != 0, CheckQuorum: options&2 != 0, NoOp: options&4 != 0, MaxAppendBytes: 30, MaxInFlight: 3,
		SnapshotEntries: int(options & 7), SnapshotTrailing: int(options >> 3 & 3), ChunkBytes: 2, MaxChunks: 2, MaxLagBytes: 60,
		Strategy: raft.Strategy{Backup: allBackups[options>>3&3], Send: sendGates[options>>5%6], Commit: commitGates[options>>4&3],
			Announce: announceGates[options>>3%3], Apply: applyGates[options>>6&3]}}
	clock := raft.Time(0)
	start := func() *raft.Node {
		node, err := raft.New(clock, cfg, raft.Saved{Term: saved.term, Vote: saved.vote, Log: saved.log,
			Snapshot: saved.snapshot})
		if err != nil {
			t.Fatalf("it does not start again: %v", err)
		}
		return node
	}
	node := start()
	was := node.Status()
	var committed []uint64 // terms of committed entries
	var writes []raft.Save
	var sent []raft.Message // the last few
	var complete []raft.Snapshot
	for len(fake.input) > 0 {
		switch op := fake.byte(); op % 10 {
		case 0, 1:
			m := fake.message()
			node.Step(clock, &m)
		case 2, 3, 4:
			if len(sent) > 0 { // what looks like an answer
				to := sent[int(fake.byte())%len(sent)]
				m := fake.message()
				m.From, m.Term, m.Seq, m.PreVote = to.To, to.Term, to.Seq, to.PreVote
				switch to.Type {
				case raft.AppendEntries:
					m.Type = raft.AppendEntriesReply
				case raft.RequestVote:
					m.Type = raft.RequestVoteReply
				case raft.InstallSnapshot:
					m.Type, m.Snapshot = raft.InstallSnapshotReply, to.Snapshot
				}
				node.Step(clock, &m)
			}
		case 5:
			clock = clock.Add(time.Duration(fake.byte()) * time.Millisecond)
			node.Tick(clock)
		case 6:
			node.Propose(clock, []byte{op})
		case 7:
			if n := min(len(writes), 1+int(fake.byte()%3)); n > 0 {
				for _, s := range writes[:n] {
					saved.write(s)
				}
				node.Saved(clock, writes[n-1].Seq)
				writes = writes[n:]
			}
		case 8:
			node.Campaign(clock)
		case 9:
			switch arg := fake.byte(); {
			case arg < 100:
				node.Reachable(clock, raft.ID(arg%5))
			case arg < 200:
				i := uint64(arg - 100)
				if term, ok := node.Log().Term(i); ok && i > 0 && i <= node.Status().Applied {
					saved.snapshot = raft.Snapshot{Index: i, Term: term, Bytes: 5}
					node.SnapshotSaved(clock, saved.snapshot)
				}
			case arg < 210:
				if len(complete) > 0 && complete[0].Index > saved.snapshot.Index {
					saved.snapshot = complete[0]
					node.SnapshotSaved(clock, saved.snapshot)
				}
				complete = complete[min(1, len(complete)):]
			case arg < 220: // a crash; commitIndex begins anew, what was committed need not be here (it was forged)
				node, writes, complete, committed = start(), nil, nil, nil
				was = node.Status()
			}
		}
		out := node.Take()
		for _, m := range out.Messages {
			if m.Entries.Validate() != nil || m.Entries.Count > 0 && m.Entries.First != m.PrevLogIndex+1 || m.To == 1 {
				t.Fatalf("sends %+v", m)
			}
			sent = append(sent, m)
		}
		sent = sent[max(0, len(sent)-8):]
		if s := out.Save; s.Seq != 0 {
			s.Entries = nil
			for _, e := range out.Save.Entries {
				e.Bytes = bytes.Clone(e.Bytes)
				s.Entries = append(s.Entries, e)
			}
			writes = append(writes, s)
		}
		for _, c := range out.Chunks {
			if c.Last() {
				complete = append(complete, c.Snapshot)
			}
		}
		if out.Compact > 0 {
			saved.log.Compact(min(out.Compact, saved.log.Last()))
		}
		s := node.Status()
		if s.Term < was.Term || s.Commit < was.Commit || s.Applied < was.Applied || s.First < was.First {
			t.Fatalf("goes back from %+v to %+v", was, s)
		}
		if s.Term == was.Term && was.Vote != 0 && s.Vote != was.Vote {
			t.Fatalf("votes twice in a term: %+v, then %+v", was, s)
		}
		if s.Applied > s.Commit || s.Commit > s.Last || s.First > s.Applied+1 || s.Durable > s.Last {
			t.Fatalf("out of order: %+v", s)
		}
		log := node.Log()
		for i := uint64(len(committed)) + 1; i <= s.Commit; i++ {
			term, _ := log.Term(i) // 0, and not compared, of what came in a snapshot
			committed = append(committed, term)
		}
		for i := s.First; i <= s.Commit; i++ {
			if term, _ := log.Term(i); term != committed[i-1] && committed[i-1] != 0 {
				t.Fatalf("committed entry %d of term %d has term %d now", i, committed[i-1], term)
			}
		}
		for i := s.First; i <= s.Last; i++ {
			before, _ := log.Term(i - 1)
			if term, _ := log.Term(i); term < before || term > s.Term {
				t.Fatalf("entry %d of term %d after one of term %d, in term %d", i, term, before, s.Term)
			}
		}
		was = s
	}
}

// TestForgedStreams plays FuzzStep's streams, as many as a test run has time for.
func TestForgedStreams(t *testing.T) {
	random := newRandom(1)
	for range 3000 {
		input := make([]byte, 1000)
		for i := range input {
			input[i] = byte(random.Uint32())
		}
		playForged(t, uint8(random.Uint32()), input)
	}
}
