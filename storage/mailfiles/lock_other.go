//go:build !unix

package mailfiles

import "os"

// tryLock has nothing to do: here mail programs use lock files only.
func tryLock(*os.File) (bool, error) { return true, nil }

// isDead cannot tell.
func isDead(int) bool { return false }

// isLocked has nothing to find out.
func isLocked(*os.File) bool { return false }
