package imapsource

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"restante/storage"
)

// labelled are the labels of a folder's messages in a view, by place.
func labelled(t *testing.T, v view, folder string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for place, said := range v[folder] {
		for _, flag := range strings.Split(said, `"`) {
			if strings.HasPrefix(flag, storage.LabelFlag("")) {
				found[place[strings.Index(place, "/")+1:]] = append(found[place[strings.Index(place, "/")+1:]], flag[len(storage.LabelFlag("")):])
			}
		}
	}
	return found
}

func TestGmailLabelsAreInTheSnapshot(t *testing.T) {
	t.Parallel()
	const all, spam = "[Gmail]/All Mail", "[Gmail]/Spam"
	for _, caps := range []string{everything, ""} { // with and without CONDSTORE
		c := newChain(t, caps+" X-GM-EXT-1")
		c.account.Add(all, letter(1), `\Seen`).Labels = `"\\Important" "\\Starred" Entw&APw-rfe`
		c.account.Add(all, letter(2), ``).Labels = ``
		c.account.Add(all, letter(3), `\Flagged`).Labels = "{9}\r\nR&- (a) b \"Muy Importante\""
		c.account.Add("INBOX", letter(1), `\Seen`).Labels = `"\\Important"`
		c.account.Add(spam, letter(4), ``).Labels = `spammy` // in no other folder
		want := map[string][]string{"1": {"Entwürfe", `\\Important`, `\\Starred`}, "3": {"Muy Importante", "R& (a) b"}}
		check := func(what string, v view) {
			t.Helper()
			if got := labelled(t, v, all); !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%s: the labels are %q, want %q", what, got, want)
			}
		}
		first := c.must(nil)
		v := c.snapshot(first.Snapshot)
		check("first", v)
		if got := labelled(t, v, spam); !slices.Equal(got["1"], []string{"spammy"}) {
			t.Errorf("in Spam: %q", got)
		}
		if n := first.Snapshot.Messages; n != 5 {
			t.Errorf("%d messages", n)
		}
		if r := c.must(nil); r.Snapshot.Stats.Flagged != 0 || c.bodies() != 0 {
			t.Errorf("nothing changed: %d flagged, %d read", r.Snapshot.Stats.Flagged, c.bodies())
		}
		c.account.Label(all, 2, `new`)
		c.account.Label(all, 1, `"\\Starred"`)
		want["1"], want["2"] = []string{`\\Starred`}, []string{"new"}
		r := c.must(nil)
		check("other labels", c.snapshot(r.Snapshot))
		if r.Snapshot.Stats.Flagged != 2 || r.Snapshot.Stats.New != 0 || c.bodies() != 0 {
			t.Errorf("other labels: %d flagged, %d new, %d read", r.Snapshot.Stats.Flagged, r.Snapshot.Stats.New, c.bodies())
		}
	}
}
