package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// inbox makes an empty Maildir and opens it.
func inbox(t testing.TB) (*MaildirFolder, string) {
	t.Helper()
	root := t.TempDir()
	tree, err := CreateMaildirTree(root)
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
	return openMaildir(t, root), root
}

func TestDeliveringAMessage(t *testing.T) {
	t.Parallel()
	f, root := inbox(t)
	w := f.Writer(1)
	date := time.Date(2004, 1, 5, 8, 50, 15, 999, time.FixedZone("", 3600))
	done, err := w.Deliver(t.Context(), Delivery{Flags: []string{`\Seen`, "NonJunk", "$Forwarded", `\Recent`, `\Odd`, "a b"}, Date: date}, strings.NewReader("Subject: x\r\n\nno end\r"))
	if err != nil || done.Size != 20 || !slices.Equal(done.NotKept, []string{`\Odd`, "a b"}) || !strings.HasSuffix(done.Key, ",S=20") {
		t.Fatalf("%+v, %v", done, err)
	}
	m, text := get(t, f, done.Key)
	if text != "Subject: x\r\n\nno end\r" || !m.Date.Equal(date.Truncate(time.Second)) || !slices.Equal(m.Flags, []string{"$Forwarded", `\Seen`, "NonJunk"}) {
		t.Errorf("%q, %+v", text, m)
	}
	info, err := os.Stat(filepath.Join(root, "cur", done.Key+infoSeparator+"2,PSab"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if table, err := os.ReadFile(filepath.Join(root, "dovecot-keywords")); err != nil || string(table) != "0 NonJunk\n1 $Forwarded\n" {
		t.Errorf("the keywords: %q, %v", table, err)
	}
	// New mail without flags goes into new, with flags into cur.
	for _, c := range []struct {
		flags []string
		dir   string
	}{{nil, "new/"}, {[]string{`\Recent`}, "new/"}, {[]string{`\Seen`}, "cur/"}} {
		done, err := w.Deliver(t.Context(), Delivery{Flags: c.flags, New: true}, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := get(t, f, done.Key); m.New != (c.dir == "new/") || time.Since(m.Date) > time.Hour {
			t.Errorf("flags %q: %+v", c.flags, m)
		}
	}
	if left := files(t, filepath.Join(root, "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
}

// A message must not be seen before it is whole and safe.
func TestABatchIsInvisibleUntilItIsFlushed(t *testing.T) {
	t.Parallel()
	f, root := inbox(t)
	w := f.Writer(3)
	count := func() int { return len(files(t, filepath.Join(root, "cur"))) }
	for i := range 4 {
		if _, err := w.Deliver(t.Context(), Delivery{}, strings.NewReader(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if got, want := count(), (i+1)/3*3; got != want {
			t.Errorf("after %d messages %d are in cur, want %d", i+1, got, want)
		}
	}
	if err := w.Close(); err != nil || count() != 4 {
		t.Errorf("in the end %d are in cur: %v", count(), err)
	}
}

func TestADeliveryThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	f, root := inbox(t)
	w := f.Writer(1)
	broken := errors.New("broken")
	if _, err := w.Deliver(t.Context(), Delivery{}, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a broken reader: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Deliver(ctx, Delivery{}, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	// The directory it is to go to is in the way.
	if err := errors.Join(os.Remove(filepath.Join(root, "cur")), os.WriteFile(filepath.Join(root, "cur"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Deliver(t.Context(), Delivery{}, strings.NewReader("x")); err == nil {
		t.Error("delivered into a file")
	}
	if left := files(t, filepath.Join(root, "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
}

func TestAFolderGetsWhatItLacks(t *testing.T) {
	t.Parallel()
	f := openMaildir(t, makeTree(t, "cur/")) // as Thunderbird and others make it
	for _, isNew := range []bool{true, false} {
		done, err := f.Writer(1).Deliver(t.Context(), Delivery{New: isNew}, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		get(t, f, done.Key)
	}
}

func TestKeywordsBeyondTheAlphabetAreReported(t *testing.T) {
	t.Parallel()
	f, root := inbox(t)
	w := f.Writer(1)
	var flags []string
	for i := range 30 {
		flags = append(flags, fmt.Sprintf("kw%02d", i))
	}
	done, err := w.Deliver(t.Context(), Delivery{Flags: append(flags, "$Forwarded")}, strings.NewReader("x"))
	if err != nil || !slices.Equal(done.NotKept, flags[26:]) {
		t.Fatalf("%+v, %v", done, err)
	}
	if m, _ := get(t, f, done.Key); !slices.Equal(m.Flags, append([]string{"$Forwarded"}, flags[:26]...)) {
		t.Errorf("came back: %q", m.Flags)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "dovecot-keywords.*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Letters that are taken, by a name we cannot read or by messages, are never
// given to another keyword.
func TestLettersInUseKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	f, root := inbox(t)
	write(t, root, "dovecot-keywords", "1 odd(name\n3 Junk\n")
	write(t, root, "cur/1.h:2,Sac", "x")
	done, err := f.Writer(1).Deliver(t.Context(), Delivery{Flags: []string{"junk", "New"}}, strings.NewReader("x"))
	if err != nil || len(done.NotKept) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if table, _ := os.ReadFile(filepath.Join(root, "dovecot-keywords")); string(table) != "1 odd(name\n3 Junk\n4 New\n" {
		t.Errorf("the keywords: %q", table)
	}
	if m, _ := get(t, f, done.Key); !slices.Equal(m.Flags, []string{"Junk", "New"}) {
		t.Errorf("came back: %q", m.Flags)
	}
	if m, _ := get(t, f, "1.h"); !slices.Equal(m.Flags, []string{`\Seen`}) || m.LostLetters != "ac" {
		t.Errorf("the message that was there: %+v", m)
	}
}

func TestWritersWaitForTheKeywordLock(t *testing.T) {
	t.Parallel()
	f, root := inbox(t)
	lock := filepath.Join(root, "dovecot-keywords.lock")
	write(t, root, "dovecot-keywords.lock", "")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := f.Writer(1).Deliver(ctx, Delivery{Flags: []string{"a"}}, strings.NewReader("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another program has the lock: %v", err)
	}
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("its lock: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Writer(1).Deliver(t.Context(), Delivery{Flags: []string{"a"}}, strings.NewReader("x")); err != nil {
		t.Errorf("after the other program died: %v", err)
	}
}

func TestDatesThatNoFileHas(t *testing.T) {
	t.Parallel()
	f, _ := inbox(t)
	for _, c := range []struct{ date, notBefore, notAfter time.Time }{
		// How far a file's time goes depends on the file system.
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(math.MaxInt32, 0), time.Unix(math.MaxInt64/1_000_000_000, 0)},
		{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(math.MinInt32, 0), time.Unix(0, 0)},
		{time.Unix(0, 0), time.Unix(0, 0), time.Unix(0, 0)},
		{time.Unix(-1, 0), time.Unix(-1, 0), time.Unix(0, 0)},
	} {
		done, err := f.Writer(1).Deliver(t.Context(), Delivery{Date: c.date}, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := get(t, f, done.Key); m.Date.Before(c.notBefore) || m.Date.After(c.notAfter) {
			t.Errorf("%v became %v, want %v to %v", c.date, m.Date, c.notBefore, c.notAfter)
		}
	}
}

func TestWhatIsDeliveredIsRead(t *testing.T) {
	t.Parallel()
	f, _ := inbox(t)
	w := f.Writer(10)
	want := make(map[string]string)
	for _, text := range octets {
		done, err := w.Deliver(t.Context(), Delivery{}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		want[done.Key] = text
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l := list(t, f)
	if l.Len() != len(octets) {
		t.Errorf("%d messages, want %d", l.Len(), len(octets))
	}
	for m := range l.Messages() {
		if _, text := get(t, f, m.Key); text != want[m.Key] {
			t.Errorf("%q came back as %q", want[m.Key], text)
		}
	}
}
