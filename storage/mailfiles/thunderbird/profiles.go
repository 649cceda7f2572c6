package thunderbird

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A Profile is one person's Thunderbird.
type Profile struct {
	Name string // as the profile manager shows it
	Dir  string
	// Default says that Thunderbird opens it when nobody says which.
	Default bool
}

// Places are the directories that a computer has for a person's files.
type Places struct {
	System  string // "linux", "darwin", "windows", …
	Home    string
	AppData string // Windows' %APPDATA%, and %LOCALAPPDATA%
	Local   string
}

// Here returns the places of this computer and whoever runs this program.
func Here() (Places, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Places{}, fmt.Errorf("looking for Thunderbird: %w", err)
	}
	return Places{System: runtime.GOOS, Home: home, AppData: os.Getenv("APPDATA"), Local: os.Getenv("LOCALAPPDATA")}, nil
}

// roots are the directories in which profiles.ini may be.
func (p Places) roots() (list []string) {
	switch p.System {
	case "windows":
		if p.AppData != "" {
			list = append(list, filepath.Join(p.AppData, "Thunderbird"))
		}
		if p.Local != "" { // from Microsoft's store
			found, _ := filepath.Glob(filepath.Join(p.Local, "Packages", "*Thunderbird*", "LocalCache", "Roaming", "Thunderbird"))
			list = append(list, found...)
		}
	case "darwin":
		list = append(list, filepath.Join(p.Home, "Library", "Thunderbird"))
	default:
		list = append(list,
			filepath.Join(p.Home, ".thunderbird"),
			filepath.Join(p.Home, ".mozilla-thunderbird"), // Debian, long ago
			filepath.Join(p.Home, "snap", "thunderbird", "common", ".thunderbird"))
		// Flatpak: org.mozilla.Thunderbird, org.mozilla.thunderbird, and Betterbird.
		found, _ := filepath.Glob(filepath.Join(p.Home, ".var", "app", "*", ".thunderbird"))
		list = append(list, found...)
	}
	return list
}

// Find returns the profiles on a computer that have a place for mail, those
// that are opened by default first.
func Find(p Places) ([]Profile, error) {
	var list []Profile
	for _, root := range p.roots() {
		found, err := inRoot(root)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if f.isProfile() && !slices.ContainsFunc(list, func(o Profile) bool { return o.Dir == f.Dir }) {
				list = append(list, f)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Profile) int {
		switch {
		case a.Default == b.Default:
			return 0
		case a.Default:
			return -1
		}
		return 1
	})
	return list, nil
}

// Choose returns the one of several profiles that is meant where none is
// named: the only one, or the only one that is opened by default.
func Choose(list []Profile) (p Profile, ok bool) {
	defaults := slices.DeleteFunc(slices.Clone(list), func(p Profile) bool { return !p.Default })
	for _, some := range [][]Profile{list, defaults} {
		if len(some) == 1 {
			return some[0], true
		}
	}
	return Profile{}, false
}

// isProfile reports whether the directory has a place for mail, or cannot be
// read, which is for whoever reads it to say.
func (p Profile) isProfile() bool {
	_, err := Stores(p.Dir)
	return !errors.Is(err, ErrNoProfile)
}

// inRoot returns the profiles that a profiles.ini lists. Which one is opened
// by default is said by the installed programs, since each may have another
// one; where none says it, by the profile itself.
//
//	[Install4F96D1932A9F858E]
//	Default=abc.default-release
//
//	[Profile0]
//	Name=default-release
//	IsRelative=1
//	Path=abc.default-release
func inRoot(root string) (list []Profile, err error) {
	text, err := readText(filepath.Join(root, "profiles.ini"))
	if err != nil {
		return nil, fmt.Errorf("looking for Thunderbird's profiles: %w", err)
	}
	var installed []string
	for _, s := range sections(text) {
		switch {
		case strings.HasPrefix(s.name, "Install") && s.values["Default"] != "":
			installed = append(installed, s.values["Default"])
		case strings.HasPrefix(s.name, "Profile") && s.values["Path"] != "":
			list = append(list, Profile{Name: s.values["Name"], Dir: s.values["Path"], Default: s.values["Default"] == "1"})
		}
	}
	for i := range list {
		p := &list[i]
		if len(installed) > 0 {
			p.Default = slices.Contains(installed, p.Dir)
		}
		// An absolute path is one, whatever IsRelative says.
		if p.Dir = filepath.FromSlash(p.Dir); !filepath.IsAbs(p.Dir) {
			p.Dir = filepath.Join(root, p.Dir)
		}
		p.Dir = filepath.Clean(p.Dir)
	}
	return list, nil
}

// A section is one of an .ini file.
type section struct {
	name   string
	values map[string]string
}

func sections(text string) (list []section) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			list = append(list, section{strings.TrimSuffix(name, "]"), map[string]string{}})
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && len(list) > 0 && !strings.HasPrefix(line, ";") {
			list[len(list)-1].values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return list
}
