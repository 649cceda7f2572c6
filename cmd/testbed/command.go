package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/term"
)

// graceTime is how long a command may take to end after a signal.
const graceTime = 10 * time.Second

// runCommand starts the servers, runs the command with their addresses and
// returns its exit code.
func runCommand(signals <-chan os.Signal, o options, args []string) int {
	program, err := exec.LookPath(args[0])
	if err != nil {
		fail(err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return exitNotFound
		}
		return exitNotRun
	}
	var b *bed
	err = untilSignal(signals, func(ctx context.Context) (err error) {
		b, err = startBed(ctx, o)
		return err
	})
	if b != nil {
		defer b.close()
	}
	if err != nil {
		return result(err)
	}
	cmd := exec.Command(program, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = b.environ()
	return passThrough(signals, b.keeper, cmd)
}

// passThrough runs the command, passes signals on to it and returns its exit
// code.
//
// At a terminal the command stays in the testbed's process group, so that it
// may read from the terminal and the terminal's own signals (Ctrl-C, Ctrl-Z)
// reach it. Elsewhere it gets a group of its own, so that a signal reaches
// all it started: go test's tests, for one.
func passThrough(signals <-chan os.Signal, k *keeper, cmd *exec.Cmd) int {
	atTerminal := term.IsTerminal(int(os.Stdin.Fd()))
	dieWithParent(cmd, syscall.SIGKILL)
	pid, err := k.start(cmd, !atTerminal)
	if err != nil {
		fail(fmt.Errorf("running the command: %w", err))
		return exitNotRun
	}
	defer k.forget(pid)

	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var patience <-chan time.Time
	for {
		select {
		case err := <-ended:
			if !atTerminal {
				sendSignal(pid, syscall.SIGKILL) // what it left behind
			}
			return exitCode(cmd, err)
		case s := <-signals:
			if atTerminal && (s == os.Interrupt || s == syscall.SIGQUIT) {
				continue // the terminal has sent it to the command too
			}
			sendSignal(pid, s)
			if patience == nil {
				patience = time.After(graceTime)
			}
		case <-patience:
			say("the command goes on %v after a signal, and is killed", graceTime)
			sendSignal(pid, syscall.SIGKILL)
		}
	}
}

// exitCode is what a shell would report.
func exitCode(cmd *exec.Cmd, err error) int {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0
	case !ok:
		return fail(fmt.Errorf("waiting for the command: %w", err))
	}
	if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return signalCode(w.Signal())
	}
	return exit.ExitCode()
}
