package powercut

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryFileOperationOfAnExport: an export that ended anywhere, or met an
// error anywhere, is in the end what it is where nothing happened, and what the
// user has there stays.
func TestEveryFileOperationOfAnExport(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"maildir", "mbox"} {
		for _, before := range []string{"nothing", "an export of before", "the user's own mail"} {
			t.Run(kind+", over "+before, func(t *testing.T) {
				t.Parallel()
				if kind+before != "maildirnothing" && kind+before != "mboxthe user's own mail" {
					onlyLong(t)
				}
				s := newScene(t)
				s.receive(4, 1)
				s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
				s.must(s.run("backup", s.name))
				export := []string{"restore", s.name, "--to", kind + ":" + s.path("root/out")}
				own := map[string]string{}
				switch before {
				case "an export of before":
					s.must(s.run(export...))
				case "the user's own mail":
					name, text := "cur/1.M1P1Q1.elsewhere:2,FS", "Subject: mine\r\n\r\nmine\r\n"
					if kind == "mbox" {
						name, text = "INBOX", "From me@example.org Thu Jan  1 00:00:00 2015\nSubject: mine\n\nmine\n\n"
					}
					own = map[string]string{name: text, "notes.txt": "no mail"}
					for _, d := range []string{"cur", "new", "tmp"} {
						if kind == "maildir" {
							s.must(os.MkdirAll(s.path("root/out/"+d), 0o700))
						}
					}
					for name, text := range own {
						s.must(os.MkdirAll(filepath.Dir(s.path("root/out/"+name)), 0o700))
						s.must(os.WriteFile(s.path("root/out/"+name), []byte(text), 0o600))
					}
				}
				s.receive(9, 3)
				s.must(s.run("backup", s.name))
				want := ""
				done := func() error {
					there := s.tree(s.path("root/out"))
					for name, text := range own {
						if !strings.HasPrefix(there[name], text) {
							return fmt.Errorf("of the user's file %s is left %q", name, there[name])
						}
					}
					got := exported(kind, there)
					if want == "" {
						want = got
					}
					if got != want {
						return onlyInOne(got, want)
					}
					return nil
				}
				s.everyPoint(work{args: [][]string{export}, done: done})
			})
		}
	}
}

// exported is what mail programs see of an export: of a Maildir the octets and
// flags of each folder's messages, of an mbox all of the files.
func exported(kind string, there map[string]string) string {
	var list []string
	for name, text := range there {
		if len(text) > 100 {
			text = fmt.Sprintf("%q… %d octets, SHA-256 %x", text[:40], len(text), sha256.Sum256([]byte(text)))
		}
		dir, file := filepath.Split(name)
		switch {
		case strings.HasSuffix(name, ".lock"), strings.HasPrefix(file, ".restante"), strings.Contains(file, ".restante-append"): // nobody takes it for mail
		case kind == "mbox":
			list = append(list, name+"\n"+text)
		case strings.HasSuffix(dir, "cur/"), strings.HasSuffix(dir, "new/"):
			_, flags, _ := strings.Cut(file, ":")
			list = append(list, dir+" "+flags+"\n"+text)
		case strings.HasSuffix(dir, "tmp/"): // nobody looks there
		default:
			list = append(list, name+"\n"+text)
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\x00")
}

// onlyInOne says what only one of two exports has.
func onlyInOne(got, want string) error {
	var errs []error
	g, w := strings.Split(got, "\x00"), strings.Split(want, "\x00")
	for _, one := range g {
		if !slices.Contains(w, one) {
			errs = append(errs, fmt.Errorf("there should not be %s", one))
		}
	}
	for _, one := range w {
		if !slices.Contains(g, one) {
			errs = append(errs, fmt.Errorf("there is not %s", one))
		}
	}
	return errors.Join(append(errs, fmt.Errorf("there are %d files or messages of %d", len(g), len(w)))...)
}
