package imapsource

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever a server gives for a message's internal date, it is a time that can be
// written and read again, or none.
func FuzzOddDate(f *testing.F) {
	for _, s := range []string{"17-Jul-1996 02:44:25 -0700", " 1-Jan-2020 00:00:00", "00-Jan-0000 00:00:00 +0000", "Mon, 2 Jan 2006 15:04:05 -0700", "2006-01-02T15:04:05Z", "1-Jan-99 01:01:01 +9999", "NIL", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		at := oddDate(raw)
		if at.IsZero() {
			return
		}
		if at.Year() < 2 || at.Year() > 9999 {
			t.Errorf("%q is in the year %d", raw, at.Year())
		}
		if _, offset := at.Zone(); offset%60 != 0 || offset <= -100*3600 || offset >= 100*3600 {
			t.Errorf("%q has the zone %d", raw, offset)
		}
		if again := oddDate(at.Format("_2-Jan-2006 15:04:05 -0700")); !again.Equal(at.Truncate(time.Second)) {
			t.Errorf("%q is %v, and written anew %v", raw, at, again)
		}
	})
}

// Whatever labels a server gives a message, each is a flag of its own that says
// that it is a label, and no octet is lost where they cannot be read.
func FuzzOddLabels(f *testing.F) {
	many := ""
	for i := range 100 {
		many += fmt.Sprintf(" %d %d", i, i/2)
	}
	for _, s := range []string{"(" + many + ")", `("\\Inbox" foo)`, "(", "NIL", `(\Seen "\\Seen")`, "(a\x00b)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m := &fetched{}
		m.addLabels(raw)
		if len(m.flags) > len(raw)/2+1 {
			t.Errorf("%d labels of %d octets", len(m.flags), len(raw))
		}
		for i, flag := range m.flags {
			if slices.Contains(m.flags[:i], flag) {
				t.Errorf("%q twice", flag)
			}
			if strings.EqualFold(flag, `\Seen`) || strings.EqualFold(flag, `\Deleted`) {
				t.Errorf("the label %q is the flag %q", raw, flag)
			}
		}
	})
}
