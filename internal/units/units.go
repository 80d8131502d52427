// Package units writes counts and sizes as a person would: 1 cell, 2,000 cells, 8 MiB, 1,000,000/s. It reads nothing.
package units

import (
	"strconv"
	"strings"
)

// Count writes a number with its noun in the plural unless there is just one: "1 trial", "0 trials", "1,024 strategies".
// The noun's plural is regular.
func Count[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		noun = stem + "ie"
	}
	return whole(n) + " " + noun + "s"
}

// Bytes writes a size in the largest binary unit of which it is a multiple: "8 MiB", "1,500 B".
func Bytes(n int) string {
	unit := "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, next
	}
	return whole(n) + " " + unit
}

func whole[N int | uint64](n N) string {
	if n < 0 {
		return Commas(strconv.FormatInt(int64(n), 10))
	}
	return Commas(strconv.FormatUint(uint64(n), 10))
}

// Commas puts commas between the thousands of a decimal number: "-1234567.25" becomes "-1,234,567.25".
func Commas(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	whole, rest, point := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		rest = "." + rest
	}
	return sign + whole + rest
}

// PerSecond writes a rate in full, its thousands separated by commas: "1,000,000/s", "0.5/s".
func PerSecond(rate float64) string { return Commas(strconv.FormatFloat(rate, 'f', -1, 64)) + "/s" }
