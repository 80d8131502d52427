package explain_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/explain"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/strategies"
)

var update = flag.Bool("update", false, "write the golden files anew")

func config(scenario string, params map[string]string) explain.Config {
	m := bench.Matrix{
		Scenarios: []string{scenario}, Transports: []string{"mem"}, Nodes: []int{3}, Payloads: []int{128}, Clients: []int{1},
		Repeat: 1, Name: strategies.String, Choices: strategies.Choices,
	}
	m.Common = bench.Settings{Heartbeat: 100 * time.Millisecond, ElectionTimeout: time.Second, Foreground: 20, PreVote: true,
		CheckQuorum: true, MaxAppendBytes: 256 << 10, Warmup: 400 * time.Millisecond, Duration: time.Second, Params: params}
	return explain.Config{Matrix: m, Seed: 1, Link: netem.LAN()}
}

func record(t *testing.T, cfg explain.Config, names ...string) []*explain.Story {
	t.Helper()
	var stories []*explain.Story
	for _, name := range names {
		s, err := strategies.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		story, err := explain.Record(t.Context(), cfg, s)
		if err != nil {
			t.Fatal(err)
		}
		stories = append(stories, story)
	}
	return stories
}

func TestGolden(t *testing.T) {
	diverge := config("diverge", map[string]string{"diverge-terms": "3", "diverge-entries": "9"})
	long := config("diverge", map[string]string{"diverge-terms": "5", "diverge-entries": "1000"})
	lag := config("lag", map[string]string{"lag-entries": "20"})
	text := func(w io.Writer, s []*explain.Story) error { return explain.Text(w, s, false) }
	for _, c := range []struct {
		file  string
		cfg   explain.Config
		write func(io.Writer, []*explain.Story) error
		names []string
	}{
		{"diverge.txt", diverge, text, []string{"linear-signal", "fast-signal"}},
		{"long.txt", long, text, []string{"linear-signal", "bisect"}},
		{"lag.txt", lag, text, []string{"fast-loop", "eager"}},
		{"diverge.mermaid.md", diverge, explain.Mermaid, []string{"fast-signal"}},
		{"diverge.shiviz.log", diverge, explain.ShiViz, []string{"fast-signal", "hint"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			var got bytes.Buffer
			if err := c.write(&got, record(t, c.cfg, c.names...)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", c.file)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s differs (go test ./explain -update writes it anew):\n%s", path, got.String())
			}
		})
	}
}

// The record shows all that the scenario counted: no probe is missing, none is shown twice.
func TestStepsAgreeWithTheCounts(t *testing.T) {
	cfg := config("diverge", map[string]string{"diverge-terms": "5", "diverge-entries": "40"})
	for _, s := range record(t, cfg, "linear-signal", "fast-signal", "hint", "bisect", "exponential", "sendall", "fast-loop") {
		count := map[explain.StepKind]uint64{}
		for _, step := range s.Steps {
			count[step.Kind]++
		}
		if count[explain.StepReject] != s.CatchUp.Rejections {
			t.Errorf("%s: %d rejections shown, %d counted", s.Strategy, count[explain.StepReject], s.CatchUp.Rejections)
		}
		if count[explain.StepProbe] != s.CatchUp.ProbeRounds {
			t.Errorf("%s: %d probes shown, %d counted", s.Strategy, count[explain.StepProbe], s.CatchUp.ProbeRounds)
		}
	}
}

// In ShiViz's log every event's own clock counts its host's events.
func TestShiVizClocksCount(t *testing.T) {
	var b strings.Builder
	cfg := config("diverge", map[string]string{"diverge-terms": "2", "diverge-entries": "4"})
	if err := explain.ShiViz(&b, record(t, cfg, "fast-signal")); err != nil {
		t.Fatal(err)
	}
	sent := regexp.MustCompile(`leader-1 \{"leader-1":(\d+)\}\n[\d.]+ ms send`).FindStringSubmatch(b.String())
	if sent == nil || !strings.Contains(b.String(), `follower-3 {"leader-1":`+sent[1]+`, "follower-3":1}`) {
		t.Errorf("the first message's sending and arrival are not there:\n%s", b.String())
	}
}

func TestNothingToExplain(t *testing.T) {
	s, _ := strategies.Parse("eager")
	if _, err := explain.Record(t.Context(), config("steady", nil), s); !errors.Is(err, explain.ErrNothing) {
		t.Errorf("error is %v, want ErrNothing", err)
	}
}
