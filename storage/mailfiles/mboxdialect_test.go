package mailfiles

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withLength makes a message with a right Content-Length.
func withLength(header, body string) string {
	return fmt.Sprintf("%sContent-Length: %d\n\n%s", header, len(body), body)
}

func TestDialects(t *testing.T) {
	t.Parallel()
	head := "Subject: x\n\n"
	inner := sepB + "Subject: inner\n\nx\n\n"
	cl := sepA + withLength("Subject: x\n", "one\n") + "\n" + sepB + withLength("", "two\n") + "\n"
	for _, c := range []struct {
		name    string
		text    string
		declare Dialect
		dialect Dialect
		sure    bool
		want    []string
		exact   bool // all of them
	}{
		{"nothing looks quoted", sepA + head + "x\n\n", 0, DialectUnknown, true, []string{head + "x\n"}, true},
		{"quoted, and nobody knows how", sepA + head + ">From me\n\n", 0, Mboxo, false, []string{head + ">From me\n"}, false},
		{"quoted twice is no proof of mboxrd", sepA + head + ">From me\n>>From you\n\n", 0, Mboxo, false, []string{head + ">From me\n>>From you\n"}, false},
		{"declared mboxrd", sepA + head + ">From me\n>>From you\n >From them\n>from\n>>>\n>From\n\n", Mboxrd, Mboxrd, true, []string{head + "From me\n>From you\n >From them\n>from\n>>>\n>From\n"}, true},
		{"declared mboxrd, CRLF", sepA + "Subject: x\r\n\r\n>From me\r\n\r\n", Mboxrd, Mboxrd, true, []string{"Subject: x\r\n\r\nFrom me\r\n"}, true},
		{"declared mboxo is not undone", sepA + head + ">From me\n\n", Mboxo, Mboxo, true, []string{head + ">From me\n"}, false},
		{"right lengths, nothing quoted", cl, 0, Mboxcl, true, []string{withLength("Subject: x\n", "one\n"), withLength("", "two\n")}, true},
		{"right lengths, quoted", sepA + withLength("", ">From me\n") + "\n", 0, Mboxcl, false, []string{withLength("", ">From me\n")}, false},
		{"a From_ line within a length", cl + sepA + withLength("", "see\n\n"+inner+">From me\n") + "\n", 0, Mboxcl2, true,
			[]string{withLength("Subject: x\n", "one\n"), withLength("", "two\n"), withLength("", "see\n\n"+inner+">From me\n")}, true},
		{"a length without the last line end", sepA + withLength("", "one") + "\n" + sepB + withLength("", "two") + "\n", 0, Mboxcl, true, []string{withLength("", "one"), withLength("", "two")}, true},
		{"a length of nothing", sepA + withLength("Subject: x\n", "") + "\n" + sepB + withLength("", "") + "\n", 0, Mboxcl, true, []string{withLength("Subject: x\n", ""), withLength("", "")}, true},
		{"a length with the empty line behind", sepA + withLength("", "one\n\n") + sepB + withLength("", "two\n\n"), 0, Mboxcl, true, []string{withLength("", "one\n\n"), withLength("", "two\n\n")}, true},
		{"a wrong length", sepA + "Content-Length: 3\n\none\n\n" + sepB + "Content-Length: 1000\n\ntwo\n\n", 0, DialectUnknown, true, []string{"Content-Length: 3\n\none\n", "Content-Length: 1000\n\ntwo\n"}, true},
		{"a length that ends within a line", sepA + "Content-Length: 1\n\nx" + sepB + "Subject: y\n\nz\n\n", 0, DialectUnknown, true, []string{"Content-Length: 1\n\nx" + sepB + "Subject: y\n\nz\n"}, true},
		{"a length that is no number", sepA + "Content-Length: -1\n\none\n\n" + sepB + "Content-Length: 99999999999999999999\n\ntwo\n\n", 0, DialectUnknown, true, []string{"Content-Length: -1\n\none\n", "Content-Length: 99999999999999999999\n\ntwo\n"}, true},
		{"a sender's length that hides the next message", sepA + withLength("", "spam\n\n"+inner) + sepB + head + "x\n\n" + sepB + head + "y\n\n" + sepB + head + "z\n\n", 0, DialectUnknown, true,
			[]string{withLength("", "spam\n\n"+inner)[:len(withLength("", "spam\n\n"+inner))-len(inner)-1], "Subject: inner\n\nx\n", head + "x\n", head + "y\n", head + "z\n"}, true},
		{"declared mboxcl2, with one length", sepA + withLength("", "see\n\n"+inner) + sepB + head + "x\n\n" + sepB + head + "y\n\n", Mboxcl2, Mboxcl2, true,
			[]string{withLength("", "see\n\n"+inner), head + "x\n", head + "y\n"}, true},
		{"declared mboxo, lengths are text", sepA + withLength("", "see\n\n"+inner) + sepB + withLength("", "x\n") + "\n", Mboxo, Mboxo, true,
			[]string{strings.TrimSuffix(withLength("", "see\n\n"+inner), "\n"+inner), "Subject: inner\n\nx\n", withLength("", "x\n")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, all := parse(t, c.text, MboxOptions{Dialect: c.declare})
			r := b.Report()
			var got []string
			exact := true
			for _, m := range all {
				got = append(got, open(t, b, m))
				exact = exact && m.Exact
			}
			if r.Dialect != c.dialect || r.Sure != c.sure || r.Why == "" || exact != c.exact {
				t.Errorf("report %+v, exact %v, want %v, sure %v, exact %v", r, exact, c.dialect, c.sure, c.exact)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("has %q,\nwant %q", got, c.want)
			}
		})
	}
}

func TestReportCountsLines(t *testing.T) {
	t.Parallel()
	b, _ := parse(t, sepA+"Subject: x\r\n\r\n>From a\n\nFrom now on\n>>>>From b\nend", MboxOptions{})
	if r := b.Report(); r.Messages != 1 || r.Inexact != 1 || r.Quoted != 2 || r.Unquoted != 1 || r.CRLF != 2 || r.LF != 5 {
		t.Errorf("report %+v", r)
	}
}
