package strategies

import (
	"fmt"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// maxBatch is the largest n of batch on the command line.
const maxBatch = 1_000_000

// Batch opens when N entries wait or the oldest has waited for Hold, whichever comes first: group commit (Raft thesis,
// section 10.2.2). A probe of the search at a log's end has no entries and waits for Hold. N is 1 to 1,000,000, Hold
// 1µs to 1m on the command line.
type Batch struct {
	N    int
	Hold time.Duration
}

func (b Batch) Wait(w raft.Waiting) time.Duration {
	if w.Count >= b.N {
		return 0
	}
	return w.Since.Add(b.Hold).Sub(w.Now)
}

func (b Batch) String() string { return fmt.Sprintf("batch(%d,%s)", b.N, printPeriod(b.Hold)) }

func buildBatch(args []string) (raft.Gate, error) {
	n, err := parseCount("n", args[0], maxBatch)
	if err != nil {
		return nil, err
	}
	hold, err := parsePeriod("hold", args[1])
	return Batch{n, hold}, err
}
