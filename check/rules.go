package check

import (
	"fmt"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Rule is one thing that must hold, by its short name.
type Rule string

// The rules. Those of the first group are figure 3 of the Raft paper and what follows from it; a break of one of them
// loses or changes what a client was told. The others are what an implementation owes beside safety.
const (
	ElectionSafety     Rule = "ES"    // at most one leader a term, elected by votes of a quorum that each vote once and for no lesser log
	LogMatching        Rule = "LM"    // two logs with an entry of one index and term are the same up to it; messages tell what the log holds
	LeaderCompleteness Rule = "LC"    // a leader has every entry that was committed in an earlier term
	CommitImmutable    Rule = "CI"    // what is committed at an index never changes, and only a leader commits what is new, by an entry of its term
	StateMachine       Rule = "SM"    // every replica applies the same command at an index, each once, in order
	Monotonic          Rule = "MONO"  // term, vote, commit, applied and match never fall
	Order              Rule = "ORD"   // snapshot <= applied <= commit <= last; a follower's commit is durable there
	QuorumDurable      Rule = "QD"    // what is committed, promised or acknowledged is durable where it is said to be
	AcknowledgedKept   Rule = "AL"    // what a client was told is committed stays where it was
	Linearizable       Rule = "LIN"   // clients see one log that respects real time
	Accounting         Rule = "ACC"   // proposed = committed + failed + unknown
	EqualState         Rule = "HASH"  // at the end all replicas hold and have applied the same
	Broken             Rule = "PANIC" // the code found an invariant of its own broken
	Live               Rule = "LIVE"  // once healed it converges and serves; timers, answers and terms are handled as liveness needs
	WakeUp             Rule = "WAKE"  // what a gate that is always open lets through does not wait
	Bounded            Rule = "BOUND" // queues and what is in flight stay within their limits
	Cost               Rule = "COST"  // searches, resends and elections stay within their budget
)

// rules is the table of all rules with their meaning, for messages.
var rules = []struct {
	rule Rule
	text string
}{
	{ElectionSafety, "at most one leader a term, chosen by a quorum of single votes"},
	{LogMatching, "logs match"},
	{LeaderCompleteness, "a leader has what was committed before"},
	{CommitImmutable, "what is committed never changes"},
	{StateMachine, "the same command at the same index everywhere"},
	{Monotonic, "term, vote, commit, applied and match never fall"},
	{Order, "snapshot <= applied <= commit <= durable"},
	{QuorumDurable, "what is committed is durable on a quorum, what is promised is durable"},
	{AcknowledgedKept, "nothing that a client was told is lost"},
	{Linearizable, "clients see one log that respects real time"},
	{Accounting, "proposed = committed + failed + unknown"},
	{EqualState, "all replicas end with the same log and state"},
	{Broken, "no invariant of the code itself breaks"},
	{Live, "it makes progress whenever a quorum can"},
	{WakeUp, "an open gate lets work through at once"},
	{Bounded, "queues stay within their limits"},
	{Cost, "searches, resends and elections stay within their budget"},
}

func (r Rule) String() string { return string(r) }

// Text says what the rule asks for.
func (r Rule) Text() string {
	for _, known := range rules {
		if known.rule == r {
			return known.text
		}
	}
	return ""
}

// Violation is a rule that was broken.
type Violation struct {
	Rule    Rule
	At      raft.Time
	Replica raft.ID // 0 if it concerns no single one
	What    string  // one line
}

func (v *Violation) Error() string {
	where := ""
	if v.Replica != 0 {
		where = fmt.Sprintf(" at replica %d", v.Replica)
	}
	return fmt.Sprintf("%s (%s) is broken%s at %v: %s", v.Rule, v.Rule.Text(), where, time.Duration(v.At), v.What)
}
