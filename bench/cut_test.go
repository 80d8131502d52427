package bench

import (
	"strings"
	"testing"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/results"
)

// The kind of cut is a factor of the scenarios that cut, stands in each of their cells, and reaches the trial.
func TestCutsAreAFactor(t *testing.T) {
	m := engineMatrix("steady", "lag")
	m.Cuts = []cluster.CutKind{cluster.SilentCut, cluster.ResetCut}
	m.Common.Params = map[string]string{"lag-entries": "3"}
	count := map[string]int{}
	for _, p := range planned(t, m) {
		count[p.Cell.Scenario+" "+p.Cell.Params[results.ParamCut]]++
		if kind := p.Cell.Params[results.ParamCut]; kind != "" && kind != p.Settings.Cut.String() {
			t.Errorf("a cell with %s cuts has settings with %v", kind, p.Settings.Cut)
		}
		if _, ok := p.Settings.Params[results.ParamCut]; ok {
			t.Error("cut is among the scenario's own parameters")
		}
	}
	if len(count) != 3 || count["steady "] != 8 || count["lag silent"] != 4 || count["lag reset"] != 4 {
		t.Errorf("cells: %v", count)
	}

	m = engineMatrix("lag", "diverge")
	for _, p := range planned(t, m) {
		if p.Cell.Params[results.ParamCut] != "silent" || p.Settings.Cut != cluster.SilentCut {
			t.Errorf("by default: %v, cut %v", p.Cell.Params, p.Settings.Cut)
		}
	}

	m = engineMatrix("steady", "failover")
	m.Cuts = []cluster.CutKind{cluster.SilentCut}
	if _, err := m.Plan(); err == nil || !strings.Contains(err.Error(), "--cut has no effect on steady, failover: it is for lag, diverge") {
		t.Errorf("cuts of scenarios that cut nothing: %v", err)
	}
}
