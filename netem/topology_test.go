package netem_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/netem"
)

func TestTopologies(t *testing.T) {
	for _, name := range netem.Topologies() {
		top, err := netem.LoadTopology(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(top.Source, "Source:") || len(top.Regions) < 1 {
			t.Errorf("%s: %d regions, from %q", name, len(top.Regions), top.Source)
		}
		if err := top.Link.Check(); err != nil || top.Link.Delay != 0 {
			t.Errorf("%s: %+v: %v", name, top.Link, err)
		}
		for i, row := range top.RoundTrips {
			for k, d := range row {
				if d <= 0 || d > 400*time.Millisecond || i != k && d < top.RoundTrips[i][i] {
					t.Errorf("%s: %v from %s to %s", name, d, top.Regions[i], top.Regions[k])
				}
				if back := top.RoundTrips[k][i]; d-back > 5*time.Millisecond {
					t.Errorf("%s: %v from %s to %s, but %v back", name, d, top.Regions[i], top.Regions[k], back)
				}
			}
		}
	}
	top, err := netem.LoadTopology("aws-2017")
	if err != nil {
		t.Fatal(err)
	}
	links := top.Links(netem.Link{Loss: 0.01})
	// Replicas take the regions in order, and from the first again: 1 and 11 are in Virginia, 4 in Ireland.
	if l := links(1, 4); l.Delay != 40275*time.Microsecond || l.Loss != 0.01 {
		t.Errorf("%+v", l)
	}
	if l := links(4, 11); l.Delay != 40275*time.Microsecond {
		t.Errorf("%+v", l)
	}
	if l := links(1, 11); l.Delay != 500*time.Microsecond {
		t.Errorf("%+v", l)
	}
	if d := top.Slowest(5); d != 166600*time.Microsecond {
		t.Errorf("the slowest round trip of five is %v", d)
	}
}

func TestTopologyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.csv")
	for text, wrong := range map[string]string{
		"# mine\nregion,a,b\na,0.5,10\nb,,0.5\n": "",
		"":                                       "first line",
		"zone,a\na,1\n":                          "first line",
		"region,a,b\na,0,1\n":                    "2 regions, but 1 rows",
		"region,a,b\nb,0,1\na,1,0\n":             `region "b": want "a"`,
		"region,a,b\na,0,x\nb,1,0\n":             `"x" from a to b`,
		"region,a,b\na,0,-1\nb,1,0\n":            `"-1" from a to b`,
		"region,a,b\na,0,NaN\nb,1,0\n":           `"NaN" from a to b`,
		"region,a,b\na,0,\nb,,0\n":               "no round trip between a and b",
		"region,a,b\na,0,1,2\nb,1,0\n":           "wrong number of fields",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		top, err := netem.LoadTopology(path)
		switch {
		case wrong == "" && (err != nil || top.Source != "mine" || top.RoundTrips[1][0] != 10*time.Millisecond):
			t.Errorf("%q: %+v, %v", text, top, err)
		case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%q: %v, want something with %q", text, err, wrong)
		}
	}
	if _, err := netem.LoadTopology("./nowhere.csv"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	if _, err := netem.LoadTopology("aws-2016"); err == nil || !strings.Contains(err.Error(), "did you mean aws-2017?") {
		t.Error(err)
	}
}
