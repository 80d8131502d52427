package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/internal/nearest"
)

// completionFlag is how a shell asks, as the last argument, what may come next.
const completionFlag = "--generate-bash-completion"

// completer answers for a command: the values of the flags in the table, which it takes lists of; else what the cli
// library knows, which is flags and subcommands.
func completer(values map[string]func() []string) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		if n := len(os.Args); n > 2 {
			if list := values[strings.TrimLeft(os.Args[n-2], "-")]; list != nil && strings.HasPrefix(os.Args[n-2], "-") {
				for _, name := range list() {
					fmt.Fprintln(c.App.Writer, name)
				}
				return
			}
		}
		cli.DefaultCompleteWithFlags(c.Command)(c)
	}
}

// completions are the scripts that make shells ask the program itself.
var completions = map[string]string{
	"bash": `_raftbench() {
  local words=("${COMP_WORDS[@]:0:$COMP_CWORD}")
  local current="${COMP_WORDS[COMP_CWORD]}"
  [[ "$current" == -* ]] && words+=("$current")
  local before=""
  [[ "$current" == *,* ]] && before="${current%,*},"
  COMPREPLY=($(compgen -P "$before" -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "${current##*,}"))
}
complete -o bashdefault -o default -F _raftbench raftbench
`,
	"zsh": `#compdef raftbench
_raftbench() {
  local -a options
  options=("${(@f)$("${words[@]:0:$((CURRENT-1))}" --generate-bash-completion 2>/dev/null)}")
  compadd -a options
}
compdef _raftbench raftbench
`,
	"fish": `complete -c raftbench -f -a '(set -l words (commandline -opc); $words --generate-bash-completion 2>/dev/null)'
`,
}

func completionCommand() *cli.Command {
	shells := []string{"bash", "fish", "zsh"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell's completion script: " + strings.Join(shells, ", "),
		ArgsUsage: "SHELL",
		Description: `Examples:
  source <(raftbench completion bash)
  raftbench completion fish | source`,
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if c.NArg() != 1 {
				return usage("%d shells named: want one of %s", c.NArg(), strings.Join(shells, ", "))
			}
			if !slices.Contains(shells, shell) {
				return usage("%s", nearest.Unknown("shell", shell, shells))
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
