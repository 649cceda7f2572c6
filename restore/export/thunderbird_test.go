package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup"
	"restante/backup/localsource"
	"restante/restore"
	"restante/storage"
)

// toThunderbird restores a snapshot to a new folder of a profile.
func toThunderbird(t *testing.T, repo *storage.Repository, tree *storage.Tree, profile string, o restore.Options) (*restore.Report, error) {
	t.Helper()
	to, err := OpenThunderbird(profile)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	groups, err := new(restore.Selection).Groups(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	o.Pause = pause
	return restore.Run(t.Context(), repo, groups, to, o)
}

// contents are the files of a directory with what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range files(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

func TestANewFolderAppearsInAProfileWhenItIsWhole(t *testing.T) {
	t.Parallel()
	dir := aProfile(t)
	local := dir + "/Mail/Local Folders/"
	before := contents(t, dir)
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: someLetters("x", 30)}, folder{levels: []string{"Lists", "go"}, letters: someLetters("y", 2)})
	unchanged := func(what string) {
		t.Helper()
		now := contents(t, dir)
		for name, octets := range before {
			if now[name] != octets {
				t.Errorf("%s: %s was changed", what, name)
			}
		}
	}

	if report, err := toThunderbird(t, repo, tree, dir, restore.Options{DryRun: true}); err != nil || report.Totals().Missing != 32 || len(contents(t, dir)) != len(before) {
		t.Errorf("a dry run: %+v, %v", report, err)
	}
	// The restore is interrupted: nothing is to be seen of it.
	to, err := OpenThunderbird(dir)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := new(restore.Selection).Groups(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = restore.Run(ctx, repo, groups, &cancelling{ThunderbirdTarget: to, cancel: cancel}, restore.Options{Pause: pause})
	to.Close()
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	unchanged("interrupted")
	for name := range contents(t, dir) {
		if _, was := before[name]; !was && !strings.Contains(name, "/.restante-restoring.sbd/") {
			t.Errorf("interrupted: %s is there", name)
		}
	}
	src, err := localsource.OpenThunderbird(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	result, err := backup.Run(t.Context(), repo, src, backup.Options{Account: "profile", Vault: vault, Pause: pause})
	if err != nil || result.Snapshot.Messages != 1 {
		t.Errorf("a backup meanwhile has %d messages, %v", result.Snapshot.Messages, err)
	}

	// It goes on where it was, and is given its name in the end.
	report, err := toThunderbird(t, repo, tree, dir, restore.Options{})
	if sum := report.Totals(); err != nil || sum.Appended+sum.Present != 32 {
		t.Fatalf("%+v, %v", sum, err)
	}
	unchanged("restored")
	if got := back(t, repo, "restored", "mbox", local+"Restored.sbd"); got.Snapshot.Messages != 32 {
		t.Errorf("%d messages came back", got.Snapshot.Messages)
	}
	if left, _ := filepath.Glob(local + ".restante*"); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
	if info, err := os.Stat(local + "Restored"); err != nil || info.Size() != 0 {
		t.Errorf("what Thunderbird knows the folder by: %v", err)
	}

	// Thunderbird has opened it by now: another restore makes another folder.
	write(t, local+"Restored.msf", "")
	before = contents(t, dir)
	report, err = toThunderbird(t, repo, tree, dir, restore.Options{})
	if sum := report.Totals(); err != nil || sum.Appended != 32 || !strings.Contains(report.Target, `"Restored 2"`) {
		t.Errorf("%+v, %v", report, err)
	}
	unchanged("restored again")
	made := slices.DeleteFunc(files(t, dir), func(name string) bool { _, was := before[name]; return was || !strings.Contains(name, "Restored 2") })
	if len(made) != 5 || len(files(t, dir)) != len(before)+5 {
		t.Errorf("made were %q", made)
	}
}

// cancelling is a target that is interrupted when its second folder is written.
type cancelling struct {
	*ThunderbirdTarget
	cancel func()
	n      atomic.Int64
}

func (c *cancelling) Open(ctx context.Context, place string) (restore.Box, error) {
	box, err := c.ThunderbirdTarget.Open(ctx, place)
	if err != nil {
		return nil, err
	}
	return &cancellingBox{box.(*mboxBox), c}, nil
}

type cancellingBox struct {
	*mboxBox
	of *cancelling
}

func (c *cancellingBox) Append(ctx context.Context, list []restore.Outgoing, done func(int, string, error)) error {
	if c.of.n.Add(1) > 1 {
		c.of.cancel()
		return ctx.Err()
	}
	return c.mboxBox.Append(ctx, list, done)
}

func TestTwoRestoresToOneProfile(t *testing.T) {
	t.Parallel()
	dir := aProfile(t)
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: someLetters("x", 3)})
	// One was chosen a name, and somebody takes it meanwhile.
	to, err := OpenThunderbird(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	write(t, dir+"/Mail/Local Folders/Restored", "From a\n\nx\n")
	groups, err := new(restore.Selection).Groups(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Run(t.Context(), repo, groups, to, restore.Options{Pause: pause}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/Mail/Local Folders/Restored"); err != nil || string(b) != "From a\n\nx\n" {
		t.Errorf("%q, %v", b, err)
	}
	if got := back(t, repo, "restored", "mbox", dir+"/Mail/Local Folders/Restored 2.sbd"); got.Snapshot.Messages != 3 {
		t.Errorf("%d messages came back", got.Snapshot.Messages)
	}
	// Nothing to restore makes no folder.
	if _, err := toThunderbird(t, repo, archive(t, repo), dir, restore.Options{}); err != nil {
		t.Error(err)
	}
	if all, _ := filepath.Glob(dir + "/Mail/Local Folders/Restored 3*"); len(all) > 0 {
		t.Errorf("%q", all)
	}
	if _, err := OpenThunderbird(t.TempDir()); err == nil {
		t.Error("a directory without local folders was taken for a profile")
	}
}
