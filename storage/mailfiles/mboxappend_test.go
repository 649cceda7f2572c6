package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// appendAll adds messages to an mbox file.
func appendAll(t testing.TB, name string, messages ...string) {
	t.Helper()
	a, err := AppendMbox(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range messages {
		if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// readFile returns the messages of an mbox file, and complains of anything
// else beside it.
func readFile(t testing.TB, name string) (all []MboxMessage, texts []string) {
	t.Helper()
	b, err := OpenMbox(name, MboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	all = readMbox(t, b)
	for _, m := range all {
		texts = append(texts, open(t, b, m))
	}
	if beside := files(t, filepath.Dir(name)); len(beside) != 1 {
		t.Errorf("left behind: %q", beside)
	}
	return all, texts
}

func TestAppending(t *testing.T) {
	t.Parallel()
	for before, messages := range map[string]int{
		"":                                  0,
		sepA + "x\n\n":                      1,
		sepA + "x\n":                        1,
		sepA + "x":                          1,
		sepA:                                1,
		sepA + "\n":                         1,
		strings.TrimSuffix(sepA, "\n"):      1,
		"From x\r\n":                        0, // no mbox, but that is not for us to say
		sepA + "x\r\n\r\n":                  1,
		sepA + "x\n\r\n":                    1,
		sepA + "Content-Length: 2\n\nx\n\n": 1,
	} {
		name := filepath.Join(t.TempDir(), "mbox")
		if before != "" {
			write(t, filepath.Dir(name), "mbox", before)
		}
		appendAll(t, name)
		if got, err := os.ReadFile(name); err != nil || string(got) != before {
			t.Errorf("%q became %q, %v by looking at it", before, got, err)
		}
		appendAll(t, name, "one\r\nFrom x", "")
		appendAll(t, name, "three\n")
		_, texts := readFile(t, name)
		if messages == 0 && before != "" {
			messages = 1 // an orphan
		}
		if len(texts) != messages+3 || texts[messages] != "one\r\nFrom x" || texts[messages+1] != "" || texts[messages+2] != "three\n" {
			t.Errorf("%q became %q", before, texts)
		}
		if info, err := os.Stat(name); err != nil || before == "" && info.Mode().Perm() != 0o600 {
			t.Errorf("the file: %v, %v", info.Mode(), err)
		}
	}
}

// crash leaves a file as a program leaves it that dies: locked, with its
// journal, and with whatever was written.
func crash(t testing.TB, a *MboxAppender) {
	t.Helper()
	a.file.Close()
	a.root.Close()
	// The lock of a process that is no more; a new one has it on most hosts
	// for a while at most.
	host, _ := os.Hostname()
	if err := os.WriteFile(filepath.Join(a.root.Name(), a.dotlock), fmt.Appendf(nil, "%d:%s", 1<<30, host), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestACrashIsRepaired(t *testing.T) {
	t.Parallel()
	whole := sepA + "Subject: x\n\nwhole\n\n"
	for _, before := range []string{"", strings.TrimSuffix(whole, "\n\n")} {
		reference := filepath.Join(t.TempDir(), "mbox")
		write(t, filepath.Dir(reference), "mbox", before)
		appendAll(t, reference, "synced\n")
		synced, err := os.ReadFile(reference)
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, reference, "lost\nFrom me\n")
		all, err := os.ReadFile(reference)
		if err != nil {
			t.Fatal(err)
		}
		// Whatever part of the second message reached the disk.
		for _, n := range []int{0, 1, 4, 5, 13, 30, len(all) - len(synced) - 9, len(all) - len(synced) - 1, len(all) - len(synced)} {
			cut := len(synced) + n
			name := filepath.Join(t.TempDir(), "mbox")
			write(t, filepath.Dir(name), "mbox", before)
			a, err := AppendMbox(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader("synced\n")); err != nil {
				t.Fatal(err)
			}
			if err := a.Sync(); err != nil {
				t.Fatal(err)
			}
			crash(t, a)
			write(t, filepath.Dir(name), "mbox", string(all[:cut]))
			a, err = AppendMbox(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if a.Repaired != int64(cut-len(synced)) || a.LeftAsItWas {
				t.Errorf("%q: %d octets cut off, want %d; left as it was: %v", all[:cut], a.Repaired, cut-len(synced), a.LeftAsItWas)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(name); err != nil || string(got) != string(synced) {
				t.Errorf("%q became %q, %v, want %q", all[:cut], got, err, synced)
			}
			readFile(t, name)
		}
	}
}

func TestARepairCutsNothingThatOthersWrote(t *testing.T) {
	t.Parallel()
	whole := sepA + "Subject: x\n\nwhole\n\n"
	for name, after := range map[string]string{
		"new mail behind the half message":      whole + "From mboxrd.lf.whole.nodate.-.0123456789abcdef@restante.invalid Thu Jan  1 00:00:00 1970\nhalf\n\n" + sepB + "new\n\n",
		"new mail right in the half message":    whole + "From mboxrd.lf.whole.nodate.-.0123456789abcdef@restante.invalid Thu Jan  1 00:00:00 1970\nha" + "\n" + sepB + "new\n\n",
		"new mail, and nothing of ours":         whole + sepB + "new\n\n",
		"new mail in half a From_ line of ours": whole + "From mbo\n" + sepB + "new\n\n",
		"text behind":                           whole + "some text\n",
		"compacted, so that it is shorter":      "",
		"rewritten, longer than it was":         sepA + "Subject: x\nX-Mozilla-Status: 0001\n\nwhole\n\n",
	} {
		file := filepath.Join(t.TempDir(), "mbox")
		write(t, filepath.Dir(file), "mbox", whole)
		a, err := AppendMbox(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		crash(t, a)
		write(t, filepath.Dir(file), "mbox", after)
		a, err = AppendMbox(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if a.Repaired != 0 || a.LeftAsItWas != (after != "") {
			t.Errorf("%s: %d octets cut off, left as it was: %v", name, a.Repaired, a.LeftAsItWas)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(got), after) {
			t.Errorf("%s: %q became %q, %v", name, after, got, err)
		}
	}
}

func TestZerosThatAFileSystemLeftAreCutOff(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mbox")
	a, err := AppendMbox(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	crash(t, a)
	write(t, filepath.Dir(file), "mbox", strings.Repeat("\x00", 10000))
	if a, err = AppendMbox(t.Context(), file); err != nil || a.Repaired != 10000 {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAMessageThatCannotBeReadLeavesTheMboxAsItWas(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "mbox")
	write(t, filepath.Dir(name), "mbox", sepA+"no end")
	a, err := AppendMbox(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for range 2 {
		if _, err := a.Write(t.Context(), Delivery{}, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("a broken reader: %v", err)
		}
		if info, err := a.file.Stat(); err != nil || info.Size() != a.end {
			t.Errorf("after that: %d octets, want %d", info.Size(), a.end)
		}
		if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader("whole\n")); err != nil {
			t.Error(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, texts := readFile(t, name); len(texts) != 3 || texts[0] != "no end\n" {
		t.Errorf("%q", texts)
	}
}

// What another program writes in spite of the locks is not overwritten.
func TestAnotherProgramThatDoesNotLock(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "mbox")
	a, err := AppendMbox(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader("one\n")); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(sepB + "two\n\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for range 2 {
		if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader("three\n")); !errors.Is(err, ErrChanged) {
			t.Errorf("writing on: %v", err)
		}
	}
	if err := a.Close(); !errors.Is(err, ErrChanged) {
		t.Errorf("closing: %v", err)
	}
	// The next run goes on behind it.
	appendAll(t, name, "four\n")
	if _, texts := readFile(t, name); len(texts) != 3 || texts[1] != "two\n" || texts[2] != "four\n" {
		t.Errorf("%q", texts)
	}
}

func TestLocks(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "mbox")
	a, err := AppendMbox(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if _, err := AppendMbox(short(), name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is locked: %v", err)
	}
	// Without the lock file, the other locks hold.
	if err := os.Remove(name + ".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := AppendMbox(short(), name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is locked by flock and fcntl: %v", err)
	}
	if _, err := os.Stat(name + ".lock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file of the one that gave up: %v", err)
	}
	a.dotlock = ""
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// Lock files of others, dead or alive, are respected, one of a dead
	// process of this host is not.
	host, _ := os.Hostname()
	for text, free := range map[string]bool{"": false, "0": false, "1073741824": false, "1073741824:elsewhere.invalid": false,
		fmt.Sprintf("%d:%s", os.Getpid(), host): false, "1073741824:" + host: host != ""} {
		write(t, filepath.Dir(name), "mbox.lock", text)
		ctx := t.Context() // to take a free one may take as long as it takes
		if !free {
			ctx = short()
		}
		a, err := AppendMbox(ctx, name)
		if (err == nil) != free {
			t.Errorf("a lock file %q: %v", text, err)
		}
		if err == nil {
			a.Close()
		} else {
			os.Remove(name + ".lock")
		}
	}
}

func TestOnlyRegularFilesAreAppendedTo(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "dir/", "target", "link -> target")
	for _, name := range []string{"dir", "link", "missing/mbox"} {
		if a, err := AppendMbox(t.Context(), filepath.Join(root, name)); err == nil || errors.Is(err, ErrLocked) {
			t.Errorf("%s was opened: %v, %v", name, a, err)
		}
	}
	if left := files(t, root); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}
