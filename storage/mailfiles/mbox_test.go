package mailfiles

import (
	"bytes"
	"crypto/sha256"
	"io"
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
