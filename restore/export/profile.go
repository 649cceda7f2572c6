package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"restante/restore"
	"restante/storage/mailfiles/thunderbird"
)

// Thunderbird takes the files of its profile for its own: it locks none, and
// writes to them and puts others in their place whenever it likes. What is
// restored into one while it runs can be lost, or be cut in two. So nothing
// that is there is written to; a new folder may be made, whose files
// Thunderbird does not look at before it is started again.
//
//	Mail/Local Folders/Restored        an empty mbox, so that the folder is shown
//	Mail/Local Folders/Restored.sbd/   what is restored

// restoredMark is a file in a folder that a restore has made, so that it can
// go on when it was interrupted. Thunderbird passes over hidden files.
const restoredMark = ".restante-restored"

// inPlace is an error with advice for the person who sees it.
type inPlace struct {
	error
	profile string
}

func (e *inPlace) Unwrap() error { return e.error }

// Hint returns a sentence that says what to do.
func (e *inPlace) Hint() string {
	list := mboxStores(e.profile)
	if len(list) == 0 {
		return "restore to an IMAP account, or to a directory elsewhere"
	}
	to := "mbox:" + filepath.Join(list[0].Dir, "Restored.sbd")
	return fmt.Sprintf("restore to a new folder: --to %q, or --to %q for one in the local folders, and start Thunderbird again to see it as \"Restored\"; or to an IMAP account", to, "thunderbird:"+e.profile)
}

// mboxStores returns the stores of a profile in which an mbox file is a folder,
// the local folders first.
func mboxStores(profile string) (list []thunderbird.Store) {
	all, _ := thunderbird.Stores(profile) // without them nothing is written
	for _, s := range all {
		if s.Format != thunderbird.Maildir && (s.Type == "none" || s.Type == "pop3") {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b thunderbird.Store) int { return strings.Compare(a.Type, b.Type) })
	return list
}

// NotInPlace returns an error that says why nothing is restored into the
// profile of Thunderbird in a directory, and what to do instead.
func NotInPlace(profile string) error {
	return &inPlace{fmt.Errorf("%s is a profile of Thunderbird, which may be writing there: %w", profile, restore.ErrAccess), profile}
}

// A newFolder is one that is to be made in a profile; nil is none.
type newFolder struct {
	dir  string
	made func(context.Context) error // what is done in place of begin; or nil
}

// inProfile looks whether a directory is one of Thunderbird's. It returns an
// error, unless the directory is for an mbox target that is a new folder.
func inProfile(dir string, mbox bool) (*newFolder, error) {
	profile, err := thunderbird.Inside(dir)
	if err != nil {
		return nil, err
	}
	if profile == "" {
		return nil, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	f := &newFolder{dir: dir}
	file, isBelow := strings.CutSuffix(f.dir, ".sbd")
	if !mbox || !isBelow || filepath.Base(f.dir) == ".sbd" || !isFolder(profile, f.dir) {
		return nil, NotInPlace(profile)
	}
	if _, err := os.Lstat(filepath.Join(f.dir, restoredMark)); err == nil {
		return f, nil
	}
	for _, name := range []string{f.dir, file} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return nil, &inPlace{fmt.Errorf("%s is there already, and Thunderbird may be writing to it: %w", name, restore.ErrAccess), profile}
		}
	}
	return f, nil
}

// isFolder reports whether a directory in a profile is one for the subfolders
// of a folder at the top of a store of mbox files: what is below another one
// is shown only if that is.
func isFolder(profile, dir string) bool {
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	return err == nil && slices.ContainsFunc(mboxStores(profile), func(s thunderbird.Store) bool {
		store, err := filepath.EvalSymlinks(s.Dir)
		return err == nil && store == parent
	})
}

// begin makes what Thunderbird knows the folder by. The directory is there.
func (f *newFolder) begin(ctx context.Context) error {
	if f == nil {
		return nil
	}
	if f.made != nil {
		return f.made(ctx)
	}
	for _, name := range []string{filepath.Join(f.dir, restoredMark), strings.TrimSuffix(f.dir, ".sbd")} {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			err = file.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making a folder for Thunderbird: %w", err)
		}
	}
	return nil
}
