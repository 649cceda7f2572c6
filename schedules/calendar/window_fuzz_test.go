package calendar

import (
	"strings"
	"testing"
	"time"
)

// FuzzWindow: a window is refused by name, or written as it is read, and ends.
func FuzzWindow(f *testing.F) {
	for _, s := range []string{"08:00-18:00", "mon-fri 08:00-18:00", "sat,sun 00:00-24:00", "fri 22:00-06:00", "FRI  22:00-06:00", "sun-sat 00:00-24:00", "24:00-00:00", "8:00-9:00", "mon- 1:00-2:00", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWindow(text)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("shown as %q", err)
			}
			return
		}
		if again, err := ParseWindow(w.String()); err != nil || again != w {
			t.Errorf("%q is %+v, and written anew %+v, %v", text, w, again, err)
		}
		from := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
		for h := range 8 * 24 {
			at := from.Add(time.Duration(h) * time.Hour)
			until := QuietUntil([]Window{w}, at, time.UTC)
			if !until.IsZero() && !until.After(at) {
				t.Errorf("%q: at %v it is quiet until %v", text, at, until)
			}
			if begins := QuietFrom([]Window{w}, at, time.UTC); !begins.After(at) || QuietUntil([]Window{w}, begins, time.UTC).IsZero() {
				t.Errorf("%q: after %v it begins at %v, when it is not quiet", text, at, begins)
			}
		}
	})
}
