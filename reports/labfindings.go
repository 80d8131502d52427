package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/raftbench/raftbench/internal/units"
	"github.com/raftbench/raftbench/results"
)

// findings says in words what the run shows: what failed, which part of the write-up's 90 -> 60 -> 50 the data
// supports, what an agreement takes, and how far the clock can be trusted.
func (r *labReport) findings() []string {
	var found []string
	add := func(lines ...string) {
		for _, line := range lines {
			if line != "" {
				found = append(found, line)
			}
		}
	}
	add(r.outcome())
	for _, transport := range r.transports() {
		p := r.usualPlace(transport)
		prefix := ""
		if len(r.places) > 1 {
			prefix = r.placeName(p) + ": "
		}
		for _, line := range slices.Concat(r.sendFindings(p), r.commitFindings(p), r.announceFindings(p), r.shareFindings(p), r.backupFindings(p),
			[]string{r.pageFinding(p)}, r.lawFindings(p)) {
			if line != "" {
				found = append(found, prefix+line)
			}
		}
	}
	for _, transport := range r.transports() {
		add(r.sweepFindings(transport)...)
	}
	add(r.punctuality())
	if len(found) == 0 {
		add("There are no figures.")
	}
	return found
}

// outcome says how many tests passed.
func (r *labReport) outcome() string {
	passed, all := 0, 0
	for _, c := range r.order {
		passed += len(c.passed)
		all += len(c.passed) + len(c.failed)
	}
	switch {
	case all == 0:
		return ""
	case passed == all:
		return fmt.Sprintf("All %s passed, within the course's limits.", units.Count(all, "test"))
	}
	return fmt.Sprintf("%d of %d tests did not pass.", all-passed, all)
}

// usualPlace is the place that the verdict is of: with heartbeats of 100 ms, as the write-up's, if they were run.
func (r *labReport) usualPlace(transport string) labPlace {
	places := r.heartbeats(transport)
	for _, p := range places {
		if p.heartbeat == 100*time.Millisecond {
			return p
		}
	}
	return places[0]
}

// step is what one change of a strategy does to the total of a place.
type step struct {
	from, to   string
	before     float64 // mean of the repeats that both have, s
	after      float64
	difference estimate // after less before, repeat by repeat: they face the same random choices
}

func (r *labReport) step(p labPlace, from, to string) (step, bool) {
	tests, _ := r.headline()
	a, b := r.totals(p, from, tests), r.totals(p, to, tests)
	var before, after, differences []float64
	for repeat, l := range a {
		if other := b[repeat]; other != nil {
			before, after = append(before, seconds(l)), append(after, seconds(other))
			differences = append(differences, seconds(other)-seconds(l))
		}
	}
	s := step{from: from, to: to, before: estimateOf(before).mean, after: estimateOf(after).mean, difference: estimateOf(differences)}
	return s, len(differences) > 0
}

// sure reports whether the total falls, or rises: the interval of the mean difference holds nothing that the tables
// would round to 0.
func (s step) sure() bool {
	return s.difference.interval() && math.Abs(s.difference.mean)-s.difference.half > 0.05
}

// pays reports whether it falls.
func (s step) pays() bool { return s.sure() && s.difference.mean < 0 }

// String says the means before and after, and what lies between them with its interval.
func (s step) String() string {
	text := fmt.Sprintf("%s %.1f s -> %s %.1f s (%s",
		clean(s.from), s.before, clean(s.to), s.after, signed(s.difference.mean))
	if s.difference.interval() {
		return text + fmt.Sprintf(" ±%.1f s in %d repeats)", s.difference.half, s.difference.n)
	}
	return text + fmt.Sprintf(" s in %s)", units.Count(s.difference.n, "repeat"))
}

// signed writes a difference of seconds with its sign; nothing has none.
func signed(v float64) string {
	text := fmt.Sprintf("%+.1f", v)
	if text == "+0.0" || text == "-0.0" {
		return "0.0"
	}
	return text
}

// steps returns the pairs of strategies that differ in one choice alone, which goes from one value to another.
func (r *labReport) steps(p labPlace, axis, from, to string) []step {
	var list []step
	for _, a := range r.strategies {
		for _, b := range r.strategies {
			if r.choices[a][axis] != from || r.choices[b][axis] != to || !sameBut(r.choices[a], r.choices[b], axis) {
				continue
			}
			if s, ok := r.step(p, a, b); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

func sameBut(a, b map[string]string, axis string) bool {
	for name, value := range a {
		if name != axis && b[name] != value {
			return false
		}
	}
	return len(a) == len(b)
}

// sendFindings judges the write-up's first step, from the loop to the signal: the Send gate.
func (r *labReport) sendFindings(p labPlace) []string {
	var lines []string
	_, what := r.headline()
	for _, s := range r.steps(p, "send", "ride", "now") {
		line := fmt.Sprintf("Sending at once instead of with the heartbeat, total of %s: %s.", what, s)
		if r.pageTests() != nil {
			line += " The write-up's 90 -> 60 is " + claimed(s, claims["loop"].writeUp, claims["signal"].writeUp)
		}
		lines = append(lines, line)
	}
	return lines
}

// claimed compares a step with one that somebody claims.
func claimed(s step, before, after float64) string {
	ratio, want := s.after/s.before, after/before
	switch {
	case !s.difference.interval():
		return "not judged: that needs three repeats."
	case !s.pays():
		return "not supported: the interval of the difference holds no gain."
	case math.Abs(ratio-want) <= 0.1:
		return fmt.Sprintf("supported in proportion (x%.2f, claimed x%.2f), not in its seconds: %.0f and %.0f, not %.0f+ and %.0f+.", ratio, want, s.before, s.after, before, after)
	}
	return fmt.Sprintf("supported in direction; the proportion is another (x%.2f, claimed x%.2f), and so are the seconds: %.0f and %.0f, not %.0f+ and %.0f+.",
		ratio, want, s.before, s.after, before, after)
}

// commitFindings judges the second step by its words: commitIndex moved in the handler of each reply, which is the
// Commit gate alone.
func (r *labReport) commitFindings(p labPlace) []string {
	var lines []string
	for _, s := range r.steps(p, "commit", "barrier", "now") {
		line := fmt.Sprintf("Moving commitIndex with each successful reply, and nothing else: %s.", s)
		if r.pageTests() != nil {
			if s.pays() || !s.difference.interval() {
				line += " The write-up's 60 -> 50 is " + claimed(s, claims["signal"].writeUp, claims["commit"].writeUp)
			} else {
				line += " The write-up's 60 -> 50 is not supported by the Commit gate: followers are still told by the next heartbeat, and the tests wait for them."
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// announceFindings shows where the second step's seconds are.
func (r *labReport) announceFindings(p labPlace) []string {
	var lines []string
	for _, s := range r.steps(p, "announce", "ride", "now") {
		line := fmt.Sprintf("Telling followers of a commit at once: %s.", s)
		if s.pays() {
			line += " This is what an implementation gains that moves commitIndex at once and sends at once whenever it moved."
		}
		lines = append(lines, line)
	}
	return lines
}

// shareFindings splits what lies between signal and eager into the shares of Commit and Announce.
func (r *labReport) shareFindings(p labPlace) []string {
	var lines []string
	for _, c := range r.steps(p, "commit", "barrier", "now") {
		for _, a := range r.steps(p, "announce", "ride", "now") {
			if a.from != c.to {
				continue
			}
			whole, ok := r.step(p, c.from, a.to)
			if !ok || !whole.pays() {
				continue
			}
			share := func(s step) string {
				return percent(min(max(s.difference.mean/(c.difference.mean+a.difference.mean), 0), 1))
			}
			lines = append(lines, fmt.Sprintf("Of the %.1f s between %s and %s, %s belong to the Commit gate and %s to Announce.",
				-whole.difference.mean, clean(whole.from), clean(whole.to), share(c), share(a)))
		}
	}
	return lines
}

// backupFindings shows what the search costs.
func (r *labReport) backupFindings(p labPlace) []string {
	var lines []string
	for _, s := range r.steps(p, "backup", "linear", "fast") {
		rejections := func(strategy string) float64 {
			tests, _ := r.headline()
			return estimateOver(r.totals(p, strategy, tests), func(l *results.Lab) float64 { return float64(l.Rejections) }).mean
		}
		line := fmt.Sprintf("Fast instead of linear backup: %s, with %s instead of %s rejections",
			s, number(rejections(s.to)), number(rejections(s.from)))
		if !s.sure() {
			line += "; a rejection costs a round trip there, and the seconds do not show it"
		} else if r.choices[s.from]["send"] == "ride" {
			line += "; with the loop each rejection costs a heartbeat"
		}
		lines = append(lines, line+".")
	}
	return lines
}

// pageFinding compares the fastest strategy with the course's page.
func (r *labReport) pageFinding(p labPlace) string {
	page := r.pageTests()
	if page == nil {
		return ""
	}
	var under, over []string
	for _, s := range r.strategies {
		total := estimateOver(r.totals(p, s, page), seconds)
		switch {
		case total.n == 0:
		case total.mean < coursePageSeconds:
			under = append(under, fmt.Sprintf("%s (%.1f s)", clean(s), total.mean))
		default:
			over = append(over, fmt.Sprintf("%s (%.1f s)", clean(s), total.mean))
		}
	}
	if len(under)+len(over) == 0 {
		return ""
	}
	text := fmt.Sprintf("The course's page shows %.1f s", coursePageSeconds)
	if len(under) > 0 {
		text += "; below it: " + listed(under)
	}
	if len(over) > 0 {
		text += "; above it: " + listed(over)
	}
	return text + "."
}

// lawFindings says what an agreement takes.
func (r *labReport) lawFindings(p labPlace) []string {
	var lines []string
	for _, s := range r.strategies {
		w, ok := r.lawOf(p, s)
		if !ok {
			continue
		}
		line := fmt.Sprintf("%s with %s: %.1f s = %.1f s + %s agreements of %s ms",
			lawTest, clean(s), w.total, w.constant, number(w.count), number(w.usual))
		if w.longer > 0.5 {
			line += fmt.Sprintf(" + %.1f s that some took longer", w.longer)
		}
		_, says, _ := expected(r.choices[s])
		switch w.verdict(p, r.choices[s]) {
		case lawHolds:
			line += ": " + says + ", as the law says"
		case lawBroken:
			line += ": not " + says + ", which the law says"
		case lawHidden:
			line += ": whether that is " + says + ", as the law says, cannot be told, since a period is no more than two looks of the test"
		}
		lines = append(lines, line+".")
	}
	if len(lines) > 3 && len(r.places) > 1 {
		return nil // a table has them
	}
	return lines
}

// sweepFindings says how totals grow with the heartbeat's period.
func (r *labReport) sweepFindings(transport string) []string {
	if len(r.heartbeats(transport)) < 2 {
		return nil
	}
	tests, what := r.headline()
	var parts []string
	for _, s := range r.strategies {
		whole, ok := r.sweep(transport, s, tests)
		if !ok {
			continue
		}
		text := fmt.Sprintf("%s %s", clean(s), whole)
		if a, ok := r.agreementSweep(transport, s); ok {
			text += fmt.Sprintf(" (an agreement in %s: %s periods %+d ms)",
				lawTest, decimals(a.slope, 2), int(math.Round(1000*a.intercept)))
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return nil
	}
	var held, broken, hidden []string
	for _, p := range r.heartbeats(transport) {
		for _, s := range r.strategies {
			w, ok := r.lawOf(p, s)
			if !ok {
				continue
			}
			switch w.verdict(p, r.choices[s]) {
			case lawHolds:
				held = append(held, s)
			case lawBroken:
				broken = append(broken, fmt.Sprintf("%s at %v (%s ms)", clean(s), p.heartbeat, number(w.usual)))
			case lawHidden:
				hidden = addNew(hidden, p.heartbeat.String())
			}
		}
	}
	lines := []string{fmt.Sprintf("%s, total of %s against the period, stale leaders apart: %s.",
		clean(transport), what, strings.Join(parts, "; "))}
	if len(held)+len(broken) > 0 {
		line := fmt.Sprintf("%s: the law \"Backup = constant + 102 agreements, one is 2 periods (loop), 1 (signal), one look (told at once)\" holds for %d of %d strategies and periods",
			clean(transport), len(held), len(held)+len(broken))
		if len(broken) > 0 {
			line += ", not for " + listed(broken)
		}
		lines = append(lines, line+".")
	}
	if len(hidden) > 0 {
		lines = append(lines, fmt.Sprintf("%s: at %s the law cannot be judged: a period is no more than two looks of the test, %d ms each.", clean(transport), listed(hidden), lookMs))
	}
	return lines
}

// safeShare is how much of the tests' time may be lateness of their own waits. It is an upper bound of what that adds
// to totals: a look that is late does not make the next one late.
const safeShare = 0.05

// punctuality says whether running many tests at once disturbed them.
func (r *labReport) punctuality() string {
	if r.virtual() || r.late.waits == 0 {
		return ""
	}
	mean, share := r.late.sum/time.Duration(r.late.waits), float64(r.late.sum)/float64(r.late.total)
	text := fmt.Sprintf("With %s tests at a time their own waits ended %s late in the mean and %s at the worst, in all at most %s of their time: ",
		clean(r.run.Header.Settings["jobs"]), duration(float64(mean)), duration(float64(r.late.longest)), percent(share))
	if share < safeShare {
		return text + "so many are safe on this machine."
	}
	return text + "too many for this machine as it was, use fewer --jobs for figures to be quoted."
}
