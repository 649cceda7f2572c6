package main

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"restante/cmd/testbed/site"
)

// site is what a subcommand needs to run programs on the bed's servers.
func (b *bed) site(name string) (*site.Site, error) {
	s, err := site.New(filepath.Join(b.dir, name), func(variable string) string { return b.env[variable] })
	if err != nil {
		return nil, err
	}
	s.Run, s.Say = b.run, say
	return s, nil
}

// startSite starts all servers for a subcommand. The bed must be closed.
func startSite(ctx context.Context, o options, name string) (*bed, *site.Site, error) {
	b, err := startBed(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	s, err := b.site(name)
	if err != nil {
		b.close()
		return nil, nil, err
	}
	return b, s, nil
}

// run runs a program to its end; the keeper knows of it meanwhile. The end of
// the context is a kill -9, also for what the program started.
func (b *bed) run(ctx context.Context, cmd *exec.Cmd) error {
	dieWithParent(cmd, syscall.SIGKILL)
	pid, err := b.keeper.start(cmd, true)
	if err != nil {
		return err
	}
	defer b.keeper.forget(pid)
	defer context.AfterFunc(ctx, func() { sendSignal(pid, syscall.SIGKILL) })()
	return cmd.Wait()
}

// daemon is the server's process of that name, the last one that was started.
func (b *bed) daemon(name string) *daemon {
	for _, d := range slices.Backward(b.daemons) {
		if d.name == name {
			return d
		}
	}
	return nil
}

// providePrograms installs programs that are missing, by name and package. What
// cannot be had is left to whoever needs it.
func providePrograms(ctx context.Context, o options, packages map[string]string) error {
	var missing []string
	for _, program := range slices.Sorted(maps.Keys(packages)) {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, packages[program])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	unlock, err := lockInstall(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := aptInstall(ctx, o, missing); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		say("%v", err)
	}
	return nil
}

// groupCPU is how much time the processes of a group have taken, those that
// have ended included; known on Linux only.
func groupCPU(group int) (time.Duration, bool) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(all) == 0 {
		return 0, false
	}
	var sum int64
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// proc_pid_stat(5): pid (name) state ppid pgrp … utime stime cutime
		// cstime are fields 14 to 17; a name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 15 || fields[2] != strconv.Itoa(group) {
			continue
		}
		for _, f := range fields[11:15] {
			n, _ := strconv.ParseInt(f, 10, 64)
			sum += n
		}
	}
	return time.Duration(sum) * tick, true
}
