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
	"os"
	"os/signal"
	"syscall"

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
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(stderr)
	defer stop()
	app := newApp(stdout, stderr)
	err := app.RunContext(ctx, flagsFirst(app, args))
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "raftbench: %v\n", err)
	var exit exitError
	if errors.As(err, &exit) {
		return exit.status
	}
	return exitUsage // what the flag package says
}

// interruptible returns a context that the first interrupt cancels, so that what was measured is written and
// reported. The second ends the process at once: the run file is readable up to its last whole line.
func interruptible(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			fmt.Fprintln(stderr, "\nraftbench: interrupted: finishing what is being written; once more stops at once")
			cancel()
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:  "raftbench",
		Usage: "measure what the choices that Raft leaves open cost",
		Description: `Raft fixes what must hold; it leaves open when a leader sends, commits, announces and applies,
and how it finds the place where a follower's log agrees with its own. raftbench makes each of these choices
an interchangeable part, runs them over real transports, and measures what each one costs.

Examples:
  raftbench run matrix                                   the default matrix, in under two minutes
  raftbench run matrix --quick                           a taste of it, in some seconds
  raftbench run matrix --strategy fast-loop,eager --transport tcp --scenario steady --clients 1,16,256
  raftbench list strategies
  raftbench report raftbench-results/<run> --format markdown`,
		Writer:                 stdout,
		ErrWriter:              stderr,
		HideVersion:            true,
		EnableBashCompletion:   true,
		UseShortOptionHandling: false,
		Suggest:                false,
		Commands: []*cli.Command{
			{
				Name:        "run",
				Usage:       "measure something",
				Subcommands: []*cli.Command{matrixCommand()},
				Action:      needsSubcommand,
			},
			reportCommand(),
			listCommand(),
			completionCommand(),
			versionCommand(),
		},
		Action:         needsSubcommand,
		ExitErrHandler: func(*cli.Context, error) {}, // run decides the status
		OnUsageError:   usageError,
	}
	hushUsage(app.Commands)
	return app
}

// hushUsage makes a bad flag cost one line everywhere, not a page of help.
func hushUsage(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageError
		hushUsage(c.Subcommands)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	return usage("%v: see %s --help", err, commandPath(c))
}

func commandPath(c *cli.Context) string {
	if c.Command != nil && c.Command.HelpName != "" {
		return c.Command.HelpName
	}
	return "raftbench"
}

// needsSubcommand is the action of a command that only holds others.
func needsSubcommand(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		var names []string
		for _, sub := range c.Command.Subcommands {
			names = append(names, sub.Name)
		}
		return usage("%s", nearest.Unknown("command", name, names))
	}
	return cli.ShowSubcommandHelp(c)
}
