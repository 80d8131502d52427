package explain

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// columnWidth is how wide one strategy's half of the timeline is.
const columnWidth = 76

// Text writes the stories as a timeline, side by side, with what was counted under it. Long runs of the same back and
// forth are folded to their beginning and end unless all is set.
func Text(w io.Writer, stories []*Story, all bool) error {
	columns := make([][]string, len(stories))
	longest := 0
	for i, s := range stories {
		columns[i] = s.lines(all)
		longest = max(longest, len(columns[i]))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Leader %d, follower %d, from the moment the follower is healed. Times in ms; prev and hint are index/term.\n\n",
		stories[0].Leader, stories[0].Follower)
	for row := range longest {
		var cells []string
		for _, c := range columns {
			cell := ""
			if row < len(c) {
				cell = c[row]
			}
			cells = append(cells, pad(cell, columnWidth))
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, " | "), " |") + "\n")
	}
	b.WriteString("\n")
	for _, s := range stories {
		b.WriteString(s.summary() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func pad(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n > width {
		return string([]rune(text)[:width-1]) + "…"
	}
	return text + strings.Repeat(" ", width-n)
}

// lines returns the story's half of the timeline.
func (s *Story) lines(all bool) []string {
	lines := []string{s.Strategy, strings.Repeat("-", len(s.Strategy))}
	steps, folded := s.Steps, 0
	var tail []Step
	if !all {
		steps, folded, tail = fold(s.Steps)
	}
	for _, step := range steps {
		lines = append(lines, s.line(step))
	}
	if folded > 0 {
		lines = append(lines, fmt.Sprintf("%9s  ... %d more probes, each rejected (--all shows them) ...", "", folded))
	}
	for _, step := range tail {
		lines = append(lines, s.line(step))
	}
	return lines
}

func (s *Story) line(step Step) string {
	way := fmt.Sprintf("   %d   ", step.From)
	if step.To != 0 {
		way = fmt.Sprintf("%d -> %d ", step.From, step.To)
	}
	return fmt.Sprintf("%9.3f  %-7s %s", ms(step.At), way, step.Text)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// keepRounds is how many rejected probes are shown before and after a fold.
const keepRounds = 5

// fold splits steps around the middle of a long search and says how many rejected probes are left out.
func fold(steps []Step) (head []Step, folded int, tail []Step) {
	var rejects []int // positions
	for i, step := range steps {
		if step.Kind == StepReject {
			rejects = append(rejects, i)
		}
	}
	folded = len(rejects) - 2*keepRounds
	if folded < keepRounds {
		return steps, 0, nil
	}
	first, last := rejects[keepRounds-1], rejects[len(rejects)-keepRounds-1]
	return steps[:first+1], folded, steps[last+1:]
}

// summary says in a few lines what the strategy needed, and where it looked.
func (s *Story) summary() string {
	u := s.CatchUp
	var b strings.Builder
	fmt.Fprintf(&b, "%s (backup %s, send %s): %d rejections in %d probes; caught up after %.3f ms: detect %.3f, probe %.3f, transfer %.3f, learn %.3f, apply %.3f.\n",
		s.Strategy, s.Choices["backup"], s.Choices["send"], u.Rejections, u.ProbeRounds, ms(u.Total), ms(u.Detect), ms(u.Probe), ms(u.Transfer), ms(u.Learn), ms(u.Apply))
	fmt.Fprintf(&b, "  sent to the follower: %d AppendEntries with %d bytes of entries, %d of them twice.\n", u.Messages, u.Bytes, u.TwiceBytes)
	if tried := s.tried(); len(tried) > 0 {
		fmt.Fprintf(&b, "  asked for agreement at %s: no", shorten(tried))
		if rounds := u.Rejections; rounds > 1 {
			fmt.Fprintf(&b, "; a question and its answer took %.3f ms in the mean", ms(u.Probe)/float64(max(u.ProbeRounds, 1)))
		}
		b.WriteString(".\n")
	}
	return b.String()
}

// shorten lists some of many.
func shorten(list []string) string {
	const most = 12
	if len(list) > most {
		list = append(append(append([]string{}, list[:most/2]...), "..."), list[len(list)-most/2:]...)
	}
	return strings.Join(list, ", ")
}
