// Package powercut runs a program and ends it, or has a file operation of it
// fail, at a chosen one of all the operations with which it changes files below
// some directories: [Run]. What a power cut would have left is made afterwards:
// [Result.Cut]. The program is the real one, and knows nothing of it.
//
// It is a debugger, for Linux on amd64, and needs no privileges.
package powercut

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
)

// ErrUnsupported says that there is no such debugger for this system.
var ErrUnsupported = errors.New("file operations can be made to fail on Linux on amd64 only")

// Fault is what happens at an operation.
type Fault string

const (
	Nothing Fault = "nothing"
	Kill    Fault = "the program is killed before it"   // which is just after the one before
	Fail    Fault = "it fails with EIO"                 // and nothing was done
	Lost    Fault = "it is done, and fails with EIO"    // as over a network, where an answer is lost
	Full    Fault = "the disk is full from there on"    // ENOSPC of all that takes room
	Crawl   Fault = "a write takes one octet, then EIO" // of a write; else as Fail
)

// Plan says which operation it is, from 0, of those below the directories.
type Plan struct {
	At    int
	Fault Fault
	Below []string // absolute, without symbolic links
	// Stash is a directory on the same file system, outside of Below, for what a
	// power cut may bring back.
	Stash string
	// After is what a program did before, which is on the disk for certain only
	// where that one or this one has seen to it. Nil: all is.
	After *Result
}

// A Result is what happened, in the programs before as well.
type Result struct {
	Operations []string // "write export/INBOX (12)", without those after a kill
	Struck     string   // the operation of the fault; empty: the program ended before
	Killed     bool

	full bool   // the disk
	lost []undo // what is not on the disk for certain, in order
	data map[inode]*dirty
	dirs map[inode]*os.File // directories, which may get other names
}

// Cut makes of what is there what a power cut may have left at the end of the
// program: whatever no fsync has made certain is lost. With namesStay only
// octets are lost, as on a file system that writes names first. It can be called
// once.
func (r *Result) Cut(namesStay bool) error {
	var errs []error
	for _, d := range r.data {
		errs = append(errs, d.restore())
	}
	for i := len(r.lost) - 1; i >= 0 && !namesStay; i-- {
		err := r.lost[i].do()
		if r.lost[i].beside && (errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist)) {
			err = nil // it was before the other: then one of the two is not lost, which may be as well
		}
		errs = append(errs, err)
	}
	for _, d := range r.dirs {
		errs = append(errs, d.Close())
	}
	clear(r.dirs)
	return errors.Join(errs...)
}

// Run runs a program that has not been started.
func Run(cmd *exec.Cmd, p Plan) (*Result, error) { return run(cmd, p) }

type inode struct{ device, number uint64 }

// dirty are the octets of a file as they last were on the disk.
type dirty struct {
	restore func() error
}

// An undo takes back what was done to the entries of a directory.
type undo struct {
	what string
	in   inode // the directory
	do   func() error
	n    int // in the order in which they were done
	// beside says that another thread changed something at the same time, and
	// nobody knows which of the two was first.
	beside bool
}
