package strategies

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Every opens at the first moment of a grid with this period at or after the arrival of the work: a goroutine that
// sleeps, looks whether there is work, and sleeps again. Each node's grid has a seeded offset, or the loops of a group
// would line up. Work waits for half a period in the mean. The period is above 0; on the command line 1µs to 1m.
type Every time.Duration

func (e Every) Wait(w raft.Waiting) time.Duration {
	period := time.Duration(e)
	late := (time.Duration(w.Since) - w.Phase) % period // since the grid's last moment before Since
	switch {
	case late < 0:
		late += period // Go's remainder has the sign of the dividend, and Phase may be after Since
	case late == 0:
		late = period // Since lies on the grid
	}
	return w.Since.Add(period - late).Sub(w.Now)
}

func (e Every) String() string { return "every(" + printPeriod(time.Duration(e)) + ")" }

func buildEvery(args []string) (raft.Gate, error) {
	d, err := parsePeriod("d", args[0])
	return Every(d), err
}
