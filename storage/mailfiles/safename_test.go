package mailfiles

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafeNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		index   int
		subject string
		want    string
	}{
		{1, "Re: Hello, world!", "0001-Re-Hello-world.eml"},
		{12345, "x", "12345-x.eml"},
		{-1, "x", "0000-x.eml"},
		{1, "", "0001.eml"},
		{1, " ... ", "0001.eml"},
		{1, "../../etc/passwd", "0001-etc-passwd.eml"},
		{1, `C:\Windows\..\x`, "0001-C-Windows-x.eml"},
		{1, "CON", "0001-CON.eml"},
		{1, "nul.txt", "0001-nul-txt.eml"},
		{1, "a\x00b\r\nc\x7fd\u0085e", "0001-a-b-c-d-e.eml"},
		{1, "\u202egnp.exe", "0001-gnp-exe.eml"},
		{1, "a\u200b\u2066b\ufeff\u00ad\ufe0f", "0001-ab.eml"},
		{1, "Entwürfe für 日本語", "0001-Entwürfe-für-日本語.eml"},
		{1, "e\u0301te\u0301", "0001-e\u0301te\u0301.eml"},
		{1, "\u0301x", "0001-x.eml"},
		{1, "z\u0300\u0301\u0302\u0303\u0304algo", "0001-z\u0300\u0301algo.eml"},
		{1, "หน้า नमस्ते", "0001-หน้า-नमस्ते.eml"},
		{1, "a\xff\xfeb", "0001-ab.eml"},
		{1, "\u3164\u115f\uffa0x", "0001-x.eml"}, // letters that show as nothing
		{1, "a/b∕c⁄d／e", "0001-a-b-c-d-e.eml"},   // and what looks like a separator
		{1, strings.Repeat("x", 500), "0001-" + strings.Repeat("x", 71) + ".eml"},
		{1, strings.Repeat("日", 500), "0001-" + strings.Repeat("日", 23) + ".eml"},
		{1, strings.Repeat("x", 70) + " yz", "0001-" + strings.Repeat("x", 70) + ".eml"},
	} {
		if got := SafeName(c.index, c.subject); got != c.want {
			t.Errorf("SafeName(%d, %q) = %q, want %q", c.index, c.subject, got, c.want)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	f.Add(1, "Re: Hello")
	f.Add(99999, "\u202e\x00/../é")
	f.Fuzz(func(t *testing.T, index int, subject string) {
		name := SafeName(index, subject)
		bad := func(c rune) bool {
			return !unicode.In(c, unicode.L, unicode.M, unicode.Nd) && c != '-' || isInvisible(c)
		}
		stem, ok := strings.CutSuffix(name, ".eml")
		if !ok || len(name) > maxSafeName || !utf8.ValidString(name) || strings.ContainsFunc(stem, bad) || len(stem) < 4 || stem[0] < '0' || stem[0] > '9' {
			t.Errorf("SafeName(%d, %q) = %q", index, subject, name)
		}
	})
}
