package localsource

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// isCompacting reports whether an mbox file in a store of Thunderbird is one
// that it compacts another one into: "Inbox-1" beside Inbox, or "nstmp" of
// older ones. It has part of what is in the other, and will take its place. A
// folder of such a name has an index; and one that came from elsewhere is not
// written to for long.
func isCompacting(dir, path string) bool {
	name := filepath.Join(dir, filepath.FromSlash(path))
	base, number, numbered := cutLast(name, "-")
	numbered = numbered && number != "" && strings.Trim(number, "0123456789") == ""
	if !numbered {
		base = name
	}
	if filepath.Base(base) != "nstmp" && !(numbered && isThere(base)) {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && !isThere(name+".msf") && time.Since(info.ModTime()).Abs() < restTime
}

// cutLast cuts s at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
