package bench

import (
	"bytes"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"restante/cmd/testbed/site"
)

// A Corpus is mail to measure with.
type Corpus struct {
	Name string
	Note string // what must be known about it; empty: it is real mail from files
	mail iter.Seq2[letter, error]
}

// A letter is a message of a corpus.
type letter struct {
	folder string // as on the wire
	octets []byte
}

// sets are those of RESTANTE_CORPUS that the benchmark is run on.
var sets = []string{"enron", "usrp-users", "crosspost", "spamassassin"}

// madeUpLetters is how large the corpus is that is made up.
const madeUpLetters = 20_000

// Corpora are the directories given; without any, the sets of the directory
// that RESTANTE_CORPUS names; without that, one that is made up. With mboxes
// every file is a folder, else only those whose names end in .mbox, and any
// other file is one message.
func Corpora(dirs []string, mboxes bool) ([]Corpus, error) {
	if home := os.Getenv("RESTANTE_CORPUS"); len(dirs) == 0 && home != "" {
		for _, set := range sets {
			if _, err := os.Stat(filepath.Join(home, set)); err == nil {
				dirs = append(dirs, filepath.Join(home, set))
			}
		}
		if len(dirs) == 0 {
			return nil, fmt.Errorf("RESTANTE_CORPUS=%s has none of the sets %s", home, strings.Join(sets, ", "))
		}
	}
	if len(dirs) == 0 {
		return []Corpus{MadeUp(madeUpLetters)}, nil
	}
	var list []Corpus
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is no directory", dir)
		}
		list = append(list, Corpus{Name: filepath.Base(filepath.Clean(dir)), mail: walk(dir, mboxes)})
	}
	return list, nil
}

// MadeUp is a corpus that needs no files.
func MadeUp(letters int) Corpus {
	return Corpus{
		Name: "made up",
		Note: "made up by the program, the same every time: its sizes and ratios say little about real mail",
		mail: func(yield func(letter, error) bool) {
			m := site.NewMaker(1)
			for range letters {
				if l := m.Next(); !yield(letter{l.Folder, l.Octets}, nil) {
					return
				}
			}
		},
	}
}

// walk reads a tree of files: folders are directories, or mbox files.
func walk(root string, mboxes bool) iter.Seq2[letter, error] {
	return func(yield func(letter, error) bool) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			name, isMbox := strings.CutSuffix(filepath.ToSlash(rel), ".mbox")
			if !isMbox && !mboxes {
				dir, _, _ := cutLast(name)
				if !yield(letter{folderName(dir), withoutFromLine(b)}, nil) {
					return fs.SkipAll
				}
				return nil
			}
			for octets := range mbox(b) {
				if !yield(letter{folderName(name), octets}, nil) {
					return fs.SkipAll
				}
			}
			return nil
		})
		if err != nil {
			yield(letter{}, err)
		}
	}
}

// cutLast cuts a path at its last slash; without one it is all behind it.
func cutLast(path string) (before, after string, found bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// folderName makes a folder's name of a path, with characters that no server
// minds.
func folderName(path string) string {
	if path == "" || path == "." {
		return "INBOX"
	}
	levels := strings.Split(path, "/")
	for i, l := range levels {
		levels[i] = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" -_+,", r) {
				return r
			}
			return '_'
		}, l)
		if l == "cur" || l == "new" || l == "tmp" {
			levels[i] += "_" // a Maildir has directories of these names
		}
	}
	return strings.Join(levels, "/")
}

// mbox splits an mbox file: a message begins after a line "From …" at the
// beginning or behind an empty line. A ">From " stays as it is, since nobody
// knows who wrote it.
func mbox(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := withoutFromLine(b); len(rest) > 0; {
			message := rest
			if i := bytes.Index(rest, []byte("\n\nFrom ")); i >= 0 {
				message, rest = rest[:i+1], withoutFromLine(rest[i+2:])
			} else {
				rest = nil
				if bytes.HasSuffix(message, []byte("\n\n")) {
					message = message[:len(message)-1]
				}
			}
			if !yield(message) {
				return
			}
		}
	}
}

// withoutFromLine is a message without the line of an mbox before it.
func withoutFromLine(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("From ")) {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return b
}

// Messages are the octets of the corpus's messages, in the order of files.
func (c Corpus) Messages() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for l, err := range c.mail {
			if !yield(l.octets, err) {
				return
			}
		}
	}
}
