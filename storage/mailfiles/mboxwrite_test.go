package mailfiles

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// octets are messages that a careless writer or reader changes.
var octets = []string{
	"", "\n", "\n\n", "\r\n", "\r", "\n\r", "\r\n\r\n", "x", "x\n", "x\r\n", "x\r", "x\n\r", "x\r\r\n", "x\n\n\n", "x\r\n\n", "x\n\r\n",
	"From ", "From \n", ">From ", ">>From \n", "> From \n", ">", ">>>\n", ">\r\nFrom \r\n", "\nFrom x Mon Jan  5 08:50:15 2004\nSubject: y\n\nz\n",
	"Subject: x\r\n\r\nFrom a\r\n>From b\r\n>>From c\r\n>>>>", "Subject: x\n\n\x00\xff\xfe\x80\n", "Content-Length: 3\n\nabcdef\n", "Content-Length: 0\n\nFrom x\n",
	"Subject: no end", "Subject: x\r\n\r\nno end", "Subject: x\r\n\r\nmixed\nends\r\n", "\xef\xbb\xbfSubject: x\n", "Status: RO\nX-Status: D\n\nx\n",
	"\x1a\n", strings.Repeat("\n", 10), strings.Repeat("\r\n", 10), strings.Repeat(">", 1000) + "From \n",
}

// roundTrip writes messages and reads them back; every one must be what it
// was, and certainly so.
func roundTrip(t testing.TB, messages []string, deliveries []Delivery) {
	t.Helper()
	var file bytes.Buffer
	w := NewMboxWriter(&file, "")
	for i, text := range messages {
		done, err := w.Write(context.Background(), deliveries[i%len(deliveries)], strings.NewReader(text))
		if err != nil || done.Size != int64(len(text)) {
			t.Fatalf("writing message %d: %+v, %v", i, done, err)
		}
	}
	b := ReadMbox(bytes.NewReader(file.Bytes()), int64(file.Len()), MboxOptions{Zone: time.FixedZone("", -3600)})
	all := readMbox(t, b)
	if len(all) != len(messages) {
		t.Fatalf("%d messages became %d", len(messages), len(all))
	}
	for i, m := range all {
		d := deliveries[i%len(deliveries)]
		if got := open(t, b, m); got != messages[i] || !m.Exact || m.Cut || m.Weak {
			t.Fatalf("message %d: %q became %q; %+v", i, messages[i], got, m)
		}
		if _, offset := d.Date.Zone(); !m.From.Date.Equal(d.Date) || m.From.Zoned == d.Date.IsZero() {
			t.Fatalf("message %d: date %v (zone %d) became %v", i, d.Date, offset, m.From.Date)
		}
	}
	if r := b.Report(); len(all) > 0 && (r.Dialect != Mboxrd || !r.Sure || r.Inexact > 0) {
		t.Fatalf("report %+v", r)
	}
}

func TestWhatIsExportedIsImported(t *testing.T) {
	t.Parallel()
	deliveries := []Delivery{
		{},
		{Date: time.Date(2004, 1, 5, 8, 50, 15, 0, time.FixedZone("", 3600))},
		{Date: time.Date(1969, 12, 31, 23, 59, 59, 0, time.FixedZone("", -12600))},
		{Date: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)},
		{Date: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	}
	roundTrip(t, octets, deliveries)
	slices.Reverse(deliveries)
	roundTrip(t, octets, deliveries)
	for _, text := range octets {
		roundTrip(t, []string{text}, deliveries)
	}
}

func TestLargeMessagesGoThroughAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var messages []string
	for _, end := range []string{"\n", "\r\n"} {
		for _, n := range []int{spoolMemory - 1, spoolMemory, spoolMemory + 100_000} {
			line := ">From " + strings.Repeat("x", 70) + end
			messages = append(messages, strings.Repeat(line, n/len(line)+1)[:n])
		}
		messages = append(messages, strings.Repeat(">", spoolMemory)+"From "+end+strings.Repeat("x", spoolMemory))
	}
	roundTrip(t, messages, []Delivery{{}})
	w := NewMboxWriter(io.Discard, dir)
	if _, err := w.Write(t.Context(), Delivery{}, strings.NewReader(messages[len(messages)-1])); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := NewMboxWriter(io.Discard, dir+"/missing").Write(t.Context(), Delivery{}, strings.NewReader(messages[len(messages)-1])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory for it: %v", err)
	}
}

func TestOtherProgramsSeeAPlainMbox(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w := NewMboxWriter(&file, "")
	done, err := w.Write(t.Context(), Delivery{
		Flags: []string{`\Seen`, "Junk", "$Forwarded", `\Odd`, `\Recent`},
		Date:  time.Date(2004, 1, 5, 8, 50, 15, 99, time.FixedZone("", 3600)),
	}, strings.NewReader("Subject: x\r\n\r\nFrom me"))
	if err != nil || !slices.Equal(done.NotKept, []string{`\Odd`, "Junk"}) {
		t.Errorf("%+v, %v", done, err)
	}
	want := "From mboxrd.crlf.open.e0100.PS.5fbd3e7b3e2cb3fc@restante.invalid Mon Jan  5 07:50:15 2004\nSubject: x\n\n>From me\n\n"
	hash := strings.Split(file.String(), ".")[5][:16]
	if got := strings.Replace(file.String(), hash, "5fbd3e7b3e2cb3fc", 1); got != want {
		t.Errorf("the file is %q, want %q", file.String(), want)
	}
	b, all := parse(t, file.String(), MboxOptions{})
	if got := open(t, b, all[0]); got != "Subject: x\r\n\r\nFrom me" || !slices.Equal(all[0].Flags, []string{"$Forwarded", `\Seen`}) {
		t.Errorf("came back as %q with %q", got, all[0].Flags)
	}
	if _, offset := all[0].From.Date.Zone(); offset != 3600 {
		t.Errorf("the date came back as %v", all[0].From.Date)
	}
}

// A mark that does not fit is a sender's, or of a message that was changed.
func TestAMarkThatIsNotRightIsNotBelieved(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w := NewMboxWriter(&file, "")
	if _, err := w.Write(t.Context(), Delivery{}, strings.NewReader("Subject: x\r\n\r\nFrom me")); err != nil {
		t.Fatal(err)
	}
	text := file.String()
	for name, changed := range map[string]string{
		"a mail program added a field": strings.Replace(text, "Subject", "Status: RO\nSubject", 1),
		"another mark":                 strings.Replace(text, ".crlf.", ".lf.", 1),
		"letters that are no flags":    strings.Replace(text, ".-.", ".Q.", 1),
		"cut":                          text[:len(text)-3],
	} {
		b, all := parse(t, changed, MboxOptions{})
		if len(all) != 1 || all[0].Exact || all[0].Cut != (name == "cut") || !strings.Contains(open(t, b, all[0]), ">From m") {
			t.Errorf("%s: %+v", name, all)
		}
	}
	for _, sender := range []string{"", "mboxrd", "mboxrd.lf.whole.e0000.-.0@restante.invalid.example", "mboxrd.LF.whole.e0000.-.0@restante.invalid", "mboxrd.lf.whole.w0000.-.0@restante.invalid", "mboxrd.lf.whole.e0160.-.0@restante.invalid", "mboxrd.lf.whole.x0100.-.0@restante.invalid"} {
		if m, ok := parseMark(sender); ok {
			t.Errorf("%q is taken for a mark: %+v", sender, m)
		}
	}
}

// A sender's Content-Length that is right, and ends with the next message.
func TestLengthsInOurOwnFilesAreText(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w := NewMboxWriter(&file, "")
	second := "Subject: hidden?\n\nno\n"
	if _, err := w.Write(t.Context(), Delivery{}, strings.NewReader(second)); err != nil {
		t.Fatal(err)
	}
	first := withLength("", "body\n\n"+file.String())
	first = first[:len(first)-file.Len()-1]
	roundTrip(t, []string{first, second}, []Delivery{{}})
}

func TestAReaderThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w := NewMboxWriter(&file, "")
	broken := errors.New("broken")
	for _, n := range []int{0, 10, 2 * spoolMemory} {
		r := io.MultiReader(strings.NewReader(strings.Repeat("x", n)), iotest.ErrReader(broken))
		if _, err := w.Write(t.Context(), Delivery{}, r); !errors.Is(err, broken) || file.Len() > 0 {
			t.Errorf("after %d octets: %v, and %d octets in the file", n, err, file.Len())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Write(ctx, Delivery{}, strings.NewReader("x")); !errors.Is(err, context.Canceled) || file.Len() > 0 {
		t.Errorf("after the context ended: %v", err)
	}
}

func FuzzMboxrdRoundTrip(f *testing.F) {
	for _, text := range octets {
		f.Add(text, text, "")
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		roundTrip(t, []string{a, b, c}, []Delivery{{}, {Date: time.Unix(int64(len(a)), 0)}})
	})
}

func FuzzMboxReader(f *testing.F) {
	for _, text := range octets {
		f.Add([]byte(sepA+text+"\n"+sepB+text), uint8(0))
	}
	f.Add([]byte(sepA+withLength("", "x\n\n"+sepB)+sepA+withLength("", "y")+"\n"), uint8(4))
	if dir := os.Getenv("RESTANTE_CORPUS"); dir != "" {
		for _, name := range files(f, filepath.Join(dir, "mbox-edge")) {
			if data, err := os.ReadFile(name); err == nil && len(data) < 32<<10 {
				f.Add(data, uint8(0))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, dialect uint8) {
		b := ReadMbox(bytes.NewReader(data), int64(len(data)), MboxOptions{Dialect: Dialect(dialect % 5)})
		var all []MboxMessage
		for m, err := range b.Messages(t.Context()) {
			if errors.Is(err, ErrNotMbox) && len(all) == 0 {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		checkCover(t, b, all)
		for _, m := range all {
			open(t, b, m)
		}
	})
}
