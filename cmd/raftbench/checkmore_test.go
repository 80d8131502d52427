package main

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/raftbench/raftbench/check/calibrate"
)

// TestCalibrated: noise on a busy machine is no failure, a wrong figure in virtual time is one.
func TestCalibrated(t *testing.T) {
	right, off := calibrate.Row{Expected: 2, Measured: 2}, calibrate.Row{Expected: 2, Measured: 3}
	for _, c := range []struct {
		virtual, live calibrate.Row
		status        int
	}{
		{right, right, exitOK},
		{right, off, exitInconclusive},
		{off, right, exitUnsafe},
		{off, off, exitUnsafe},
	} {
		status := exitOK
		var exit exitError
		if errors.As(calibrated([]calibrate.Row{c.virtual}, []calibrate.Row{right, c.live}), &exit) {
			status = exit.status
		}
		if status != c.status {
			t.Errorf("virtual %v, live %v: exit status %d, want %d", c.virtual, c.live, status, c.status)
		}
	}
}

// TestCalibrationIsReadable: a table of real rows fits on a terminal.
func TestCalibrationIsReadable(t *testing.T) {
	rows, err := calibrate.Virtual(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows = append(rows, calibrate.Row{What: "fast,commit=every(10ms): Commit every 10 ms, p50", Unit: "rejections", Expected: 40, Measured: 40, Lacks: "something",
		Rule: "over quic-1stream, as simulated with a round trip of 18.328µs and 346ns of CPU a message"})
	var text strings.Builder
	if err := printCalibration(&text, "title", rows); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > listWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(text.String(), "\nthere and back\n  one way 25 ms, eager: p50 ") {
		t.Errorf("the rule is not above its rows:\n%s", text.String())
	}
}
