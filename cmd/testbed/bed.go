package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A service is a kind of server. A new one is a file with a variable like
// this in it and its name in [services].
type service struct {
	name     string   // what TESTBED_MISSING calls it
	packages []string // Debian packages that bring it, if any do

	// build brings what packages do not; nil where they bring everything.
	build func(ctx context.Context, o options) error

	// version says which version is installed, or why none can be used.
	version func() (string, error)

	// start starts it, waits until it answers and tells the bed how to reach
	// it. What it started is stopped by the bed, after an error too.
	start func(ctx context.Context, b *bed) error
}

func services() []service { return []service{dovecot, cyrus, courier, versitygw, postgres} }

func serviceNames() []string {
	var names []string
	for _, s := range services() {
		names = append(names, s.name)
	}
	return names
}

// A bed is a set of running servers.
type bed struct {
	dir    string // everything the servers write
	policy string // URL that Dovecot asks whether to let somebody in; empty: none
	keep   bool   // leave it behind
	keeper *keeper

	mu      sync.Mutex // guards what follows while the services start
	daemons []*daemon
	closers []func()
	env     map[string]string
}

// startBed installs what is missing and starts all servers. An error leaves
// nothing running.
func startBed(ctx context.Context, o options) (*bed, error) {
	began := time.Now()
	usable, missing, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	b := &bed{keep: o.keep, policy: o.policy, env: map[string]string{
		"RESTANTE_TESTBED": "1",
		"TESTBED_MISSING":  strings.Join(slices.Sorted(maps.Keys(missing)), ","),
	}}
	if b.keeper, err = startKeeper(); err != nil {
		return nil, err
	}
	if b.dir, err = newDir(); err != nil {
		b.close()
		return nil, err
	}
	if !o.keep {
		b.keeper.remove(b.dir)
	}
	if err := b.startAll(ctx, usable); err != nil {
		b.close()
		return nil, err
	}
	if !o.quiet {
		say("%s up in %.1f s", describe(usable), time.Since(began).Seconds())
		if o.keep {
			say("%s will be left behind", b.dir)
		}
	}
	return b, nil
}

func (b *bed) startAll(ctx context.Context, all []service) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() {
			if err := s.start(ctx, b); err != nil {
				errs[i] = fmt.Errorf("starting %s: %w", s.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// prepare installs what is missing and returns the services that can be used
// and why the others cannot.
func prepare(ctx context.Context, o options) (usable []service, missing map[string]error, err error) {
	leftOut := splitNames(o.without)
	var wanted []service
	missing = make(map[string]error)
	for _, s := range services() {
		if slices.Contains(leftOut, s.name) {
			missing[s.name] = errors.New("left out by -without")
		} else {
			wanted = append(wanted, s)
		}
	}
	why := provide(ctx, o, wanted)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	for _, s := range wanted {
		if _, err := s.version(); err == nil {
			usable = append(usable, s)
		} else {
			missing[s.name] = err
			if why[s.name] != nil {
				missing[s.name] = fmt.Errorf("%w; %w", err, why[s.name])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if os.Getenv("CI") == "true" {
			return nil, nil, fmt.Errorf("no %s: %w (and CI=true wants every server)", name, missing[name])
		}
		if !o.quiet {
			say("no %s, tests that need it are skipped: %v", name, missing[name])
		}
	}
	return usable, missing, nil
}

// onClose has f called when the bed is closed.
func (b *bed) onClose(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

// set puts a variable into the environment of the command, or keeps it out if
// the value is empty.
func (b *bed) set(name, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.env[name] = value
}

// environ is the environment for a command: the testbed's own, without what
// another testbed put there, and the servers' addresses.
func (b *bed) environ() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if _, ours := b.env[name]; ours || strings.HasPrefix(name, "TESTBED_") {
			continue
		}
		env = append(env, v)
	}
	for _, name := range slices.Sorted(maps.Keys(b.env)) {
		if b.env[name] != "" {
			env = append(env, name+"="+b.env[name])
		}
	}
	return env
}

// close stops everything and removes the directory, if that is to be.
func (b *bed) close() {
	var wg sync.WaitGroup
	for _, d := range b.daemons {
		wg.Go(d.stop)
	}
	for _, f := range b.closers {
		f()
	}
	wg.Wait()
	if !b.keep && b.dir != "" {
		os.RemoveAll(b.dir) // what resists, the keeper tries again
	}
	b.keeper.close()
}

// newDir makes the directory for everything the servers write.
func newDir() (string, error) {
	base := os.TempDir()
	// A socket's path has at most 103 octets on macOS and 107 on Linux.
	if len(base) > 50 || os.Geteuid() == 0 && !reachable(base) {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "testbed-")
	if err != nil {
		return "", fmt.Errorf("making a directory for the servers: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for servers that run as somebody else
		return "", fmt.Errorf("opening the directory of the servers: %w", err)
	}
	return dir, nil
}

// reachable reports whether every user can reach what is in the directory.
func reachable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// describe names the services with their versions.
func describe(all []service) string {
	var names []string
	for _, s := range all {
		v, _ := s.version()
		names = append(names, v)
	}
	if len(names) == 0 {
		return "no servers"
	}
	return strings.Join(names, " and ")
}
