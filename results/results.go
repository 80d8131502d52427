// Package results is the run file: what a run measured, in a form that is complete enough to make every report from it
// and to run it again. It is the only thing that measuring and reporting share.
//
// It does not measure, judge or format anything.
package results

import "time"

// Format names the version of the run file that this package writes.
const Format = "raftbench-run/1"

// Header is the first record of a run file: what was asked for and where it ran.
type Header struct {
	Format   string            `json:"format"`
	Job      string            `json:"job"` // "matrix", later "lab2b", ...
	Tag      string            `json:"tag"`
	Started  time.Time         `json:"started"`
	Args     []string          `json:"args"`           // the command line that asked for it
	Again    string            `json:"again"`          // a command line that names every setting
	Seed     uint64            `json:"seed"`           //
	Clock    string            `json:"clock"`          // "wall" or "virtual"
	Repeat   int               `json:"repeat"`         // trials per cell
	Baseline string            `json:"baseline"`       // the strategy that ratios refer to
	Settings map[string]string `json:"settings"`       // what holds for every cell: heartbeat, election timeout, warm-up, ...
	Docs     map[string]string `json:"docs,omitempty"` // a sentence for each of "scenario steady", "backup fast", "gate ride" in the run
	Versions map[string]string `json:"versions"`       // raftbench, go, and each library that is in the measured path
	Machine  map[string]string `json:"machine"`        // cpu, cores, GOMAXPROCS, os, kernel, tcp congestion control, ...
	Topology *Topology         `json:"topology,omitempty"`
	Cells    []Cell            `json:"cells"`         //
	Floors   map[string]int64  `json:"floors_p50_ns"` // per transport: bare fan-out round trip of the same frames, if measured
}

// Topology is the table of round trips between regions that a run in virtual time had. Replicas take the regions in
// order, again from the first when there are more.
type Topology struct {
	Name         string      `json:"name"`
	Source       string      `json:"source,omitempty"` // where the figures are from
	Regions      []string    `json:"regions"`
	RoundTripsMs [][]float64 `json:"round_trips_ms"` // rows from one region to all
}

// Region returns the name of a replica's region, "" if there is none. Replicas count from 1.
func (t *Topology) Region(replica int) string {
	if t == nil || len(t.Regions) == 0 || replica < 1 {
		return ""
	}
	return t.Regions[(replica-1)%len(t.Regions)]
}

// Cell is one combination of the matrix's axes.
type Cell struct {
	ID           int               `json:"id"`
	Engine       string            `json:"engine"`
	EngineKind   EngineKind        `json:"engine_kind,omitempty"`
	Strategy     string            `json:"strategy"` // its name, or its full text if it has none
	Choices      map[string]string `json:"choices"`  // backup, send, commit, announce, apply
	Transport    string            `json:"transport"`
	Scenario     string            `json:"scenario"`
	Nodes        int               `json:"nodes"`
	PayloadBytes int               `json:"payload_bytes"`
	Clients      int               `json:"clients,omitempty"`      // closed loop
	RatePerSec   float64           `json:"rate_per_sec,omitempty"` // open loop: offered
	Params       map[string]string `json:"params,omitempty"`       // of the scenario: diverge-terms, lag-entries, ...
}

// ParamStorage and ParamState are what replicas keep their logs in, and the size of the state machine's state.
const (
	ParamStorage = "storage"
	ParamState   = "state"
)

// ParamCut is the parameter of scenarios that cut links: silent, or reset.
const ParamCut = "cut"

// EngineKind says what an engine is to the others; "" for this project's own.
type EngineKind string

const (
	Peer  EngineKind = "peer"  // what a user would pick otherwise
	Floor EngineKind = "floor" // what is physically needed, without any guarantee
)

// Status says what became of a trial.
type Status string

const (
	OK           Status = "ok"
	Invalid      Status = "invalid"      // an identity or an invariant broke: no number of it may be shown
	Failed       Status = "error"        // it could not be run to its end
	Interrupted  Status = "interrupted"  // the user stopped it: its numbers are partial and are not reported
	Inconclusive Status = "inconclusive" // it ran, but measured nothing, or a check on it did not finish
	// NotApplicable: the cell's engine cannot do what the cell asks for. It was not run.
	NotApplicable Status = "n/a"
)

// Counts is where every proposal of a trial went: Proposed = Committed + Failed + Unknown.
type Counts struct {
	Proposed  uint64 `json:"proposed"`
	Committed uint64 `json:"committed"`
	Failed    uint64 `json:"failed"`  // surely not in the log
	Unknown   uint64 `json:"unknown"` // cut off by a crash or by the end of the trial
}

// Trial is one measured run of one cell.
type Trial struct {
	Cell     int           `json:"cell"`
	Repeat   int           `json:"repeat"` // 0 is the first trial of its cell
	Order    int           `json:"order"`  // position in the shuffled run
	Started  time.Time     `json:"started"`
	Leader   int           `json:"leader,omitempty"` // the replica that was elected at first; 0 if none was
	Status   Status        `json:"status"`
	Reason   string        `json:"reason,omitempty"` // one line, for every status but OK
	Warnings []string      `json:"warnings,omitempty"`
	Measured time.Duration `json:"measured_ns"` // the span that throughput refers to, without warm-up

	// Counts is of the whole trial, with warm-up and the parts before and after the measured span; Window counts the
	// proposals that were due in the measured span, and Latency holds exactly those of them that were committed.
	Counts Counts `json:"counts"`
	Window Counts `json:"window"`

	// Latency is from the moment a proposal was due to the leader's answer. Stages splits it; keys are the constants
	// Stage*. Histograms record nanoseconds.
	Latency *Histogram            `json:"latency,omitempty"`
	Stages  map[string]*Histogram `json:"stages,omitempty"`

	ThroughputPerSec float64 `json:"throughput_per_sec"` // commits in the measured span

	Cost     *Cost     `json:"cost,omitempty"`
	CatchUp  *CatchUp  `json:"catch_up,omitempty"`
	Failover *Failover `json:"failover,omitempty"`
	Restart  *Restart  `json:"restart,omitempty"`
	Lab      *Lab      `json:"lab,omitempty"`

	// Network is what an emulated network did in the whole trial: counts of packets, and how late the switch was, by name
	// with the unit in it.
	Network map[string]uint64 `json:"network,omitempty"`

	LogDigest string `json:"log_digest,omitempty"` // of the committed log, equal on all replicas
}

// The stages of a proposal's way, in order. Those before StageApplied add up to the latency.
const (
	StageQueue    = "queue"    // due until appended to the leader's log
	StageSend     = "send"     // appended until sent to a quorum: the Send gate
	StageAck      = "ack"      // sent until acknowledged by a quorum: network, disk and the followers' work
	StageCommit   = "commit"   // acknowledged until committed: the Commit gate
	StageApply    = "apply"    // committed until applied and answered: the Apply gate
	StageAnnounce = "announce" // committed until a quorum's followers know it: the Announce gate; beside the latency
	StageAll      = "all"      // due until applied on all replicas that are up; beside the latency
	StagePacer    = "pacer"    // open loop: due until made, the harness's own lateness; part of StageQueue
)

// LatencyStages lists the stages that add up to the latency, in order; BesideStages those that run beside it.
var (
	LatencyStages = []string{StageQueue, StageSend, StageAck, StageCommit, StageApply}
	BesideStages  = []string{StageAnnounce, StageAll}
)

// Cost is what the measured span of a trial took, of all replicas together. A divisor of zero commits is left to the
// reader.
type Cost struct {
	Commits        uint64        `json:"commits"`
	Messages       uint64        `json:"messages"`                  // all of Raft's messages, requests and replies
	AppendEntries  uint64        `json:"append_entries"`            // requests only, with or without entries
	EntriesSent    uint64        `json:"entries_sent"`              // entries within them, counted per follower
	Bytes          uint64        `json:"bytes"`                     // of whole frames
	Writes         uint64        `json:"writes"`                    // calls that handed bytes to a connection
	Dropped        uint64        `json:"dropped"`                   // frames that a transport dropped, for any reason
	Elections      *uint64       `json:"elections,omitempty"`       // campaigns begun; nil if they were not counted
	Rejections     *uint64       `json:"rejections,omitempty"`      // AppendEntries refused; nil if they were not counted
	CPU            time.Duration `json:"cpu_ns,omitempty"`          // of the whole process; 0 in virtual time
	Allocations    uint64        `json:"allocations,omitempty"`     // of the whole process; 0 in virtual time
	AllocatedBytes uint64        `json:"allocated_bytes,omitempty"` //
}

// CatchUp is how one follower got the leader's log, from the moment its links were healed. The phases add up to Total.
type CatchUp struct {
	Follower int           `json:"follower"`
	Entries  uint64        `json:"entries"`     // that it lacked at that moment
	Conflict uint64        `json:"conflict"`    // entries of its log that had to go
	Total    time.Duration `json:"total_ns"`    //
	Detect   time.Duration `json:"detect_ns"`   // healed until the first probe, or entries, were sent to it
	Probe    time.Duration `json:"probe_ns"`    // until the leader knew where the logs agree
	Transfer time.Duration `json:"transfer_ns"` // until the last missing entry was acknowledged
	Learn    time.Duration `json:"learn_ns"`    // until its commitIndex reached that entry
	Apply    time.Duration `json:"apply_ns"`    // until it had applied that entry

	Rejections  uint64 `json:"rejections"`
	ProbeRounds uint64 `json:"probe_rounds"` // AppendEntries sent while the place of agreement was not known
	Messages    uint64 `json:"messages"`     // AppendEntries sent to it, and parts of snapshots
	Bytes       uint64 `json:"bytes"`        // of entries and of snapshots
	// SnapshotBytes are those of snapshots; absent if it was sent none.
	SnapshotBytes uint64 `json:"snapshot_bytes,omitempty"`
	TwiceBytes    uint64 `json:"twice_bytes"` // of entries that it had already, or that were sent to it more than once

	// Foreground latency before the follower was healed and while it caught up; nil without foreground load.
	Before *Histogram `json:"before,omitempty"`
	During *Histogram `json:"during,omitempty"`
}

// Failover is what the crash of a leader under load cost.
type Failover struct {
	Detect     time.Duration `json:"detect_ns"`     // crash until the first candidate
	Elect      time.Duration `json:"elect_ns"`      // until a new leader
	FirstWrite time.Duration `json:"first_ns"`      // until the first commit of a proposal made after the crash
	Leaderless time.Duration `json:"leaderless_ns"` // crash until a new leader: Detect + Elect
	Elections  uint64        `json:"elections"`     // terms that were tried
}

// Restart is what it cost that replicas stopped and started again from what their storage held.
type Restart struct {
	Entries uint64        `json:"entries"`  // in the log when they stopped
	Open    time.Duration `json:"open_ns"`  // a follower's start: its storage is read and its state restored
	Level   time.Duration `json:"level_ns"` // from then on, until it had applied what the leader had committed
	All     time.Duration `json:"all_ns"`   // all replicas crashed: until all were started
	Serve   time.Duration `json:"serve_ns"` // from then on, until the first proposal committed
}

// End is the last record of a run that came to its end, by itself or interrupted.
type End struct {
	Finished    time.Time `json:"finished"`
	Interrupted bool      `json:"interrupted"`
	Trials      int       `json:"trials"` // trial records in the file, whatever their status
}

// Run is a run file in memory.
type Run struct {
	Header   Header
	Trials   []Trial
	Warnings []string
	End      *End // nil if the file stops before its end marker: the run crashed or is still going on
}
