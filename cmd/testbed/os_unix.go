//go:build linux || darwin

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// supported says whether servers can be run on this system.
const supported = true

// ownGroup puts the command into a process group of its own, so that it and
// all it starts can be ended together.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// ownSession takes the command out of reach of the terminal's signals.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// sendSignal sends to a process, or to a process group if pid is negative.
func sendSignal(pid int, s os.Signal) {
	if n, ok := s.(syscall.Signal); ok {
		syscall.Kill(pid, n) // whoever is gone needs no signal
	}
}

// lockFile waits until no other process holds the lock on the file.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// A role is the user that a server runs as.
type role struct {
	Name, Group string
	UID, GID    uint32
	other       bool // not the user that runs the testbed
}

// serverRole is the user that runs the testbed, or nobody where that is root,
// since some servers refuse to be root.
func serverRole() (role, error) {
	name := "nobody"
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return role{}, fmt.Errorf("looking up the current user: %w", err)
		}
		name = me.Username
	}
	u, err := user.Lookup(name)
	if err != nil {
		return role{}, fmt.Errorf("looking up user %s: %w", name, err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return role{}, fmt.Errorf("looking up the group of user %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return role{}, fmt.Errorf("user %s has the id %q: %w", name, u.Uid, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return role{}, fmt.Errorf("group %s has the id %q: %w", g.Name, u.Gid, err)
	}
	return role{u.Username, g.Name, uint32(uid), uint32(gid), os.Geteuid() == 0}, nil
}

// runAs makes the command run in the role.
func runAs(cmd *exec.Cmd, r role) {
	if !r.other {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: r.UID, Gid: r.GID}
}

// freeSpace is how many octets the file system of a directory has room for.
func freeSpace(dir string) (n int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
