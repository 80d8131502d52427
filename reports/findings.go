package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// Findings returns what the run shows in plain sentences, the most telling first. Each is drawn from figures that the
// tables show too. Where trials were repeated, a difference counts only if the trials lie apart.
func (s *Summary) Findings() []string {
	var found []string
	for _, scenario := range s.scenarios() {
		cells := s.of(scenario)
		found = append(found, s.roundsFinding(scenario, cells)...)
		found = append(found, s.strategyFinding(scenario, cells)...)
	}
	for _, scenario := range s.scenarios() {
		for _, a := range s.varying {
			switch a.name {
			case scenarioAxis.name, strategyAxis.name:
			case engineAxis.name:
				found = append(found, s.engineFindings(scenario, s.of(scenario))...)
			default:
				found = append(found, s.axisFindings(scenario, s.of(scenario), a)...)
			}
		}
	}
	found = append(found, s.crossings()...)
	for _, scenario := range s.scenarios() {
		found = append(found, s.costFinding(scenario, s.of(scenario))...)
	}
	switch {
	case len(found) == 0:
		found = s.plainFindings()
	case s.fewest() < leastTrials:
		found = append(found, fmt.Sprintf("Ratios describe these trials and are no verdict: with %s of a cell a difference may be chance; "+
			"a verdict takes %d: raise --repeat.", units.Count(s.fewest(), "trial"), leastTrials))
	}
	if line := s.missing(); line != "" {
		found = append(found, line)
	}
	if len(found) == 0 {
		found = append(found, "There are no figures.")
	}
	return found
}

// plainFindings says what single cells measured, where there is nothing to compare them with.
func (s *Summary) plainFindings() []string {
	var found []string
	for _, scenario := range s.scenarios() {
		m := mainMetric(s.of(scenario))
		for _, c := range s.of(scenario) {
			if v, ok := m.value(c); ok && len(found) < 3 {
				found = append(found, fmt.Sprintf("%s%s: with %s, %s is %s.",
					clean(scenario), s.around(c), s.who(c), m.words, m.show(v)))
			}
		}
	}
	return found
}

// roundsFinding compares the two cells that differ in nothing but the Backup, where that costs most in rounds.
func (s *Summary) roundsFinding(scenario string, cells []*Cell) []string {
	var widest pair
	most := 1.0
	for _, p := range s.choicePairs(cells) {
		if p.axis != "backup" || p.from.CatchUp == nil || p.to.CatchUp == nil || catchUpMetric.overlap(p.from, p.to) {
			continue
		}
		for _, q := range []pair{p, {p.axis, p.what, p.to, p.from}} { // from is the one with fewer rounds
			if r, ok := catchUpMetric.ratio(q.from, q.to); ok && r > most && q.to.CatchUp.ProbeRounds > q.from.CatchUp.ProbeRounds {
				widest, most = q, r
			}
		}
	}
	if widest.to == nil {
		return nil
	}
	return []string{fmt.Sprintf("%s%s: %s needed %s, %s %s: %s slower to catch up (%s against %s), with every other choice equal.",
		clean(scenario), s.place(widest.to),
		clean(widest.to.Strategy), units.Count(widest.to.CatchUp.ProbeRounds, "probe round"),
		clean(widest.from.Strategy), number(float64(widest.from.CatchUp.ProbeRounds)), times(most),
		duration(widest.to.CatchUpTotal.Median), duration(widest.from.CatchUpTotal.Median))}
}

// strategyFinding compares the slowest with the fastest strategy, where they are furthest apart.
func (s *Summary) strategyFinding(scenario string, cells []*Cell) []string {
	m := mainMetric(cells)
	type gap struct {
		low, high *Cell
		ratio     float64 // 0 if they are not known to differ
	}
	var gaps []gap
	overlaps := false
	for _, group := range s.strategyGroups(cells) {
		if low, high := m.extremes(group); low != nil {
			g := gap{low, high, 0}
			if r, ok := m.differ(low, high); ok {
				g.ratio = r
			}
			overlaps = overlaps || low != high && m.over(low).N > 1 && m.overlap(low, high)
			gaps = append(gaps, g)
		}
	}
	if len(gaps) == 0 {
		return nil
	}
	widest := slices.MaxFunc(gaps, func(a, b gap) int {
		switch {
		case a.ratio < b.ratio:
			return -1
		case a.ratio > b.ratio:
			return 1
		}
		return 0
	})
	if widest.ratio == 0 && overlaps {
		return []string{fmt.Sprintf("%s: the strategies' trials overlap in %s.", clean(scenario), m.name)}
	}
	if widest.ratio == 0 {
		return []string{fmt.Sprintf("%s: the strategies' %s is the same within 1%%.", clean(scenario), m.name)}
	}
	low, high := widest.low, widest.high
	lowNs, _ := m.value(low)
	highNs, _ := m.value(high)
	where := clean(scenario) + s.place(low)
	slow, fast := clean(high.Strategy), clean(low.Strategy)
	var text string
	switch {
	case m.name == catchUpMetric.name:
		phase, part := largestPhase(high.CatchUp)
		text = fmt.Sprintf("%s: with %s the follower had caught up after %s, %s as long as with %s (%s); %s of it went into %s.", where,
			slow, duration(highNs), times(widest.ratio), fast, duration(lowNs), share(part), phase)
	case m.name == leaderlessMetric.name:
		text = fmt.Sprintf("%s: with %s the group had no leader for %s, %s as long as with %s (%s).", where,
			slow, duration(highNs), times(widest.ratio), fast, duration(lowNs))
	case m.name == restartMetric.name:
		text = fmt.Sprintf("%s: with %s a restarted follower was level after %s, %s as long as with %s (%s).", where,
			slow, duration(highNs), times(widest.ratio), fast, duration(lowNs))
	default:
		text = fmt.Sprintf("%s: %s's p50 is %s, %s that of %s (%s)",
			where, slow, duration(highNs), times(widest.ratio), fast, duration(lowNs))
		if stage, part := high.largestStage(); stage != "" && part >= 0.5 {
			text += fmt.Sprintf("; %s of its mean latency is %s", share(part), stageWords(stage, high.Choices))
		}
		text += "."
	}
	var others []string
	for _, g := range gaps {
		if g == widest || len(gaps) > 4 {
			continue
		}
		if g.ratio == 0 {
			others = append(others, "trials overlap"+s.place(g.low))
		} else {
			others = append(others, times(g.ratio)+s.place(g.low))
		}
	}
	if len(others) > 0 {
		text += " Slowest against fastest elsewhere: " + strings.Join(others, ", ") + "."
	}
	return []string{text}
}

// axisFindings compares each value of an axis with the first, over all cells that differ in nothing else. Of an axis
// other than transport and engine, whose values are steps of one scale, only the last value is compared.
func (s *Summary) axisFindings(scenario string, cells []*Cell, a axis) []string {
	m := mainMetric(cells)
	sets := grouped(s.axisPairs(cells, a), func(p pair) string { return p.what })
	if a.name != transportAxis.name && a.name != engineAxis.name && len(sets) > 1 {
		sets = sets[len(sets)-1:]
	}
	preposition := "with"
	if a.name == transportAxis.name {
		preposition = "over"
	}
	var found []string
	for _, pairs := range sets {
		var furthest pair
		low, high, far, n, alike, overlaps := 0.0, 0.0, 0.0, 0, 0, false
		for _, p := range pairs {
			if r, ok := m.ratio(p.from, p.to); !ok || r <= 0 {
				continue
			}
			n++
			r, ok := m.differ(p.from, p.to)
			if !ok {
				alike++
				overlaps = overlaps || m.over(p.from).N > 1 && m.overlap(p.from, p.to)
				continue
			}
			if n-alike == 1 {
				low, high = r, r
			}
			low, high = min(low, r), max(high, r)
			if d := max(r, 1/r); d > far {
				furthest, far = p, d
			}
		}
		if n == 0 {
			continue
		}
		from := preposition + " " + clean(axisText(a, a.value(&pairs[0].from.Cell)))
		to := preposition + " " + clean(axisText(a, a.value(&pairs[0].to.Cell)))
		switch {
		case alike == n && overlaps:
			found = append(found, fmt.Sprintf("%s: the trials overlap in %s: %s and %s.",
				clean(scenario), strings.TrimPrefix(m.words, "the "), from, to))
			continue
		case alike == n:
			found = append(found, fmt.Sprintf("%s: %s %s is the same within 1%% as that %s.",
				clean(scenario), to, m.words, from))
			continue
		}
		span := times(low)
		if times(high) != span {
			span += " to " + times(high)
		}
		x, _ := m.value(furthest.from)
		y, _ := m.value(furthest.to)
		text := fmt.Sprintf("%s: %s %s is %s that %s", clean(scenario), to, m.words, span, from)
		if n > 1 {
			text += fmt.Sprintf("; furthest apart with %s%s (%s against %s)",
				s.who(furthest.to), s.placeBut(furthest.to, strategyAxis, engineAxis, a), m.show(y), m.show(x))
		} else {
			text += fmt.Sprintf(" (%s against %s)", m.show(y), m.show(x))
		}
		if alike > 0 {
			text += fmt.Sprintf("; the trials overlap in %d of %d pairs", alike, n)
		}
		found = append(found, text+".")
	}
	return found
}

// fewest returns the smallest number of trials that the figures of a cell are of; 0 if no cell has figures.
func (s *Summary) fewest() int {
	n := 0
	for _, c := range s.of("") {
		if c.Status == results.OK && (n == 0 || c.Trials < n) {
			n = c.Trials
		}
	}
	return n
}

// share is percent for a part of a whole: nearly all is not called all.
func share(part float64) string {
	if part < 1 && part > 0.995 {
		return "over 99%"
	}
	return percent(part)
}

// costFinding compares the AppendEntries that a commit takes.
func (s *Summary) costFinding(scenario string, cells []*Cell) []string {
	if mainMetric(cells).name != p50Metric.name {
		return nil
	}
	m := metric{name: "RPCs", value: (*Cell).rpcsPerCommit}
	low, high := m.extremes(cells)
	if low == nil {
		return nil
	}
	r, ok := m.ratio(low, high)
	if !ok || r < 1.25 {
		return nil
	}
	few, _ := m.value(low)
	many, _ := m.value(high)
	return []string{fmt.Sprintf("%s: a commit takes from %s AppendEntries requests (%s%s) to %s (%s%s).",
		clean(scenario),
		number(few), s.who(low), s.around(low), number(many), s.who(high), s.around(high))}
}

// missing says how many cells have no figures.
func (s *Summary) missing() string {
	var parts []string
	for _, status := range []results.Status{results.Invalid, results.Failed, results.Inconclusive, results.Interrupted, results.NotApplicable, NotRun} {
		if n := s.Count(status); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, statusWord(status)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("No figures from %s of %s: %s.",
		number(float64(len(s.Cells)-s.Count(results.OK))), units.Count(len(s.Cells), "cell"), strings.Join(parts, ", "))
}

// statusWord is how a status reads in a table.
func statusWord(s results.Status) string {
	if s == results.NotApplicable {
		return notMeasured
	}
	return strings.ToUpper(string(s))
}

// stageWords names a stage and the choice that makes it long.
func stageWords(stage string, choices map[string]string) string {
	words := map[string]string{
		results.StageQueue:  "waiting to be appended to the leader's log",
		results.StageSend:   "waiting at the Send gate",
		results.StageAck:    "the way to a quorum and back",
		results.StageCommit: "waiting at the Commit gate",
		results.StageApply:  "waiting at the Apply gate",
	}[stage]
	if gate := choices[stage]; gate != "" && stage != results.StageQueue && stage != results.StageAck {
		words += " (" + clean(gate) + ")"
	}
	return words
}

// largestPhase returns the phase of a catch-up that took longest, in words, and its part of the total.
func largestPhase(c *results.CatchUp) (words string, part float64) {
	if c.Total <= 0 {
		return "nothing", 0
	}
	phases := []struct {
		words string
		took  float64
	}{
		{"noticing that the follower is back", float64(c.Detect)},
		{"finding where the logs agree", float64(c.Probe)},
		{"transferring entries", float64(c.Transfer)},
		{"telling it what is committed", float64(c.Learn)},
		{"applying", float64(c.Apply)},
	}
	longest := slices.MaxFunc(phases, func(a, b struct {
		words string
		took  float64
	}) int {
		return int(min(max(a.took-b.took, -1), 1))
	})
	return longest.words, longest.took / float64(c.Total)
}
