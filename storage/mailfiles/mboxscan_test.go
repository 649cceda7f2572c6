package mailfiles

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Lines, quotes and separators at every place of the window give what a
// reader gives that has the whole file in memory.
func TestTheWindowMakesNoDifference(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 1))
		pieces := []func() string{
			func() string { return strings.Repeat("x", r.IntN(100)) },
			func() string { return strings.Repeat("y", r.IntN(windowSize+lookahead)) },
			func() string { return strings.Repeat(">", r.IntN(2*windowSize)) + "From me" },
			func() string { return strings.Repeat(">", r.IntN(10)) + "From me" },
			func() string { return "" },
			func() string { return "x\r" },
			func() string { return "Status: RO" },
		}
		ends := []string{"\n", "\n", "\n", "\r\n"}
		var text strings.Builder
		var want []string
		for range 4 {
			text.WriteString(sepA)
			var m strings.Builder
			for range r.IntN(30) {
				line := pieces[r.IntN(len(pieces))]()
				if r.IntN(3) > 0 {
					line = pieces[0]() // mostly short lines
				}
				m.WriteString(line + ends[r.IntN(len(ends))])
			}
			text.WriteString(m.String() + "\n")
			want = append(want, m.String())
		}
		b, all := parse(t, text.String(), MboxOptions{})
		quoted := regexp.MustCompile(`(?m)^>+From `)
		for i, m := range all {
			if got := open(t, b, m); got != want[i] || m.Quoted != len(quoted.FindAllString(want[i], -1)) {
				t.Fatalf("seed %d: message %d of %d octets came back with %d, %d lines quoted", seed, i, len(want[i]), len(got), m.Quoted)
			}
		}
		if len(all) != len(want) {
			t.Fatalf("seed %d: %d messages, want %d", seed, len(all), len(want))
		}
	}
}

// hugeMbox is an mbox of a size that no memory holds: one From_ line and one
// header, and then nothing but the same line.
type hugeMbox struct{ size int64 }

const hugeLine = ">From here on it is all the same, again and again and again and again ....\n"

func (h hugeMbox) ReadAt(p []byte, off int64) (int, error) {
	head := sepA + "Subject: huge\n\n"
	for n := 0; n < len(p); {
		switch at := off + int64(n); {
		case at >= h.size:
			return n, io.EOF
		case at < int64(len(head)):
			n += copy(p[n:], head[at:])
		default:
			n += copy(p[n:min(int64(len(p)), h.size-off)], hugeLine[(at-int64(len(head)))%int64(len(hugeLine)):])
		}
	}
	return len(p), nil
}

func TestAHugeMessageIsNeverInMemory(t *testing.T) {
	size := int64(64 << 20)
	b := ReadMbox(hugeMbox{size}, size, MboxOptions{Dialect: Mboxrd})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for m, err := range b.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, b.Open(m))
		if err != nil || n != m.Size() || m.Quoted < 800_000 {
			t.Errorf("%d of %d octets, %d lines quoted: %v", n, m.Size(), m.Quoted, err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("reading a message of %d MiB allocated %d KiB", size>>20, used>>10)
	}
}

// writeMbox makes a file of two messages.
func writeMbox(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mbox")
	if err := os.WriteFile(name, []byte(sepA+"Subject: x\n\none\n\n"+sepB+"Subject: y\n\ntwo\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCheckNoticesAFileThatChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(name string) error{
		"nothing": func(string) error { return nil },
		"a message was added": func(name string) error {
			f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString(sepA + "half a mess")
				err = errors.Join(err, f.Close())
			}
			return err
		},
		"it was emptied":          func(name string) error { return os.Truncate(name, 0) },
		"it was removed":          os.Remove,
		"a flag was set in place": func(name string) error { return os.Chtimes(name, time.Time{}, time.Now().Add(time.Second)) },
		"it was compacted into another file": func(name string) error {
			return errors.Join(os.WriteFile(name+".new", nil, 0o600), os.Rename(name+".new", name))
		},
		"the same octets are in another file": func(name string) error { return replaceBySame(name) },
	} {
		file := writeMbox(t)
		b, err := OpenMbox(file, MboxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := change(file); err != nil {
			t.Fatal(err)
		}
		if err := b.Check(); errors.Is(err, ErrChanged) != (name != "nothing") {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
	}
}

func replaceBySame(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(name+".new", data, 0o600), os.Chtimes(name+".new", time.Time{}, info.ModTime()), os.Rename(name+".new", name))
}

// What was seen is what is read, or there is an error.
func TestAMessageThatChangesBeforeItIsRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *os.File) error{
		"another octet": func(f *os.File) error { _, err := f.WriteAt([]byte("X"), 50); return err },
		"cut off":       func(f *os.File) error { return f.Truncate(50) },
	} {
		file := writeMbox(t)
		b, err := OpenMbox(file, MboxOptions{Dialect: Mboxrd})
		if err != nil {
			t.Fatal(err)
		}
		all := readMbox(t, b)
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(change(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		for _, raw := range []bool{false, true} {
			m := all[0]
			if raw {
				m.undo = undo{}
			}
			if p, err := io.ReadAll(b.Open(m)); !errors.Is(err, ErrChanged) {
				t.Errorf("%s: read %q, %v, want ErrChanged", name, p, err)
			}
		}
		b.Close()
	}
	// Cut off while it is gone through.
	b := ReadMbox(strings.NewReader(sepA+"x"), 1<<20, MboxOptions{})
	for _, err := range b.Messages(t.Context()) {
		if !errors.Is(err, ErrChanged) {
			t.Errorf("a file shorter than it was: %v", err)
		}
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	t.Parallel()
	if b, err := OpenMbox(t.TempDir(), MboxOptions{}); err == nil {
		t.Errorf("a directory was opened: %v", b)
	}
	if _, err := OpenMbox(filepath.Join(t.TempDir(), "none"), MboxOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestLeavingTheMessagesEarly(t *testing.T) {
	t.Parallel()
	b, _ := parse(t, sepA+"x\n\n"+sepB+"y\n\n", MboxOptions{})
	for m := range b.Messages(t.Context()) {
		if m.Index > 0 {
			t.Error("it went on")
		}
		break
	}
	var seen []string
	for m := range b.Messages(t.Context()) {
		seen = append(seen, fmt.Sprint(m.Index))
	}
	if !slices.Equal(seen, []string{"0", "1"}) {
		t.Errorf("the second time: %q", seen)
	}
}
