package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/bench"
	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/strategies"
)

// completionFlag is how a shell asks, as the last argument, what may come next.
const completionFlag = "--generate-bash-completion"

// completer answers for a command: the values of its flags that take names, from the table or from everywhere; else
// what the cli library knows, which is flags and subcommands.
func completer(values map[string]func() []string) cli.BashCompleteFunc {
	return completerWith(nil, values)
}

// completerWith answers for a command whose arguments are names, too.
func completerWith(arguments func() []string, values map[string]func() []string) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		before, word := beingTyped(os.Args)
		var names []string
		switch flag := flagOf(c.Command.Flags, before); {
		case strings.HasPrefix(word, "-"):
			for _, name := range flagNames(c.Command.Flags) {
				names = append(names, "--"+name)
			}
		case strings.HasPrefix(before, "-") && takesValue(flag, before):
			name := flag.Names()[0]
			if of := everywhere[name]; of != nil {
				names = of(c)
			} else if of := values[name]; of != nil {
				names = of()
			}
		case arguments != nil:
			names = arguments()
		default:
			cli.DefaultCompleteWithFlags(c.Command)(c)
		}
		for _, name := range names {
			fmt.Fprintln(c.App.Writer, name)
		}
	}
}

// beingTyped returns the word that a shell asks about, and the one before it. The scripts below pass the word only if
// it begins with a minus, else an empty one: what it begins with is the shell's business.
func beingTyped(args []string) (before, word string) {
	if n := len(args); n >= 3 {
		before, word = args[n-3], args[n-2]
	}
	return before, word
}

// everywhere is the table of flags whose values are the same for every command that has them.
var everywhere = map[string]func(*cli.Context) []string{
	"strategy":            always(strategyNames),
	"baseline":            always(strategyNames),
	"backup":              always(backupNames),
	"send":                gatesAt(strategies.AxisSend),
	"commit":              gatesAt(strategies.AxisCommit),
	"announce":            gatesAt(strategies.AxisAnnounce),
	"apply":               gatesAt(strategies.AxisApply),
	"engine":              always(engineNames),
	"clock":               always(func() []string { return []string{clockWall, clockVirtual} }),
	"topology":            always(netem.Topologies),
	"jitter-distribution": always(func() []string { return netem.Distributions }),
	"arrivals":            always(func() []string { return bench.Arrivals }),
	"cut":                 always(func() []string { return cluster.CutKinds }),
	"measure":             always(func() []string { return []string{"on", "off"} }),
	"diverge-preset":      always(func() []string { return []string{"grid", "figure7", "leaders"} }),
	"transport": func(c *cli.Context) []string {
		if flagOf(c.Command.Flags, "--clock") == nil {
			return sim.Transports() // the command knows no other
		}
		return transportsOn(c.String("clock"))
	},
}

func always(names func() []string) func(*cli.Context) []string {
	return func(*cli.Context) []string { return names() }
}

func gatesAt(axis string) func(*cli.Context) []string {
	return func(*cli.Context) (names []string) {
		for _, k := range strategies.Gates() {
			if slices.Contains(k.Axes, axis) {
				names = append(names, k.Name)
			}
		}
		return names
	}
}

// completions are the scripts that make shells ask the program itself.
var completions = map[string]string{
	"bash": `_raftbench() {
  local words=("${COMP_WORDS[@]:0:$COMP_CWORD}")
  local current="${COMP_WORDS[COMP_CWORD]}"
  local word="" before=""
  [[ "$current" == -* ]] && word="$current"
  [[ "$current" == *,* ]] && before="${current%,*},"
  COMPREPLY=($(compgen -P "$before" -W "$("${words[@]}" "$word" --generate-bash-completion 2>/dev/null)" -- "${current##*,}"))
}
complete -o bashdefault -o default -F _raftbench raftbench
`,
	"zsh": `#compdef raftbench
_raftbench() {
  local -a options
  local word=""
  [[ "${words[CURRENT]}" == -* ]] && word="${words[CURRENT]}"
  options=("${(@f)$("${words[@]:0:$((CURRENT-1))}" "$word" --generate-bash-completion 2>/dev/null)}")
  compadd -a options
}
compdef _raftbench raftbench
`,
	"fish": `complete -c raftbench -f -a '(set -l words (commandline -opc); set -l word (string match -- "-*" (commandline -ct)); $words "$word" --generate-bash-completion 2>/dev/null)'
`,
}

// shells are those that there is a script for.
func shells() []string { return slices.Sorted(maps.Keys(completions)) }

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell's completion script: " + strings.Join(shells(), ", "),
		ArgsUsage: "SHELL",
		Description: `Examples:
  source <(raftbench completion bash)
  raftbench completion fish | source`,
		BashComplete: completerWith(shells, nil),
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if c.NArg() != 1 {
				return usage("%d shells named: want one of %s", c.NArg(), strings.Join(shells(), ", "))
			}
			if !slices.Contains(shells(), shell) {
				return usage("%s", nearest.Unknown("shell", shell, shells()))
			}
			_, err := fmt.Fprint(c.App.Writer, completions[shell])
			return output(err)
		},
	}
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print what was built, and with which libraries in the measured path",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return printVersion(c)
		},
	}
}

func printVersion(c *cli.Context) error {
	v := versions()
	text := fmt.Sprintf("raftbench %s\n", v["raftbench"])
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if name != "raftbench" {
			text += fmt.Sprintf("  %s %s\n", name, v[name])
		}
	}
	_, err := io.WriteString(c.App.Writer, text)
	return output(err)
}
