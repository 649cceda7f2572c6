package main

import (
	"os"
	"strings"
	"syscall"
	"time"
)

// watchGoRun makes the end of "go run" a signal. go run passes no signal on:
// killed, it would leave the testbed and its servers behind.
func watchGoRun(signals chan<- os.Signal) {
	self, err := os.Executable()
	if err != nil || !strings.Contains(self, "go-build") { // where go run builds
		return
	}
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		signals <- syscall.SIGTERM
	}()
}
