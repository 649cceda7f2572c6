package imaptarget

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// labelledDesk has letters with labels, all of which the account has, one of them
// with all its labels.
func labelledDesk(t *testing.T, change func(*imaptest.Account, *imaptest.Script)) *desk {
	letters := someLetters("x", 8)
	important, draft := storage.LabelFlag(`\Important`), storage.LabelFlag("Entwürfe & Co")
	for _, i := range []int{0, 1, 2, 4} {
		letters[i].flags = []string{`\Seen`, important, draft}
	}
	letters[5].flags = []string{draft}
	// Of two that are equal, each gets what one of them had.
	letters[6], letters[7] = letters[3], letters[3]
	letters[7].flags = []string{draft}
	d := atDesk(t, "UIDPLUS X-GM-EXT-1", func(a *imaptest.Account, s *imaptest.Script) {
		for i, l := range letters {
			a.Add("All Mail", l.octets, "").Labels = map[int]string{1: `"Entw&APw-rfe &- Co" \Important mine`, 2: `\Important`, 4: `other`}[i]
		}
		if change != nil {
			change(a, s)
		}
	}, named("All Mail", letters...))
	return d
}

var (
	presentStores = []string{
		`1,5 +X-GM-LABELS.SILENT (\Important "Entw&APw-rfe &- Co")`,
		`3,6,8 +X-GM-LABELS.SILENT ("Entw&APw-rfe &- Co")`,
	}
	presentLabels = []string{
		`\Important "Entw&APw-rfe &- Co"`, `"Entw&APw-rfe &- Co" \Important mine`, `\Important "Entw&APw-rfe &- Co"`, ``,
		`other \Important "Entw&APw-rfe &- Co"`, `"Entw&APw-rfe &- Co"`, ``, `"Entw&APw-rfe &- Co"`,
	}
)

func (d *desk) labels(folder string) (list []string) {
	f := d.account.Folder(folder)
	d.account.Do(func() {
		for _, m := range f.Messages {
			list = append(list, m.Labels)
		}
	})
	return list
}

func TestMessagesThatAreThereGetTheLabelsTheyLack(t *testing.T) {
	t.Parallel()
	d := labelledDesk(t, nil)
	report, err := d.try(restore.Options{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if sum := report.Totals(); sum.Labelled != 5 || sum.Present != 8 || len(d.sent("UID STORE")) > 0 {
		t.Errorf("dry run: %+v, stored %q", sum, d.sent("UID STORE"))
	}
	if sum := d.restore().Totals(); sum.Labelled != 5 || sum.Present != 8 || sum.Appended != 0 || len(sum.Dropped) > 0 {
		t.Errorf("%+v", sum)
	}
	if got := d.sent("UID STORE"); !slices.Equal(got, presentStores) {
		t.Errorf("stored\n%q, want\n%q", got, presentStores)
	}
	if got := d.labels("All Mail"); !slices.Equal(got, presentLabels) {
		t.Errorf("labels\n%q, want\n%q", got, presentLabels)
	}
	if sum := d.restore().Totals(); sum.Labelled != 0 || len(d.sent("UID STORE")) != len(presentStores) {
		t.Errorf("again: %+v, stored %q", sum, d.sent("UID STORE"))
	}
	d.account.Label("All Mail", 6, "")
	d.account.Expunge("All Mail", 1)
	if sum := d.restore().Totals(); sum.Labelled != 1 || sum.Appended != 1 {
		t.Errorf("one lost a label and one is gone: %+v", sum)
	}
	if got, want := d.labels("All Mail"), append(slices.Clone(presentLabels[1:]), presentLabels[0]); !slices.Equal(got, want) {
		t.Errorf("labels\n%q, want\n%q", got, want)
	}
}

// Labels that a server refuses messages that are there are reported, and those
// of others are given.
func TestRefusedLabelsOfMessagesThatAreThere(t *testing.T) {
	t.Parallel()
	d := labelledDesk(t, func(_ *imaptest.Account, s *imaptest.Script) {
		own := s.Handle["UID STORE"]
		s.Handle["UID STORE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if strings.Contains(cmd.Args, `\Important`) {
				c.Say("%s NO [CANNOT] no such label\r\n", cmd.Tag)
				return
			}
			own(c, cmd)
		}
	})
	sum := d.restore().Totals()
	if want := fmt.Sprint(map[string]int64{storage.LabelFlag(`\Important`): 2, storage.LabelFlag("Entwürfe & Co"): 2}); sum.Labelled != 3 || fmt.Sprint(sum.Dropped) != want {
		t.Errorf("%d labelled, dropped %v, want %s", sum.Labelled, sum.Dropped, want)
	}
}

// A connection that is lost over labels is no reason to give up, nor are
// labels that the server does not tell.
func TestLabelsAreGivenAfterALostConnection(t *testing.T) {
	t.Parallel()
	var stores atomic.Int32
	d := labelledDesk(t, func(_ *imaptest.Account, s *imaptest.Script) {
		own := s.Handle["UID STORE"]
		s.Handle["UID STORE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if stores.Add(1) == 2 {
				c.Close()
				return
			}
			own(c, cmd)
		}
	})
	if sum := d.restore().Totals(); sum.Labelled != 5 {
		t.Errorf("%+v", sum)
	}
	if got := d.labels("All Mail"); !slices.Equal(got, presentLabels) {
		t.Errorf("labels\n%q, want\n%q", got, presentLabels)
	}
}

func TestLabelsThatAreNotToldAreNoted(t *testing.T) {
	t.Parallel()
	d := labelledDesk(t, func(a *imaptest.Account, s *imaptest.Script) {
		own := s.Handle["UID FETCH"]
		s.Handle["UID FETCH"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if strings.Contains(cmd.Args, "X-GM-LABELS") {
				c.Say("%s NO [CANNOT] not now\r\n", cmd.Tag)
				return
			}
			own(c, cmd)
		}
		f := a.Folder("All Mail")
		a.Do(func() { f.Messages = f.Messages[1:] })
	})
	report := d.restore()
	if sum := report.Totals(); sum.Labelled != 0 || sum.Appended != 1 {
		t.Errorf("%+v", sum)
	}
	wantText(t, notes(report), "labels", "not now")
}
