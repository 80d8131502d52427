// Command raftbench measures what the choices that Raft leaves open cost.
//
// Its files turn flags into settings and wire the rooms together; whatever can be used without a command line lives in
// those rooms.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/internal/nearest"
)

// The exit statuses.
const (
	exitOK           = 0
	exitUnsafe       = 1 // a safety or accounting check failed
	exitUsage        = 2 // bad flag or file
	exitEnvironment  = 3 // port, disk, privilege
	exitInterrupted  = 4 // interrupted; partial results are kept
	exitInconclusive = 5 // something could not be measured
)

// exitError is an error that says how the program ends.
type exitError struct {
	status int
	err    error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

func environment(err error) error { return exitError{exitEnvironment, err} }

func main() {
	os.Exit(run(interruptible(os.Stderr), os.Args, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
	args, err := flagsFirst(app, helpAsFlag(args))
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	if err == nil && ctx.Err() != nil {
		err = exitError{exitInterrupted, errors.New("interrupted, but everything was written")}
	}
	if err == nil {
		return exitOK
	}
	var exit exitError
	if errors.As(err, &exit) && exit.err == nil {
		return exit.status // of another process, which has said why
	}
	fmt.Fprintf(stderr, "raftbench: %v\n", err)
	if exit.err != nil {
		return exit.status
	}
	return exitUsage // what the flag package says
}

// interruptible returns a context that the first interrupt cancels, so that what was measured is written and
// reported. The second ends the process at once: the run file is readable up to its last whole line. A terminal that is
// closed interrupts too, but never ends at once: the kernel and the shell may both tell of it. Signals are listened to
// until the process ends: one that comes in its last moment must not change its status.
func interruptible(stderr io.Writer) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it ignored
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals
		cancel()
		fmt.Fprintln(stderr, "\nraftbench: interrupted: finishing what is being written; once more stops at once")
		for s := range signals {
			if s != syscall.SIGHUP {
				os.Exit(exitInterrupted)
			}
		}
	}()
	return ctx
}

func newApp(stdout, stderr io.Writer) *cli.App {
	cli.HelpPrinter = printHelp
	app := &cli.App{
		Name:  "raftbench",
		Usage: "measure what the choices that Raft leaves open cost",
		Description: `Raft fixes what must hold; it leaves open when a leader sends, commits, announces and applies,
and how it finds the place where a follower's log agrees with its own. raftbench makes each of these choices
an interchangeable part, runs them over real transports, and measures what each one costs.

Examples:
  raftbench run matrix                                   the default matrix, in under two minutes
  raftbench run matrix --quick                           a smoke run, in seconds
  raftbench run matrix --strategy fast-loop,eager --transport tcp --scenario steady --clients 1,16,256
  raftbench list strategies
  raftbench report raftbench-results/<run> --format markdown

Exit status: 0 all is well; 1 a safety or accounting check failed, or a test of run lab2b; 2 bad flag or file; 3 the
environment: disk, port, privilege; 4 interrupted, what was measured is kept and reported; 5 something could not be
measured.`,
		Writer:                 stdout,
		ErrWriter:              stderr,
		HideVersion:            true, // our own flag prints what the command prints
		HideHelpCommand:        true, // helpAsFlag does it
		Flags:                  []cli.Flag{&cli.BoolFlag{Name: "version", Usage: "as raftbench version", DisableDefaultText: true}},
		EnableBashCompletion:   true,
		UseShortOptionHandling: false,
		Suggest:                false,
		Commands: []*cli.Command{
			{
				Name:        "run",
				Usage:       "measure something",
				Subcommands: []*cli.Command{matrixCommand(), lab2bCommand()},
				Action:      needsSubcommand,
			},
			explainCommand(),
			checkCommand(),
			reportCommand(),
			listCommand(),
			completionCommand(),
			versionCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return printVersion(c)
			}
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			return needsSubcommand(c)
		},
		ExitErrHandler: func(*cli.Context, error) {}, // run decides the status
		OnUsageError:   usageError,
	}
	hushUsage(app.Name, app.Commands)
	return app
}

// hushUsage makes a bad flag cost one line everywhere, not a page of help, and says of a command that it takes another.
func hushUsage(path string, commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand, c.Before = usageError, true, noEmptyValues
		if path := path + " " + c.Name; len(c.Subcommands) > 0 {
			c.UsageText = path + " command [command options]"
			hushUsage(path, c.Subcommands)
		}
	}
}

// noEmptyValues refuses a flag that is given without anything in it: most often a variable of a script that is not set.
func noEmptyValues(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if name == "faults" {
			continue // none of them
		}
		if _, text := f.(*cli.StringFlag); text && c.IsSet(name) && strings.TrimSpace(c.String(name)) == "" {
			return usage("--%s: its value is empty: give one, or leave the flag out", name)
		}
	}
	return nil
}

// usageError says in our words what the flag package found.
func usageError(c *cli.Context, err error, _ bool) error {
	flags := c.App.Flags
	if c.Command != nil && len(c.Command.Flags) > 0 {
		flags = c.Command.Flags
	}
	see := "see " + commandPath(c) + " --help"
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		if utf8.RuneCountInString(name) == 1 { // any other letter would be near
			return usage("unknown flag -%s: flags are words, such as --help: %s", name, see)
		}
		if near := nearest.Name(name, flagNames(flags)); near != "" {
			return usage("unknown flag --%s, did you mean --%s? Or %s", name, near, see)
		}
		return usage("unknown flag --%s: %s", name, see)
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return usage("--%s needs a value: %s", strings.TrimPrefix(name, "-"), see)
	}
	if value, rest, ok := strings.Cut(strings.TrimPrefix(text, "invalid value "), " for flag -"); ok && strings.HasPrefix(text, "invalid value ") {
		name, why, _ := strings.Cut(rest, ":")
		if near := timeWithUnit.MatchString(strings.Trim(value, `"`)); near && isDuration(flags, name) {
			return usage("--%s: %s is too long: want at most %v: %s", name, value, longestTime, see)
		}
		if strings.Contains(why, "value out of range") {
			return usage("--%s: %s is too large or too small: %s", name, value, see)
		}
		if strings.Contains(value, ",") {
			return usage("--%s is %s: it takes one value: %s", name, value, see)
		}
		return usage("--%s: %s is not %s: %s", name, value, wanted(flags, name), see)
	}
	if value, rest, ok := strings.Cut(strings.TrimPrefix(text, "invalid boolean value "), " for -"); ok && strings.HasPrefix(text, "invalid boolean") {
		name, _, _ := strings.Cut(rest, ":")
		return usage("--%s: %s is not true or false: %s", name, value, see)
	}
	return usage("%s: %s", text, see)
}

// timeWithUnit is a time as it must be written; one that the flag package refuses all the same is too long for it.
var timeWithUnit = regexp.MustCompile(`^[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$`)

// longestTime is what fits into a time.Duration, in whole hours.
const longestTime = math.MaxInt64 / time.Hour * time.Hour

func isDuration(flags []cli.Flag, name string) bool {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return false
	}
	_, ok := flags[i].(*cli.DurationFlag)
	return ok
}

// wanted says what a flag's value looks like.
func wanted(flags []cli.Flag, name string) string {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			switch f.(type) {
			case *cli.DurationFlag:
				return "a time with its unit, such as 100ms or 2s"
			case *cli.Uint64Flag:
				return "a whole number, 0 or more"
			case *cli.IntFlag:
				return "a whole number"
			case *cli.Float64Flag:
				return "a number"
			}
		}
	}
	return "a value that it takes"
}

// flagNames returns the flags' names; -h, a letter, is near to anything.
func flagNames(flags []cli.Flag) []string {
	names := []string{"help"}
	for _, f := range flags {
		names = append(names, f.Names()[0])
	}
	return names
}

func commandPath(c *cli.Context) string {
	if c.Command != nil && c.Command.HelpName != "" {
		return c.Command.HelpName
	}
	return c.App.Name
}

// needsSubcommand is the action of a command that only holds others.
func needsSubcommand(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		return unknownCommand(c.App, name, c.Command.Subcommands)
	}
	return cli.ShowSubcommandHelp(c)
}
