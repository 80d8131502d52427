package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/results"
)

// Findings returns what the run shows in plain sentences, the most telling first. Each is drawn from figures that the
// tables show too. Where trials were repeated, a difference that is not larger than theirs among themselves is called
// none.
func (s *Summary) Findings() []string {
	var found []string
	for _, scenario := range s.scenarios() {
		cells := s.of(scenario)
		found = append(found, s.strategyFinding(scenario, cells)...)
	}
	for _, scenario := range s.scenarios() {
		found = append(found, s.transportFindings(scenario, s.of(scenario))...)
	}
	for _, scenario := range s.scenarios() {
		found = append(found, s.costFinding(scenario, s.of(scenario))...)
	}
	if line := s.missing(); line != "" {
		found = append(found, line)
	}
	if len(found) == 0 {
		found = append(found, "There is nothing to compare: no two cells with figures differ in one thing.")
	}
	return found
}

// strategyFinding compares the slowest with the fastest strategy, where they are furthest apart.
func (s *Summary) strategyFinding(scenario string, cells []*Cell) []string {
	m := mainMetric(cells)
	type gap struct {
		low, high *Cell
		ratio     float64
	}
	var gaps []gap
	for _, group := range s.strategyGroups(cells) {
		if low, high := m.extremes(group); low != nil {
			r, ok := m.ratio(low, high)
			if !ok || m.verdict(low, high) == within {
				gaps = append(gaps, gap{low, high, 0})
				continue
			}
			gaps = append(gaps, gap{low, high, r})
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
	if widest.ratio == 0 {
		return []string{fmt.Sprintf("%s: no strategy's %s differs from another's by more than the trials do among themselves.", clean(scenario), m.name)}
	}
	low, high := widest.low, widest.high
	lowNs, _ := m.value(low)
	highNs, _ := m.value(high)
	where := clean(scenario) + s.place(low)
	slow, fast := clean(high.Strategy), clean(low.Strategy)
	var text string
	switch {
	case m.name == catchUpMetric.name && high.CatchUp.ProbeRounds > low.CatchUp.ProbeRounds:
		text = fmt.Sprintf("%s: %s needed %s, %s %s: %s slower to catch up (%s against %s).", where,
			slow, count(high.CatchUp.ProbeRounds, "probe round"), fast, number(float64(low.CatchUp.ProbeRounds)),
			times(widest.ratio), duration(highNs), duration(lowNs))
	case m.name == catchUpMetric.name:
		phase, part := largestPhase(high.CatchUp)
		text = fmt.Sprintf("%s: with %s the follower had caught up after %s, %s as long as with %s (%s); %s of it went into %s.", where,
			slow, duration(highNs), times(widest.ratio), fast, duration(lowNs), percent(part), phase)
	case m.name == leaderlessMetric.name:
		text = fmt.Sprintf("%s: with %s the group had no leader for %s, %s as long as with %s (%s).", where,
			slow, duration(highNs), times(widest.ratio), fast, duration(lowNs))
	default:
		text = fmt.Sprintf("%s: %s's p50 is %s, %s that of %s (%s)", where, slow, duration(highNs), times(widest.ratio), fast, duration(lowNs))
		if stage, part := high.largestStage(); stage != "" && part >= 0.5 {
			text += fmt.Sprintf("; %s of its mean latency is %s", percent(part), stageWords(stage, high.Choices))
		}
		text += "."
	}
	var others []string
	for _, g := range gaps {
		if g == widest || len(gaps) > 4 {
			continue
		}
		if g.ratio == 0 {
			others = append(others, "no clear difference"+s.place(g.low))
		} else {
			others = append(others, times(g.ratio)+s.place(g.low))
		}
	}
	if len(others) > 0 {
		text += " Slowest against fastest elsewhere: " + strings.Join(others, ", ") + "."
	}
	return []string{text}
}

// transportFindings compares each transport with the first, over all strategies.
func (s *Summary) transportFindings(scenario string, cells []*Cell) []string {
	if !s.varies(transportAxis) {
		return nil
	}
	m := mainMetric(cells)
	var found []string
	byTarget := map[string][]pair{}
	for _, p := range s.axisPairs(cells, transportAxis) {
		byTarget[p.what] = append(byTarget[p.what], p)
	}
	for _, p := range s.axisPairs(cells, transportAxis) { // in order, each target once
		pairs := byTarget[p.what]
		delete(byTarget, p.what)
		var furthest pair
		low, high, far, n, alike := 0.0, 0.0, 0.0, 0, 0
		for _, q := range pairs {
			r, ok := m.ratio(q.from, q.to)
			if !ok || r <= 0 {
				continue
			}
			n++
			if m.verdict(q.from, q.to) == within {
				alike++
			}
			if n == 1 {
				low, high = r, r
			}
			low, high = min(low, r), max(high, r)
			if d := max(r, 1/r); d > far {
				furthest, far = q, d
			}
		}
		if n == 0 {
			continue
		}
		from, to := clean(furthest.from.Transport), clean(furthest.to.Transport)
		if alike == n {
			found = append(found, fmt.Sprintf("%s: %s and %s do not differ in %s by more than the trials do among themselves.", clean(scenario), to, from, m.name))
			continue
		}
		x, _ := m.value(furthest.from)
		y, _ := m.value(furthest.to)
		span := times(low)
		if times(high) != span {
			span += " to " + times(high)
		}
		found = append(found, fmt.Sprintf("%s: %s's %s is %s that of %s; furthest apart with %s (%s against %s).", clean(scenario), to, m.name,
			span, from, clean(furthest.to.Strategy), duration(y), duration(x)))
	}
	return found
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
	return []string{fmt.Sprintf("%s: a commit takes from %s AppendEntries requests (%s%s) to %s (%s%s).", clean(scenario),
		number(few), clean(low.Strategy), s.place(low), number(many), clean(high.Strategy), s.place(high))}
}

// missing says how many cells have no figures.
func (s *Summary) missing() string {
	var parts []string
	for _, status := range []results.Status{results.Invalid, results.Failed, results.Inconclusive, results.Interrupted, NotRun} {
		if n := s.Count(status); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, statusWord(status)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("No figures from %s of %s: %s.", number(float64(len(s.Cells)-s.Count(results.OK))), count(uint64(len(s.Cells)), "cell"), strings.Join(parts, ", "))
}

func count(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(float64(n)) + " " + noun + "s"
}

// statusWord is how a status reads in a table.
func statusWord(s results.Status) string { return strings.ToUpper(string(s)) }

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
