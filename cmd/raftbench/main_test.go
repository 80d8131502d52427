package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/cluster/sim"
)

// TestTransportsAreListed: whatever can be run can be found in raftbench list transports.
func TestTransportsAreListed(t *testing.T) {
	for _, name := range append(transportNames(), sim.Transports()...) {
		if !slices.Contains(allTransports(), name) {
			t.Errorf("%s is not among %v", name, allTransports())
		}
	}
}

// TestDescriptionsFit: a line of a description that is too long for the help would be broken in the middle of a paragraph.
func TestDescriptionsFit(t *testing.T) {
	const indent = 3 // of the library's template
	var look func(path string, commands []*cli.Command)
	look = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			for line := range strings.Lines(c.Description) {
				if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > listWidth-indent {
					t.Errorf("%s %s: a line of %d columns, want at most %d: %s", path, c.Name, n, listWidth-indent, line)
				}
			}
			look(path+" "+c.Name, c.Subcommands)
		}
	}
	app := newApp(io.Discard, io.Discard)
	look(app.Name, append(app.Commands, &cli.Command{Description: app.Description}))
}
