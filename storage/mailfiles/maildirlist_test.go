package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// openMaildir opens the folder at the root of a tree.
func openMaildir(t testing.TB, root string) *MaildirFolder {
	t.Helper()
	tree, err := OpenMaildirTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	f, err := tree.OpenFolder(".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func list(t testing.TB, f *MaildirFolder) *MaildirListing {
	t.Helper()
	l, err := f.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t testing.TB, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keys(l *MaildirListing) (keys []string) {
	for m := range l.Messages() {
		keys = append(keys, m.Key)
	}
	return keys
}

// get reads a message.
func get(t testing.TB, f *MaildirFolder, key string) (*MaildirFile, string) {
	t.Helper()
	m, err := f.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p, err := io.ReadAll(m)
	if err != nil || int64(len(p)) != m.Size {
		t.Fatalf("%q: %d octets of %d: %v", key, len(p), m.Size, err)
	}
	return m, string(p)
}

func TestListingAFolder(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "tmp/3.h", "new/2.h", "new/4.h:2,S", "cur/1.h,S=99:2,SRb", "cur/.hidden", "cur/dir/", "cur/link -> 1.h,S=99:2,SRb", "cur/5.h;2,Fq")
	write(t, root, "dovecot-keywords", "0 a\n1 NonJunk\nx y\n30 z\n")
	date := time.Date(2004, 1, 5, 8, 50, 15, 0, time.UTC)
	write(t, root, "cur/1.h,S=99:2,SRb", "Subject: x\r\n\nmixed\r")
	if err := os.Chtimes(filepath.Join(root, "cur/1.h,S=99:2,SRb"), date, date.Add(999*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	f := openMaildir(t, root)
	l := list(t, f)
	if !l.Settled || l.Len() != 4 || len(l.Skipped) != 2 {
		t.Errorf("settled %v, %d messages, skipped %+v", l.Settled, l.Len(), l.Skipped)
	}
	want := []MaildirMessage{
		{Key: "1.h,S=99", Flags: []string{`\Seen`, `\Answered`, "NonJunk"}},
		{Key: "2.h", New: true},
		{Key: "4.h", Flags: []string{`\Seen`}, New: true},
		{Key: "5.h", Flags: []string{`\Flagged`}, LostLetters: "q"},
	}
	i := 0
	for m := range l.Messages() {
		if w := want[i]; m.Key != w.Key || !slices.Equal(m.Flags, w.Flags) || m.New != w.New || m.LostLetters != w.LostLetters {
			t.Errorf("message %d: %+v, want %+v", i, m, w)
		}
		i++
	}
	m, text := get(t, f, "1.h,S=99")
	if text != "Subject: x\r\n\nmixed\r" || !m.Date.Equal(date) || len(m.Flags) != 3 {
		t.Errorf("%q, %+v", text, m)
	}
	s, err := f.Stat(t.Context(), "1.h,S=99")
	if err != nil || s.Size != 19 || m.Size != 19 || !s.Date.Equal(date) || !slices.Equal(s.Flags, m.Flags) {
		t.Errorf("Stat: %+v, %v", s, err)
	}
}

func TestMessagesThatMove(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "new/1.h", "new/2.h", "new/3.h", "cur/4.h:2,", "tmp/")
	for _, name := range []string{"new/1.h", "new/2.h", "new/3.h", "cur/4.h:2,"} {
		write(t, root, name, name)
	}
	f := openMaildir(t, root)
	l := list(t, f)
	mv := func(from, to string) {
		if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
			t.Fatal(err)
		}
	}
	mv("new/1.h", "cur/1.h:2,S")
	mv("cur/4.h:2,", "cur/4.h:2,FS")
	mv("new/2.h", "new/2.h:2,T")
	if err := os.Remove(filepath.Join(root, "new/3.h")); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"1.h": "new/1.h", "2.h": "new/2.h", "4.h": "cur/4.h:2,"} {
		m, text := get(t, f, key)
		if text != want || len(m.Flags) == 0 {
			t.Errorf("%s: %q, %+v", key, text, m.MaildirMessage)
		}
	}
	for range 2 {
		if _, err := f.Open(t.Context(), "3.h"); !errors.Is(err, ErrGone) {
			t.Errorf("a removed message: %v", err)
		}
		if _, err := f.Stat(t.Context(), "never there"); !errors.Is(err, ErrGone) {
			t.Errorf("a message that never was: %v", err)
		}
	}
	if got := keys(l); !slices.Equal(got, []string{"1.h", "2.h", "3.h", "4.h"}) {
		t.Errorf("the listing changed: %q", got)
	}
	if got := keys(list(t, f)); !slices.Equal(got, []string{"1.h", "2.h", "4.h"}) {
		t.Errorf("the new listing: %q", got)
	}
}

// An open without any listing before finds the message, too.
func TestOpeningWithoutListing(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "cur/1.h:2,S")
	f := openMaildir(t, root)
	get(t, f, "1.h")
	if _, err := f.Open(t.Context(), "2.h"); !errors.Is(err, ErrGone) {
		t.Errorf("a message that never was: %v", err)
	}
}

func TestFilesWithOneUniqueName(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "cur/", "new/")
	write(t, root, "cur/1.h:2,S", "read")
	write(t, root, "cur/1.h:2,", "unread")
	write(t, root, "new/1.h", "new")
	write(t, root, "new/2.h", "linked")
	if err := os.Link(filepath.Join(root, "new/2.h"), filepath.Join(root, "cur/2.h:2,")); err != nil {
		t.Fatal(err)
	}
	f := openMaildir(t, root)
	got := make(map[string]string)
	for m := range list(t, f).Messages() {
		_, got[m.Key] = get(t, f, m.Key)
	}
	// Three messages, and one that was caught between two names.
	if len(got) != 4 || got["1.h"] != "unread" || got["cur/1.h:2,S"] != "read" || got["new/1.h"] != "new" || got["2.h"] != "linked" {
		t.Errorf("%q", got)
	}
}

func TestAFileThatIsCutWhileItIsRead(t *testing.T) {
	t.Parallel()
	for _, change := range []func(name string) error{
		func(name string) error { return os.Truncate(name, 3) },
		func(name string) error { return os.WriteFile(name, []byte("much longer than before"), 0o600) },
	} {
		root := makeTree(t, "cur/1.h:2,")
		write(t, root, "cur/1.h:2,", "0123456789")
		m, err := openMaildir(t, root).Open(t.Context(), "1.h")
		if err != nil {
			t.Fatal(err)
		}
		if err := change(filepath.Join(root, "cur/1.h:2,")); err != nil {
			t.Fatal(err)
		}
		if p, err := io.ReadAll(m); !errors.Is(err, ErrChanged) {
			t.Errorf("read %q, %v, want ErrChanged", p, err)
		}
		m.Close()
	}
}

func TestAFolderThatIsNone(t *testing.T) {
	t.Parallel()
	f := openMaildir(t, makeTree(t, "tmp/"))
	if l, err := f.List(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("neither cur nor new: %+v, %v", l, err)
	}
	ctx, cancel := contextThatEnds(t)
	cancel()
	if l, err := openMaildir(t, makeTree(t, "cur/")).List(ctx); err == nil {
		t.Errorf("after the context ended: %+v", l)
	}
}

// A message that is moved at the worst moment is in the listing all the same.
func TestAMessageThatMovesWhileTheFolderIsListed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, from, to, when string
	}{
		{"from new to cur, after new was read", "new/1.h", "cur/1.h:2,", "cur"},
		{"from cur to new, after new was read", "cur/1.h:2,", "new/1.h", "cur"},
		{"from new to cur, before new is read", "new/1.h", "cur/1.h:2,", "new"},
		{"another flag", "cur/1.h:2,", "cur/1.h:2,S", "cur"},
		{"from new to tmp and back, which nobody does", "new/1.h", "tmp/1.h", "new"},
	} {
		root := makeTree(t, "cur/", "new/", "tmp/", c.from)
		old := time.Now().Add(-time.Hour)
		for _, dir := range []string{"cur", "new"} {
			if err := os.Chtimes(filepath.Join(root, dir), old, old); err != nil {
				t.Fatal(err)
			}
		}
		f := openMaildir(t, root)
		moves := 0
		f.reading = func(dir string) {
			from, to := c.from, c.to
			if moves == 1 && strings.HasPrefix(c.to, "tmp") {
				from, to = to, from
			} else if moves > 0 || dir != c.when {
				return
			}
			moves++
			if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
				t.Error(err)
			}
		}
		if l := list(t, f); !slices.Equal(keys(l), []string{"1.h"}) || !l.Settled || moves == 0 {
			t.Errorf("%s: messages %q, settled %v", c.name, keys(l), l.Settled)
		}
	}
}

// A message that was removed while the folder was listed is not there, but a
// listing that did not settle does not know that.
func TestAMessageThatIsRemovedWhileTheFolderIsListed(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"new/1.h", "cur/1.h:2,"} {
		root := makeTree(t, "cur/2.h:2,", "new/", file)
		f := openMaildir(t, root)
		once := sync.OnceFunc(func() { os.Remove(filepath.Join(root, file)) })
		seen := 0
		f.reading = func(string) {
			if seen++; seen > 2 {
				once()
			}
		}
		l := list(t, f)
		if l.Settled && seen > 2 && slices.Contains(keys(l), "1.h") {
			t.Errorf("%s: messages %q, settled", file, keys(l))
		}
	}
}

// Of a folder that never settles, everything is listed that any pass saw, and
// nothing is called gone.
func TestAFolderThatNeverSettles(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "cur/1.h:2,", "cur/2.h:2,", "new/3.h", "tmp/")
	f := openMaildir(t, root)
	names := []string{"cur/1.h:2,", "cur/1.h:2,S"}
	passes := 0
	f.reading = func(dir string) {
		if dir == "cur" {
			if passes++; passes == 2 {
				os.Remove(filepath.Join(root, "new/3.h"))
			}
			if err := os.Rename(filepath.Join(root, names[0]), filepath.Join(root, names[1])); err != nil {
				t.Error(err)
			}
			// A clock with a coarse grain must not make the folder look calm.
			now := time.Now().Add(time.Duration(passes) * time.Second)
			os.Chtimes(filepath.Join(root, "cur"), now, now)
			slices.Reverse(names)
		}
	}
	if l := list(t, f); !slices.Equal(keys(l), []string{"1.h", "2.h", "3.h"}) || l.Settled || passes > busyPasses {
		t.Errorf("messages %q, settled %v after %d passes", keys(l), l.Settled, passes)
	}
	get(t, f, "2.h")
	if _, err := f.Open(t.Context(), "3.h"); !errors.Is(err, ErrUnsettled) {
		t.Errorf("a message that is not there: %v, want ErrUnsettled", err)
	}
}

// Many renames while the folder is listed and its messages are opened: none
// is lost, none comes twice, and each is itself.
func TestThousandMessagesWhileAMailProgramIsAtWork(t *testing.T) {
	t.Parallel()
	const messages = 1000
	root := makeTree(t, "cur/", "new/", "tmp/")
	for i := range messages {
		write(t, root, fmt.Sprintf("new/%04d.h", i), fmt.Sprint("message ", i))
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		// Moves each message from new to cur, then flips its flags for ever.
		r := rand.New(rand.NewPCG(1, 2))
		at := make([]string, messages)
		for i := range at {
			at[i] = fmt.Sprintf("new/%04d.h", i)
		}
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			i := r.IntN(messages)
			to := fmt.Sprintf("cur/%04d.h:2,%s", i, []string{"", "S", "FS", "RS", "T"}[r.IntN(5)])
			if err := os.Rename(filepath.Join(root, at[i]), filepath.Join(root, to)); err != nil {
				t.Error(err)
			}
			at[i] = to
			if n%64 == 0 {
				runtime.Gosched()
			}
		}
	}()
	f := openMaildir(t, root)
	for range 3 {
		seen := make(map[string]bool)
		for m := range list(t, f).Messages() {
			if seen[m.Key] {
				t.Errorf("%s came twice", m.Key)
			}
			seen[m.Key] = true
		}
		if len(seen) != messages {
			t.Errorf("%d messages are listed, want %d", len(seen), messages)
		}
	}
	var readers sync.WaitGroup
	for part := range 4 {
		readers.Go(func() {
			for i := part; i < messages; i += 4 {
				m, err := f.Open(t.Context(), fmt.Sprintf("%04d.h", i))
				if err != nil {
					t.Error(err)
					return
				}
				if text, err := io.ReadAll(m); err != nil || string(text) != fmt.Sprint("message ", i) {
					t.Errorf("%s reads %q: %v", m.Key, text, err)
				}
				m.Close()
			}
		})
	}
	readers.Wait()
	close(stop)
	t.Logf("%d renames meanwhile", <-done)
	if l := list(t, f); !l.Settled || l.Len() != messages {
		t.Errorf("in the end %d messages, settled %v", l.Len(), l.Settled)
	}
}

func contextThatEnds(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
