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
// As text it is CSV, with comments after #: a header with "region", or nothing, and the regions' names; then a row for
// each region in the same order, its name and its round trips in milliseconds. The diagonal is the round trip between
// two replicas of one region; an empty one, as published tables have it, stands for that of LAN. Any other empty field
// stands for the one of the opposite direction.
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

// MaxTopologyBytes bounds a topology's text. A table of 127 regions, one for each replica that a group may have, takes
// some 120 KB.
const MaxTopologyBytes = 1 << 20

// LoadTopology returns a built-in topology, or reads a file if name has a dot or a slash, or takes name for the table
// itself if it has semicolons, which stand for the ends of lines: "region,a,b;a,,31;b,,". Errors are one line.
func LoadTopology(name string) (*Topology, error) {
	text, called, link := name, name, Link{}
	if strings.Contains(name, ";") {
		text, called = strings.ReplaceAll(name, ";", "\n"), "given"
	} else {
		var err error
		if strings.ContainsAny(name, "./\\") {
			text, err = readTopologyFile(name)
		} else {
			text, link, err = readBuiltIn(name)
		}
		if err != nil {
			return nil, err
		}
	}
	text = strings.TrimPrefix(text, "\ufeff") // as spreadsheets write it
	t, err := readTopology(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("topology %s: %w", called, err)
	}
	t.Name, t.Link = called, link
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		t.Source = strings.TrimSpace(t.Source + " " + strings.TrimSpace(comment))
	}
	return t, nil
}

func readBuiltIn(name string) (string, Link, error) {
	i := slices.Index(Topologies(), name)
	if i < 0 {
		return "", Link{}, fmt.Errorf("%s; a file's name has a dot or a slash", nearest.Unknown("topology", name, Topologies()))
	}
	text, err := files.ReadFile(path.Join("networks", name+".csv"))
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(text), builtIn[i].link, nil
}

// readTopologyFile reads a regular file of at most MaxTopologyBytes: devices and pipes may never end.
func readTopologyFile(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("topology %s: %w", name, fileCause(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("topology %s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("topology %s: %w", name, fileCause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxTopologyBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("topology %s: %w", name, fileCause(err))
	case len(text) > MaxTopologyBytes:
		return "", fmt.Errorf("topology %s: more than %d KiB: want a table of round trips", name, MaxTopologyBytes>>10)
	}
	return string(text), nil
}

// fileCause strips the path and the operation from the system's errors about files.
func fileCause(err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return cause.Err
	}
	return err
}

func readTopology(from io.Reader) (*Topology, error) {
	r := csv.NewReader(from)
	r.Comment, r.TrimLeadingSpace = '#', true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
	}
	if len(rows) == 0 || len(rows[0]) < 2 || rows[0][0] != "region" && rows[0][0] != "" {
		return nil, errors.New(`its first line is not "region" and the regions' names, with commas between`)
	}
	t := &Topology{Regions: rows[0][1:]}
	n := len(t.Regions)
	for i, name := range t.Regions {
		switch {
		case name == "":
			return nil, fmt.Errorf("region %d of the first line has no name", i+1)
		case strings.ContainsAny(name, "#;\"\r\n"):
			return nil, fmt.Errorf("a region is called %q: want a name without #, ;, quotes and ends of lines", name)
		case slices.Contains(t.Regions[:i], name):
			return nil, fmt.Errorf("two regions are called %s: want a name of its own for each", name)
		}
	}
	if len(rows) != n+1 {
		return nil, fmt.Errorf("%d regions, but %d rows: want one for each", n, len(rows)-1)
	}
	for i, row := range rows[1:] {
		if row[0] != t.Regions[i] {
			return nil, fmt.Errorf("row %d is of region %q: want %q, the order of the first line", i+1, row[0], t.Regions[i])
		}
		trips, err := t.readRow(i, row[1:])
		if err != nil {
			return nil, err
		}
		t.RoundTrips = append(t.RoundTrips, trips)
	}
	return t, t.fillIn()
}

// missing stands for a field that is empty.
const missing time.Duration = -1

// readRow reads the round trips from one region.
func (t *Topology) readRow(from int, fields []string) ([]time.Duration, error) {
	trips := make([]time.Duration, len(fields))
	for to, field := range fields {
		if field == "" {
			trips[to] = missing
			continue
		}
		ms, err := strconv.ParseFloat(field, 64)
		if err != nil || !(ms >= 0 && ms <= 60_000) {
			return nil, fmt.Errorf("%q from %s to %s: want milliseconds, 0 to 60000", field, t.Regions[from], t.Regions[to])
		}
		trips[to] = time.Duration(math.Round(ms * float64(time.Millisecond)))
	}
	return trips, nil
}

// fillIn gives missing round trips their values.
func (t *Topology) fillIn() error {
	for i, row := range t.RoundTrips {
		if row[i] == missing {
			row[i] = 2 * LAN().Delay
		}
		for k := range row {
			if row[k] == missing {
				row[k] = t.RoundTrips[k][i]
			}
			if row[k] == missing {
				return fmt.Errorf("no round trip between %s and %s", t.Regions[i], t.Regions[k])
			}
		}
	}
	return nil
}

// Text writes the first n regions as text for LoadTopology in one line: all that a group of n replicas sees of it.
func (t *Topology) Text(n int) string {
	n = min(n, len(t.Regions))
	var b strings.Builder
	w := csv.NewWriter(&b)
	rows := [][]string{append([]string{"region"}, t.Regions[:n]...)}
	for i, name := range t.Regions[:n] {
		row := []string{name}
		for _, trip := range t.RoundTrips[i][:n] {
			row = append(row, strconv.FormatFloat(float64(trip)/float64(time.Millisecond), 'f', -1, 64))
		}
		rows = append(rows, row)
	}
	if err := w.WriteAll(rows); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\n", ";")
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
