package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/raftbench/raftbench/internal/units"
)

// number writes three significant digits, but never drops a digit before the point, and puts commas between thousands.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	text := strconv.FormatFloat(v, 'f', max(digits, 0), 64)
	// 9.996 rounds up to 10.00, which would be four.
	if rounded, err := strconv.ParseFloat(text, 64); err == nil && rounded != 0 {
		digits = 2 - int(math.Floor(math.Log10(math.Abs(rounded))))
		text = strconv.FormatFloat(v, 'f', max(digits, 0), 64)
	}
	if v == math.Trunc(v) && math.Abs(v) < 1000 { // a whole number is not known to be more than that
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return units.Commas(text)
}

// figure is number for what was measured: it keeps the zeros of 50.0.
func figure(v float64) string {
	text := number(v)
	if v != 0 && v == math.Trunc(v) && math.Abs(v) < 100 {
		text = strconv.FormatFloat(v, 'f', 2-int(math.Floor(math.Log10(math.Abs(v)))), 64)
	}
	return text
}

// unit is a unit of time.
type unit struct {
	name string
	ns   float64
}

// unitFor returns the unit in which a column's largest value reads well. One unit holds for a whole column, so that
// figures below each other compare at a glance.
func unitFor(largestNs float64) unit {
	switch {
	case largestNs < 1e3:
		return unit{"ns", 1}
	case largestNs < 1e6:
		return unit{"µs", 1e3}
	case largestNs < 10e9:
		return unit{"ms", 1e6}
	}
	return unit{"s", 1e9}
}

func (u unit) show(ns float64) string { return figure(ns / u.ns) }

// duration writes a duration in ns with its own unit.
func duration(ns float64) string {
	if ns == 0 {
		return "0"
	}
	u := unitFor(ns)
	return u.show(ns) + " " + u.name
}

// percent writes a fraction as a percentage.
func percent(fraction float64) string {
	p := fraction * 100
	if p != 0 && math.Abs(p) < 9.95 {
		return fmt.Sprintf("%.1f%%", p)
	}
	return fmt.Sprintf("%.0f%%", p)
}

// times writes a ratio with two significant digits, three from 100 on: "0.33x", "1.9x", "38x", "302x". More would claim
// a precision that a handful of trials cannot give.
func times(ratio float64) string {
	switch {
	case ratio <= 0:
		return "0x"
	case ratio >= 100:
		return units.Commas(strconv.FormatFloat(ratio, 'f', 0, 64)) + "x"
	case ratio >= 9.95:
		return strconv.FormatFloat(ratio, 'f', 0, 64) + "x"
	case ratio >= 1.995:
		return strconv.FormatFloat(ratio, 'f', 1, 64) + "x"
	case ratio >= 0.095:
		return strconv.FormatFloat(ratio, 'f', 2, 64) + "x"
	}
	return strconv.FormatFloat(ratio, 'f', 1-int(math.Floor(math.Log10(ratio))), 64) + "x"
}

// clean takes out what would leave its line or steer a terminal: run files may come from elsewhere.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}
