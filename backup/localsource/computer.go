package localsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"restante/backup"
	"restante/storage/mailfiles"
	"restante/storage/mailfiles/thunderbird"
)

// Places are where programs keep a person's mail on a computer.
type Places struct {
	Home string
	User string // as the system calls whoever it is
	// Spools are directories in which the system delivers mail to a file for
	// each user; Mail is what the environment says that file is, or "".
	Spools      []string
	Mail        string
	Thunderbird thunderbird.Places
}

// Here returns the places of this computer and whoever runs this program.
func Here() (Places, error) {
	t, err := thunderbird.Here()
	if err != nil {
		return Places{}, err
	}
	u, err := user.Current()
	if err != nil {
		return Places{}, fmt.Errorf("looking for local mail: %w", err)
	}
	// Windows has the computer's or the domain's name before it.
	name := u.Username[strings.LastIndexByte(u.Username, '\\')+1:]
	return Places{Home: t.Home, User: name, Spools: []string{"/var/mail", "/var/spool/mail"}, Mail: os.Getenv("MAIL"), Thunderbird: t}, nil
}

// Found is a directory or a file with mail in it.
type Found struct {
	// Name is the first level of its folders' names; "" for the system's
	// delivery, which is INBOX.
	Name string
	Dir  string
	// What it is, for people: "Maildir", "mbox files".
	What string

	open func(notes *notes) ([]part, error)
}

// Find looks for mail: what the system delivers, ~/Maildir, ~/mail and ~/Mail
// with mbox files or Maildirs in them, ~/mbox, and the profiles of Thunderbird.
func Find(ctx context.Context, p Places) (list []Found, err error) {
	add := func(f *Found, err error) error {
		if err != nil || f == nil {
			return err
		}
		if !slices.ContainsFunc(list, func(o Found) bool { return sameFile(o.Dir, f.Dir) }) {
			list = append(list, *f)
		}
		return nil
	}
	inboxes := []string{p.Mail}
	for _, dir := range p.Spools {
		inboxes = append(inboxes, filepath.Join(dir, p.User))
	}
	for _, name := range inboxes {
		if name != "" && len(list) == 0 {
			if err := add(aFile("", name, []string{"INBOX"})); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{"Maildir", "mail", "Mail"} {
		if err := add(aTree(ctx, name, filepath.Join(p.Home, name))); err != nil {
			return nil, err
		}
	}
	if err := add(aFile("", filepath.Join(p.Home, "mbox"), []string{"mbox"})); err != nil {
		return nil, err
	}
	profiles, err := thunderbird.Find(p.Thunderbird)
	if err != nil {
		return nil, err
	}
	for i, t := range profiles {
		name := "Thunderbird"
		if i > 0 || !t.Default && len(profiles) > 1 {
			name += " " + t.Name
		}
		list = append(list, aProfile(distinctName(list, name), t))
	}
	return list, nil
}

func distinctName(list []Found, name string) string {
	wanted := name
	for n := 2; slices.ContainsFunc(list, func(f Found) bool { return f.Name == name }); n++ {
		name = fmt.Sprintf("%s (%d)", wanted, n)
	}
	return name
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// aFile finds a single mbox file; nil if there is none.
func aFile(name, file string, levels []string) (*Found, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for local mail: %w", err)
	case !info.Mode().IsRegular():
		return nil, nil // what is in a directory is looked at by its name
	}
	open := func(*notes) ([]part, error) {
		return []part{{name, "", &mboxFile{file, levels}}}, nil
	}
	return &Found{Name: name, Dir: file, What: "mbox file", open: open}, nil
}

// aTree finds a directory with Maildirs or mbox files in it; nil if there is
// none. One that cannot be looked into is found all the same: reading it says
// so.
func aTree(ctx context.Context, name, dir string) (*Found, error) {
	f := &Found{Name: name, Dir: dir, What: "cannot be read", open: func(*notes) ([]part, error) { return openEither(name, dir) }}
	parts, err := f.open(nil)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(parts) == 0 {
		return nil, nil
	}
	defer (&joinedTree{parts: parts}).Close()
	var what []string
	for i, p := range parts {
		folders, _, err := p.tree.Folders(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return f, nil
		}
		if len(folders) > 0 {
			what = append(what, []string{"mbox files", "Maildir"}[i])
		}
	}
	if err == nil && len(what) == 0 {
		return nil, nil
	}
	if len(what) > 0 {
		f.What = strings.Join(what, " and ")
	}
	return f, nil
}

// openEither opens a directory as both kinds of tree; there are no parts if it
// is no directory.
func openEither(name, dir string) ([]part, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, err
	}
	files, err := mailfiles.OpenMboxTree(dir)
	if err != nil {
		return nil, err
	}
	dirs, err := mailfiles.OpenMaildirTree(dir)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return []part{{name, "", &mboxTree{files, func() {}}}, {name, "", &maildirTree{MaildirTree: dirs}}}, nil
}

func aProfile(name string, p thunderbird.Profile) Found {
	open := func(notes *notes) ([]part, error) {
		t, err := openProfile(p.Dir, p.Dir, notes)
		if err != nil {
			return nil, err
		}
		return []part{{name, "", t}}, nil
	}
	return Found{Name: name, Dir: p.Dir, What: fmt.Sprintf("profile %q of Thunderbird", p.Name), open: open}
}

// OpenComputer opens what was found on this computer as one account.
func OpenComputer(p Places, found []Found, log *slog.Logger) backup.Source {
	s := newSource("computer", p.Home, nil, log)
	t := &joinedTree{}
	for _, f := range found {
		parts, err := f.open(&s.notes)
		if err != nil {
			parts = []part{{f.Name, "", &closedTree{err}}} // the others are read all the same
		}
		for _, part := range parts {
			part.path = partPath(p.Home, f.Dir)
			t.parts = append(t.parts, part)
		}
	}
	s.tree = t
	return s
}
