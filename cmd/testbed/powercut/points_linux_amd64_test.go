package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A work is what a scene is about. Its files are in root as they are when it
// begins.
type work struct {
	args [][]string // commands of restante, one after another
	// done is an error where the work is not done, or something is lost.
	done func() error
	// again says that an error of the work's next run is as good as none.
	again func(error) bool
	// below is the directory in root whose operations are meant; empty: all.
	below string
	// begin makes of what is not in files what it is when the work begins.
	begin func()
	// ended waits until all that is not in files knows that the program ended.
	ended func()
	// alike leaves out writes between two others to the same file; see different.
	alike bool
	// always is an error where something is lost that a crash must not take,
	// whether the work is done or not.
	always func(r *Result) error
}

// shares is how many crash points of a scene are tried without RESTANTE_LONG.
const shares = 2

// everyPoint has each file operation of the work fail in each way. Whatever is
// left then, the next run does the work; whoever was told that it is done finds
// it so, even after a power cut. No file is ever there for others to read.
func (s *scene) everyPoint(w work) {
	s.Helper()
	for _, f := range []*func(){&w.begin, &w.ended} {
		if *f == nil {
			*f = func() {}
		}
	}
	s.copied(s.path("base"), s.path("root"))
	whole, stderr, err := s.attempt(w, Plan{At: -1, Fault: Nothing})
	if err != nil {
		s.Fatalf("%v\n%s", err, stderr)
	}
	if err := w.done(); err != nil {
		s.Fatalf("where nothing happens: %v", err)
	}
	s.must(whole.Cut(false))
	if err := w.done(); err != nil {
		s.Fatalf("a power cut at the end: %v; it did\n%s", err, strings.Join(whole.Operations, "\n"))
	}
	n, tries := len(whole.Operations), different(whole.Operations, w.alike)
	step, first := 1, 0
	if os.Getenv("RESTANTE_LONG") == "" {
		step = max(1, len(tries)/shares)
		first = rand.IntN(step)
	}
	points, failed := 0, 0
	for try := first; try < len(tries); try += step {
		for i, f := range []Fault{Fail, Lost, Crawl, Full, Kill} {
			cuts := []string{"nothing is lost"}
			switch {
			case f == Kill:
				cuts = []string{"nothing is lost", "octets are lost", "octets and names are lost"}
			case step > 1 && f != Full && (try != first || i != first%3):
				continue // one of them now, and the others another time: an error is tried again for a second
			}
			for _, cut := range cuts {
				points++
				if !s.point(w, Plan{At: tries[try], Fault: f}, n, cut) {
					failed++
				}
			}
		}
	}
	s.Logf("%d file operations, %d of them to be tried, %d crash points, from %d on every %d; %d ended it", n, len(tries), points, first, step, failed)
}

// different are the positions of operations; with alike, without writes between
// two others to the same file. That is sound where the file has no reader before
// it is whole, and the program changes nothing else meanwhile: no flush is between
// such writes, so what a power cut leaves is the same before each of them, and what
// the end of the program leaves is a beginning of the file, of which the first and
// the last writes leave the shortest and the longest. It is not sound where a line
// is written for each thing done elsewhere.
func different(operations []string, alike bool) (positions []int) {
	file := func(i int) string {
		if i < 0 || i >= len(operations) || !strings.HasPrefix(operations[i], "write ") {
			return ""
		}
		return operations[i][:strings.LastIndex(operations[i], " (")]
	}
	for i := range operations {
		if !alike || file(i) == "" || file(i) != file(i-1) || file(i) != file(i+1) {
			positions = append(positions, i)
		}
	}
	return positions
}

// attempt does the work from its beginning, as planned.
func (s *scene) attempt(w work, p Plan) (r *Result, stderr string, err error) {
	s.Helper()
	s.must(os.RemoveAll(s.path("root")))
	s.must(os.RemoveAll(s.path("stash")))
	s.must(os.MkdirAll(s.path("stash"), 0o700))
	s.copied(s.path("root"), s.path("base"))
	w.begin()
	p.Below, p.Stash = []string{filepath.Join(s.path("root"), w.below)}, s.path("stash")
	var said bytes.Buffer
	for _, args := range w.args {
		cmd := s.command(args...)
		cmd.Stderr = &said
		r, err = Run(cmd, p)
		if r == nil {
			s.Fatal(err)
		}
		w.ended()
		if p.After = r; p.Fault == Full && r.Struck != "" {
			p.At = len(r.Operations) // it stays full
		}
		if err != nil || r.Killed {
			break
		}
	}
	return r, said.String(), err
}

// point tries one crash point, and reports whether the work was done all the
// same.
func (s *scene) point(w work, p Plan, n int, cut string) (told bool) {
	s.Helper()
	r, stderr, err := s.attempt(w, p)
	where := fmt.Sprintf("operation %d of %d, %s: %s; %s\n%s", p.At, n, r.Struck, p.Fault, cut, stderr)
	if _, isExit := errors.AsType[ExitError](err); err != nil && !isExit {
		s.Fatalf("%s: %v", where, err)
	}
	if err != nil && p.Fault == Full && (!strings.Contains(stderr, "no space left") || !strings.Contains(stderr, "hint:")) {
		s.Fatalf("%s: that is not clear", where)
	}
	if cut != "nothing is lost" {
		s.must(r.Cut(cut == "octets are lost"))
	}
	if w.always != nil {
		if err := w.always(r); err != nil {
			s.Fatalf("%s: %v", where, err)
		}
	}
	if told = err == nil && !r.Killed; told {
		if err := w.done(); err != nil {
			s.Fatalf("%s: it said that all is well: %v", where, err)
		}
	}
	s.private(where)
	s.later()
	for _, args := range w.args {
		if err := s.run(args...); err != nil && (w.again == nil || !w.again(err)) {
			s.Fatalf("%s: the next run: %v", where, err)
		}
		w.ended()
	}
	if err := w.done(); err != nil {
		s.Fatalf("%s: after the next run: %v", where, err)
	}
	s.private(where)
	return told
}

// private fails the test where others can read a file.
func (s *scene) private(where string) {
	s.Helper()
	s.must(filepath.WalkDir(s.path("root"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			s.Fatalf("%s: %s has mode %v", where, path, info.Mode())
		}
		return err
	}))
}

// later makes of now some minutes later, for lock files: of one that has no
// owner written in it, as Dovecot's have none, nobody knows before that it is of
// a program that died.
func (s *scene) later() {
	s.Helper()
	then := time.Now().Add(-5 * time.Minute)
	for name := range s.tree(s.path("root")) {
		if strings.HasSuffix(name, "subscriptions.lock") || strings.HasSuffix(name, "keywords.lock") {
			s.must(os.Chtimes(s.path("root/"+name), then, then))
		}
	}
}
