package reports

import (
	"fmt"
	"io"
	"strings"

	"github.com/raftbench/raftbench/results"
)

// WriteLabMarkdown writes the whole report of the MIT lab's tests. It reads well on its own.
func WriteLabMarkdown(w io.Writer, run *results.Run) error {
	r := newLabReport(run)
	m := markdown{s: &Summary{Run: run}}
	title := "raftbench " + run.Header.Job
	if run.Header.Tag != "" && run.Header.Tag != run.Header.Job {
		title += ": " + run.Header.Tag
	}
	m.b.WriteString("# " + escape(clean(title)) + "\n\n")
	m.para(fmt.Sprintf("The tests of lab 2 of MIT 6.824 (6.5840): %s. Started %s.",
		strings.TrimPrefix(r.title(), "raftbench "+run.Header.Job+": "),
		run.Header.Started.UTC().Format("2006-01-02 15:04:05 UTC")))
	m.table(mapGrid("setting", "value", run.Header.Settings))
	m.heading("## Findings")
	m.list(r.findings())
	if lines := r.failures(); len(lines) > 0 {
		m.heading("## Not passed")
		m.para("A strategy with a test that did not pass has no total that holds that test: what is left would be a selection.")
		m.list(lines)
	}
	if len(r.warnings) > 0 {
		m.heading("## Warnings")
		m.list(cleanAll(r.warnings))
	}
	for _, p := range r.places {
		m.heading("## " + strings.ToUpper(r.placeName(p)[:1]) + r.placeName(p)[1:])
		for i := range labFigures {
			f := &labFigures[i]
			m.heading("### " + strings.ToUpper(f.name[:1]) + f.name[1:])
			m.table(r.testGrid(p, f))
		}
		m.heading("### " + r.partsTitle(p))
		m.table(r.partsGrid(p))
		if g := r.modesGrid(p); len(g.rows) > 0 {
			m.heading("### " + r.titleAt(modesTitle, p))
			m.table(g)
		}
	}
	m.legend()
	if g := r.lawGrid(); len(g.rows) > 0 {
		m.heading("## What an agreement takes")
		m.para(lawTitle + ". Usual is the mean of those within a look of the median. The test proposes one command after the other and looks every 20 ms whether enough replicas have applied it. " +
			"The law: 2 heartbeat periods where entries and news of the commit ride with heartbeats, 1 where entries are sent at once, one look where followers are told at once. " +
			"Where a period is no more than two looks these three cannot be told apart.")
		m.table(g)
	}
	for _, transport := range r.transports() {
		if len(r.heartbeats(transport)) > 1 {
			m.heading("## " + r.sweepTitle(transport))
			m.para("slope: what the total grows by for each second that the period grows, and so how many periods it holds. Fitted over all trials, without the waits for stale leaders. " +
				"An agreement is the usual one of " + lawTest + ", without searches after a rejoin, which the total has, fitted likewise: so many periods and so many ms.")
			m.table(r.sweepGrid(transport))
		}
	}
	m.again()
	_, err := io.WriteString(w, strings.TrimRight(strings.ReplaceAll(m.b.String(), "\n\n\n", "\n\n"), "\n")+"\n")
	return err
}

// legend explains the lab's tables.
func (m *markdown) legend() {
	m.heading("## How to read the tables")
	m.list([]string{
		"seconds: from the start of a test to its end, the making of the group left out. Means over the repeats, as all figures are, with the 95% interval of the mean (Student's); totals are means and the lowest of the repeats' sums.",
		"RPCs: requests sent, to dead ends too. kilobytes: of requests sent and of replies delivered, encoded, without a transport's framing: the course encodes otherwise, so its bytes compare among each other only.",
		"rejections: AppendEntries that a follower rejected. commits: the last index that was applied.",
		"milliseconds per agreement: the mean over the repeats of a test's median, from a replica taking a command to the test's look that found it applied by as many replicas as it wanted; a test looks at once and then every 20 ms.",
		"own sleeps and looks: pauses that a test prescribes, and its first look for each leader, which comes after half a second whether there is one or not.",
		"elections: further looks, and the 50 ms pauses while no replica takes a command. agreements: from taking a command to finding it applied, or two seconds in vain.",
		"stale leaders: such two seconds where the leader that took the command was deposed meanwhile. They come and go with the repeats: a mean then lies between modes that are 2 s apart, which a table of their own shows.",
		"course page: what the course shows. eager elsewhere: another implementation that waits for nothing, heartbeat 50 ms. write-up claims: the totals of a write-up of the lab, " +
			"for loop only, loop and signal, and commitIndex moved with each reply. elsewhere: one implementation of those three, heartbeat 100 ms.",
	})
}
