package mailfiles

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// checkCover checks that messages and what is between them cover the file
// without a gap, and that every message has the sums of its octets.
func checkCover(t testing.TB, b *Mbox, all []MboxMessage) {
	t.Helper()
	raw := func(from, to int64) []byte {
		p := make([]byte, to-from)
		if _, err := b.r.ReadAt(p, from); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		return p
	}
	at := int64(0)
	for i, m := range all {
		gap := raw(at, m.Offset)
		if i == 0 {
			gap = bytes.TrimSpace(bytes.TrimPrefix(gap, byteOrderMark))
		}
		if n := lineEnds(gap); n != len(gap) {
			t.Fatalf("between messages %d and %d stands %q", i-1, i, gap)
		}
		if line := raw(m.Offset, m.Start); !m.Orphan && (!bytes.HasPrefix(line, fromPrefix) || bytes.Count(line, []byte("\n")) > 1) {
			t.Fatalf("message %d has the From_ line %q", i, line)
		}
		if m.Length < 0 || m.Index != i || m.Sum != sha256.Sum256(raw(m.Start, m.Start+m.Length)) {
			t.Fatalf("message %d: length %d, index %d, or a wrong sum", i, m.Length, m.Index)
		}
		at = m.Start + m.Length
		if m.AtEnd != (i == len(all)-1) {
			t.Fatalf("message %d of %d: AtEnd is %v", i, len(all), m.AtEnd)
		}
	}
	rest := raw(at, b.size)
	if len(all) == 0 {
		rest = bytes.TrimSpace(bytes.TrimPrefix(rest, byteOrderMark))
	}
	if n := lineEnds(rest); n != len(rest) {
		t.Fatalf("behind the last message stands %q", rest)
	}
}

// parse reads text as an mbox.
func parse(t testing.TB, text string, options MboxOptions) (*Mbox, []MboxMessage) {
	t.Helper()
	b := ReadMbox(strings.NewReader(text), int64(len(text)), options)
	return b, readMbox(t, b)
}

// open returns a message's octets.
func open(t testing.TB, b *Mbox, m MboxMessage) string {
	t.Helper()
	p, err := io.ReadAll(b.Open(m))
	if err != nil {
		t.Fatalf("message %d: %v", m.Index, err)
	}
	if int64(len(p)) != m.Size() {
		t.Fatalf("message %d: %d octets, Size says %d", m.Index, len(p), m.Size())
	}
	return string(p)
}

const (
	sepA = "From a@example.org Mon Jan  5 08:50:15 2004\n"
	sepB = "From b@example.org Mon Jan  5 08:50:16 2004\n"
)

// Each of these has cost somebody a message, or given him one too many.
func TestWhatIsASeparator(t *testing.T) {
	t.Parallel()
	head := "From: a@example.org\nSubject: x\n\n"
	for _, c := range []struct {
		name, text string
		want       []string // the messages
	}{
		{"nothing", "", nil},
		{"only white space", " \n\t\n\r\n", nil},
		{"one message", sepA + head + "hello\n\n", []string{head + "hello\n"}},
		{"two messages", sepA + head + "hello\n\n" + sepB + "To: b\n\nyou\n\n", []string{head + "hello\n", "To: b\n\nyou\n"}},
		{"no empty line at the end", sepA + head + "hello\n", []string{head + "hello\n"}},
		{"no line end at the end", sepA + head + "hello", []string{head + "hello"}},
		{"empty lines of the message", sepA + head + "\n\nhello\n\n\n\n" + sepB + head, []string{head + "\n\nhello\n\n\n", "From: a@example.org\nSubject: x\n"}},
		{"a header and nothing else", sepA + "Subject: x\n\n" + sepB + "Subject: y\n\n", []string{"Subject: x\n", "Subject: y\n"}},
		{"an empty message", sepA + "\n" + sepB + "\n", []string{"", ""}},
		{"a separator at the very end", sepA + head + "x\n\n" + sepB, []string{head + "x\n", ""}},
		{"a separator without a line end", sepA + head + "x\n\n" + strings.TrimSuffix(sepB, "\n"), []string{head + "x\n", ""}},
		{"a message that is one LF", sepA + "\n\n" + sepB + "\n\n", []string{"\n", "\n"}},
		{"text that begins with From", sepA + head + "\nFrom now on\n\nFrom Russia with love\nYear: 1963\n\n", []string{head + "\nFrom now on\n\nFrom Russia with love\nYear: 1963\n"}},
		{"a date in the text, no empty line before", sepA + head + "x\nFrom joe Mon Jan  5 08:50:15 2004\nwas here\n", []string{head + "x\nFrom joe Mon Jan  5 08:50:15 2004\nwas here\n"}},
		{"no empty line before, header fields behind", sepA + head + "x\n" + sepB + head + "y\n", []string{head + "x\n", head + "y\n"}},
		{"one field behind is not enough", sepA + head + "x\n" + sepB + "Subject: y\nz\n", []string{head + "x\n" + sepB + "Subject: y\nz\n"}},
		{"a line of spaces is not empty", sepA + head + "x\n  \n" + sepB + "y\n", []string{head + "x\n  \n" + sepB + "y\n"}},
		{"quoted", sepA + head + "\n>From b@example.org Mon Jan  5 08:50:16 2004\n\n", []string{head + "\n>From b@example.org Mon Jan  5 08:50:16 2004\n"}},
		{"quoted with a space, as Thunderbird did", sepA + head + "\n From - Mon Jan  5 08:50:16 2004\n\n", []string{head + "\n From - Mon Jan  5 08:50:16 2004\n"}},
		{"Netscape without a date", "From - \nX-Mozilla-Status: 0001\n" + head + "x\nFrom - \nX-Mozilla-Status: 0001\n" + head, []string{"X-Mozilla-Status: 0001\n" + head + "x\n", "X-Mozilla-Status: 0001\nFrom: a@example.org\nSubject: x\n"}},
		{"Gmail without a date", "From 18@xxx\nX-GM-THRID: 1\n" + head + "x\n\nFrom 19@xxx\nX-GM-THRID: 1\n" + head + "y\n", []string{"X-GM-THRID: 1\n" + head + "x\n", "X-GM-THRID: 1\n" + head + "y\n"}},
		{"an address without a date or fields", sepA + head + "\nFrom joe@example.org\nhello\n", []string{head + "\nFrom joe@example.org\nhello\n"}},
		{"a byte order mark", "\xef\xbb\xbf" + sepA + head + "x\n", []string{head + "x\n"}},
		{"empty lines at the beginning", "\n  \n\n" + sepA + head + "x\n", []string{head + "x\n"}},
		{"the rest of a message at the beginning", "the end of it\n\n" + sepA + head + "x\n", []string{"the end of it\n", head + "x\n"}},
		{"CRLF", strings.ReplaceAll(sepA+head+"x\n\n"+sepB+head+"y\n\n", "\n", "\r\n"), []string{strings.ReplaceAll(head+"x\n", "\n", "\r\n"), strings.ReplaceAll(head+"y\n", "\n", "\r\n")}},
		{"CRLF separators of LF messages", "From x Mon Jan  5 08:50:16 2004\r\n" + head + "x\n\n" + sepB + "y\n\n", []string{head + "x\n", "y\n"}},
		{"a bare CR is no line end", sepA + head + "x\r\r" + strings.TrimSuffix(sepB, "\n") + "\n", []string{head + "x\r\r" + sepB}},
		{"NUL", sepA + "Subject: \x00\n\n\x00\n\n" + sepB + "y\n", []string{"Subject: \x00\n\n\x00\n", "y\n"}},
		{"a From_ line of 2,000 octets", sepA + head + "\nFrom " + strings.Repeat("x", 2000) + " Mon Jan  5 08:50:16 2004\nSubject: x\n", []string{head + "\nFrom " + strings.Repeat("x", 2000) + " Mon Jan  5 08:50:16 2004\nSubject: x\n"}},
		{"fields that go on over lines", sepA + head + "x\n" + sepB + "Received: by x\n\twith y;\n  z\nDate: today\n\ny\n", []string{head + "x\n", "Received: by x\n\twith y;\n  z\nDate: today\n\ny\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, all := parse(t, c.text, MboxOptions{})
			var got []string
			for _, m := range all {
				got = append(got, open(t, b, m))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q\n has %q,\nwant %q", c.text, got, c.want)
			}
		})
	}
}

func TestAFileThatIsNoMboxIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"hello\n", "From Russia with love\n", "\x01\x01\x01\x01\nSubject: MMDF\n", "From: a header\n\nbody\n", "\xff"} {
		b := ReadMbox(strings.NewReader(text), int64(len(text)), MboxOptions{})
		var last error
		for _, err := range b.Messages(t.Context()) {
			last = err
		}
		if !errors.Is(last, ErrNotMbox) {
			t.Errorf("%q: %v, want ErrNotMbox", text, last)
		}
	}
}

func TestWhatTheReaderSaysOfAMessage(t *testing.T) {
	t.Parallel()
	_, all := parse(t, "orphan\n\n"+sepA+"Subject: x\n\n>From me\n>>From you\n >From them\n\n"+"From -\nFrom: x\nTo: y\n\n"+sepB+"cut", MboxOptions{})
	if len(all) != 4 {
		t.Fatalf("%d messages, want 4", len(all))
	}
	o, q, w, c := all[0], all[1], all[2], all[3]
	if !o.Orphan || q.Orphan || o.AtEnd || o.Cut || !o.Exact {
		t.Errorf("the orphan: %+v", o)
	}
	if q.Exact || q.Quoted != 2 || q.Weak || q.From.Sender != "a@example.org" {
		t.Errorf("the quoted one: %+v", q)
	}
	if !w.Weak || !w.Exact {
		t.Errorf("the one without a date: %+v", w)
	}
	if !c.AtEnd || !c.Cut || c.Weak {
		t.Errorf("the last one: %+v", c)
	}
}

func TestFlagsFromTheFieldsOfMailPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, header string
		flags        []string
		expunged     bool
	}{
		{"none", "Subject: x\n", nil, false},
		{"Status", "Status: RO\nX-Status: AFTD\n", []string{`\Seen`, `\Answered`, `\Deleted`, `\Flagged`, `\Draft`}, false},
		{"old but not read", "Status: O\n", nil, false},
		{"Mozilla", "X-Mozilla-Status: 1007\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: $label1 NonJunk                   \n", []string{`\Seen`, `\Answered`, `\Flagged`, "$Forwarded", "$label1", "NonJunk"}, false},
		{"Mozilla's other half", "X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00A00000\n", []string{`\Seen`, `\Deleted`, "$MDNSent"}, false},
		{"a label of Mozilla, long ago", "X-Mozilla-Status: 0000\nX-Mozilla-Status2: 06000000\n", []string{"$label3"}, false},
		{"a label that there never was", "X-Mozilla-Status2: 0e000000\n", nil, false},
		{"deleted and not compacted yet", "X-Account-Key: account1\nX-Mozilla-Status: 0009\nReceived: by x\n", []string{`\Seen`}, true},
		{"a sender who would like to be deleted", "Received: by x\nX-Mozilla-Status: 0009\n", []string{`\Seen`}, false},
		{"keywords over two lines", "X-Keywords: a b\n c bad(word\n", []string{"a", "b", "c"}, false},
		{"twice", "Status: R\nStatus: RO\nX-Keywords: a\nX-Mozilla-Keys: A\n", []string{`\Seen`, "a"}, false},
		{"space before the colon, any case", "STATUS \t: R\r\n", []string{`\Seen`}, false},
		{"no hexadecimal number", "X-Mozilla-Status: xyz\n", nil, false},
		{"in the body", "Subject: x\n\nStatus: R\n", nil, false},
		{"no empty line behind", "Status: R", []string{`\Seen`}, false},
	} {
		_, all := parse(t, sepA+c.header+"\nbody\n\n", MboxOptions{})
		flags, expunged := HeaderFlags([]byte(c.header))
		if !slices.Equal(all[0].Flags, c.flags) || all[0].Expunged != c.expunged || !slices.Equal(flags, c.flags) || expunged != c.expunged {
			t.Errorf("%s: flags %q, %v, and %q, %v from the header, want %q, %v", c.name, all[0].Flags, all[0].Expunged, flags, expunged, c.flags, c.expunged)
		}
	}
}

func TestThereIsALimitToKeywords(t *testing.T) {
	t.Parallel()
	var header strings.Builder
	for i := range 100 {
		fmt.Fprintf(&header, "X-Keywords: a%d b%d c%d\n", i, i, i)
	}
	if flags, _ := HeaderFlags([]byte(header.String())); len(flags) != maxKeywords {
		t.Errorf("%d keywords", len(flags))
	}
	// And to the length of one field.
	if flags, _ := HeaderFlags([]byte("X-Keywords: a\n" + strings.Repeat(" b"+strings.Repeat(" ", 500)+"\n", 1000) + " c\n")); !slices.Equal(flags, []string{"a", "b"}) {
		t.Errorf("keywords %q", flags)
	}
}

func TestCLientsPseudoMessageIsMarked(t *testing.T) {
	t.Parallel()
	pseudo := "From MAILER-DAEMON Fri Jul  8 12:08:34 2011\nDate: 08 Jul 2011 12:08:34 -0500\nFrom: Mail System Internal Data <MAILER-DAEMON@x>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1310144914 0000000000\nStatus: RO\n\nThis text is part of the internal format.\n\n"
	if _, all := parse(t, pseudo+pseudo, MboxOptions{}); !all[0].Internal || all[1].Internal {
		t.Errorf("Internal is %v and %v, want true and false", all[0].Internal, all[1].Internal)
	}
}

// A message that was read or flagged is the same message.
func TestCoreIsTheSameInAllStatesOfAMessage(t *testing.T) {
	t.Parallel()
	states := []string{
		"Received: by x\nSubject: x\n\nbody\n",
		"Received: by x\nSubject: x\nStatus: RO\n\nbody\n",
		"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: a\n\t b\nReceived: by x\nSubject: x\n\nbody\n",
		"Received: by x\nX-Keywords: a\n b\nSubject: x\nX-UID: 17\nContent-Length: 5\n\nbody\n",
	}
	var sums, cores [][32]byte
	for _, text := range states {
		_, all := parse(t, sepA+text+"\n", MboxOptions{})
		sums, cores = append(sums, all[0].Sum), append(cores, all[0].Core)
	}
	for i := range states {
		if cores[i] != sha256.Sum256([]byte(states[0])) || slices.Index(sums, sums[i]) != i {
			t.Errorf("state %d: sum %x, core %x", i, sums[i][:4], cores[i][:4])
		}
	}
	_, all := parse(t, sepA+"Received: by x\nSubject: y\nStatus: RO\n\nbody\n\n", MboxOptions{})
	if all[0].Core == cores[0] {
		t.Error("another message has the same core")
	}
}

func TestOffsetsStayWhenAFileGrows(t *testing.T) {
	t.Parallel()
	one := sepA + "Subject: x\n\nbody\n\n"
	_, before := parse(t, one, MboxOptions{})
	_, after := parse(t, one+sepB+"y\n\n", MboxOptions{})
	if b, a := before[0], after[0]; a.Offset != b.Offset || a.Length != b.Length || a.Sum != b.Sum || a.Core != b.Core {
		t.Errorf("before %+v, after %+v", b, a)
	}
}
