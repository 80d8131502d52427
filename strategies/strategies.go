// Package strategies is the space of choices that Raft leaves open, as parts that can be combined: the backups and the
// gates, one file each, and the named strategies, one file each in the folder named.
//
// A strategy is written as a name or a backup, with choices that differ after it:
//
//	fast-signal
//	fast,send=batch(8,1ms),commit=now
//	fast-signal,apply=every(10ms)
//	eager,catch-up=snapshot
//
// Parse reads it and String prints it; String(Parse(text)) is the same for all ways to write one point of the space.
//
// It decides and does nothing itself: gates and backups are pure functions of what the core tells them.
//
// To add a named strategy, add a file to the folder named (see its README). To add a gate or a backup, add a file with
// its type and a line to the table in gates.go or backups.go.
package strategies

import (
	"slices"
	"strings"

	"github.com/raftbench/raftbench/raft"
)

// The choices of a strategy, as they are called on the command line and in run files.
const (
	AxisBackup   = "backup"
	AxisSend     = "send"
	AxisCommit   = "commit"
	AxisAnnounce = "announce"
	AxisApply    = "apply"
	AxisCatchUp  = "catch-up"
)

// Axes returns the choices in the order in which a strategy is written: the backup, the four gates, and what a follower
// gets that is behind.
func Axes() []string {
	return []string{AxisBackup, AxisSend, AxisCommit, AxisAnnounce, AxisApply, AxisCatchUp}
}

// standard is the point of the space that a text which begins with a backup's name starts from: nothing waits, except
// that news of a commit costs no message of its own. Its backup, fast, is what Cross takes if none is given.
func standard() raft.Strategy {
	return raft.Strategy{Backup: Fast{}, Send: Now{}, Commit: Now{}, Announce: Ride{}, Apply: Now{}, CatchUp: LogFirst{}}
}

// List returns the named strategies, those of the classroom first.
func List() []raft.Strategy { return slices.Clone(named()) }

// Choices returns the choices by axis, as they are written on the command line: {"backup": "fast", ...}.
func Choices(s raft.Strategy) map[string]string {
	choices := map[string]string{}
	for _, axis := range Axes() {
		choices[axis] = choice(s, axis)
	}
	return choices
}

// String returns the one canonical way to write s: the name of the named strategy with the same choices if there
// is one, otherwise its backup and, in the order of Axes, what differs from send=now,commit=now,announce=ride,
// apply=now,catch-up=log. Name and Doc of s play no part.
func String(s raft.Strategy) string {
	if n, ok := sameAs(s, named()); ok {
		return n.Name
	}
	return describe(s)
}

// describe writes s without the help of a name.
func describe(s raft.Strategy) string {
	var b strings.Builder
	b.WriteString(choice(s, AxisBackup))
	for _, axis := range Axes()[1:] {
		if c := choice(s, axis); c != choice(standard(), axis) {
			b.WriteString("," + axis + "=" + c)
		}
	}
	return b.String()
}

// sameAs returns the strategy among those given whose choices are those of s.
func sameAs(s raft.Strategy, among []raft.Strategy) (raft.Strategy, bool) {
	for _, n := range among {
		same := true
		for _, axis := range Axes() {
			same = same && choice(s, axis) == choice(n, axis)
		}
		if same {
			return n, true
		}
	}
	return raft.Strategy{}, false
}

// choice returns one of them as it is written; "" if it is missing. Without a CatchUp the core sends the log.
func choice(s raft.Strategy, axis string) string {
	switch {
	case axis == AxisBackup && s.Backup == nil:
		return ""
	case axis == AxisBackup:
		return s.Backup.String()
	case axis == AxisCatchUp && s.CatchUp == nil:
		return LogFirst{}.String()
	case axis == AxisCatchUp:
		return s.CatchUp.String()
	}
	if g := *gateAt(&s, axis); g != nil {
		return g.String()
	}
	return ""
}

// gateAt returns the gate of s that one of the axes for gates names.
func gateAt(s *raft.Strategy, axis string) *raft.Gate {
	switch axis {
	case AxisSend:
		return &s.Send
	case AxisCommit:
		return &s.Commit
	case AxisAnnounce:
		return &s.Announce
	case AxisApply:
		return &s.Apply
	}
	panic("strategies: no gate is called " + axis)
}

// Kind describes a gate, a backup or a way to catch up, for lists.
type Kind struct {
	Name string   // as it is written, without arguments
	Form string   // with the names of its arguments: batch(n,hold)
	Axes []string // where it may be chosen
	Doc  string   // one sentence
}
