package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A bundle is a set of Debian packages that are unpacked, not installed,
// because they conflict with what is installed: Debian lets only one of its
// IMAP servers be there. Their programs run from where they were unpacked.
type bundle struct {
	name     string   // of its directory in the cache
	packages []string // libraries they need beyond these are found by apt-get
	program  string   // the server, below the directory
}

// unpackScript downloads the packages it is given, with the libraries that
// they need and this system lacks, and unpacks all of them into "tree".
const unpackScript = `
set -e
depends() { apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@"; }
installed=" $(dpkg-query -W -f '${Package}\n' | tr '\n' ' ')"
collect() {
	all=" $* " todo="$*"
	while [ -n "$todo" ]; do
		next=$(depends $todo | sed -n 's/^  \(Pre\)\{0,1\}Depends: \(lib[^<:]*\).*/\2/p' | sort -u)
		todo=
		for p in $next; do
			case "$installed$all" in *" $p "*) ;; *) all="$all$p " todo="$todo $p" ;; esac
		done
	done
}
get() { collect "$@" && apt-get -q download $all </dev/null; }
get "$@" || { $AS_ROOT apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null; get "$@"; }
for deb in *.deb; do dpkg -x "$deb" tree; done
rm -rf tree/usr/share/doc tree/usr/share/man *.deb
`

// dir is where the bundle is once it is unpacked.
func (u bundle) dir() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, u.name), nil
}

// unpacked returns the version of the server if the bundle is there.
func (u bundle) unpacked() (string, error) {
	dir, err := u.dir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, u.program)); err != nil {
		return "", fmt.Errorf("%s is not unpacked", u.name)
	}
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return "", fmt.Errorf("reading the version of %s: %w", u.name, err)
	}
	return strings.TrimSpace(string(version)), nil
}

// unpack brings the bundle into the cache: whole, or not at all.
func (u bundle) unpack(ctx context.Context, o options) error {
	names := strings.Join(u.packages, " ")
	for _, program := range []string{"apt-get", "apt-cache", "dpkg"} {
		if _, err := exec.LookPath(program); err != nil {
			return errors.New("it is unpacked from the Debian packages " + names + ", which takes Debian's " + program)
		}
	}
	if !agreed(ctx, "download with apt-get, and unpack: "+names) {
		return errors.New("not agreed to")
	}
	dir, err := u.dir()
	if err != nil {
		return err
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("removing what was unpacked by halves: %w", err)
	}
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return fmt.Errorf("making a directory to unpack into: %w", err)
	}
	log, err := os.Create(dir + ".log")
	if err != nil {
		return fmt.Errorf("opening a log for apt-get: %w", err)
	}
	defer log.Close()
	if !o.quiet {
		say("downloading %s", names)
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", unpackScript, "sh"}, u.packages...)...)
	cmd.Dir = fresh
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if os.Geteuid() != 0 {
		cmd.Env = append(cmd.Env, "AS_ROOT=sudo -n")
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("unpacking %s: %w; see %s", names, err, log.Name())
	}
	version, err := exec.CommandContext(ctx, "sh", "-c", `apt-cache policy "$1" | sed -n 's/^  Candidate: //p'`, "sh", u.packages[0]).Output()
	if err != nil {
		return fmt.Errorf("asking for the version of %s: %w", u.packages[0], err)
	}
	tree := filepath.Join(fresh, "tree")
	if err := os.WriteFile(filepath.Join(tree, "version"), version, 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing an older %s: %w", u.name, err)
	}
	if err := os.Rename(tree, dir); err != nil {
		return fmt.Errorf("keeping %s: %w", u.name, err)
	}
	return os.RemoveAll(fresh)
}

// reachableBy is the bundle's directory, or a copy of it in the bed where the
// role could not reach it: root's cache is root's alone.
func (u bundle) reachableBy(b *bed, r role) (string, error) {
	dir, err := u.dir()
	if err != nil {
		return "", err
	}
	if !r.other || reachable(dir) {
		return dir, nil
	}
	within := filepath.Join(b.dir, u.name)
	if err := os.CopyFS(within, os.DirFS(dir)); err != nil {
		return "", fmt.Errorf("copying %s: %w", u.name, err)
	}
	return within, nil
}

// libraries is the value of LD_LIBRARY_PATH that the bundle's programs need:
// every directory with a library in it.
func libraries(dir string) (string, error) {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if in := filepath.Dir(path); strings.Contains(d.Name(), ".so.") && (len(dirs) == 0 || dirs[len(dirs)-1] != in) {
			dirs = append(dirs, in)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("looking for libraries: %w", err)
	}
	return strings.Join(dirs, ":"), nil
}
