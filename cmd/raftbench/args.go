package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/internal/nearest"
)

// flagsFirst moves flags before the positional arguments of the command that they belong to. The cli library stops at
// the first positional argument and would silently take the flags after it for more of them. It would as silently drop
// all but the last value of a flag that is given twice, which is refused here.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 || args[len(args)-1] == completionFlag {
		return args, nil // the library wants that flag last
	}
	out, rest := args[:1:1], args[1:]
	commands, flags := app.Commands, app.Flags
	for len(rest) > 0 {
		c := find(commands, rest[0])
		if c == nil {
			break
		}
		out, rest = append(out, rest[0]), rest[1:]
		commands, flags = c.Subcommands, c.Flags
	}
	if len(commands) > 0 && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return nil, unknownCommand(app, rest[0], commands) // before its flags are taken for those of the command above
	}
	var positional []string
	given := map[cli.Flag]bool{}
	for i := 0; i < len(rest); i++ {
		arg := rest[i]
		switch {
		case arg == "--":
			return append(append(append(out, "--"), positional...), rest[i+1:]...), nil
		case len(arg) < 2 || arg[0] != '-' || isNumber(arg):
			positional = append(positional, arg)
		default:
			f := flagOf(flags, arg)
			if f != nil && given[f] {
				return nil, twice(f)
			}
			given[f] = true
			out = append(out, arg)
			if takesValue(f, arg) && i+1 < len(rest) {
				i++
				out = append(out, rest[i])
			}
		}
	}
	return append(out, positional...), nil
}

// otherWords are what people may type for a command, from other programs and other words for the same.
var otherWords = map[string]string{
	"sim": "run matrix --clock virtual", "simulate": "run matrix --clock virtual", "lab": "run lab2b", "bench": "run matrix",
	"benchmark": "run matrix", "compare": "run matrix", "test": "run lab2b", "fuzz": "check", "verify": "check", "show": "report",
}

// unknownCommand refuses a word where one of some commands is wanted, and says which may be meant, here or below.
func unknownCommand(app *cli.App, word string, commands []*cli.Command) error {
	meant := ""
	for _, c := range app.Commands {
		for _, sub := range c.Subcommands {
			if sub.HasName(word) {
				meant = c.Name + " " + sub.Name
			}
		}
	}
	if meant == "" {
		meant = otherWords[strings.ToLower(word)]
	}
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	if meant != "" && nearest.Name(word, names) == "" {
		return usage("unknown command %s, did you mean %s? Known: %s",
			nearest.Quote(word), meant, strings.Join(names, ", "))
	}
	return usage("%s", nearest.Unknown("command", word, names))
}

// twice refuses a flag that is given more than once.
func twice(f cli.Flag) error {
	name := f.Names()[0]
	if isList(f) {
		return usage("--%s is given twice: separate its values by commas, as in --%s A,B", name, name)
	}
	return usage("--%s is given twice: give it once", name)
}

// isList reports whether a flag takes values separated by commas.
func isList(f cli.Flag) bool {
	return categoryOf(f) == "axes" || slices.Contains([]string{"measure", "heartbeat", "election-timeout", "faults", "bounds"}, f.Names()[0])
}

func isNumber(arg string) bool {
	_, err := strconv.ParseFloat(arg, 64)
	return err == nil
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// flagOf returns the flag that an argument names, nil if it is not known.
func flagOf(flags []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue reports whether the argument after a flag, nil if it is not known, is its value.
func takesValue(f cli.Flag, arg string) bool {
	_, isBool := f.(*cli.BoolFlag)
	return f != nil && !isBool && !strings.Contains(arg, "=")
}

// helpAsFlag turns "help COMMAND" into "COMMAND --help".
func helpAsFlag(args []string) []string {
	if len(args) > 1 && (args[1] == "help" || args[1] == "h") {
		return append(append(args[:1:1], args[2:]...), "--help")
	}
	return args
}

// list reads a flag with values separated by commas. What is there twice counts once.
func list[T comparable](c *cli.Context, name string, parse func(string) (T, error)) ([]T, error) {
	var values []T
	for i, text := range strings.Split(c.String(name), ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			return nil, usage("--%s: part %d of %s is empty: leave out a comma, or give a value",
				name, i+1, nearest.Quote(c.String(name)))
		}
		v, err := parse(text)
		if err != nil {
			return nil, usage("--%s: %v", name, err)
		}
		if !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values, nil
}

// single reads a flag with one value.
func single[T any](c *cli.Context, name string, parse func(string) (T, error), value *T) (err error) {
	text := strings.TrimSpace(c.String(name))
	if *value, err = parse(text); err == nil {
		return nil
	}
	if strings.Contains(text, ",") {
		return usage("--%s is %s: it takes one value", name, nearest.Quote(text))
	}
	return usage("--%s: %v", name, err)
}

// plainNumber writes a number that has a suffix without one: 10k becomes 10000. Anything else is left as it is.
func plainNumber(text string) string {
	if n, err := number(text); err == nil {
		return strconv.Itoa(n)
	}
	return text
}

// number reads a whole number, perhaps with a suffix: 10k, 2M.
func number(text string) (int, error) {
	n, err := quantity(text)
	if err != nil || math.Abs(n) > 1<<53 || n != math.Trunc(n) {
		return 0, fmt.Errorf("%q is not a whole number such as 16 or 10k", text)
	}
	return int(n), nil
}

// perSecond reads a rate: 500, 10k, 2.5k.
func perSecond(text string) (float64, error) {
	n, err := quantity(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a rate a second such as 500 or 10k", text)
	}
	return n, nil
}

// quantity reads a number with a decimal suffix: k, M or G.
func quantity(text string) (float64, error) {
	factor := 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, factor = rest, f
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	return n * factor, err
}

// duration reads a time: 100ms, 2s.
func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil && timeWithUnit.MatchString(text) {
		return 0, fmt.Errorf("%q is too long: want at most %v", text, longestTime)
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a time with its unit, such as 100ms or 2s", text)
	}
	return d, nil
}

// sizeBytes reads a size: 128, 4KiB, 1MB.
func sizeBytes(text string) (int, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size such as 128, 4KiB or 1MB", text)
	}
	if n > math.MaxInt {
		return 0, fmt.Errorf("%q is too large for a number of bytes", text)
	}
	return int(n), nil
}

// noArguments refuses positional arguments.
func noArguments(c *cli.Context) error {
	if arg := c.Args().First(); arg != "" {
		return usage("unexpected argument %q: settings are flags, see %s --help", arg, commandPath(c))
	}
	return nil
}
