package bench

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"restante/cmd/testbed/site"
)

// tryRestic stores the Maildir, and once more.
func (b *bench) tryRestic(compression string) func(context.Context, *loaded, string, func(string, Sample)) error {
	return func(ctx context.Context, l *loaded, dir string, record func(string, Sample)) error {
		repository := filepath.Join(dir, "repository")
		restic := func(args ...string) *exec.Cmd {
			cmd := b.site.Command("restic", append(args, "--quiet", "--repo", repository, "--cache-dir", filepath.Join(dir, "cache"))...)
			cmd.Dir, cmd.Env = l.maildir, append(cmd.Env, "RESTIC_PASSWORD="+site.Password)
			return cmd
		}
		create := func(int) *exec.Cmd { return restic("backup", "--compression", compression, ".") }
		return b.tryStoring(ctx, repository, restic("init", "--repository-version", "2"), create, record)
	}
}

// tryBorg stores the Maildir, and once more.
func (b *bench) tryBorg(compression string) func(context.Context, *loaded, string, func(string, Sample)) error {
	return func(ctx context.Context, l *loaded, dir string, record func(string, Sample)) error {
		repository := filepath.Join(dir, "repository")
		borg := func(args ...string) *exec.Cmd {
			cmd := b.site.Command("borg", args...)
			cmd.Dir, cmd.Env = l.maildir, append(cmd.Env, "BORG_PASSPHRASE="+site.Password, "BORG_BASE_DIR="+dir)
			return cmd
		}
		create := func(i int) *exec.Cmd {
			return borg("create", "--compression", compression, fmt.Sprintf("%s::archive%d", repository, i), ".")
		}
		return b.tryStoring(ctx, repository, borg("init", "--encryption", "repokey", repository), create, record)
	}
}

// tryStoring makes a repository and stores something in it twice.
func (b *bench) tryStoring(ctx context.Context, repository string, begin *exec.Cmd, create func(i int) *exec.Cmd, record func(string, Sample)) error {
	if _, err := b.site.Output(ctx, begin); err != nil {
		return err
	}
	for i, run := range []string{firstRun, nothing} {
		s, _, err := b.run(ctx, create(i))
		if err != nil {
			return err
		}
		if s.Stored, err = site.DirSize(repository); err != nil {
			return err
		}
		record(run, s)
	}
	return nil
}
