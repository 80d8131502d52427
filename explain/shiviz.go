package explain

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/raft"
)

// ShiVizPattern and ShiVizDelimiter are what ShiViz (https://bestchai.bitbucket.io/shiviz/) must be given with a log.
const (
	ShiVizPattern   = `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`
	ShiVizDelimiter = `^=== (?<trace>.*) ===$`
)

// ShiViz writes the stories as logs with vector clocks, one execution each.
func ShiViz(w io.Writer, stories []*Story) error {
	var b strings.Builder
	for _, s := range stories {
		fmt.Fprintf(&b, "=== %s ===\n", s.Strategy)
		s.shiviz(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// moment is a send, a delivery or something that happened at one replica.
type moment struct {
	at      int64
	step    int
	deliver bool
}

func (s *Story) shiviz(b *strings.Builder) {
	var moments []moment
	for i, step := range s.Steps {
		moments = append(moments, moment{int64(step.At), i, false})
		if step.To != 0 && step.Delivered > 0 {
			moments = append(moments, moment{int64(step.Delivered), i, true})
		}
	}
	// A message that arrives is handled before what its arrival causes.
	slices.SortStableFunc(moments, func(a, b moment) int {
		if c := cmp.Compare(a.at, b.at); c != 0 || a.deliver == b.deliver {
			return c
		}
		if a.deliver {
			return -1
		}
		return 1
	})
	clocks := map[raft.ID]map[raft.ID]int{s.Leader: {}, s.Follower: {}}
	sent := map[int]map[raft.ID]int{} // by step: the sender's clock
	for _, m := range moments {
		step := s.Steps[m.step]
		host, what := step.From, "send "+step.Text
		switch {
		case m.deliver:
			host, what = step.To, "receive "+step.Text
			for id, n := range sent[m.step] {
				clocks[host][id] = max(clocks[host][id], n)
			}
		case step.To == 0:
			what = step.Text
		}
		clocks[host][host]++
		if !m.deliver {
			sent[m.step] = map[raft.ID]int{}
			for id, n := range clocks[host] {
				sent[m.step][id] = n
			}
		}
		fmt.Fprintf(b, "%s %s\n%.3f ms %s\n", s.host(host), s.clock(clocks[host]), float64(m.at)/1e6, what)
	}
}

func (s *Story) host(id raft.ID) string {
	if id == s.Leader {
		return fmt.Sprintf("leader-%d", id)
	}
	return fmt.Sprintf("follower-%d", id)
}

func (s *Story) clock(c map[raft.ID]int) string {
	var parts []string
	for _, id := range []raft.ID{s.Leader, s.Follower} {
		if n := c[id]; n > 0 {
			parts = append(parts, fmt.Sprintf("%q:%d", s.host(id), n))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
