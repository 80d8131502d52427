package reports

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// WriteMarkdown writes the whole report: what was run, the findings, the main table, each scenario's comparisons,
// stages, phases and costs, the accounting, how to run it again, and the machine. It reads well on its own.
func WriteMarkdown(w io.Writer, run *results.Run) error {
	m := markdown{s: Summarize(run)}
	m.intro()
	m.list(m.s.Findings())
	m.heading("## Results")
	g := m.s.mainGrid()
	m.table(g)
	m.list(m.s.legend(g))
	if lines := m.s.notReported(); len(lines) > 0 {
		m.heading("### Not reported")
		m.para("A cell with a trial that broke an identity or an invariant, or ended in an error, has no figures at all: what is left of it would be a selection.")
		m.list(lines)
	}
	if len(m.s.Warnings) > 0 {
		m.heading("### Warnings")
		m.list(cleanAll(m.s.Warnings))
	}
	if g := m.s.peerGrid(); len(g.rows) > 0 {
		m.heading("## " + peerTitle)
		m.table(g)
		m.list([]string{peerLegend(g)})
	}
	if curves, tooShort := m.s.curves(); len(curves)+len(tooShort) > 0 {
		m.heading("## " + curveTitle)
		if len(curves) > 0 {
			m.table(m.s.curveGrid(curves))
		}
		m.list(m.s.curveNotes(curves, tooShort))
	}
	for _, scenario := range m.s.scenarios() {
		m.scenario(scenario)
	}
	m.accounting()
	m.again()
	_, err := io.WriteString(w, strings.TrimRight(strings.ReplaceAll(m.b.String(), "\n\n\n", "\n\n"), "\n")+"\n")
	return err
}

type markdown struct {
	b strings.Builder
	s *Summary
}

func (m *markdown) heading(text string) { m.b.WriteString("\n" + escape(clean(text)) + "\n\n") }
func (m *markdown) para(text string)    { m.b.WriteString(escape(clean(text)) + "\n\n") }

func (m *markdown) list(lines []string) {
	if len(lines) == 0 {
		return
	}
	for _, line := range lines {
		m.b.WriteString("- " + escape(clean(line)) + "\n")
	}
	m.b.WriteString("\n")
}

// escape keeps text from being read as markup.
func escape(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "*", "\\*", "`", "\\`", "_", "\\_").Replace(text)
}

// table writes a grid with its columns lined up, so that it can be read without being rendered too.
func (m *markdown) table(g grid) {
	rows := append([][]string{g.head}, g.rows...)
	widths := make([]int, len(g.head))
	for i, row := range rows {
		rows[i] = slices.Clone(row)
		for j, text := range row {
			rows[i][j] = escape(clean(text))
			widths[j] = max(widths[j], len([]rune(rows[i][j])), 3)
		}
	}
	line := func(row []string) {
		for j, text := range row {
			gap := strings.Repeat(" ", widths[j]-len([]rune(text)))
			if g.right[j] {
				text = gap + text
			} else {
				text += gap
			}
			m.b.WriteString("| " + text + " ")
		}
		m.b.WriteString("|\n")
	}
	line(rows[0])
	for j, width := range widths {
		rule := strings.Repeat("-", width+2)
		if g.right[j] {
			rule = rule[1:] + ":"
		}
		m.b.WriteString("|" + rule)
	}
	m.b.WriteString("|\n")
	for _, row := range rows[1:] {
		line(row)
	}
	m.b.WriteString("\n")
}

// mapGrid is a table of two columns from a map.
func mapGrid(left, right string, of map[string]string) grid {
	g := grid{head: []string{left, right}, right: []bool{false, false}}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		g.rows = append(g.rows, []string{name, of[name]})
	}
	return g
}

// intro writes the title, what was run, and the heading of the findings.
func (m *markdown) intro() {
	h := &m.s.Run.Header
	title := "raftbench " + h.Job
	if h.Tag != "" && h.Tag != h.Job {
		title += ": " + h.Tag
	}
	m.b.WriteString("# " + escape(clean(title)) + "\n\n")
	cells := m.s.of("")
	parts := []string{
		units.Count(len(values(strategyAxis, cells)), "Raft strategy"),
		"over " + listed(values(transportAxis, cells)),
		"in " + listed(values(scenarioAxis, cells)),
	}
	clock := "on the wall clock"
	if h.Clock == "virtual" {
		clock = "in virtual time"
	}
	if len(cells) == 0 {
		parts = []string{"No cell was to be run"}
	}
	if h.Clock != "virtual" { // where the same seed gives the same report on any day
		clock += ", started " + h.Started.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	m.para(fmt.Sprintf("%s: %s with %s each, %s.", strings.Join(parts, " "), units.Count(len(cells), "cell"),
		units.Count(max(h.Repeat, 0), "trial"), clock))
	m.words(cells)
	settings := grid{head: []string{"setting", "value"}, right: []bool{false, false}}
	fixed := m.s.fixed()
	if fixed[0] != "" {
		settings.rows = append(settings.rows, []string{"all cells", fixed[0]})
	}
	for _, line := range fixed[1:] {
		scenario, rest, _ := strings.Cut(line, ": ")
		settings.rows = append(settings.rows, []string{scenario, rest})
	}
	settings.rows = append(settings.rows, mapGrid("", "", h.Settings).rows...)
	name, value, _ := strings.Cut(loadInside, ": ")
	settings.rows = append(settings.rows, []string{name, value}, []string{"seed", fmt.Sprint(h.Seed)})
	if h.Baseline != "" {
		settings.rows = append(settings.rows, []string{"baseline", h.Baseline})
	}
	if text := m.s.leaderText(); text != "" {
		name, value, _ := strings.Cut(text, ": ")
		settings.rows = append(settings.rows, []string{name, value})
	}
	m.table(settings)
	m.topology()
	if len(h.Settings) > 0 {
		m.para("Settings that hold for all cells are flags of raftbench run " + h.Job + ", whose --help explains them.")
	}
	m.heading("## Findings")
}

// words says what the run's scenarios are, and which choices its strategies stand for, as far as the run file tells.
func (m *markdown) words(cells []*Cell) {
	docs := m.s.Run.Header.Docs
	lines := func(kind string, names []string) (list []string) {
		for _, name := range names {
			if doc := docs[kind+" "+name]; doc != "" {
				list = append(list, name+": "+strings.ToLower(doc[:1])+strings.TrimSuffix(doc[1:], "."))
			}
		}
		return list
	}
	m.list(lines("scenario", m.s.scenarios()))
	own := ""
	g := grid{head: append([]string{"strategy"}, choiceNames...), right: make([]bool, 1+len(choiceNames))}
	var backups, gates []string
	for _, of := range grouped(cells, func(c *Cell) string { return c.Strategy }) {
		c := of[0]
		if len(c.Choices) == 0 {
			if c.EngineKind != "" {
				own = c.Strategy
			}
			continue
		}
		row := []string{c.Strategy}
		for _, name := range choiceNames {
			choice := c.Choices[name]
			row = append(row, choice)
			kind, _, _ := strings.Cut(choice, "(")
			if name == choiceNames[0] {
				backups = append(backups, kind)
			} else {
				gates = append(gates, kind)
			}
		}
		g.rows = append(g.rows, row)
	}
	if len(g.rows) > 0 {
		m.para("A strategy is five choices: the backup, by which a leader finds the place where a follower's log agrees with its own, " +
			"and four gates, at which a proposal waits: until it is sent, until it is committed, until followers are told of the commit, and until it is applied.")
		m.table(g)
	}
	list := append(lines("backup", distinct(backups)), lines("gate", distinct(gates))...)
	if own != "" {
		list = append(list, own+": the engine times things in its own way")
	}
	m.list(list)
}

// distinct returns each name once, in order of first appearance.
func distinct(names []string) (once []string) {
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// scenario writes everything about one scenario.
func (m *markdown) scenario(name string) {
	cells := m.s.of(name)
	var ok []*Cell
	for _, c := range cells {
		if c.Status == results.OK {
			ok = append(ok, c)
		}
	}
	m.heading("## " + name)
	if len(ok) == 0 {
		m.para("No cell of this scenario has figures.")
		return
	}
	var axes []axis
	for _, a := range m.s.varying {
		if a.name != scenarioAxis.name {
			axes = append(axes, a)
		}
	}
	if len(values(strategyAxis, cells)) > 1 {
		m.heading("### Strategies")
		if slices.ContainsFunc(ok, func(c *Cell) bool { return c.Strategy == m.s.Run.Header.Baseline }) {
			m.para(fmt.Sprintf("Ratios are to %s with everything else equal: below 1 is better for times, above 1 for commits/s.", m.s.Run.Header.Baseline))
		} else {
			m.para(fmt.Sprintf("There are no ratios: the baseline %q has no figures here.", m.s.Run.Header.Baseline))
		}
		m.table(m.againstBaseline(ok, axes))
		m.floors(cells)
	}
	if found := m.s.choicePairs(ok); len(found) > 0 {
		m.heading("### One choice at a time")
		m.para("Cells that differ in one of the five choices and in nothing else. " + m.trialsLegend())
		m.table(m.pairGrid(found, axes, true))
	}
	for _, a := range axes {
		if a.name == strategyAxis.name {
			continue
		}
		if found := m.s.axisPairs(ok, a); len(found) > 0 {
			m.heading("### By " + a.name)
			m.para("Cells that differ in nothing else. " + m.trialsLegend())
			var rest []axis
			for _, b := range axes {
				if b.name != a.name {
					rest = append(rest, b)
				}
			}
			m.table(m.pairGrid(found, rest, false))
		}
	}
	m.stages(ok, axes)
	m.catchUps(ok, axes)
	m.failovers(ok, axes)
	m.costs(ok, axes)
}

// againstBaseline is a row for each cell with its metrics, each with its ratio to the baseline.
func (m *markdown) againstBaseline(cells []*Cell, axes []axis) grid {
	var columns []column
	for _, metric := range metricsOf(cells) {
		col := column{head: metric.name, value: metric.value, show: figure}
		if metric.isNs {
			col.unit = metric.name
		}
		columns = append(columns, col, column{head: "ratio", show: times,
			value: func(c *Cell) (float64, bool) { return metric.ratio(m.s.baseline(c), c) }})
	}
	return m.s.gridOf(cells, axes, append(columns, m.s.spreadColumns()...))
}

// pairGrid is a row for each pair: what differs, where, and what it does to each metric.
func (m *markdown) pairGrid(of []pair, axes []axis, strategies bool) grid {
	var cells []*Cell
	for _, p := range of {
		cells = append(cells, p.from, p.to)
	}
	g := grid{head: []string{"change"}, right: []bool{false}}
	for _, a := range axes {
		if a.name == strategyAxis.name && strategies {
			g.head, g.right = append(g.head, "from strategy", "to strategy"), append(g.right, false, false)
		} else {
			g.head, g.right = append(g.head, a.name), append(g.right, false)
		}
	}
	metrics := metricsOf(cells)
	for _, metric := range metrics {
		g.head, g.right = append(g.head, metric.name, "ratio"), append(g.right, true, true)
	}
	g.head, g.right = append(g.head, "trials"), append(g.right, false)
	for _, p := range of {
		row := []string{p.what}
		for _, a := range axes {
			if a.name == strategyAxis.name && strategies {
				row = append(row, p.from.Strategy, p.to.Strategy)
			} else {
				row = append(row, a.value(&p.to.Cell))
			}
		}
		for _, metric := range metrics {
			x, okX := metric.value(p.from)
			y, okY := metric.value(p.to)
			if !okX || !okY {
				row = append(row, notMeasured, notMeasured)
				continue
			}
			ratio := notMeasured
			if r, ok := metric.ratio(p.from, p.to); ok {
				ratio = times(r)
			}
			row = append(row, metric.show(x)+" → "+metric.show(y), ratio)
		}
		g.rows = append(g.rows, append(row, string(metrics[0].verdict(p.from, p.to))))
	}
	return g
}

// trialsLegend says how to read the column "trials" of a table of pairs.
func (m *markdown) trialsLegend() string {
	n := m.s.Run.Header.Repeat
	if n < leastTrials {
		return fmt.Sprintf("With %s each there is no verdict, which takes %d: %s of pairs that do not differ would lie apart by chance.",
			units.Count(max(n, 0), "trial"), leastTrials, percent(byChance(max(n, 1))))
	}
	return fmt.Sprintf("trials: apart, if all trials of one are above all of the other, else overlap; with %d trials each, %s of pairs that do not differ would read apart by chance.",
		n, percent(byChance(n)))
}

// floors names what the transports take by themselves.
func (m *markdown) floors(cells []*Cell) {
	var parts []string
	for _, t := range values(transportAxis, cells) {
		if ns := m.s.Run.Header.Floors[t]; ns > 0 {
			parts = append(parts, t+" "+duration(float64(ns)))
		}
	}
	if len(parts) > 0 && mainMetric(cells).name == p50Metric.name {
		m.para("For scale, a bare fan-out of the same frames to the followers and the first answer back, without Raft, at p50: " + strings.Join(parts, ", ") + ".")
	}
}

// stages shows where the mean latency went.
func (m *markdown) stages(cells []*Cell, axes []axis) {
	var with []*Cell
	for _, c := range cells {
		if c.Latency == nil || c.Latency.Count() == 0 || !c.hasStages() {
			continue
		}
		with = append(with, c)
	}
	if len(with) == 0 {
		return
	}
	g := grid{}
	for _, a := range axes {
		g.head, g.right = append(g.head, a.name), append(g.right, false)
	}
	add := func(head string) { g.head, g.right = append(g.head, head), append(g.right, true) }
	add("mean")
	for _, stage := range results.LatencyStages {
		add(stage)
	}
	for _, stage := range results.BesideStages {
		add("beside: " + stage)
	}
	paced := slices.ContainsFunc(with, func(c *Cell) bool { return c.Stages[results.StagePacer] != nil })
	if paced {
		add("in queue: " + results.StagePacer)
	}
	for _, c := range with {
		var row []string
		for _, a := range axes {
			row = append(row, a.value(&c.Cell))
		}
		row = append(row, duration(float64(c.Latency.Mean())))
		for _, stage := range results.LatencyStages {
			h := c.Stages[stage]
			if h == nil || h.Count() == 0 {
				row = append(row, notMeasured)
				continue
			}
			text := duration(float64(h.Sum()) / float64(c.Latency.Count()))
			if c.Latency.Sum() > 0 {
				text += " (" + percent(float64(h.Sum())/float64(c.Latency.Sum())) + ")"
			}
			row = append(row, text)
		}
		also := results.BesideStages
		if paced {
			also = append(slices.Clone(also), results.StagePacer)
		}
		for _, stage := range also {
			if h := c.Stages[stage]; h != nil && h.Count() > 0 {
				row = append(row, duration(float64(h.Mean())))
			} else {
				row = append(row, notMeasured)
			}
		}
		g.rows = append(g.rows, row)
	}
	m.heading("### Where the time goes")
	pacer := ""
	if paced {
		pacer = " In the queue: pacer, how long after it was due an open loop's proposal was made, the harness's own lateness."
	}
	m.para("Mean per stage and its share of the mean latency; the first five add up to it. " +
		"queue: due until appended to the leader's log; send: until sent to a quorum (the Send gate); ack: until a quorum acknowledged; " +
		"commit: until committed (the Commit gate); apply: until applied and answered (the Apply gate). " +
		"Beside the latency: announce, committed until a quorum's followers know; all, due until applied everywhere." + pacer)
	m.table(g)
}

// catchUps shows the phases of each catch-up, and what the foreground felt of it.
func (m *markdown) catchUps(cells []*Cell, axes []axis) {
	var with, loaded []*Cell
	for _, c := range cells {
		if c.CatchUp != nil {
			with = append(with, c)
			if c.Before != nil && c.Before.Count() > 0 || c.During != nil && c.During.Count() > 0 {
				loaded = append(loaded, c)
			}
		}
	}
	if len(with) == 0 {
		return
	}
	phase := func(head string, of func(*results.CatchUp) float64) column {
		return column{head: head, unit: "phase", value: func(c *Cell) (float64, bool) { return of(c.CatchUp), true }}
	}
	tally := func(head string, of func(*results.CatchUp) uint64) column {
		return column{head: head, show: number, value: func(c *Cell) (float64, bool) { return float64(of(c.CatchUp)), true }}
	}
	m.heading("### Catch-up")
	m.para("From the moment the follower's links were healed, of the trial with the median total" + m.lowerMiddle() + ". " +
		"detect: until the first probe, or entries, were sent to it; probe: until the leader knew where the logs agree; transfer: until the last missing entry was acknowledged; " +
		"learn: until its commitIndex reached that entry; apply: until it had applied it.")
	m.table(m.s.gridOf(with, axes, []column{
		phase("total", func(u *results.CatchUp) float64 { return float64(u.Total) }),
		phase("detect", func(u *results.CatchUp) float64 { return float64(u.Detect) }),
		phase("probe", func(u *results.CatchUp) float64 { return float64(u.Probe) }),
		phase("transfer", func(u *results.CatchUp) float64 { return float64(u.Transfer) }),
		phase("learn", func(u *results.CatchUp) float64 { return float64(u.Learn) }),
		phase("apply", func(u *results.CatchUp) float64 { return float64(u.Apply) }),
	}))
	m.table(m.s.gridOf(with, axes, []column{
		tally("entries missing", func(u *results.CatchUp) uint64 { return u.Entries }),
		tally("conflicting", func(u *results.CatchUp) uint64 { return u.Conflict }),
		tally("rejections", func(u *results.CatchUp) uint64 { return u.Rejections }),
		tally("rounds", func(u *results.CatchUp) uint64 { return u.ProbeRounds }),
		tally("messages", func(u *results.CatchUp) uint64 { return u.Messages }),
		tally("bytes", func(u *results.CatchUp) uint64 { return u.Bytes }),
		tally("bytes sent twice", func(u *results.CatchUp) uint64 { return u.TwiceBytes }),
	}))
	if len(loaded) == 0 {
		return
	}
	m.heading("### Foreground latency around the catch-up")
	before := func(c *Cell) *results.Histogram { return c.Before }
	during := func(c *Cell) *results.Histogram { return c.During }
	g := m.s.gridOf(loaded, axes, []column{
		quantileColumn("p50 before", "foreground", before, 0.5), quantileColumn("p50 during", "foreground", during, 0.5),
		quantileColumn("p99 before", "foreground", before, 0.99), quantileColumn("p99 during", "foreground", during, 0.99),
	})
	m.table(g)
	m.list(m.s.wordsOf(g))
}

// lowerMiddle says which trial is the one in the middle of an even number of them.
func (m *markdown) lowerMiddle() string {
	if slices.ContainsFunc(m.s.Cells, func(c Cell) bool { return c.Status == results.OK && c.Trials%2 == 0 }) {
		return " (of an even number, the lower of the two in the middle)"
	}
	return ""
}

// failovers shows what the crash of the leader cost.
func (m *markdown) failovers(cells []*Cell, axes []axis) {
	var with []*Cell
	for _, c := range cells {
		if c.Failover != nil {
			with = append(with, c)
		}
	}
	if len(with) == 0 {
		return
	}
	span := func(head string, of func(*results.Failover) float64) column {
		return column{head: head, unit: "failover", value: func(c *Cell) (float64, bool) { return of(c.Failover), true }}
	}
	m.heading("### Failover")
	m.para("From the crash of the leader, of the trial with the median time without one" + m.lowerMiddle() + ". no leader = detect + elect. p95 and max are over all trials; p95 needs 20 of them.")
	m.table(m.s.gridOf(with, axes, []column{
		span("no leader", func(f *results.Failover) float64 { return float64(f.Leaderless) }),
		leaderlessP95,
		{head: "no leader max", unit: "failover", value: func(c *Cell) (float64, bool) { return c.Leaderless.Max, c.Leaderless.N > 1 }},
		span("detect", func(f *results.Failover) float64 { return float64(f.Detect) }),
		span("elect", func(f *results.Failover) float64 { return float64(f.Elect) }),
		span("first commit", func(f *results.Failover) float64 { return float64(f.FirstWrite) }),
		{head: "terms tried", show: number, value: func(c *Cell) (float64, bool) { return float64(c.Failover.Elections), true }},
	}))
}

// costs shows what commits took.
func (m *markdown) costs(cells []*Cell, axes []axis) {
	var with []*Cell
	for _, c := range cells {
		if c.Cost != nil {
			with = append(with, c)
		}
	}
	if len(with) == 0 {
		return
	}
	var columns []column
	for _, cost := range costs {
		columns = append(columns, column{head: cost.head, unit: cost.unit, value: cost.value, show: number})
	}
	traffic := ""
	if mainMetric(cells).name == catchUpMetric.name {
		traffic = "; the catch-up's messages are among them, divided by the foreground's commits"
	}
	m.heading("### Costs")
	m.para("Of the measured span, all replicas and all trials together" + traffic + ". CPU and allocations are of the whole process, the load included. dropped, rejections and elections are totals.")
	m.table(m.s.gridOf(with, axes, columns))
}

// accounting shows where every proposal went.
func (m *markdown) accounting() {
	g := grid{}
	for _, a := range m.s.varying {
		g.head, g.right = append(g.head, a.name), append(g.right, false)
	}
	g.head = append(g.head, "proposed", "committed", "failed", "unknown", "in the window", "histogram")
	g.right = append(g.right, true, true, true, true, true, true)
	for i := range m.s.Cells {
		c := &m.s.Cells[i]
		var row []string
		for _, a := range m.s.varying {
			row = append(row, a.value(&c.Cell))
		}
		if c.Status != results.OK {
			g.rows = append(g.rows, append(row, statusWord(c.Status), "", "", "", "", ""))
			continue
		}
		samples := uint64(0)
		if c.Latency != nil {
			samples = c.Latency.Count()
		}
		for _, n := range []uint64{c.Counts.Proposed, c.Counts.Committed, c.Counts.Failed, c.Counts.Unknown, c.Window.Committed, samples} {
			row = append(row, number(float64(n)))
		}
		g.rows = append(g.rows, row)
	}
	m.heading("## Accounting")
	m.para("Over all trials of a cell: proposed = committed + failed + unknown, warm-up included. " +
		"Committed in the measured window = values in the latency histogram. Unknown: cut off by a crash or by the end of a trial.")
	m.table(g)
}

// again writes how to run it again, and where it ran.
func (m *markdown) again() {
	h := &m.s.Run.Header
	if h.Again != "" {
		m.heading("## Run it again")
		m.b.WriteString("```sh\n" + clean(h.Again) + "\n```\n")
	}
	if len(h.Machine) > 0 {
		m.heading("## Machine")
		m.table(mapGrid("what", "value", h.Machine))
	}
	if len(h.Versions) > 0 {
		m.heading("## Versions")
		m.table(mapGrid("what", "version", h.Versions))
	}
}
