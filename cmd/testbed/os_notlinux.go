//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing here; the keeper ends what the testbed leaves.
func dieWithParent(*exec.Cmd, syscall.Signal) {}
