// Package units writes counts and sizes as a person would: 1 cell, 2 cells, 8 MiB, 1,000,000/s. It reads nothing.
package units

import (
	"fmt"
	"strconv"
	"strings"
)

// Count writes a number with its noun, which takes an s unless there is just one: "1 trial", "0 trials".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Bytes writes a size in the largest binary unit of which it is a multiple: "8 MiB", "1500 B".
func Bytes(n int) string {
	unit := "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, next
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// PerSecond writes a rate in full, its thousands separated by commas: "1,000,000/s", "0.5/s".
func PerSecond(rate float64) string {
	text := strconv.FormatFloat(rate, 'f', -1, 64)
	whole, fraction, ok := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if ok {
		whole += "." + fraction
	}
	return whole + "/s"
}
