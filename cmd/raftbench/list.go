package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/reports"
	"github.com/raftbench/raftbench/strategies"
)

func listCommand() *cli.Command {
	var subs []*cli.Command
	for _, l := range []struct {
		name, usage string
		rows        func() (header []string, rows [][]string)
	}{
		{"strategies", "the named strategies, with their choices", listStrategies},
		{"backups", "how a leader may search for the place where logs agree", listBackups},
		{"gates", "what may decide how long work waits", listGates},
		{"catch-ups", "what a follower may get that is behind, the log or a snapshot", listCatchUps},
		{"engines", "what runs a group: this project's own core, others', and a floor", listEngines},
		{"transports", "how messages travel", listTransports},
		{"storages", "what replicas can keep their logs in", listStorages},
		{"scenarios", "what happens to a group, with the flags that shape it", listScenarios},
		{"networks", "named networks for --topology, with their figures and where those are from", listNetworks},
		{"tests", "the MIT lab's tests, for run lab2b", listTests},
		{"formats", "what a report can be written as", listFormats},
	} {
		subs = append(subs, &cli.Command{
			Name:  l.name,
			Usage: l.usage,
			Action: func(c *cli.Context) error {
				if err := noArguments(c); err != nil {
					return err
				}
				header, rows := l.rows()
				return writeList(c, header, rows)
			},
		})
	}
	return &cli.Command{Name: "list", Usage: "list what you can choose", Subcommands: subs, Action: needsSubcommand}
}

// leastRoom is how many columns the last column of a list needs beside the others.
const leastRoom = 30

// writeList writes a list; its last column takes as many lines as it needs, the others one. Where there is no room for
// the last column beside the others, its text stands below each row.
func writeList(c *cli.Context, header []string, rows [][]string) error {
	last := len(header) - 1
	width := textColumns(c.App.Writer)
	room := width - 2*len(header)
	for col := range last {
		widest := len(header[col])
		for _, row := range rows {
			widest = max(widest, len(row[col]))
		}
		room -= widest
	}
	var below []string
	if room < leastRoom {
		for i, row := range rows {
			below, rows[i] = append(below, wrapped(row[last], width-belowIndent)), row[:last]
		}
		header = header[:last]
	}
	var text strings.Builder
	table := tablewriter.NewTable(&text,
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off}},
		}),
	)
	table.Header(header)
	for _, row := range rows {
		if below == nil {
			row[last] = wrapped(row[last], room)
		}
		if err := table.Append(row); err != nil {
			return err
		}
	}
	if err := table.Render(); err != nil {
		return err
	}
	at := -headerLines
	for line := range strings.Lines(text.String()) {
		line = strings.TrimRight(strings.TrimPrefix(line, " "), " \n") + "\n"
		if at >= 0 && at < len(below) {
			line += indented(below[at], belowIndent)
		}
		at++
		if _, err := io.WriteString(c.App.Writer, line); err != nil {
			return output(err)
		}
	}
	return nil
}

func listStrategies() ([]string, [][]string) {
	axes := strategies.Axes()
	if catchUp := axes[len(axes)-1]; !slices.ContainsFunc(strategies.List(), func(s raft.Strategy) bool {
		return strategies.Choices(s)[catchUp] != strategies.CatchUps()[0].Name
	}) {
		axes = axes[:len(axes)-1] // all by the log: 80 columns have no room for what is the same everywhere
	}
	header := append([]string{"strategy"}, axes...)
	var rows [][]string
	for _, s := range strategies.List() {
		row := []string{s.Name}
		choices := strategies.Choices(s)
		for _, axis := range axes {
			row = append(row, choices[axis])
		}
		rows = append(rows, append(row, s.Doc))
	}
	return append(header, "what it is"), rows
}

func listTransports() ([]string, [][]string) {
	var rows [][]string
	for _, k := range transportKinds {
		rows = append(rows, []string{k.Name, k.Doc})
	}
	for _, k := range virtualTransports {
		rows = append(rows, []string{k.name, k.doc})
	}
	return []string{"transport", "what it is"}, rows
}

func listStorages() ([]string, [][]string) {
	var rows [][]string
	for _, k := range storageTable {
		rows = append(rows, []string{k.name, k.doc})
	}
	return []string{"storage", "what it is"}, rows
}

func listScenarios() ([]string, [][]string) {
	var rows [][]string
	for _, s := range bench.Scenarios {
		text := s.Doc
		for _, p := range s.Params {
			text += fmt.Sprintf("\n--%s: %s (default: %s)", p.Name, p.Doc, p.Default)
		}
		rows = append(rows, []string{s.Name, text})
	}
	return []string{"scenario", "what happens, and the flags that shape it"}, rows
}

func listFormats() ([]string, [][]string) {
	var rows [][]string
	for _, f := range reports.Formats {
		rows = append(rows, []string{f.Name, f.Doc})
	}
	return []string{"format", "what it is"}, rows
}

func listBackups() ([]string, [][]string) { return listKinds("backup", strategies.Backups(), false) }

func listCatchUps() ([]string, [][]string) {
	return listKinds("catch-up", strategies.CatchUps(), false)
}

func listGates() ([]string, [][]string) { return listKinds("gate", strategies.Gates(), true) }

func listKinds(what string, kinds []strategies.Kind, where bool) ([]string, [][]string) {
	header := []string{what}
	if where {
		header = append(header, "where")
	}
	var rows [][]string
	for _, k := range kinds {
		row := []string{k.Form}
		if where {
			row = append(row, strings.Join(k.Axes, ", "))
		}
		rows = append(rows, append(row, k.Doc))
	}
	return append(header, "what it is"), rows
}
