package peer

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a server says, what is shown of it is one line in UTF-8 without
// control characters, and showing it once more changes nothing.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", " ready \r\n", "\x1b[2J\x9b", "\xff\xfe", "caf\u00e9 \u0085 \u2028", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		text := Text(said)
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q is shown as %q", said, text)
		}
		if again := Text(text); again != text {
			t.Errorf("%q, and once more %q", text, again)
		}
		if len(text) > 3*len(said) {
			t.Errorf("%d octets make %d", len(said), len(text))
		}
	})
}
