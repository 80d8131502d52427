package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwarp"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/raftbench/raftbench/reports"
)

// listWidth is how wide lists and help may be where nobody knows better, and at the most, in columns of a terminal.
const listWidth = 120

// leastColumns is the width of the narrowest terminal that is written for.
const leastColumns = 40

// columns returns how many columns the lines of a writer have: what COLUMNS says, or else the terminal's; 0 if it is
// none.
func columns(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return max(n, leastColumns)
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return max(n, leastColumns)
		}
	}
	return 0
}

// textColumns returns how wide lists and help for a writer may be.
func textColumns(w io.Writer) int {
	if n := columns(w); n > 0 {
		return min(n, listWidth)
	}
	return listWidth
}

// terminal returns standard output with its width, for a report that fits.
func terminal(c *cli.Context) io.Writer {
	return reports.Terminal{Writer: c.App.Writer, Columns: columns(c.App.Writer)}
}

// wrapped breaks each line of a text into lines of at most this width, between words.
func wrapped(text string, width int) string {
	var all []string
	for _, line := range strings.Split(text, "\n") {
		lines, _ := twwarp.WrapString(line, width)
		all = append(all, lines...)
	}
	return strings.Join(all, "\n")
}

// indented returns a text with blanks before each line.
func indented(text string, blanks int) string {
	before := strings.Repeat(" ", blanks)
	return before + strings.ReplaceAll(text, "\n", "\n"+before) + "\n"
}

var (
	// beforeText is what stands before a text in the help: a flag or an example, or only blanks.
	beforeText = regexp.MustCompile(`^ +(\S.*?\S? {2,})?`)
	// prose is a line of a description's paragraph: examples and flags are indented by more, or have columns.
	prose = regexp.MustCompile(`^   [^ -](\S| \S)*$`)
	// example is a command that the help shows.
	example = regexp.MustCompile(`^ {4,}raftbench (\S| \S)*$`)
)

// printHelp writes the library's help as wide as the terminal is, and listWidth columns at the most. Where that is less
// than the paragraphs were written for, they are filled anew.
func printHelp(w io.Writer, template string, data any) {
	var text strings.Builder
	cli.HelpPrinterCustom(&text, template, data, nil)
	width := textColumns(w)
	paragraph := ""
	flush := func() {
		if paragraph != "" {
			fmt.Fprint(w, indented(wrapped(paragraph, width-3), 3))
			paragraph = ""
		}
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimRight(line, " \n")
		if width < listWidth && prose.MatchString(line) {
			paragraph = strings.TrimSpace(paragraph + " " + strings.TrimSpace(line))
			continue
		}
		flush()
		fmt.Fprintln(w, helpLine(line, width))
	}
	flush()
}

// helpLine breaks a line of the help that is too long: a command so that it can still be pasted, and a text below
// itself, or on lines of its own if there is no room beside what it is about.
func helpLine(line string, width int) string {
	if len([]rune(line)) <= width {
		return line
	}
	if example.MatchString(line) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		return strings.TrimRight(strings.ReplaceAll(indented(wrapped(strings.TrimSpace(line), width-indent-4), indent+2), "\n", " \\\n")[2:], " \\\n")
	}
	head := beforeText.FindString(line)
	text, indent := line[len(head):], len(head)
	if width-indent < leastRoom {
		indent = len(head) - len(strings.TrimLeft(head, " ")) + belowIndent
		return strings.TrimRight(head, " ") + "\n" + strings.TrimRight(indented(wrapped(text, width-indent), indent), "\n")
	}
	return head + strings.ReplaceAll(wrapped(text, width-indent), "\n", "\n"+strings.Repeat(" ", indent))
}

// belowIndent is how far a text that has no room beside what it is about is indented below it.
const belowIndent = 4

// headerLines is how many lines of a list stand before its first row: the titles, and the rule.
const headerLines = 2
