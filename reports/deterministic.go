package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/raftbench/raftbench/results"
)

// deterministic reports whether a cell's trials are one trial repeated: two or more that are the same to the last
// figure although their seeds differ. Only virtual time has such cells.
func deterministic(run *results.Run, trials []results.Trial) bool {
	if run.Header.Clock != "virtual" || len(trials) < 2 {
		return false
	}
	var first []byte
	for _, t := range trials {
		if t.Status != results.OK {
			return false
		}
		t.Repeat, t.Order, t.Started = 0, 0, time.Time{}
		text, err := json.Marshal(t)
		switch {
		case err != nil:
			return false
		case first == nil:
			first = text
		case !bytes.Equal(first, text):
			return false
		}
	}
	return true
}

// deterministicText says which cells are deterministic; "" if none is.
func (s *Summary) deterministicText() string {
	var labels []string
	for i := range s.Cells {
		if c := &s.Cells[i]; c.Deterministic {
			labels = append(labels, s.label(c))
		}
	}
	who := listed(labels)
	switch n := len(labels); {
	case n == 0:
		return ""
	case n == len(s.Cells):
		who = "all cells"
	case n > 3:
		who = fmt.Sprintf("%d of %d cells", n, len(s.Cells))
	}
	return "deterministic: the trials of " + who + " come out the same whatever the seed: one trial repeated; " +
		"--arrivals poisson, --jitter or --loss draws what differs in life"
}
