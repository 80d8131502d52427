package main

import (
	"fmt"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/reports"
	"github.com/raftbench/raftbench/strategies"
)

func listCommand() *cli.Command {
	var subs []*cli.Command
	for _, l := range []struct {
		name, usage string
		rows        func() (header []string, rows [][]string)
	}{
		{"strategies", "the named strategies, with their five choices", listStrategies},
		{"backups", "how a leader may search for the place where logs agree", listBackups},
		{"gates", "what may decide how long work waits", listGates},
		{"transports", "how messages travel", listTransports},
		{"scenarios", "what happens to a group, with the flags that shape it", listScenarios},
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
	return &cli.Command{Name: "list", Usage: "say what there is to choose from", Subcommands: subs, Action: needsSubcommand}
}

func writeList(c *cli.Context, header []string, rows [][]string) error {
	table := tablewriter.NewTable(c.App.Writer,
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNormal),
		tablewriter.WithMaxWidth(140),
		tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off}},
		}),
	)
	table.Header(header)
	for _, row := range rows {
		if err := table.Append(row); err != nil {
			return err
		}
	}
	return table.Render()
}

func listStrategies() ([]string, [][]string) {
	header := append([]string{"strategy"}, strategies.Axes()...)
	var rows [][]string
	for _, s := range strategies.List() {
		row := []string{s.Name}
		choices := strategies.Choices(s)
		for _, axis := range strategies.Axes() {
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
	return []string{"transport", "what it is"}, rows
}

func listScenarios() ([]string, [][]string) {
	var rows [][]string
	for _, s := range bench.Scenarios {
		var flags []string
		for _, p := range s.Params {
			flags = append(flags, fmt.Sprintf("--%s %s", p.Name, p.Default))
		}
		rows = append(rows, []string{s.Name, s.Doc, strings.Join(flags, " ")})
	}
	return []string{"scenario", "what happens", "flags, with defaults"}, rows
}

func listFormats() ([]string, [][]string) {
	var rows [][]string
	for _, f := range reports.Formats {
		rows = append(rows, []string{f.Name, f.Doc})
	}
	return []string{"format", "what it is"}, rows
}

func listBackups() ([]string, [][]string) { return listKinds("backup", strategies.Backups(), false) }

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
