// Package thunderbird knows where Thunderbird keeps mail on a computer: [Find]
// its profiles, ask one for its [Stores], and read those as Maildir or mbox
// trees. [Inside] tells which profile a path belongs to, so that nobody writes
// where Thunderbird does. It reads small files and changes nothing.
//
//	root/profiles.ini                     which profiles there are
//	root/abc.default-release/             a profile
//	  prefs.js                            its accounts: servers, and their stores
//	  Mail/Local Folders/Sent             an mbox store: files, .sbd for what is below
//	  Mail/Local Folders/Sent.msf         an index, no mail
//	  Mail/pop.example.org/Inbox/cur/…    a Maildir store: directories, .sbd as well
//	  ImapMail/imap.example.org/INBOX     what of an IMAP account was kept for offline use
package thunderbird

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoProfile: a directory has no place for Thunderbird's mail.
var ErrNoProfile = errors.New("no Thunderbird profile")

// A Format is what a store's folders are.
type Format int

const (
	// Either: nothing says what they are, and there may be both.
	Either Format = iota
	Mbox
	Maildir
)

// A Store is where the mail of one account lies, in Thunderbird's sense of the
// word: a server, or the local folders.
type Store struct {
	// Name tells the stores of a profile apart, for people: "anna@pop.example.org",
	// "Local Folders". It stays the same when the account is renamed.
	Name string
	Dir  string
	Format
	// Type is Thunderbird's: "pop3", "imap", "none" for local folders, "rss";
	// "" where no account has the directory any more.
	Type string
}

// mailDirs are the directories of a profile that hold one directory for each
// server.
var mailDirs = []string{"Mail", "ImapMail"}

// Stores returns where the mail in a profile's directory is: first that of its
// accounts, whose directories may be anywhere, then what is left of others.
// Directories that are not there are among them.
func Stores(profile string) ([]Store, error) {
	prefs, err := readPrefs(filepath.Join(profile, "prefs.js"))
	if err != nil {
		return nil, err
	}
	list := servers(profile, prefs)
	for _, name := range mailDirs {
		left, err := leftovers(filepath.Join(profile, name), list)
		if err != nil {
			return nil, err
		}
		list = append(list, left...)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w: it has neither accounts in a prefs.js nor anything in %s", profile, ErrNoProfile, strings.Join(mailDirs, " or "))
	}
	tellApart(profile, list)
	return list, nil
}

// withMail are the types of servers that keep messages in files. Newsgroups do
// not, but for what was marked to be kept.
var withMail = []string{"none", "pop3", "imap", "rss", "ews", "owl", "exchange"}

// servers returns the stores of the accounts in prefs.js, sorted by directory.
func servers(profile string, prefs map[string]string) (list []Store) {
	for key, kind := range prefs {
		id, ok := strings.CutSuffix(key, ".type")
		if !ok || !strings.HasPrefix(id, "mail.server.") || !slices.Contains(withMail, kind) {
			continue
		}
		dir := directory(profile, prefs[id+".directory-rel"], prefs[id+".directory"])
		if dir == "" {
			continue
		}
		list = append(list, Store{Name: serverName(prefs[id+".userName"], prefs[id+".hostname"], kind, dir), Dir: dir, Format: format(prefs[id+".storeContractID"]), Type: kind})
	}
	slices.SortFunc(list, func(a, b Store) int {
		return strings.Compare(a.Dir+"\x00"+a.Type, b.Dir+"\x00"+b.Type)
	})
	return slices.CompactFunc(list, func(a, b Store) bool { return a.Dir == b.Dir })
}

// directory returns a server's directory. Thunderbird believes the one that is
// relative to the profile before the other, which is wrong once a profile was
// moved.
func directory(profile, relative, absolute string) string {
	if below, ok := strings.CutPrefix(relative, "[ProfD]"); ok {
		return filepath.Join(profile, filepath.FromSlash(below))
	}
	if filepath.IsAbs(absolute) {
		return filepath.Clean(absolute)
	}
	return ""
}

func format(contract string) Format {
	switch {
	case strings.Contains(contract, "/berkeleystore"):
		return Mbox
	case strings.Contains(contract, "/maildirstore"):
		return Maildir
	}
	return Either
}

// serverName is user@host where there are people behind it; local folders and
// feeds have a host that is none.
func serverName(user, host, kind, dir string) string {
	switch {
	case host == "":
		return filepath.Base(dir)
	case user == "", kind == "none", kind == "rss":
		return host
	case strings.Contains(user, "@"):
		return user
	}
	return user + "@" + host
}

// leftovers are the directories in dir that no account of the list has.
func leftovers(dir string, list []Store) (left []Store, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for mail in the Thunderbird profile: %w", err)
	}
	for _, e := range entries {
		below := filepath.Join(dir, e.Name())
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || slices.ContainsFunc(list, func(s Store) bool { return s.Dir == below }) {
			continue
		}
		left = append(left, Store{Name: e.Name(), Dir: below})
	}
	return left, nil
}

// tellApart gives stores different names, by adding what they differ in: the
// server's type, or else the directory.
func tellApart(profile string, list []Store) {
	for _, more := range []func(Store) string{
		func(s Store) string { return s.Type },
		func(s Store) string {
			if below, err := filepath.Rel(profile, s.Dir); err == nil {
				return filepath.ToSlash(below)
			}
			return s.Dir
		},
	} {
		count := map[string]int{}
		for _, s := range list {
			count[s.Name]++
		}
		for i, s := range list {
			if what := more(s); count[s.Name] > 1 && what != "" {
				list[i].Name = s.Name + " (" + what + ")"
			}
		}
	}
}
