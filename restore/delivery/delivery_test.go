package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/smtpconn/smtptest"
	"restante/restore"
)

func text(n int) string { return fmt.Sprintf("Subject: letter %d\r\n\r\n.\r\nText.\r\n", n) }

func letters(n int) (list []string) {
	for i := range n {
		list = append(list, text(i))
	}
	return list
}

func TestMailIsDeliveredOnceAndUnchanged(t *testing.T) {
	t.Parallel()
	for _, lmtp := range []bool{false, true} {
		all := append(letters(3), text(1), "Subject: x\n\nbare\n.\n\x00\r\r", "\xff\r\n", strings.Repeat("x", 5000), "")
		d := newDesk(t, &smtptest.Server{LMTP: lmtp}, all...)
		if sum := d.do(restore.Options{DryRun: true}); sum.Missing != int64(len(all)) || len(d.got()) > 0 {
			t.Fatalf("a dry run: %+v, %q", sum, d.got())
		}
		sum := d.do(restore.Options{})
		if sum.Appended != int64(len(all)) || len(sum.Refused) > 0 || sum.Dropped[`\Seen`] != int64(len(all)) {
			t.Errorf("%+v", sum)
		}
		if got := d.got(); !slices.Equal(got, all) {
			t.Errorf("%q became %q", all, got)
		}
		if got := d.server.Got()[0]; got.From != "" {
			t.Errorf("%+v", got)
		}
		for _, o := range []restore.Options{{}, {DryRun: true}} {
			if sum := d.do(o); sum.Present != int64(len(all)) || sum.Missing != 0 || len(d.got()) != len(all) {
				t.Errorf("again: %+v, %q", sum, d.got())
			}
		}
		// Somebody else has got nothing yet, and Anna gets nothing twice.
		d.o.To = []string{"anna@example.org", "bob@example.org"}
		if sum := d.do(restore.Options{}); sum.Appended != int64(len(all)) || len(d.got()) != len(all) || len(d.server.Got()) != 2*len(all) {
			t.Errorf("to Bob, too: %+v, %q", sum, d.got())
		}
		if sum := d.do(restore.Options{DryRun: true, Again: true}); sum.Missing != int64(len(all)) {
			t.Errorf("a dry run of once more: %+v", sum)
		}
		if sum := d.do(restore.Options{}); sum.Missing != 0 {
			t.Errorf("after it: %+v", sum)
		}
		d.o.To = d.o.To[:1]
		if sum := d.do(restore.Options{Again: true}); sum.Appended != int64(len(all)) || len(d.got()) != 2*len(all) {
			t.Errorf("once more: %+v, %q", sum, d.got())
		}
		report, err := d.run(restore.Options{})
		if err != nil || report.Totals().Missing != 0 || len(report.Losses) == 0 {
			t.Errorf("after it: %+v, %v", report.Totals(), err)
		}
	}
}

func TestWhatAServerCannotTakeIsRefusedAndNotChanged(t *testing.T) {
	t.Parallel()
	all := []string{"Subject: a\n\nb\n", "Subject: no end", "nul\x00\r\n", "cr\rcr\r\n", "mixed\n\r\n", strings.Repeat("x", 999) + "\r\n", "\xff\r\n", text(1), strings.Repeat("y", 998) + "\r\n"}
	for _, c := range []struct {
		what    string
		offers  []string
		crlf    bool
		got     []string
		reasons []string
	}{
		{"nothing", []string{"PIPELINING"}, false, []string{text(1), all[8]}, []string{"LF and not CRLF", "last line has no end", "NUL", "CR without LF", "CR without LF|LF and not CRLF", "more than 998", "8BITMIME"}},
		{"8BITMIME, and CHUNKING alone", []string{"8BITMIME", "CHUNKING"}, false, all[6:], []string{"LF and not CRLF", "last line", "NUL", "CR without", "LF", "more than 998"}},
		{"other line ends, where that is allowed", []string{"8BITMIME"}, true, append([]string{"Subject: a\r\n\r\nb\r\n", "Subject: no end\r\n"}, all[6:]...), []string{"NUL", "CR without", "LF", "more than 998"}},
		{"everything, and line ends stay", nil, true, all, nil},
	} {
		d := newDesk(t, &smtptest.Server{Offers: c.offers}, all...)
		d.o.CRLF = c.crlf
		sum := d.do(restore.Options{})
		if got := d.got(); !slices.Equal(got, c.got) {
			t.Errorf("%s: %.200q", c.what, got)
		}
		if len(sum.Refused) != len(c.reasons) {
			t.Fatalf("%s: %+v", c.what, sum.Refused)
		}
		for i, r := range sum.Refused {
			if !slices.ContainsFunc(strings.Split(c.reasons[i], "|"), func(s string) bool { return strings.Contains(r.Reason, s) }) {
				t.Errorf("%s: %s: %s", c.what, r.Reference, r.Reason)
			}
		}
	}
	d := newDesk(t, &smtptest.Server{Offers: []string{"SIZE 40"}}, text(1), text(1)+strings.Repeat("x\r\n", 20))
	if sum := d.do(restore.Options{}); len(sum.Refused) != 1 || !strings.Contains(sum.Refused[0].Reason, "40") || sum.Appended != 1 {
		t.Errorf("a message that is too large: %+v", sum)
	}
}

func TestAnAnswerThatIsLostIsUnknownAndSaid(t *testing.T) {
	t.Parallel()
	for _, final := range []string{"hang up", "kept and hang up"} {
		var lost atomic.Bool
		s := &smtptest.Server{LMTP: true, Final: func(_ *smtptest.Session, _, octets string) string {
			if octets == text(2) && lost.CompareAndSwap(false, true) {
				return final
			}
			return ""
		}}
		d := newDesk(t, s, letters(5)...)
		sum := d.do(restore.Options{})
		if sum.Appended != 4 || len(sum.Refused) != 1 || sum.Refused[0].Reference != "INBOX#3" || !strings.Contains(sum.Refused[0].Reason, "unknown") || !strings.Contains(sum.Refused[0].Reason, "may have been delivered") {
			t.Fatalf("%+v", sum)
		}
		for _, o := range []restore.Options{{DryRun: true}, {}} {
			sum = d.do(o)
			if sum.Appended != 0 || sum.Missing != 0 || sum.Present != 4 || len(sum.Refused) != 1 || !strings.Contains(sum.Refused[0].Reason, "unknown") {
				t.Errorf("the next restore: %+v", sum)
			}
		}
		n := 0
		for _, octets := range d.got() {
			if octets == text(2) {
				n++
			}
		}
		if want := strings.Count(final, "kept"); n != want || len(d.got()) != 4+want {
			t.Errorf("%s: the message is there %d times", final, n)
		}
	}
}

func TestOfTwoEqualMessagesOneIsUnknown(t *testing.T) {
	t.Parallel()
	var lost atomic.Bool
	s := &smtptest.Server{Final: func(*smtptest.Session, string, string) string {
		if lost.CompareAndSwap(false, true) {
			return "hang up"
		}
		return ""
	}}
	d := newDesk(t, s, text(1), text(1))
	if sum := d.do(restore.Options{}); sum.Appended != 1 || len(sum.Refused) != 1 {
		t.Errorf("%+v", sum)
	}
	if sum := d.do(restore.Options{}); sum.Appended != 0 || sum.Present != 1 || len(sum.Refused) != 1 || len(d.got()) != 1 {
		t.Errorf("the next restore: %+v, %q", sum, d.got())
	}
}

func TestAConnectionThatIsLostBeforeTheEndIsNoDouble(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"MAIL", "RCPT", "DATA", "BDAT"} {
		var n atomic.Int64
		s := &smtptest.Server{Handle: map[string]func(*smtptest.Session, string) string{verb: func(*smtptest.Session, string) string {
			if n.Add(1)%3 == 0 {
				return "hang up"
			}
			return ""
		}}}
		all := letters(10)
		if verb == "BDAT" {
			for i := range all {
				all[i] += "\x00"
			}
		}
		d := newDesk(t, s, all...)
		sum := d.do(restore.Options{})
		if verb == "BDAT" { // its octets are on their way when the command is read
			if int(sum.Appended)+len(sum.Refused) != len(all) || len(d.got()) != int(sum.Appended) {
				t.Errorf("%s: %+v, %q", verb, sum, d.got())
			}
			continue
		}
		if got := d.got(); !slices.Equal(got, all) || sum.Appended != 10 {
			t.Errorf("%s: %+v, %q", verb, sum, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	say := func(when, answer string) func(*smtptest.Session, string) string {
		return func(_ *smtptest.Session, command string) string {
			if strings.Contains(command, when) {
				return answer
			}
			return ""
		}
	}
	for _, c := range []struct {
		what, verb, when, answer string
		final                    string // of letter 2
		fails                    error
		refused                  int
		reason                   string
	}{
		{"no such user", "RCPT", "anna", "550 5.1.1 nobody", "", restore.ErrAccess, 0, ""},
		{"a full mailbox", "RCPT", "anna", "552 5.2.2 full", "", restore.ErrRoom, 0, ""},
		{"nobody may without a login", "MAIL", "FROM", "530 5.7.0 log in", "", restore.ErrAccess, 0, ""},
		{"this message", "", "", "", "554 5.6.0 no such thing", nil, 1, "554 5.6.0"},
		{"this message, for now", "", "", "", "451 4.7.1 later", nil, 1, "451 4.7.1"},
		{"all messages", "DATA", "DATA", "554 no", "", nil, 5, "554 no"},
		{"the server goes", "MAIL", "FROM", "421 4.3.2 maintenance", "", restore.ErrBusy, 0, ""},
		{"a long answer", "", "", "", strings.Repeat("554-it is no\r\n", 300) + "554 end", nil, 1, "554 it is no; it is no"},
	} {
		s := &smtptest.Server{Handle: map[string]func(*smtptest.Session, string) string{}}
		if c.verb != "" {
			s.Handle[c.verb] = say(c.when, c.answer)
		}
		var well atomic.Bool
		s.Final = func(_ *smtptest.Session, _, octets string) string {
			if octets == text(2) && !well.Load() {
				return c.final
			}
			return ""
		}
		d := newDesk(t, s, letters(5)...)
		report, err := d.run(restore.Options{})
		sum := report.Totals()
		if !errors.Is(err, c.fails) || (err == nil) != (c.fails == nil) || len(sum.Refused) != c.refused {
			t.Errorf("%s: %v, %+v", c.what, err, sum)
			continue
		}
		if c.refused > 0 && !strings.Contains(sum.Refused[0].Reason, c.reason) {
			t.Errorf("%s: %s", c.what, sum.Refused[0].Reason)
		}
		// What was refused may be taken another time.
		if c.final == "" || c.fails != nil {
			continue
		}
		well.Store(true)
		if sum := d.do(restore.Options{}); sum.Appended != 1 || sum.Present != 4 || len(d.got()) != 5 {
			t.Errorf("%s, later: %+v", c.what, sum)
		}
	}
}

func TestAServerThatIsBusyForAMoment(t *testing.T) {
	t.Parallel()
	var n, patience atomic.Int64
	patience.Store(3)
	s := &smtptest.Server{Final: func(*smtptest.Session, string, string) string {
		if n.Add(1)%patience.Load() != 0 {
			return "451 4.3.0 a moment"
		}
		return ""
	}}
	d := newDesk(t, s, letters(4)...)
	if sum := d.do(restore.Options{}); sum.Appended != 4 || !slices.Equal(d.got(), letters(4)) {
		t.Errorf("%+v, %q", sum, d.got())
	}
	// Where it takes longer, not every message is waited for.
	n.Store(0)
	patience.Store(1000)
	if sum := d.do(restore.Options{Again: true}); len(sum.Refused) != 4 || n.Load() != 3+1+1+1 {
		t.Errorf("%d tries, %+v", n.Load(), sum)
	}
}

func TestSomeRecipientsGetItAndOthersLater(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	full.Store(true)
	s := &smtptest.Server{LMTP: true, Final: func(_ *smtptest.Session, to, octets string) string {
		if to == "bob@example.org" && octets == text(1) && full.Load() {
			return "552 5.2.2 full"
		}
		return ""
	}}
	d := newDesk(t, s, letters(3)...)
	d.o.To = append(d.o.To, "bob@example.org")
	sum := d.do(restore.Options{})
	if sum.Appended != 2 || len(sum.Refused) != 1 || !strings.Contains(sum.Refused[0].Reason, "for bob@example.org: 552") || strings.Contains(sum.Refused[0].Reason, "anna") {
		t.Errorf("%+v", sum)
	}
	full.Store(false)
	if sum := d.do(restore.Options{}); sum.Appended != 1 || sum.Present != 2 {
		t.Errorf("%+v", sum)
	}
	if n := len(d.server.Got()); len(d.got()) != 3 || n != 6 {
		t.Errorf("%d were delivered, %q of them to Anna", n, d.got())
	}
}

func TestAJournalThatWasCutIsRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &smtptest.Server{}, letters(3)...)
	d.do(restore.Options{})
	found, err := filepath.Glob(filepath.Join(d.journal, strings.Repeat("[0-9a-f]", 24))) // and its lock beside it
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	path := found[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
	if len(lines) != 6 {
		t.Fatalf("%q", lines)
	}
	// Killed before the acceptance of the last one was noted, and in the middle of it.
	for _, cut := range []string{strings.Join(lines[:5], ""), strings.Join(lines[:5], "") + lines[5][:10]} {
		if err := os.WriteFile(path, []byte(cut), 0o600); err != nil {
			t.Fatal(err)
		}
		if sum := d.do(restore.Options{}); sum.Present != 2 || len(sum.Refused) != 1 || len(d.got()) != 3 {
			t.Errorf("%+v, %q", sum, d.got())
		}
	}
	if sum := d.do(restore.Options{Again: true}); sum.Appended != 3 {
		t.Errorf("%+v", sum)
	}
	j, err := openJournal(d.journal, "test", "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if _, err := d.run(restore.Options{}); !errors.Is(err, restore.ErrBusy) {
		t.Errorf("with somebody else at it: %v", err)
	}
}
