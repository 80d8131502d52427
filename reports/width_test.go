package reports

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/results"
)

// widths are the terminals that the table report is looked at on.
var widths = []int{80, 100, 120}

// onTerminal renders the table report for a terminal of so many columns.
func onTerminal(t *testing.T, run *results.Run, columns int) string {
	t.Helper()
	var b bytes.Buffer
	if err := formatOf(t, "table").Write(Terminal{&b, columns}, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// spelledOut is a run whose strategies have no names, in a comparison with two engines: its table is wider than any
// terminal.
func spelledOut() *results.Run {
	var cells []results.Cell
	for _, transport := range []string{"tcp", "quic"} {
		for _, s := range []string{"backup=fast,send=batch(16,1ms),commit=barrier,announce=ride,apply=now", "backup=linear,send=window(1),commit=now,announce=now,apply=now"} {
			cells = append(cells, results.Cell{Engine: "raftbench", Strategy: s, Transport: transport, Clients: 16, Params: map[string]string{"delay": "5ms"}})
		}
		cells = append(cells, results.Cell{Engine: "etcd", EngineKind: results.Peer, Strategy: "own", Transport: transport, Clients: 16, Params: map[string]string{"delay": "20ms"}},
			results.Cell{Engine: "etcd", EngineKind: results.Peer, Strategy: "own", Transport: transport, Clients: 16, Params: map[string]string{"delay": "5ms"}},
			results.Cell{Engine: "floor", EngineKind: results.Floor, Strategy: "own", Transport: transport, Clients: 16, Params: map[string]string{"delay": "5ms"}})
	}
	return crossed(cells, func(i int) []results.Trial {
		var list []results.Trial
		for repeat := range leastTrials {
			trial := closed(16, time.Duration(400+100*i+repeat)*us)
			trial.Cost = &results.Cost{Commits: 1000, AppendEntries: 2000, Bytes: 1_234_567, CPU: time.Duration(i+1) * time.Second}
			list = append(list, trial)
		}
		return list
	})
}

// Tables and text fit 80, 100 and 120 columns: nothing is wrapped inside a word or a number, and what is left out is
// named.
func TestReportsFitTheTerminal(t *testing.T) {
	runs := map[string]*results.Run{"matrix": matrix(), "broken": broken(), "failover": failover(), "peers": peersRun, "spelled-out": spelledOut()}
	golden := []string{"matrix", "peers", "spelled-out"}
	runs["lab"], runs["lab-sweep"] = labRun("virtual", 3, 100*time.Millisecond), labRun("wall", 1, 50*time.Millisecond, 100*time.Millisecond)
	for name, run := range runs {
		for _, columns := range widths {
			t.Run(fmt.Sprintf("%s/%d", name, columns), func(t *testing.T) {
				text := onTerminal(t, run, columns)
				for line := range strings.Lines(text) {
					if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns {
						t.Errorf("%d columns: %s", n, line)
					}
				}
				wholeWords(t, onTerminal(t, run, 0), text)
				if !slices.Contains(golden, name) {
					return
				}
				path := filepath.Join("testdata", fmt.Sprintf("%s.table%d", name, columns))
				if *update {
					if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want, err := os.ReadFile(path); err != nil || string(want) != text {
					t.Errorf("%s differs (%v); see what changed with: go test ./reports -update && git diff reports/testdata\ngot:\n%s", path, err, text)
				}
			})
		}
	}
}

// figures are numbers with what belongs to them: 10,185 and ±4.1% and 516x.
var figures = regexp.MustCompile(`±?[0-9][0-9.,]*[0-9](%|x)?`)

// wholeWords fails if a figure of a narrow report is in none of the wide one: it was cut in two.
func wholeWords(t *testing.T, wide, narrow string) {
	t.Helper()
	known := map[string]bool{}
	for _, f := range figures.FindAllString(wide, -1) {
		known[f] = true
	}
	for line := range strings.Lines(narrow) {
		if strings.Contains(line, "left out to fit") {
			continue
		}
		for _, f := range figures.FindAllString(line, -1) {
			if !known[f] {
				t.Errorf("%s is not a figure of the whole report: %s", f, line)
			}
		}
	}
}
