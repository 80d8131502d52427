package netem

import (
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/raft"
)

// Topology is a network: a table of round trips between regions, and what else its links do.
//
// As a file it is CSV, with comments after #: a header with "region" and the regions' names, then a row for each region
// in the same order, its name and its round trips in milliseconds. The diagonal is the round trip between two replicas
// of one region. An empty field stands for that of the opposite direction.
type Topology struct {
	Name    string
	Source  string // the comments at the beginning of the file
	Regions []string
	// RoundTrips are rows from one region to all; the way there takes half of it.
	RoundTrips [][]time.Duration
	// Link is what links do besides; its Delay is not used. Of a file that a user wrote it is the zero value.
	Link Link
}

//go:embed networks/*.csv
var files embed.FS

// builtIn is the table of networks that are built in: each has a file in networks with its round trips and its source,
// and here what its links do besides.
var builtIn = []struct {
	name string
	link Link
}{
	{"lan", Link{}},
	{"zones", Link{}},
	{"regions", Link{}},
	{"wan-lossy", Link{Loss: 0.01, Rate: 100e6}},
	{"mobile", Link{Jitter: 10 * time.Millisecond, Distribution: Normal, Loss: 0.01, LossBurst: 3, Rate: 9e6, QueueBytes: 1 << 20}},
	{"aws-2017", Link{}},
	{"ibm-cloud", Link{}},
}

// Topologies lists the names of the topologies that are built in.
func Topologies() []string {
	var names []string
	for _, b := range builtIn {
		names = append(names, b.name)
	}
	return names
}

// LoadTopology returns a built-in topology, or reads a file if name has a dot or a slash. Errors are one line.
func LoadTopology(name string) (*Topology, error) {
	var text []byte
	var err error
	var link Link
	if strings.ContainsAny(name, "./\\") {
		if text, err = os.ReadFile(name); err != nil {
			var cause *fs.PathError
			if errors.As(err, &cause) {
				err = cause.Err
			}
			return nil, fmt.Errorf("topology %s: %w", name, err)
		}
	} else {
		i := slices.Index(Topologies(), name)
		if i < 0 {
			return nil, fmt.Errorf("%s; a file's name has a dot or a slash", nearest.Unknown("topology", name, Topologies()))
		}
		link = builtIn[i].link
		if text, err = files.ReadFile(path.Join("networks", name+".csv")); err != nil {
			panic(err) // it is part of the program
		}
	}
	t, err := readTopology(strings.NewReader(string(text)))
	if err != nil {
		return nil, fmt.Errorf("topology %s: %w", name, err)
	}
	t.Name, t.Link = name, link
	for line := range strings.Lines(string(text)) {
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		t.Source = strings.TrimSpace(t.Source + " " + strings.TrimSpace(comment))
	}
	return t, nil
}

func readTopology(from io.Reader) (*Topology, error) {
	r := csv.NewReader(from)
	r.Comment, r.TrimLeadingSpace = '#', true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || strings.TrimSpace(rows[0][0]) != "region" || len(rows[0]) < 2 {
		return nil, errors.New(`its first line is not "region" and the regions' names, with commas between`)
	}
	t := &Topology{Regions: rows[0][1:]}
	n := len(t.Regions)
	if len(rows) != n+1 {
		return nil, fmt.Errorf("%d regions, but %d rows: want one for each", n, len(rows)-1)
	}
	for i, row := range rows[1:] {
		if row[0] != t.Regions[i] {
			return nil, fmt.Errorf("row %d is of region %q: want %q, the order of the first line", i+1, row[0], t.Regions[i])
		}
		t.RoundTrips = append(t.RoundTrips, make([]time.Duration, n))
		for k, field := range row[1:] {
			if field = strings.TrimSpace(field); field == "" {
				t.RoundTrips[i][k] = -1
				continue
			}
			ms, err := strconv.ParseFloat(field, 64)
			if err != nil || !(ms >= 0 && ms <= 60_000) {
				return nil, fmt.Errorf("%q from %s to %s: want milliseconds, 0 to 60000", field, t.Regions[i], t.Regions[k])
			}
			t.RoundTrips[i][k] = time.Duration(math.Round(ms * float64(time.Millisecond)))
		}
	}
	for i, row := range t.RoundTrips {
		for k := range row {
			if row[k] < 0 {
				row[k] = t.RoundTrips[k][i]
			}
			if row[k] < 0 {
				return nil, fmt.Errorf("no round trip between %s and %s", t.Regions[i], t.Regions[k])
			}
		}
	}
	return t, nil
}

// Region returns the region of a replica: they take the regions in order, again from the first when there are more.
func (t *Topology) Region(id raft.ID) int { return int(id-1) % len(t.Regions) }

// Links returns each direction's link: all like link, with the topology's delays.
func (t *Topology) Links(link Link) func(from, to raft.ID) Link {
	return func(from, to raft.ID) Link {
		l := link
		l.Delay = t.RoundTrips[t.Region(from)][t.Region(to)] / 2
		return l
	}
}

// Slowest returns the longest round trip between replicas of a group of n.
func (t *Topology) Slowest(n int) (longest time.Duration) {
	links := t.Links(Link{})
	for a := range n {
		for b := range a {
			one, other := raft.ID(a+1), raft.ID(b+1)
			longest = max(longest, links(one, other).Delay+links(other, one).Delay)
		}
	}
	return longest
}
