package strategies

import (
	"fmt"

	"github.com/raftbench/raftbench/raft"
)

// MaxCross is the largest number of strategies that Cross makes.
const MaxCross = 10_000

// Values gives, for some axes, the choices to go through, each as it is written on the command line.
type Values struct {
	Backup, Send, Commit, Announce, Apply, CatchUp []string
}

// Cross returns each strategy of base with every combination of the given values; an axis without values keeps what
// base has. An empty base stands for the single point fast,send=now,commit=now,announce=ride,apply=now,catch-up=log. The order is
// that of base, then of each axis, the last changing fastest; of points that come twice the first stays; those that
// have a name get it.
func Cross(base []raft.Strategy, v Values) ([]raft.Strategy, error) {
	if len(base) == 0 {
		base = []raft.Strategy{standard()}
	}
	axes := []struct {
		axis   string
		values []string
	}{
		{AxisBackup, v.Backup}, {AxisSend, v.Send}, {AxisCommit, v.Commit}, {AxisAnnounce, v.Announce}, {AxisApply, v.Apply},
		{AxisCatchUp, v.CatchUp},
	}
	size := len(base)
	for _, a := range axes {
		if size *= max(1, len(a.values)); size > MaxCross {
			return nil, fmt.Errorf("the choices make %d strategies or more, want at most %d: give fewer values", size, MaxCross)
		}
	}
	list := base
	for _, a := range axes {
		if len(a.values) == 0 {
			continue
		}
		var next []raft.Strategy
		for _, s := range list {
			for _, value := range a.values {
				if err := choose(&s, a.axis, value); err != nil {
					return nil, err
				}
				next = append(next, s)
			}
		}
		list = next
	}
	var distinct []raft.Strategy
	seen := map[string]bool{}
	for _, s := range list {
		s = withName(s)
		if text := String(s); !seen[text] {
			seen[text] = true
			distinct = append(distinct, s)
		}
	}
	return distinct, nil
}
