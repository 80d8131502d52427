package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// playing is a test that is not of the course.
func playing(t *testing.T, play func(*group)) results.Trial {
	t.Helper()
	return Play(t.Context(), Test{Name: "Made", Suite: "2B", Replicas: 3, play: play}, settings(t, "eager", 1))
}

func TestClientsInterleaveByTime(t *testing.T) {
	var got []string
	r := playing(t, func(g *group) {
		for client, pause := range []time.Duration{30, 20} {
			g.spawn(func() {
				for i := range 2 {
					g.sleep(pause * time.Millisecond)
					got = append(got, fmt.Sprintf("%d.%d at %d", client, i, int(g.c.Now().Sub(0).Milliseconds())))
				}
			})
		}
		g.sleep(25 * time.Millisecond)
		got = append(got, "test at 25")
		g.join()
	})
	want := []string{"1.0 at 20", "test at 25", "0.0 at 30", "1.1 at 40", "0.1 at 60"}
	if r.Status != results.OK || !slices.Equal(got, want) {
		t.Errorf("%s %s: %q, want %q", r.Status, r.Reason, got, want)
	}
	if l := r.Lab; l.Own != 25*time.Millisecond || l.Agreements != 35*time.Millisecond || l.Total != 60*time.Millisecond {
		t.Errorf("own %v, agreements %v, total %v: want what the test slept, what it waited for clients, and both", l.Own, l.Agreements, l.Total)
	}
}

func TestClientThatFailsFailsTheTest(t *testing.T) {
	others := 0
	r := playing(t, func(g *group) {
		for range 3 {
			g.spawn(func() {
				defer func() { others++ }()
				g.sleep(time.Hour)
			})
		}
		g.spawn(func() {
			g.sleep(time.Second)
			g.fail("the figure is 5, the limit is 4")
		})
		g.sleep(time.Minute)
		t.Error("the test went on")
	})
	if r.Status != results.Invalid || !strings.HasSuffix(r.Reason, "the figure is 5, the limit is 4") || r.Lab.Total != time.Second {
		t.Errorf("%s %q after %v, want the client's failure after a second", r.Status, r.Reason, r.Lab.Total)
	}
	if others != 3 {
		t.Errorf("%d of 3 other clients were ended", others)
	}
}

func TestClientsLeftOverAreEnded(t *testing.T) {
	r := playing(t, func(g *group) {
		g.spawn(func() {
			for {
				g.sleep(time.Second)
			}
		})
		g.spawn(func() { t.Error("it never has its turn") })
		g.processes[1].wake = never - 1
		g.sleep(10 * time.Second)
	})
	if r.Status != results.OK {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}
