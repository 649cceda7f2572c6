package imaptarget

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
	"restante/storage"
)

// withLabels are letters with labels of Gmail's, and one without.
func withLabels() folder {
	letters := someLetters("x", 3)
	letters[0].flags = []string{`\Seen`, storage.LabelFlag(`\Important`), storage.LabelFlag("Entwürfe & Co")}
	letters[2].flags = []string{storage.LabelFlag(`say "hi"`)}
	return named("All Mail", letters...)
}

func TestLabelsComeBackWhereTheServerHasThem(t *testing.T) {
	t.Parallel()
	d := atDesk(t, "UIDPLUS X-GM-EXT-1", func(_ *imaptest.Account, s *imaptest.Script) {
		s.Handle["UID STORE"] = imaptest.Answer("%T OK done\r\n")
	}, withLabels())
	report, err := d.over(t.Context(), d.target(nil), restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if sum := report.Totals(); sum.Appended != 3 || len(sum.Dropped) > 0 {
		t.Errorf("%d appended, dropped %v", sum.Appended, sum.Dropped)
	}
	var stored []string
	for _, c := range d.server.Commands() {
		if c.Name == "UID STORE" {
			stored = append(stored, c.Args)
		}
	}
	want := []string{`1 +X-GM-LABELS.SILENT (\Important "Entw&APw-rfe &- Co")`, `3 +X-GM-LABELS.SILENT ("say \"hi\"")`}
	if !slices.Equal(stored, want) {
		t.Errorf("got  %q\nwant %q", stored, want)
	}
}

// A server that has none is not told of any, and nothing is said to be lost.
func TestLabelsAreLeftWhereTheServerHasNone(t *testing.T) {
	t.Parallel()
	d := atDesk(t, "UIDPLUS", nil, withLabels())
	report, err := d.over(t.Context(), d.target(nil), restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if sum := report.Totals(); sum.Appended != 3 || len(sum.Dropped) > 0 {
		t.Errorf("%d appended, dropped %v", sum.Appended, sum.Dropped)
	}
	for _, c := range d.server.Commands() {
		if strings.Contains(c.Args, "LABEL") || c.Name == "UID STORE" {
			t.Errorf("the server got %s %s", c.Name, c.Args)
		}
	}
}

// Labels that a server refuses are reported; the messages are there.
func TestRefusedLabelsAreReported(t *testing.T) {
	t.Parallel()
	d := atDesk(t, "UIDPLUS X-GM-EXT-1", func(_ *imaptest.Account, s *imaptest.Script) {
		s.Handle["UID STORE"] = imaptest.Answer("%T NO [CANNOT] no such label\r\n")
	}, withLabels())
	report, err := d.over(t.Context(), d.target(nil), restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sum := report.Totals()
	if want := fmt.Sprint(map[string]int64{storage.LabelFlag(`\Important`): 1, storage.LabelFlag("Entwürfe & Co"): 1, storage.LabelFlag(`say "hi"`): 1}); sum.Appended != 3 || fmt.Sprint(sum.Dropped) != want {
		t.Errorf("%d appended, dropped %v", sum.Appended, sum.Dropped)
	}
}
