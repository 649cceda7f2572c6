//go:build !linux && !darwin

package main

import (
	"errors"
	"os"
	"os/exec"
)

// No servers here: the testbed says so and ends before it calls any of these.
const supported = false

type role struct {
	Name, Group string
	UID, GID    uint32
	other       bool
}

func ownGroup(*exec.Cmd)             {}
func ownSession(*exec.Cmd)           {}
func sendSignal(int, os.Signal)      {}
func lockFile(*os.File) error        { return errors.ErrUnsupported }
func serverRole() (role, error)      { return role{}, errors.ErrUnsupported }
func runAs(*exec.Cmd, role)          {}
func freeSpace(string) (int64, bool) { return 0, false }
