package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent asks the kernel to end the command when the testbed dies.
// Call it last of all that set SysProcAttr.
func dieWithParent(cmd *exec.Cmd, s syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = s
}
