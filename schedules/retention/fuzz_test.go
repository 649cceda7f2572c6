package retention

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzParse: keep rules are refused by name, or written as they are read.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"last 7, hourly 24, daily 30, weekly 12, monthly 36, yearly 10, within 90d", "within 1y6mo", "last 0", "last 7, last 8", "", ",", "within 100000y100000y", "daily +3", "within \x1b", "last 9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if p != nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("%v, %q", p, err)
			}
			return
		}
		again, err := Parse(p.String())
		if err != nil || again.String() != p.String() || len(p) > len(Names) {
			t.Errorf("%q is %q, and written anew %q, %v", text, p, again, err)
		}
		for i, r := range p {
			if w, ok := r.(Within); !ok && !reflect.DeepEqual(r, again[i]) || ok && (w.Years < 0 || w.Months < 0 || w.Days < 0 || w.Hours < 0) {
				t.Errorf("%#v, and written anew %#v", r, again[i])
			}
		}
	})
}
