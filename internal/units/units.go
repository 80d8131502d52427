// Package units writes counts and sizes as a person would: 1 cell, 2 cells, 8 MiB. It reads nothing.
package units

import (
	"fmt"
	"strconv"
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
