package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/internal/nearest"
)

// completions are the scripts that make shells ask the program itself, which the cli library answers.
var completions = map[string]string{
	"bash": `_raftbench() {
  local words=("${COMP_WORDS[@]:0:$COMP_CWORD}")
  local current="${COMP_WORDS[COMP_CWORD]}"
  [[ "$current" == -* ]] && words+=("$current")
  COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$current"))
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
			if !slices.Contains(shells, shell) {
				return usage("%s", nearest.Unknown("shell", shell, shells))
			}
			_, err := fmt.Fprint(c.App.Writer, completions[shell])
			return err
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
			v := versions()
			fmt.Fprintf(c.App.Writer, "raftbench %s\n", v["raftbench"])
			var names []string
			for name := range v {
				if name != "raftbench" {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			for _, name := range names {
				fmt.Fprintf(c.App.Writer, "  %s %s\n", name, v[name])
			}
			return nil
		},
	}
}
