package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"restante/restore"
	"restante/storage/mailfiles"
)

// partName is a directory in a store of Thunderbird in which a restore is made
// ready. Thunderbird passes over hidden files, so nobody else writes there, and
// an interrupted restore goes on in it.
const partName = ".restante-restoring.sbd"

// OpenThunderbird opens a profile of Thunderbird that a new folder is made in,
// below its local folders. Thunderbird may be running: all is written to a hidden
// directory and takes the folder's name when it is whole, and no file that is
// there is opened. Thunderbird shows the folder when it is started next; it looks
// for files that are new, and has to be told nothing.
func OpenThunderbird(profile string) (*ThunderbirdTarget, error) {
	list := mboxStores(profile)
	if len(list) == 0 {
		return nil, &inPlace{fmt.Errorf("%s has no local folders of Thunderbird in mbox files", profile), profile}
	}
	dir := list[0].Dir
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &inPlace{fmt.Errorf("%s has no local folders yet: %w", profile, fs.ErrNotExist), profile}
	}
	t := &ThunderbirdTarget{profile: profile, store: dir}
	t.mboxTarget = &mboxTarget{dir: filepath.Join(dir, partName), folder: &newFolder{made: t.begin}, paths: map[string]string{}}
	if _, err := os.Lstat(t.dir); err == nil { // of a restore that was interrupted
		if err := t.begin(context.Background()); err != nil {
			return nil, fmt.Errorf("another restore is making a folder there: %w", err)
		}
		if t.tree, err = mailfiles.OpenMboxTree(t.dir); err != nil {
			t.unlock()
			return nil, fmt.Errorf("opening what an interrupted restore has left: %w", err)
		}
	}
	t.name = t.free()
	return t, nil
}

// A ThunderbirdTarget is a new folder in a profile of Thunderbird.
type ThunderbirdTarget struct {
	*mboxTarget
	profile, store string
	name           string                  // of the folder
	lock           *mailfiles.MboxAppender // nil: nothing was made yet
}

// Location names the profile and the folder.
func (t *ThunderbirdTarget) Location() string {
	return fmt.Sprintf("thunderbird:%s, new folder %q", t.profile, t.name)
}

// free is the first name that no folder has, nor an index of one.
func (t *ThunderbirdTarget) free() string {
	for n := 1; ; n++ {
		name := "Restored"
		if n > 1 {
			name = fmt.Sprintf("Restored %d", n)
		}
		taken := false
		for _, end := range []string{"", ".sbd", ".msf"} {
			_, err := os.Lstat(filepath.Join(t.store, name+end))
			taken = taken || !errors.Is(err, fs.ErrNotExist)
		}
		if !taken {
			return name
		}
	}
}

// begin takes the directory for this restore alone, for as long as it is open.
func (t *ThunderbirdTarget) begin(ctx context.Context) (err error) {
	if t.lock == nil {
		t.lock, err = mailfiles.AppendMbox(ctx, filepath.Join(t.dir, restoredMark))
	}
	return err
}

// Finish gives the folder its name.
func (t *ThunderbirdTarget) Finish(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lock == nil && t.tree == nil {
		return nil // there was nothing to restore
	}
	var file *os.File
	for {
		t.name = t.free()
		var err error
		// What Thunderbird knows the folder by; whoever makes it has the name.
		file, err = os.OpenFile(filepath.Join(t.store, t.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return explain(err)
		}
	}
	err := file.Close()
	if t.tree != nil {
		err = errors.Join(err, t.tree.Close())
		t.tree = nil
	}
	err = errors.Join(err, t.unlock())
	if err == nil {
		err = os.Rename(t.dir, filepath.Join(t.store, t.name+".sbd"))
	}
	if err == nil {
		err = restore.SyncDir(t.store)
	}
	return explain(err)
}

func (t *ThunderbirdTarget) unlock() error {
	if t.lock == nil {
		return nil
	}
	err := t.lock.Close()
	t.lock = nil
	return err
}

// Close lets go of the profile. What is not finished stays hidden.
func (t *ThunderbirdTarget) Close() error {
	t.mu.Lock()
	err := t.unlock()
	t.mu.Unlock()
	return errors.Join(err, t.mboxTarget.Close())
}
