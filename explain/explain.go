// Package explain shows why one strategy needs more rounds than another: it plays a scenario in which a follower is
// healed, once for each strategy and with the same seed, in virtual time, and records every message between leader and
// follower from that moment until the follower has everything. The record is written as a timeline in text, as a
// Mermaid sequence diagram or as a ShiViz log, one file each.
//
// It measures nothing that the scenario does not measure, and shows one follower of one group.
package explain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/results"
	"github.com/raftbench/raftbench/transports"
)

// Config is what to explain.
type Config struct {
	Matrix bench.Matrix // one transport, one size and one scenario that heals a follower; Strategies are set by Record
	Seed   uint64
	Link   sim.Link // between any two replicas
}

// Story is what happened under one strategy between the healing of a follower and its having caught up.
type Story struct {
	Strategy         string // its name, or its full text
	Choices          map[string]string
	Leader, Follower raft.ID
	Steps            []Step // in order of time
	CatchUp          *results.CatchUp
}

// Step is one message between leader and follower, or one change of a commitIndex.
type Step struct {
	At   time.Duration // since the follower was healed
	From raft.ID
	To   raft.ID // 0: not a message, something that happened at From
	Kind StepKind
	Text string // one short line
	// Delivered is when the message arrived, since the follower was healed; 0 if it never did.
	Delivered time.Duration
}

// StepKind tells steps apart, for what may be left out.
type StepKind uint8

const (
	StepProbe     StepKind = iota + 1 // AppendEntries sent while the place of agreement was not known
	StepReject                        // the answer that it is not there
	StepAppend                        // AppendEntries with entries
	StepHeartbeat                     // AppendEntries without
	StepAccept                        // the answer that the logs agree
	StepVote                          // RequestVote, or its answer
	StepCommit                        // a commitIndex moved
)

// ErrNothing is returned by Record for a scenario that heals no follower.
var ErrNothing = errors.New("nothing to explain")

// TrialError is returned by Record if the settings were fine, but the trial was not.
type TrialError struct {
	Scenario, Strategy string
	Status             results.Status // never results.OK
	Reason             string
}

func (e *TrialError) Error() string {
	return fmt.Sprintf("%s under %s: %s", e.Scenario, e.Strategy, e.Reason)
}

// Record plays the scenario under one strategy. Errors are about a setting, or say why the trial failed: *TrialError.
func Record(ctx context.Context, cfg Config, strategy raft.Strategy) (*Story, error) {
	m := cfg.Matrix
	m.Strategies, m.Repeat, m.Virtual = []raft.Strategy{strategy}, 1, true
	plan, err := m.Plan()
	if err != nil {
		return nil, err
	}
	r := &recorder{healed: -1}
	var trial results.Trial
	run := bench.Run{Plan: plan, Repeat: 1, Seed: cfg.Seed, Virtual: true,
		Open: func(transport string, group cluster.Config) (cluster.Cluster, error) {
			r.next, group.Observer = group.Observer, r
			c, err := sim.New(sim.Config{Config: group, Transport: transport, OnFrame: r.frame,
				Links: func(raft.ID, raft.ID) sim.Link { return cfg.Link }})
			if err != nil {
				return nil, err
			}
			r.Cluster = c
			return r, nil
		},
		Done: func(t results.Trial) error { trial = t; return nil },
	}
	if err := run.Do(ctx); err != nil {
		return nil, err
	}
	cell := plan[0].Cell
	if trial.Status != results.OK {
		return nil, &TrialError{cell.Scenario, cell.Strategy, trial.Status, trial.Reason}
	}
	if trial.CatchUp == nil {
		return nil, fmt.Errorf("%w: scenario %s heals no follower", ErrNothing, cell.Scenario)
	}
	s := &Story{Strategy: cell.Strategy, Choices: cell.Choices, Follower: raft.ID(trial.CatchUp.Follower), CatchUp: trial.CatchUp}
	r.tell(s)
	return s, nil
}

// recorder is the group as the scenario sees it, with an ear on its messages: it notes when links are healed.
type recorder struct {
	cluster.Cluster
	next   cluster.Observer
	healed raft.Time // the first time that a link was healed; -1 before
	leader raft.ID
	frames []frame
	moves  []move
	open   map[uint64]int // frames under way, by number: their place in frames
}

type frame struct {
	from, to        raft.ID
	sent, delivered raft.Time
	message         raft.Message
}

// move is a commitIndex that moved.
type move struct {
	at       raft.Time
	replica  raft.ID
	from, to uint64
}

// Heal notes the moment: cluster.Cluster.
func (r *recorder) Heal(from, to raft.ID) {
	if r.healed < 0 {
		r.healed, r.leader = r.Now(), cluster.Leader(r.Cluster)
		r.open = map[uint64]int{}
	}
	r.Cluster.Heal(from, to)
}

// frame records what is sent and delivered after that: sim.Config.OnFrame.
func (r *recorder) frame(f sim.Frame) {
	if r.healed < 0 {
		return
	}
	switch f.Fate {
	case sim.FrameSent:
		var m raft.Message
		if transports.DecodeMessage(f.Bytes, &m) != nil {
			return
		}
		m.Entries.Bytes = bytes.Clone(m.Entries.Bytes)
		r.open[f.Number] = len(r.frames)
		r.frames = append(r.frames, frame{from: f.From, to: f.To, sent: f.At, delivered: -1, message: m})
	case sim.FrameDelivered:
		if i, ok := r.open[f.Number]; ok {
			r.frames[i].delivered = f.At
		}
	}
}

// Applied passes on: cluster.Observer.
func (r *recorder) Applied(now raft.Time, id raft.ID, e raft.Entries) { r.next.Applied(now, id, e) }

// Restored passes on: cluster.Observer.
func (r *recorder) Restored(now raft.Time, id raft.ID, s raft.Snapshot) { r.next.Restored(now, id, s) }

// Events notes commits, and which AppendEntries were probes: cluster.Observer.
func (r *recorder) Events(now raft.Time, id raft.ID, events []raft.Event) {
	r.next.Events(now, id, events)
	for _, e := range events {
		switch e.Kind {
		case raft.EventCommitted:
			last := uint64(0)
			for _, m := range slices.Backward(r.moves) {
				if m.replica == id {
					last = m.to
					break
				}
			}
			r.moves = append(r.moves, move{now, id, last, e.Index})
		}
	}
}

// tell turns what was recorded into steps.
func (r *recorder) tell(s *Story) {
	s.Leader = r.leader
	end := r.healed.Add(s.CatchUp.Total)
	pair := func(id raft.ID) bool { return id == s.Leader || id == s.Follower }
	searching := true // until the first answer that the logs agree, or the first entries
	rejected := map[uint64]bool{}
	for _, f := range r.frames {
		if f.message.Type == raft.AppendEntriesReply && !f.message.Success {
			rejected[f.message.Seq] = true
		}
	}
	for _, f := range r.frames {
		if !pair(f.from) || !pair(f.to) || f.sent >= end {
			continue
		}
		step := Step{At: f.sent.Sub(r.healed), From: f.from, To: f.to}
		if f.delivered >= 0 {
			step.Delivered = f.delivered.Sub(r.healed)
		}
		m := &f.message
		step.Kind, step.Text = describe(m, rejected[m.Seq], searching)
		if step.Kind == StepAppend {
			searching = false
		}
		s.Steps = append(s.Steps, step)
	}
	for _, m := range r.moves {
		if pair(m.replica) && m.at >= r.healed && m.at <= end {
			s.Steps = append(s.Steps, Step{At: m.at.Sub(r.healed), From: m.replica, Kind: StepCommit,
				Text: fmt.Sprintf("commitIndex %d -> %d", m.from, m.to)})
		}
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return int(a.At - b.At) })
}

// describe says what a message is in one short line.
func describe(m *raft.Message, willBeRejected, searching bool) (StepKind, string) {
	switch m.Type {
	case raft.AppendEntries:
		at := fmt.Sprintf("prev %d/%d", m.PrevLogIndex, m.PrevLogTerm)
		switch {
		case m.Entries.Count > 0:
			return StepAppend, fmt.Sprintf("AppendEntries %s, entries %d-%d, commit %d", at, m.Entries.First, m.Entries.Last(), m.Commit)
		case willBeRejected || searching && m.PrevLogIndex > 0:
			return StepProbe, "AppendEntries " + at + ", no entries: agree there?"
		}
		return StepHeartbeat, fmt.Sprintf("heartbeat %s, commit %d", at, m.Commit)
	case raft.AppendEntriesReply:
		if m.Success {
			return StepAccept, fmt.Sprintf("yes: match %d, commit %d", m.Match, m.Commit)
		}
		return StepReject, fmt.Sprintf("no at %d: XTerm %d XIndex %d XLen %d, hint %d/%d", m.PrevLogIndex, m.XTerm, m.XIndex, m.XLen, m.HintIndex, m.HintTerm)
	case raft.RequestVote:
		return StepVote, fmt.Sprintf("RequestVote term %d, last %d/%d", m.Term, m.LastLogIndex, m.LastLogTerm)
	}
	return StepVote, fmt.Sprintf("vote for term %d: %v", m.Term, m.VoteGranted)
}

// tried returns the indexes at which agreement was asked for, in order.
func (s *Story) tried() []string {
	var list []string
	for _, step := range s.Steps {
		if step.Kind == StepReject {
			var at uint64
			if _, err := fmt.Sscanf(step.Text, "no at %d", &at); err == nil {
				list = append(list, fmt.Sprint(at))
			}
		}
	}
	return list
}
