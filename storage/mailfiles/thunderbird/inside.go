package thunderbird

import (
	"os"
	"path/filepath"
)

// Inside returns the profile that a path is in, or is; "" if it is in none.
// Symbolic links on the way are followed, and the path need not be there yet.
// A store that somebody has put outside of the profile is not recognised.
func Inside(path string) (profile string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for dir := followed(path); ; dir = filepath.Dir(dir) {
		if isProfileDir(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}

// followed is a path without symbolic links, as far as it is there.
func followed(path string) string {
	rest := ""
	for dir := path; ; dir = filepath.Dir(dir) {
		if there, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(there, rest)
		}
		if dir == filepath.Dir(dir) {
			return path
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// isProfileDir reports whether a directory has settings and mail.
func isProfileDir(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "prefs.js")); err != nil {
		return false
	}
	for _, name := range mailDirs {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}
