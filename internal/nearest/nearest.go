// Package nearest finds the known name that a mistyped one most likely meant. It corrects nothing by itself.
package nearest

import (
	"fmt"
	"strings"
)

// maxWord is the number of characters beyond which a word is not compared: no name is that long.
const maxWord = 64

// Name returns the known name nearest to word, "" if none is near. Near is, in this order: the same but for upper and
// lower case; few edits away (a third of the longer name's characters, at least one, where an edit inserts, removes or
// replaces a character or swaps two neighbours); having the word, of three characters or more, as a part of it. Among
// equals the first in known wins.
func Name(word string, known []string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	if word == "" || len(word) > maxWord {
		return ""
	}
	best, bestEdits := "", maxWord
	for _, name := range known {
		low := strings.ToLower(name)
		if edits := distance(word, low); edits < bestEdits && edits <= max(1, max(len(word), len(low))/3) {
			best, bestEdits = name, edits
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, name := range known {
		if strings.Contains(strings.ToLower(name), word) {
			return name
		}
	}
	return ""
}

// Unknown says in one line that word is not among the known names of a kind of thing, and which may be meant:
//
//	unknown gate "nwo", did you mean now? Known: now, ride, every
func Unknown(kind, word string, known []string) string {
	hint := ""
	if name := Name(word, known); name != "" {
		hint = fmt.Sprintf(", did you mean %s? Known: ", name)
	} else {
		hint = ", known: "
	}
	return fmt.Sprintf("unknown %s %s%s%s", kind, Quote(word), hint, strings.Join(known, ", "))
}

// Quote quotes what a user wrote for a message of one line, shortened if it is long.
func Quote(text string) string {
	if r := []rune(text); len(r) > maxWord {
		text = string(r[:maxWord]) + "..."
	}
	return fmt.Sprintf("%q", text)
}

// distance returns how many edits turn a into b: Levenshtein's distance, with a swap of two neighbours as one edit
// (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	// Three rows of the table of distances between the first i characters of s and the first j of t.
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(s); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(t); j++ {
			replace := last[j-1]
			if s[i-1] != t[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(t)]
}
