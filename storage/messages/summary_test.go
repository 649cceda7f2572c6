package messages

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// checkSummary fails the test for a summary that cannot be shown.
func checkSummary(t testing.TB, s Summary) {
	t.Helper()
	for _, text := range []string{s.From, s.To, s.Subject, s.MessageID} {
		if len(text) > maxSummary || !utf8.ValidString(text) {
			t.Errorf("%d octets: %q", len(text), text)
		}
		for _, r := range text {
			if unicode.IsControl(r) || r == '\u2028' || r == '\u202e' {
				t.Errorf("%q has %q", text, r)
			}
		}
	}
	if y := s.Date.Year(); !s.Date.IsZero() && (y < 1900 || y > 9999) {
		t.Errorf("date is %v", s.Date)
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 3600)
	date := time.Date(2026, 1, 6, 9, 12, 40, 0, berlin)
	for _, c := range []struct {
		name, header string
		want         Summary
	}{
		{"nothing", "", Summary{}},
		{"all", "From: Ann <a@b.example>\nTo: Bob <b@b.example>\nSubject: Lamp\nDate: Tue, 6 Jan 2026 09:12:40 +0100\nMessage-ID: <1@b.example>\n\n",
			Summary{"Ann <a@b.example>", "Bob <b@b.example>", "Lamp", date, "<1@b.example>"}},
		{"CRLF, capitals, spaces", "FROM : a@b.example\r\nsubject:Lamp \r\nMessage-Id:\t<1@b.example>\r\n\r\n",
			Summary{From: "a@b.example", Subject: "Lamp", MessageID: "<1@b.example>"}},
		{"bare CR", "From: a@b.example\rSubject: Lamp\r folded\r\rSubject: body", Summary{From: "a@b.example", Subject: "Lamp folded"}},
		{"folded", "Subject: the lamp\n in the\n\t east tower\nTo:\n b@b.example\n", Summary{To: "b@b.example", Subject: "the lamp in the east tower"}},
		{"first with something in it", "Subject:\nSubject:  \nSubject: one\nSubject: two\n", Summary{Subject: "one"}},
		{"From_ line is no From", "From ann Tue Jan  6 09:12:40 2026\nFrom: a@b.example\n", Summary{From: "a@b.example"}},
		{"body is no header", "Subject: one\n\nFrom: two\n", Summary{Subject: "one"}},
		{"header without end", "Subject: one", Summary{Subject: "one"}},
		{"names that begin alike", "Subjects: x\nFrommage: x\nTo-Do: x\nDated: 6 Jan 2026 09:12:40 +0100\nMessage-IDs: x\n", Summary{}},
		{"control characters", "Subject: a\x00b\x1b[31mc\x7fd\u0085e\u2028f\n", Summary{Subject: "a\ufffdb\ufffd[31mc\ufffdd e f"}},
		{"direction turned around", "Subject: \u202egpj.exe\u2066x\n", Summary{Subject: "\ufffdgpj.exe\ufffdx"}},
		{"right to left stays", "Subject: \u05e9\u05dc\u05d5\u05dd\u200f!\n", Summary{Subject: "\u05e9\u05dc\u05d5\u05dd\u200f!"}},
		{"8-bit UTF-8", "Subject: Grüße\n", Summary{Subject: "Grüße"}},
		{"8-bit Windows-1252", "Subject: Gr\xfc\xdfe \x80\n", Summary{Subject: "Grüße €"}},
		{"cut at a rune", "Subject: x" + strings.Repeat("é", 200) + "\n", Summary{Subject: "x" + strings.Repeat("é", 99)}},
		{"cut before a space", "Subject: " + strings.Repeat("x", 199) + " y\n", Summary{Subject: strings.Repeat("x", 199)}},
		{"8 MiB", "Subject: " + strings.Repeat("x ", 4<<20) + "\nFrom: a\n", Summary{Subject: strings.Repeat("x ", 99) + "x", From: "a"}},
		{"control characters in encoded words", "Subject: =?utf-8?Q?a=0D=0AFrom:_b=00?=\n", Summary{Subject: "a From: b\ufffd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Summarize([]byte(c.header))
			checkSummary(t, got)
			if !got.Date.Equal(c.want.Date) {
				t.Errorf("date %v, want %v", got.Date, c.want.Date)
			}
			got.Date, c.want.Date = time.Time{}, time.Time{}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+q\nwant %+q", got, c.want)
			}
		})
	}
}

var wordTests = []struct{ name, in, want string }{
	{"Q", "=?iso-8859-1?Q?Gr=FC=DFe_aus?= Bonn", "Grüße aus Bonn"},
	{"B", "=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"},
	{"lower case", "=?utf-8?b?R3LDvMOfZQ==?= =?utf-8?q?=c3=bc?=", "Grüßeü"},
	{"text around", "Re: =?utf-8?Q?a?= b =?utf-8?Q?c?= d", "Re: a b c d"},
	{"no space between words", "=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"},
	{"folded words", "=?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "ab"},
	{"words in different charsets", "=?utf-8?Q?=C3=BC?= =?iso-8859-1?Q?=FC?=", "üü"},
	{"character cut in two", "=?utf-8?B?R3LD?= =?UTF-8?B?vMOfZQ==?=", "Grüße"},
	{"character of ISO-2022-JP cut in two", "=?iso-2022-jp?B?GyRCRnw=?= =?iso-2022-jp?B?S1wbKEI=?=", "日本"},
	{"within quotes", `"=?utf-8?Q?Ann,_B?=" <a@b.example>`, `"Ann, B" <a@b.example>`},
	{"space in Q", "=?utf-8?Q?a b?=", "a b"},
	{"no padding", "=?utf-8?B?YQ?= =?utf-8?B?YmM?=", "abc"},
	{"language", "=?us-ascii*en-gb?Q?a?=", "a"},
	{"unknown charset", "=?x-nobody-knows?Q?Gr=FC=DFe?=", "Grüße"},
	{"unknown encoding", "=?utf-8?X?a?=", "=?utf-8?X?a?="},
	{"not closed", "=?utf-8?Q?a", "=?utf-8?Q?a"},
	{"only begun", "a =? b =?utf-8?Q?c?=", "a =? b c"},
	{"after one that is none", "=?x =?utf-8?Q?c?=", "=?x c"},
	{"space after one that is none", "=?=? =?utf-8?Q?c?=", "=?=? c"},
	{"wrong escapes", "=?utf-8?Q?=G1=4?=", "=G1=4"},
	{"wrong UTF-8", "=?utf-8?Q?a=FFb?=", "a\ufffdb"},
	{"8-bit said to be ASCII", "=?us-ascii?Q?=FC?=", "ü"},
	{"Big5", "=?big5?B?p9qqvrlE?=", "我知道"},
	{"empty", "=?utf-8?Q??= a =??Q?b?=", " a =??Q?b?="},
}

func TestDecodeWords(t *testing.T) {
	t.Parallel()
	for _, c := range wordTests {
		if got := decodeWords([]byte(c.in)); got != c.want {
			t.Errorf("%s: %q is %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

var dateTests = []struct{ in, want string }{
	{"Tue, 6 Jan 2026 09:12:40 +0100", "2026-01-06T09:12:40+01:00"},
	{"6 Jan 2026 09:12 -0330", "2026-01-06T09:12:00-03:30"},
	{"  Tue,06 Jan 2026\n\t09:12:40 (quarter (past)) +0100 (CET)", "2026-01-06T09:12:40+01:00"},
	{"Tue, 6 JANUARY 2026 09:12:40 GMT", "2026-01-06T09:12:40Z"},
	{"Tue, 6 Jan 26 09:12:40 EST", "2026-01-06T09:12:40-05:00"},
	{"Tue, 6 Jan 99 09:12:40 pdt", "1999-01-06T09:12:40-07:00"},
	{"Tue, 6 Jan 104 09:12:40 PDT", "2004-01-06T09:12:40-07:00"},
	{"Sat, 28 Jan 0002 13:00:10 -0800 (PST)", "2002-01-28T13:00:10-08:00"},
	{"Tue, 6 Jan 2026 9:2:4 Z", "2026-01-06T09:02:04Z"},
	{"Tue, 6 Jan 2026 09:12:40", "2026-01-06T09:12:40Z"},
	{"Tue, 6 Jan 2026 09:12:40 CEST", "2026-01-06T09:12:40Z"},
	{"Tue, 6 Jan 2026 09:12:40 GMT+0100", "2026-01-06T09:12:40+01:00"},
	{"Tue, 6 Jan 2026 09:12:40 +01:00", "2026-01-06T09:12:40+01:00"},
	{"Tue, 6 Jan 2026 09:12:40 +9999", "2026-01-06T09:12:40Z"},
	{"Tue, 6 Jan 2026 09:12:40.123 -0000", "2026-01-06T09:12:40Z"},
	{"Tue, 6-Jan-2026 09:12:40 +0100", "2026-01-06T09:12:40+01:00"},
	{"Tue Jan  6 09:12:40 2026", "2026-01-06T09:12:40Z"},
	{"Tue Jan  6 09:12:40 EST 2026", "2026-01-06T09:12:40-05:00"},
	{"Tue Jan  6 09:12:40 2026 +0100", "2026-01-06T09:12:40+01:00"},
	{"2026-01-06T09:12:40+01:00", "2026-01-06T09:12:40+01:00"},
	{"2026-01-06 09:12:40 +0100", "2026-01-06T09:12:40+01:00"},
	{"2026-01-06", "2026-01-06T00:00:00Z"},
	{"29 Feb 2024 00:00:00 +0000", "2024-02-29T00:00:00Z"},
	{"31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
	{"29 Feb 2026 00:00:00 +0000", ""},
	{"31 Jun 2026 00:00:00 +0000", ""},
	{"0 Jan 2026 00:00:00 +0000", ""},
	{"Tue, 00 Foo 2026 00:00:00 +0000", ""},
	{"6 Jan 2026 24:00:00 +0000", ""},
	{"6 Jan 2026 00:60:00 +0000", ""},
	{"6 Jan 2026 00:00:61 +0000", ""},
	{"6 Jan 2026 000 +0000", ""},
	{"6 Jan 1026 00:00:00 +0000", ""},
	{"6 Jan 20260 00:00:00 +0000", ""},
	{"1026-01-06", ""},
	{"2026-13-06T09:12:40Z", ""},
	{"Tue", ""},
	{"Jan", ""},
	{"Jan 6 09:12:40", ""},
	{"yesterday", ""},
	{"((((", ""},
	{"", ""},
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, c := range dateTests {
		got := ""
		if d := parseDate([]byte(c.in)); !d.IsZero() {
			got = d.Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%q is %q, want %q", c.in, got, c.want)
		}
	}
}

func TestReadHeader(t *testing.T) {
	t.Parallel()
	big := "Subject: " + strings.Repeat("x", 20_000) + "\r\n"
	for _, c := range []struct{ name, m, want string }{
		{"empty", "", ""},
		{"LF", "a: b\n\nc\n\n", "a: b\n\n"},
		{"CRLF", "a: b\r\n\r\nc", "a: b\r\n\r\n"},
		{"both", "a: b\n\r\nc", "a: b\n\r\n"},
		{"no header", "\nc\n\n", "\n"},
		{"no header, CRLF", "\r\nc", "\r\n"},
		{"no body", "a: b\n", "a: b\n"},
		{"bare CR", "a: b\r\rc", "a: b\r\rc"},
		{"in several reads", big + "\r\nbody", big + "\r\n"},
		{"cut at the limit", strings.Repeat(big, 4), strings.Repeat(big, 4)[:50_000]},
	} {
		got, err := ReadHeader(strings.NewReader(c.m), int64(len(c.m)), 50_000)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %.50q (%d octets), %v", c.name, got, len(got), err)
		}
	}
	// Wherever reads end, the end of a header is found.
	for n := 4<<10 - 5; n < 4<<10+5; n++ {
		for _, end := range []string{"\n\n", "\r\n\r\n"} {
			header := strings.Repeat("x", n) + end
			got, err := ReadHeader(strings.NewReader(header+"body\n\n"), int64(n+len(end)+6), 1<<20)
			if err != nil || string(got) != header {
				t.Errorf("header of %d octets and %q: %d octets, %v", n, end, len(got), err)
			}
		}
	}
	if _, err := ReadHeader(bytes.NewReader(nil), 10, 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short message: %v", err)
	}
}
