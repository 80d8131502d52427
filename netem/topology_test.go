package netem_test

import (
	"os"
	"path/filepath"
	"reflect"
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
		"# mine\nregion,a,b\na,0.5,10\nb,,0.5\n":   "",
		"":                                         "first line",
		"zone,a\na,1\n":                            "first line",
		"region,a,b\na,0,1\n":                      "2 regions, but 1 rows",
		"region,a,b\nb,0,1\na,1,0\n":               `region "b": want "a"`,
		"region,a,b\na,0,x\nb,1,0\n":               `"x" from a to b`,
		"region,a,b\na,0,-1\nb,1,0\n":              `"-1" from a to b`,
		"region,a,b\na,0,NaN\nb,1,0\n":             `"NaN" from a to b`,
		"region,a,b\na,0,\nb,,0\n":                 "no round trip between a and b",
		"region,a,b\na,0,1,2\nb,1,0\n":             "wrong number of fields",
		"region,a,b,a\na,,1,2\nb,,,3\na,,,\n":      "two regions are called a",
		"region,a,\na,,1\n,,\n":                    "region 2 of the first line has no name",
		"region,a;b\na;b,1\n":                      `a region is called "a;b"`,
		"region,#a\n\"#a\",1\n":                    `a region is called "#a"`,
		"# mine\n,a,b\na,,10\nb,10,\n":             "",
		"\ufeff# mine\nregion, a ,b\na,,10\nb,,\n": "",
		"# mine\n" + strings.Repeat("#\n", netem.MaxTopologyBytes/2) + "region,a,b\na,,10\nb,,\n": "more than 1024 KiB",
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

// A region's own round trip may be left out, as in published tables; the rest of a row as well. What Text writes is read
// as the same table.
func TestTopologyText(t *testing.T) {
	top, err := netem.LoadTopology("region,a,b,c;a,,31,34.25;b,31,,14;c,34.25,14,2")
	if err != nil {
		t.Fatal(err)
	}
	if in := top.RoundTrips[0][0]; in != 2*netem.LAN().Delay {
		t.Errorf("two replicas in a are %v apart", in)
	}
	want := "region,a,b;a,0.5,31;b,31,0.5"
	if text := top.Text(2); text != want {
		t.Errorf("%s, want %s", text, want)
	}
	again, err := netem.LoadTopology(top.Text(7))
	if err != nil || !reflect.DeepEqual(again, top) || top.Name != "given" {
		t.Errorf("%+v, %v, want %+v", again, err, top)
	}
}

// What may never end is not read.
func TestTopologyFileIsRegular(t *testing.T) {
	for _, path := range []string{os.DevNull, t.TempDir() + "/"} {
		if _, err := netem.LoadTopology(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
