package reports

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// NotRun is the status of a cell that has no trial at all.
const NotRun results.Status = "not run"

// Summary is a run with the trials of each cell put together.
type Summary struct {
	Run      *results.Run
	Cells    []Cell   // by scenario, then transport, then the other axes, then strategy, each in the header's order
	Warnings []string // of the run, of its trials, and what putting them together brought up

	warned    []warning        // Warnings, with the cells that they are of
	axes      []axis           // all of them
	varying   []axis           // what distinguishes cells, in the order of columns
	baselines map[string]*Cell // the baseline strategy's cells, by all their other axes
}

// Cell is all trials of one cell put together. Everything below Planned is zero or nil unless Status is OK, so that no
// report can show a number that must not be shown; what a scenario does not measure is nil or has N = 0.
//
// The status is that of the worst trial: invalid, then error, then inconclusive. Interrupted and missing trials do not
// count against the others: such a cell is OK with Trials < Planned, and interrupted if no trial is left.
type Cell struct {
	results.Cell
	Status  results.Status
	Reason  string // one line, unless Status is OK
	Trials  int    // whose numbers are in here
	Planned int

	Leader string // who led first in them: replicas' numbers, or regions; "" if no trial tells
	// Deterministic says that the trials are one trial repeated: see deterministic.
	Deterministic bool
	Warnings      []string // what a reader of its figures must know

	Latency *results.Histogram            // of all trials, merged
	Stages  map[string]*results.Histogram // likewise
	Counts  results.Counts                // summed over trials
	Window  results.Counts                // summed over trials
	Cost    *results.Cost                 // summed over trials

	P50        Range // ns, of the trials one by one
	Throughput Range // commits per second

	// Reached and Measured are of all trials together, as Latency is: commits per second, and in how long. Of figures
	// of one kind, clients = commits per second x mean latency (Little's law). Power is of the trials one by one: see
	// power.
	Reached  float64
	Measured time.Duration
	Power    Range

	// CatchUp is the trial with the median total (see medianBy), so that its phases add up; CatchUpTotal is over the
	// trials. Before and During are the foreground latency, merged over the trials. Failover and Leaderless likewise.
	CatchUp        *results.CatchUp
	CatchUpTotal   Range // ns
	Before, During *results.Histogram
	Failover       *results.Failover
	Leaderless     Range            // ns
	Restart        *results.Restart // the trial with the median of Open + Level
	RestartTotal   Range            // ns, of Open + Level
	LeaderlessP95  float64          // ns, the nearest rank of the trials: it needs samplesFor(0.95) of them to mean anything
}

// Range is a figure over the trials of a cell. The median of an even number of trials is the mean of the two in the
// middle.
type Range struct {
	N                int // trials
	Median, Min, Max float64
}

func rangeOf(values []float64) Range {
	if len(values) == 0 {
		return Range{}
	}
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return Range{N: n, Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

// nearestRank returns the smallest value that a share q of all does not exceed; 0 of none.
func nearestRank(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[max(0, int(math.Ceil(q*float64(len(values))))-1)]
}

// Spread returns half the distance of minimum and maximum, as a fraction of the median; false for fewer than two
// trials.
func (r Range) Spread() (float64, bool) {
	if r.N < 2 || r.Median == 0 {
		return 0, false
	}
	return (r.Max - r.Min) / 2 / r.Median, true
}

// Count returns how many cells have one of the given statuses.
func (s *Summary) Count(statuses ...results.Status) int {
	n := 0
	for _, c := range s.Cells {
		if slices.Contains(statuses, c.Status) {
			n++
		}
	}
	return n
}

// Summarize puts the trials of each cell together. It never fails: what cannot be put together makes a cell invalid.
func Summarize(run *results.Run) *Summary {
	s := &Summary{Run: run}
	for _, text := range run.Warnings {
		s.warn(nil, text)
	}
	trials := map[int][]results.Trial{}
	for _, t := range run.Trials {
		trials[t.Cell] = append(trials[t.Cell], t)
	}
	for _, c := range run.Header.Cells {
		of := trials[c.ID]
		slices.SortStableFunc(of, func(a, b results.Trial) int { return a.Repeat - b.Repeat })
		s.Cells = append(s.Cells, summarizeCell(c, of, run.Header.Repeat))
		s.Cells[len(s.Cells)-1].Leader = leaderOf(run, of)
		s.Cells[len(s.Cells)-1].Deterministic = deterministic(run, of)
	}
	s.axes = allAxes(s.Cells)
	s.sort()
	s.varying = varyingAxes(s.axes, s.Cells)
	s.baselines = map[string]*Cell{}
	for i := range s.Cells {
		if c := &s.Cells[i]; c.Strategy == run.Header.Baseline {
			s.baselines[s.without(c, strategyAxis.name)] = c
		}
	}
	if len(run.Trials) == 0 {
		s.warn(nil, "the run file has no trials: nothing was measured")
	}
	switch {
	case run.End == nil:
		s.warn(nil, "the run file has no end: the run crashed or is still going on")
	case run.End.Interrupted:
		s.warn(nil, "the run was interrupted")
	}
	for i := range s.Cells {
		s.warnOfCell(&s.Cells[i], trials[s.Cells[i].ID])
	}
	return s
}

func summarizeCell(of results.Cell, trials []results.Trial, planned int) Cell {
	c := Cell{Cell: of, Planned: planned}
	c.Status, c.Reason = judge(trials)
	if c.Status != results.OK {
		return c
	}
	full := c
	if err := full.add(trials); err != nil {
		c.Status, c.Reason = results.Invalid, "trials cannot be put together: "+err.Error()
		return c
	}
	return full
}

// judge returns the status of a cell and, unless it is OK, the reason.
func judge(trials []results.Trial) (results.Status, string) {
	worst, reason, bad, ok, seen := results.OK, "", 0, 0, map[int]bool{}
	rank := []results.Status{results.OK, results.NotApplicable, results.Interrupted, results.Inconclusive, results.Failed, results.Invalid}
	for _, t := range trials {
		status, why := t.Status, t.Reason
		if err := t.Check(); err != nil {
			status, why = results.Invalid, err.Error()
		}
		if seen[t.Repeat] {
			status, why = results.Invalid, fmt.Sprintf("trial %d is there twice", t.Repeat)
		}
		if !slices.Contains(rank, status) {
			status, why = results.Invalid, fmt.Sprintf("unknown status %q", t.Status)
		}
		seen[t.Repeat] = true
		switch {
		case status == results.OK:
			ok++
		case slices.Index(rank, status) > slices.Index(rank, worst):
			worst, reason, bad = status, why, 1
		case status == worst:
			bad++
		}
	}
	switch {
	case len(trials) == 0:
		return NotRun, "no trial of it was run"
	case worst == results.Interrupted && ok > 0:
		return results.OK, ""
	case worst == results.OK:
		return results.OK, ""
	}
	if reason == "" {
		reason = "no reason was recorded"
	}
	if len(trials) > 1 {
		reason = fmt.Sprintf("%s (%d of %d trials)", reason, bad, len(trials))
	}
	return worst, reason
}

func (c *Cell) add(trials []results.Trial) error {
	var p50s, throughputs, powers, totals, leaderless, levels []float64
	var restarts []*results.Restart
	commits := 0.0
	var latencies, befores, durings []*results.Histogram
	var catchUps []*results.CatchUp
	var failovers []*results.Failover
	stages := map[string][]*results.Histogram{}
	for _, t := range trials {
		if t.Status != results.OK {
			continue
		}
		c.Trials++
		c.Counts = sumCounts(c.Counts, t.Counts)
		c.Window = sumCounts(c.Window, t.Window)
		latencies = append(latencies, t.Latency)
		for name, h := range t.Stages {
			stages[name] = append(stages[name], h)
		}
		if t.Latency != nil && t.Latency.Count() > 0 {
			p50s = append(p50s, float64(t.Latency.Quantile(0.5)))
		}
		if measuresThroughput(&t) {
			throughputs = append(throughputs, t.ThroughputPerSec)
			commits += t.ThroughputPerSec * t.Measured.Seconds()
			c.Measured += t.Measured
			if t.Latency != nil && t.Latency.Sum() > 0 {
				powers = append(powers, t.ThroughputPerSec*float64(t.Latency.Count())/float64(t.Latency.Sum()))
			}
		}
		if t.Cost != nil {
			if c.Cost == nil {
				first := *t.Cost
				c.Cost = &first
			} else {
				addCost(c.Cost, t.Cost)
			}
		}
		if t.CatchUp != nil {
			catchUps = append(catchUps, t.CatchUp)
			totals = append(totals, float64(t.CatchUp.Total))
			befores, durings = append(befores, t.CatchUp.Before), append(durings, t.CatchUp.During)
		}
		if t.Failover != nil {
			failovers = append(failovers, t.Failover)
			leaderless = append(leaderless, float64(t.Failover.Leaderless))
		}
		if t.Restart != nil {
			restarts = append(restarts, t.Restart)
			levels = append(levels, float64(t.Restart.Open+t.Restart.Level))
		}
	}
	c.P50, c.Throughput, c.CatchUpTotal, c.Leaderless = rangeOf(p50s), rangeOf(throughputs), rangeOf(totals), rangeOf(leaderless)
	c.RestartTotal = rangeOf(levels)
	c.Restart = medianBy(restarts, func(r *results.Restart) time.Duration { return r.Open + r.Level })
	c.LeaderlessP95 = nearestRank(leaderless, 0.95)
	c.Power = rangeOf(powers)
	if c.Measured > 0 {
		c.Reached = commits / c.Measured.Seconds()
	}
	c.CatchUp = medianBy(catchUps, func(u *results.CatchUp) time.Duration { return u.Total })
	c.Failover = medianBy(failovers, func(f *results.Failover) time.Duration { return f.Leaderless })

	// Histograms are merged, and percentiles taken from the whole: the mean of percentiles is no percentile.
	c.Stages = map[string]*results.Histogram{}
	for name, of := range stages {
		h, err := results.Merged(of...)
		if err != nil {
			return err
		}
		if h != nil {
			c.Stages[name] = h
		}
	}
	for _, merge := range []struct {
		into **results.Histogram
		of   []*results.Histogram
	}{{&c.Latency, latencies}, {&c.Before, befores}, {&c.During, durings}} {
		h, err := results.Merged(merge.of...)
		if err != nil {
			return err
		}
		*merge.into = h
	}
	return nil
}

// medianBy returns the element with the median key, the lower one of two; nil if there is none.
func medianBy[T any](of []*T, key func(*T) time.Duration) *T {
	if len(of) == 0 {
		return nil
	}
	of = slices.Clone(of)
	slices.SortStableFunc(of, func(a, b *T) int { return int(min(max(key(a)-key(b), -1), 1)) })
	return of[(len(of)-1)/2]
}

// measuresThroughput says whether a trial's throughput means something: some scenarios have no load.
func measuresThroughput(t *results.Trial) bool { return t.Measured > 0 && t.Window.Proposed > 0 }

func sumCounts(a, b results.Counts) results.Counts {
	return results.Counts{
		Proposed:  a.Proposed + b.Proposed,
		Committed: a.Committed + b.Committed,
		Failed:    a.Failed + b.Failed,
		Unknown:   a.Unknown + b.Unknown,
	}
}

func addCost(into, c *results.Cost) {
	into.Commits += c.Commits
	into.Messages += c.Messages
	into.AppendEntries += c.AppendEntries
	into.EntriesSent += c.EntriesSent
	into.Bytes += c.Bytes
	into.Writes += c.Writes
	into.Dropped += c.Dropped
	into.Elections = sumCounted(into.Elections, c.Elections)
	into.Rejections = sumCounted(into.Rejections, c.Rejections)
	into.CPU += c.CPU
	into.Allocations += c.Allocations
	into.AllocatedBytes += c.AllocatedBytes
}

// sumCounted adds what two trials counted; nil if either did not count it.
func sumCounted(a, b *uint64) *uint64 {
	if a == nil || b == nil {
		return nil
	}
	sum := *a + *b
	return &sum
}

// perCommit divides; false without commits.
func (c *Cell) perCommit(n uint64) (float64, bool) {
	if c.Cost == nil || c.Cost.Commits == 0 {
		return 0, false
	}
	return float64(n) / float64(c.Cost.Commits), true
}

// samplesFor is how many samples a percentile needs before it is shown: at least one beyond it is expected.
func samplesFor(q float64) uint64 { return uint64(math.Round(1 / (1 - q))) }

// quantile returns a percentile of the merged latency in ns; false if it was not measured or has too few samples.
func (c *Cell) quantile(q float64) (float64, bool) {
	return quantileOf(c.Latency, q)
}

// warnOfCell adds what trials warned of, what does not add up within tolerance, and a first trial unlike the others.
func (s *Summary) warnOfCell(c *Cell, trials []results.Trial) {
	if c.Status != results.OK {
		return
	}
	warn := func(format string, args ...any) { s.warn(c, fmt.Sprintf(format, args...)) }
	if c.Trials < c.Planned {
		warn("%d of %d trials", c.Trials, c.Planned)
	}
	said := map[string]int{}
	var texts []string
	for _, t := range trials {
		if t.Status != results.OK {
			continue
		}
		for _, text := range t.Warnings {
			if said[text] == 0 {
				texts = append(texts, text)
			}
			said[text]++
		}
	}
	for _, text := range texts {
		if c.Trials > 1 {
			text = fmt.Sprintf("%s (%d of %d trials)", text, said[text], c.Trials)
		}
		warn("%s", text)
	}
	if c.Latency != nil && c.hasStages() && c.Latency.Sum() > 0 {
		sum := time.Duration(0)
		for _, name := range results.LatencyStages {
			if h := c.Stages[name]; h != nil {
				sum += h.Sum()
			}
		}
		if part := float64(sum) / float64(c.Latency.Sum()); math.Abs(part-1) > 0.02 {
			warn("its stages add up to %s of its latency", percent(part))
		}
	}
	if c.Cost != nil && c.Throughput.N > 0 {
		// The same commits, counted twice on different ways: a wrong unit on one of them shows here.
		var commits uint64
		var span time.Duration
		for _, t := range trials {
			if t.Status == results.OK && t.Cost != nil {
				commits, span = commits+t.Cost.Commits, span+t.Measured
			}
		}
		if rate := float64(commits) / span.Seconds(); span > 0 && (rate < c.Throughput.Min*0.95 || rate > c.Throughput.Max*1.05) {
			warn("%s commits in %s are %s/s, but its trials say %s to %s/s",
				number(float64(commits)), duration(float64(span)),
				number(rate), number(c.Throughput.Min), number(c.Throughput.Max))
		}
	}
	s.warnOfUnsteady(c, warn)
	s.warnOfFew(c, warn)
	s.warnOfFirst(c, trials, warn)
}

// warnOfUnsteady names the figures whose trials lie further apart than a spread can say.
func (s *Summary) warnOfUnsteady(c *Cell, warn func(string, ...any)) {
	for _, m := range []metric{mainMetric(s.of(c.Scenario)), throughputMetric} {
		if r := m.over(c); r.N > 1 {
			if v, _ := r.Spread(); v > mostSpread {
				warn("%s is unsteady: from %s to %s in %s",
					m.words, m.show(r.Min), m.show(r.Max), units.Count(r.N, "trial"))
			}
		}
	}
}

// hasStages says whether it is known where the latency went: other engines do not tell.
func (c *Cell) hasStages() bool {
	return slices.ContainsFunc(results.LatencyStages, func(name string) bool { return c.Stages[name] != nil })
}

// fewRounds is how many round trips a measured span must hold before its commits per second can be trusted.
const fewRounds = 10

// warnOfFew tells of a closed loop whose commits per second are not what Little's law makes of its clients and their
// latency: a span of a few round trips holds a whole number of them, and what is left of it counts for nothing. On the
// wall clock, spans of many round trips are left alone: what differs there is noise, and the spread tells.
func (s *Summary) warnOfFew(c *Cell, warn func(string, ...any)) {
	if c.Clients == 0 || c.Latency == nil || c.Latency.Sum() <= 0 || c.Throughput.N == 0 {
		return
	}
	mean := c.mean()
	rounds := float64(c.Measured) / float64(c.Trials) / mean
	law := float64(c.Clients) / (mean / 1e9)
	if math.Abs(c.Throughput.Median/law-1) <= 0.03 || s.Run.Header.Clock != "virtual" && rounds >= fewRounds {
		return
	}
	only := ""
	if rounds < fewRounds {
		only = "only "
	}
	warn("commits/s is %s, but %s at a mean latency of %s make %s: the measured time holds %s%s round trips: raise --duration",
		figure(c.Throughput.Median), units.Count(c.Clients, "client"), duration(mean), figure(law), only, number(rounds))
}

// mean returns the mean latency in ns.
func (c *Cell) mean() float64 { return float64(c.Latency.Sum()) / float64(c.Latency.Count()) }

// warnOfFirst compares the first trial of a cell with the others: one that is more than twice as high or less than half
// as low as all of them ran on a machine that was not warm yet, or was disturbed.
func (s *Summary) warnOfFirst(c *Cell, trials []results.Trial, warn func(string, ...any)) {
	for _, f := range []struct {
		name  string
		value func(*results.Trial) (float64, bool)
		show  func(float64) string
	}{
		{"p50", func(t *results.Trial) (float64, bool) {
			if t.Latency == nil || t.Latency.Count() == 0 {
				return 0, false
			}
			return float64(t.Latency.Quantile(0.5)), true
		}, duration},
		{"throughput", func(t *results.Trial) (float64, bool) {
			return t.ThroughputPerSec, measuresThroughput(t)
		}, func(v float64) string { return number(v) + "/s" }},
		{"catch-up", func(t *results.Trial) (float64, bool) {
			if t.CatchUp == nil {
				return 0, false
			}
			return float64(t.CatchUp.Total), true
		}, duration},
	} {
		var first float64
		var rest []float64
		found := false
		for i := range trials {
			v, ok := f.value(&trials[i])
			switch {
			case !ok || trials[i].Status != results.OK:
			case trials[i].Repeat == 0:
				first, found = v, true
			default:
				rest = append(rest, v)
			}
		}
		if !found || len(rest) == 0 {
			continue
		}
		if r := rangeOf(rest); first > 2*r.Max || first < r.Min/2 {
			others := f.show(r.Min)
			if others != f.show(r.Max) {
				others += " to " + f.show(r.Max)
			}
			warn("the first trial's %s, %s, is unlike that of the others, %s", f.name, f.show(first), others)
		}
	}
}

// rpcsPerCommit returns the AppendEntries requests that a commit took, replies not counted.
func (c *Cell) rpcsPerCommit() (float64, bool) {
	if c.Cost == nil {
		return 0, false
	}
	return c.perCommit(c.Cost.AppendEntries)
}
