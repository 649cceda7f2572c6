package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestTheKeeperKillsWhatIsNotForgotten(t *testing.T) {
	t.Parallel()
	spawn := func() *exec.Cmd {
		cmd := exec.Command("sleep", "100")
		ownGroup(cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	process, group, forgotten := spawn(), spawn(), spawn()
	dir := filepath.Join(t.TempDir(), "a directory")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	orders := fmt.Sprintf("kill %d\nkill %d\nkill %d\nforget %d\nremove %s\nkill 0\nkill -1\nkill x\nnonsense\nkill",
		process.Process.Pid, -group.Process.Pid, -forgotten.Process.Pid, -forgotten.Process.Pid, dir)
	keep(strings.NewReader(orders))

	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	for name, cmd := range map[string]*exec.Cmd{"process": process, "group": group} {
		cmd.Wait()
		if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signal() != syscall.SIGKILL {
			t.Errorf("the %s ended with %v", name, w)
		}
	}
	if err := forgotten.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the forgotten one is gone: %v", err)
	}
	forgotten.Wait()
	if w := forgotten.ProcessState.Sys().(syscall.WaitStatus); w.Signal() != syscall.SIGTERM {
		t.Errorf("the forgotten one ended with %v", w)
	}
}
