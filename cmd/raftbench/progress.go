package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/results"
)

// progress tells how far a run is: a line that is drawn again on a terminal, plain lines elsewhere.
type progress struct {
	out     io.Writer
	bar     *progressbar.ProgressBar // nil if out is no terminal
	total   time.Duration            // estimated
	done    time.Duration            // estimates of the trials that are over
	started time.Time
	told    time.Time // when the last plain line was written
}

// lineEvery is how far plain lines are apart, at the least.
const lineEvery = time.Second

func newProgress(out io.Writer, total time.Duration) *progress {
	p := &progress{out: out, total: total, started: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(int64(total),
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetWidth(20),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetRenderBlankState(true),
		)
	}
	return p
}

// starting tells that a trial begins.
func (p *progress) starting(position, total int, cell *bench.Planned, repeat int) {
	p.begin(position, total, &cell.Cell, cell.Estimate)
}

// begin tells that a trial begins which will take about so long.
func (p *progress) begin(position, total int, c *results.Cell, estimate time.Duration) {
	who := c.Strategy
	if c.EngineKind != "" {
		who = c.Engine // its strategy is its own, whichever it is
	}
	text := fmt.Sprintf("%d/%d  %s %s %s  %s left", position+1, total, c.Scenario, c.Transport, who, p.left())
	if p.bar != nil {
		p.bar.Describe(text)
		_ = p.bar.Set64(int64(min(p.done, p.total)))
	} else if now := time.Now(); now.Sub(p.told) >= lineEvery {
		fmt.Fprintln(p.out, text)
		p.told = now
	}
	p.done += estimate
}

// left corrects the estimate by how the run has gone so far.
func (p *progress) left() time.Duration {
	left := p.total - p.done
	if spent := time.Since(p.started); p.done > 5*time.Second {
		left = time.Duration(float64(left) * float64(spent) / float64(p.done))
	}
	return left.Round(time.Second)
}

// end clears the line.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
