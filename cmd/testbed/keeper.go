package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The keeper is a second process of the testbed that outlives it by a moment.
// A testbed that is killed outright can stop nothing; the keeper notices, by
// the end of the pipe between them, kills what was left running and removes
// the directory.

// keeperFlag, as the first argument, makes this program the keeper.
const keeperFlag = "-keeper"

// A keeper is the testbed's end of the pipe.
type keeper struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	pipe io.WriteCloser
}

func startKeeper() (*keeper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the testbed's own program: %w", err)
	}
	cmd := exec.Command(self, keeperFlag)
	ownSession(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the keeper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the keeper: %w", err)
	}
	return &keeper{cmd: cmd, pipe: pipe}, nil
}

// awaitKeeper is how a process begins: it becomes the command it is given once
// the keeper has been told of it, or ends with the testbed before that.
const awaitKeeper = `read -r go <&3 || exit; exec 3<&-; exec "$@"`

// start starts a command such that the keeper will kill it, should the testbed
// end before it forgets it. With group the command gets a process group of its
// own and the whole of it is killed. The pid that start returns is that for
// forget and sendSignal.
func (k *keeper) start(cmd *exec.Cmd, group bool) (pid int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	defer w.Close()
	cmd.Args = append([]string{"sh", "-c", awaitKeeper, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.ExtraFiles = []*os.File{r} // 3
	if group {
		ownGroup(cmd)
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid
	if group {
		pid = -pid
	}
	k.tell("kill", strconv.Itoa(pid))
	_, err = w.WriteString("go\n")
	return pid, err
}

func (k *keeper) forget(pid int) { k.tell("forget", strconv.Itoa(pid)) }

// remove has the keeper remove a directory when the testbed ends.
func (k *keeper) remove(dir string) { k.tell("remove", dir) }

func (k *keeper) tell(verb, what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.pipe, "%s %s\n", verb, what) // without a keeper there is nothing to do but go on
}

// close lets the keeper do what is left and waits for it.
func (k *keeper) close() {
	k.pipe.Close()
	k.cmd.Wait()
}

// keep is the keeper's side.
func keep(orders io.Reader) {
	pids := make(map[int]bool)
	var dirs []string
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		verb, what, _ := strings.Cut(lines.Text(), " ")
		pid, _ := strconv.Atoi(what)
		switch verb {
		case "kill":
			pids[pid] = pid != 0 && pid != -1 // these two mean other things to kill(2)
		case "forget":
			delete(pids, pid)
		case "remove":
			dirs = append(dirs, what)
		}
	}
	for pid, ours := range pids {
		if ours {
			sendSignal(pid, syscall.SIGKILL)
		}
	}
	for _, dir := range dirs {
		// What is dying may still write.
		for try := 0; try < 20 && os.RemoveAll(dir) != nil; try++ {
			time.Sleep(50 * time.Millisecond)
		}
	}
}
