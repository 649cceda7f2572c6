//go:build !unix

package mailfiles

import "os"

const (
	noWaiting     = 0
	onlyDirectory = 0
)

// syncDir has nothing to do: names are durable when the file is.
func syncDir(*os.File) error { return nil }
