// Testbed starts real mail and object servers for a command and stops them
// again: go run ./cmd/testbed go test ./...
//
// Package servers tells tests where the servers are.
//
// Each kind of server is a [service] in a file of its own; [startBed] starts
// all of them; command.go and up.go are what is then done with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"restante/cmd/testbed/bench"
)

const usage = `Testbed starts real servers on loopback ports, runs a command that finds their
addresses in its environment, and stops the servers again.

usage: testbed [flags] [command [arguments]]
       testbed [flags] %s

Without a command the servers stay up, with sample mail, until you stop them.

examples:
  go run ./cmd/testbed go test ./...             every test, on real servers
  go run ./cmd/testbed go test ./backup/...      the tests of some packages
  go run ./cmd/testbed bash                      a shell that knows the servers
  go run ./cmd/testbed                           servers to try Restante on
  go run ./cmd/testbed -without s3 env           see what the command is told

What is missing is installed: Debian packages where apt-get may be used (a
person at a terminal is asked first), and programs in Go, built once and kept
in the user's cache directory. A server that cannot be had is left out and
named in TESTBED_MISSING, and the tests that need it are skipped; with CI=true
it is an error.

The exit code is the command's, or 125 if the testbed itself failed, 126 if the
command could not be run and 127 if it was not found.

subcommands:
%s
flags:
`

// Exit codes of the testbed itself, as env(1) and timeout(1) have them.
const (
	exitFailed   = 125
	exitNotRun   = 126
	exitNotFound = 127
)

// A subcommand is a first word that is not a command to run. It gets the
// words after it, and ends soon after its context does.
type subcommand struct {
	name, what string
	run        func(ctx context.Context, o options, args []string) error
}

// subcommands is a function because a subcommand may start a bed itself.
func subcommands() []subcommand {
	return []subcommand{
		{"install", "install and build what is missing, start nothing", install},
		{"bench", "measure Restante beside mbsync, restic and borg", runBench},
		{"kill", "kill backups and restores at random moments, and see", runKill},
		{"pruners", "kill writers and pruners at work at once, and see", runPruners},
		{"network", "put everything on a bad network, and see", runNetwork},
		{"nights", "have many accounts backed up for a month of nights, and see", runNights},
		{"outages", "take servers away from a restante that serves, and see", runOutages},
		{"scale", "try a million messages, thousands of folders, a huge message", runScale},
		{"fuzz", "run every fuzz target of the module for a while", runFuzz},
		{"writers", "have two write into one repository at once, and see", runWriters},
	}
}

// options are the flags, which stand before the command or subcommand.
type options struct {
	keep    bool   // leave the servers' directory behind
	quiet   bool   // say nothing when all goes well
	without string // names of servers to leave out, separated by commas
	policy  string // URL that Dovecot asks whether to let somebody in; no flag of its own
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case keeperFlag:
			keep(os.Stdin)
			return
		case bench.PartFlag:
			os.Exit(bench.Part(os.Args[2:]))
		}
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	o, args, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitFailed // parse has said why
	}
	if !supported {
		return fail(errors.New("the servers run on Linux and macOS; elsewhere run go test ./... alone, and the tests that need servers are skipped"))
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	watchGoRun(signals)

	if len(args) == 0 {
		return runUp(signals, o)
	}
	for _, s := range subcommands() {
		if s.name == args[0] {
			return result(untilSignal(signals, func(ctx context.Context) error { return s.run(ctx, o, args[1:]) }))
		}
	}
	return runCommand(signals, o, args)
}

func parse(args []string) (o options, rest []string, err error) {
	flags := flag.NewFlagSet("testbed", flag.ContinueOnError)
	flags.BoolVar(&o.keep, "keep", false, "leave the servers' directory (mail, objects, logs) behind")
	flags.BoolVar(&o.quiet, "q", false, "say nothing when all goes well")
	flags.StringVar(&o.without, "without", "", "leave out these servers, separated by commas: "+strings.Join(serviceNames(), ", "))
	flags.Usage = func() { printUsage(flags) }
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	for _, name := range splitNames(o.without) {
		if !slices.Contains(serviceNames(), name) {
			err := fmt.Errorf("-without %s: there is no such server; there are %s", name, strings.Join(serviceNames(), ", "))
			fail(err)
			return o, nil, err
		}
	}
	return o, flags.Args(), nil
}

func printUsage(flags *flag.FlagSet) {
	var names []string
	var lines strings.Builder
	for _, s := range subcommands() {
		names = append(names, s.name)
		fmt.Fprintf(&lines, "  %-10s %s\n", s.name, s.what)
	}
	fmt.Fprintf(flags.Output(), usage, strings.Join(names, "|"), lines.String())
	flags.PrintDefaults()
}

// untilSignal calls f with a context that ends with the first signal. Every
// signal that comes before f returns is used up.
func untilSignal(signals <-chan os.Signal, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	for {
		select {
		case s := <-signals:
			cancel(stoppedBy{s})
		case err := <-done:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}

// stoppedBy is the cause of a context that a signal ended.
type stoppedBy struct{ signal os.Signal }

func (s stoppedBy) Error() string { return "stopped by a signal: " + s.signal.String() }

// result says what went wrong, if anything did, and returns the exit code.
func result(err error) int {
	if err == nil {
		return 0
	}
	if s, ok := errors.AsType[stoppedBy](err); ok {
		return signalCode(s.signal)
	}
	return fail(err)
}

func fail(err error) int {
	fmt.Fprintf(os.Stderr, "testbed: %v\n", err)
	return exitFailed
}

// signalCode is what a shell reports for a command that a signal ended.
func signalCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailed
}

// say tells people what is going on. Standard output is the command's alone.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "testbed: "+format+"\n", args...)
}
