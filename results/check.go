package results

import "fmt"

// Check returns the first identity that t breaks, as one line, or nil. It says nothing about a trial whose Status is not
// OK. The identities: proposed = committed + failed + unknown, for the whole trial and for its window; the window is a
// part of the trial; the latency histogram holds exactly the window's committed proposals; the phases of a catch-up and
// of a failover add up to their totals.
//
// Who measures calls it before a trial is written; reports call it again, so that no other program's run file can make
// them print a number that contradicts itself.
func (t *Trial) Check() error {
	if t.Status != OK {
		return nil
	}
	for _, c := range []struct {
		name   string
		counts Counts
	}{{"trial", t.Counts}, {"window", t.Window}} {
		n := c.counts
		if n.Proposed != n.Committed+n.Failed+n.Unknown {
			return fmt.Errorf("accounting of the %s: proposed %d, but committed %d + failed %d + unknown %d = %d",
				c.name, n.Proposed, n.Committed, n.Failed, n.Unknown, n.Committed+n.Failed+n.Unknown)
		}
	}
	if w, c := t.Window, t.Counts; w.Proposed > c.Proposed || w.Committed > c.Committed || w.Failed > c.Failed || w.Unknown > c.Unknown {
		return fmt.Errorf("accounting: the window (%+v) holds more than the trial (%+v)", w, c)
	}
	if t.Latency != nil && t.Latency.Count() != t.Window.Committed {
		return fmt.Errorf("accounting: the latency histogram holds %d values, but %d proposals of the window were committed",
			t.Latency.Count(), t.Window.Committed)
	}
	if !(t.ThroughputPerSec >= 0) || t.Measured < 0 {
		return fmt.Errorf("throughput %v/s over %v: neither may be negative", t.ThroughputPerSec, t.Measured)
	}
	if c := t.CatchUp; c != nil {
		if sum := c.Detect + c.Probe + c.Transfer + c.Learn + c.Apply; sum != c.Total {
			return fmt.Errorf("catch-up: the phases add up to %v, the total is %v", sum, c.Total)
		}
		if min(c.Detect, c.Probe, c.Transfer, c.Learn, c.Apply) < 0 {
			return fmt.Errorf("catch-up: a phase is negative: detect %v, probe %v, transfer %v, learn %v, apply %v",
				c.Detect, c.Probe, c.Transfer, c.Learn, c.Apply)
		}
	}
	if t.Lab != nil {
		if err := t.Lab.check(); err != nil {
			return err
		}
	}
	if r := t.Restart; r != nil && min(r.Open, r.Level, r.All, r.Serve) < 0 {
		return fmt.Errorf("restart: negative: open %v, level %v, all %v, serve %v", r.Open, r.Level, r.All, r.Serve)
	}
	if f := t.Failover; f != nil {
		if f.Detect+f.Elect != f.Leaderless {
			return fmt.Errorf("failover: detect %v + elect %v is not leaderless %v", f.Detect, f.Elect, f.Leaderless)
		}
		if min(f.Detect, f.Elect, f.FirstWrite) < 0 {
			return fmt.Errorf("failover: negative: detect %v, elect %v, first write %v", f.Detect, f.Elect, f.FirstWrite)
		}
	}
	return nil
}
