package pop3source

import (
	"strings"
	"testing"
)

// Whatever a snapshot keeps of a message, it is no key, or one that is written
// and read again the same.
func FuzzKey(f *testing.F) {
	for _, k := range []key{{size: -1}, {size: 12, odd: true, uidl: "a b?"}, {digest: [32]byte{1, 2}, size: 1 << 40, uidl: "\xff"}} {
		f.Add(k.text(7))
	}
	f.Add("AAAA AAAA 1 u")
	f.Add("a b c d e f")
	f.Fuzz(func(t *testing.T, text string) {
		k, ok := parseKey(text)
		if !ok {
			return
		}
		if again, ok := parseKey(k.text(1)); !ok || again != k {
			t.Errorf("%q is %+v, and written anew %+v, %v", text, k, again, ok)
		}
	})
}

// Whatever a policy is, it is refused and named, or one that says what it was
// written as, and never deletes what it has no limit for.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{"keep", "", "delete-after-backup", "delete-after: 30d", "delete-over: 5GB oldest first", "delete-over:1 KiB", "delete-after: -1d", "delete-after: 99999999999999d", "keep:", "delete-after: +5d", "delete-over: 9999999999TiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy(text)
		if err != nil {
			if !p.Keeps() || strings.ContainsAny(err.Error(), "\n\x1b\x9b") {
				t.Errorf("%+v, %q", p, err)
			}
			return
		}
		if p.rule == deleteAfter && p.age <= 0 || p.rule == deleteOver && p.limit <= 0 {
			t.Errorf("%q deletes all: %+v", text, p)
		}
		again, err := ParsePolicy(p.String())
		if err != nil || again.rule != p.rule || again.age != p.age || again.limit != p.limit {
			t.Errorf("%q is %+v, and written anew %+v, %v", text, p, again, err)
		}
	})
}
