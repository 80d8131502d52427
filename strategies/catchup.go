package strategies

import (
	"errors"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/raft"
)

// catchUpKind is a line in the table of ways to bring a follower level.
type catchUpKind struct {
	catchUp raft.CatchUp // its String is its name
	doc     string
}

// catchUps is the table of all of them: a new one is a type, and a line here. A follower whose next entry is gone gets the
// snapshot whatever they say.
var catchUps = []catchUpKind{
	{LogFirst{}, "The log, as long as all that the follower lacks is there."},
	{SnapshotFirst{}, "The snapshot whenever it holds anything that the follower lacks, then the log after it."},
	{Cheapest{}, "Whichever is fewer bytes: the log, or the snapshot and the log after it."},
}

// LogFirst sends the log while it is there: raft.CatchUp.
type LogFirst struct{}

func (LogFirst) Snapshot(raft.Behind) bool { return false }
func (LogFirst) String() string            { return "log" }

// SnapshotFirst sends the snapshot to whoever lacks something of it: raft.CatchUp.
type SnapshotFirst struct{}

func (SnapshotFirst) Snapshot(raft.Behind) bool { return true }
func (SnapshotFirst) String() string            { return "snapshot" }

// Cheapest compares bytes: raft.CatchUp.
type Cheapest struct{}

func (Cheapest) Snapshot(b raft.Behind) bool { return b.SnapshotBytes+b.TailBytes < b.LogBytes }
func (Cheapest) String() string              { return "cheapest" }

// CatchUps describes all ways to bring a follower level, for a list.
func CatchUps() []Kind {
	var kinds []Kind
	for _, k := range catchUps {
		name := k.catchUp.String()
		kinds = append(kinds, Kind{Name: name, Form: name, Axes: []string{AxisCatchUp}, Doc: k.doc})
	}
	return kinds
}

func parseCatchUp(text string) (raft.CatchUp, error) {
	var names []string
	for _, k := range catchUps {
		if names = append(names, k.catchUp.String()); k.catchUp.String() == text {
			return k.catchUp, nil
		}
	}
	return nil, errors.New(nearest.Unknown("way to catch up", text, names))
}
