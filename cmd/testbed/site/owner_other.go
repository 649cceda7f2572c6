//go:build !unix

package site

import "io/fs"

// owner is never called where there is no testbed.
func owner(fs.FileInfo) (uid, gid int) { return -1, -1 }
