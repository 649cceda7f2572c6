package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"
)

// install is the subcommand.
func install(ctx context.Context, o options, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("install takes no arguments, and got %q", args)
	}
	usable, missing, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return errors.New("not everything could be installed")
	}
	say("%s, ready to start", describe(usable))
	return nil
}

// provide installs and builds what the services miss. It returns, by name of
// service, what went wrong; what then can be used, their versions tell.
func provide(ctx context.Context, o options, wanted []service) map[string]error {
	wanted = slices.DeleteFunc(slices.Clone(wanted), usable)
	if len(wanted) == 0 {
		return nil
	}
	failed := make(map[string]error)
	unlock, err := lockInstall(ctx)
	if err != nil {
		for _, s := range wanted {
			failed[s.name] = err
		}
		return failed
	}
	defer unlock()
	// Another testbed may have done it in the meantime.
	wanted = slices.DeleteFunc(wanted, usable)

	var packages []string
	for _, s := range wanted {
		packages = append(packages, s.packages...)
	}
	if len(packages) > 0 {
		err := aptInstall(ctx, o, packages)
		for _, s := range wanted {
			if len(s.packages) > 0 {
				failed[s.name] = err
			}
		}
	}
	for _, s := range wanted {
		if s.build != nil && failed[s.name] == nil {
			failed[s.name] = s.build(ctx, o)
		}
	}
	return failed
}

func usable(s service) bool {
	_, err := s.version()
	return err == nil
}

// aptScript installs the packages it is given and starts no service of
// theirs: policy-rc.d forbids that for as long as it is there.
const aptScript = `
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if ! [ -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy || exit 1
fi
get() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null; }
get install --no-install-recommends "$@" || { get update && get install --no-install-recommends "$@"; }
`

// aptInstall installs Debian packages, where that can be done without a
// password.
func aptInstall(ctx context.Context, o options, packages []string) error {
	names := strings.Join(packages, " ")
	byHand := fmt.Errorf("to have it, install the packages %s (as Debian and Ubuntu call them)", names)
	if _, err := exec.LookPath("apt-get"); err != nil {
		return byHand
	}
	command := []string{"sh", "-c", aptScript, "sh"}
	if os.Geteuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return byHand
		}
		command = append([]string{"sudo", "-n"}, command...)
	}
	if !agreed(ctx, "install with apt-get: "+names) {
		return byHand
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	// A file, not a pipe: should the testbed end now, apt-get goes on and
	// finishes, in a session of its own.
	log, err := os.Create(filepath.Join(cache, "apt-get.log"))
	if err != nil {
		return fmt.Errorf("opening a log for apt-get: %w", err)
	}
	defer log.Close()
	if !o.quiet {
		say("installing %s", names)
	}
	cmd := exec.Command(command[0], append(command[1:], packages...)...)
	cmd.Stdout, cmd.Stderr = log, log
	ownSession(cmd)
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("apt-get install %s: %w; see %s", names, err, log.Name())
	}
	return nil
}

// agreed asks a person who sits at the terminal; without one it is agreed.
func agreed(ctx context.Context, what string) bool {
	if os.Getenv("CI") == "true" || !term.IsTerminal(int(os.Stdin.Fd())) {
		return true
	}
	fmt.Fprintf(os.Stderr, "testbed: %s? [Y/n] ", what)
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			line = "no"
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		return a == "" || a == "y" || a == "yes"
	case <-ctx.Done():
		return false
	}
}

// cacheDir is where things stay that take long to make.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for the user's cache directory: %w", err)
	}
	dir := filepath.Join(base, "restante-testbed")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache directory: %w", err)
	}
	return dir, nil
}

// lockInstall waits until no other testbed installs anything.
func lockInstall(ctx context.Context) (unlock func(), err error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the lock for installing: %w", err)
	}
	locked := make(chan error, 1)
	go func() { locked <- lockFile(f) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("waiting for another testbed to finish installing: %w", err)
		}
		return func() { f.Close() }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx) // the program ends, and with it the wait
	}
}

// findProgram looks in PATH and where servers are on systems that keep them
// out of the PATH of most users.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// splitNames splits a list at its commas.
func splitNames(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
