package imaptarget

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
	"restante/restore"
)

// dovecots are the testbed's two servers: names like "a/b", and names like
// "INBOX.a.b".
var dovecots = map[string]func(testing.TB) servers.Server{"slash": servers.IMAP, "dot and prefix": servers.IMAPDot}

// everyServer is all of the testbed's.
var everyServer = map[string]func(testing.TB) servers.Server{
	"slash": servers.IMAP, "dot and prefix": servers.IMAPDot,
	"Cyrus": servers.Cyrus, "Cyrus, dot and prefix": servers.CyrusDot, "Courier": servers.Courier,
}

// choosyAbout says whether Cyrus or Courier refuses a name for a folder.
func choosyAbout(s servers.Server, levels []string) bool {
	return s.Choosy && strings.ContainsAny(strings.Join(levels, ""), `"\%📬{`)
}

// atDovecot is a desk with a new user's account.
func atDovecot(t *testing.T, s servers.Server, folders ...folder) (d *desk, user string, target func() *Target) {
	t.Helper()
	ca, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	user = servers.NewUser(t)
	d = &desk{t: t, repo: newRepository(t)}
	d.tree = archive(t, d.repo, folders...)
	host, _, _ := strings.Cut(s.TLSAddress, ":")
	return d, user, func() *Target {
		return d.target(func(ctx context.Context) (*imapconn.Conn, error) {
			return imapconn.Dial(ctx, imapconn.Options{Address: s.TLSAddress, TLS: &tls.Config{RootCAs: roots, ServerName: host}, User: user, Password: servers.Password})
		})
	}
}

// run restores to Dovecot twice, and returns the first report.
func (d *desk) run(target func() *Target) *restore.Report {
	d.t.Helper()
	first, err := d.over(d.t.Context(), target(), restore.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	second, err := d.over(d.t.Context(), target(), restore.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	if sum := second.Totals(); sum.Appended != 0 || sum.Present != first.Totals().Present+first.Totals().Appended {
		d.t.Errorf("the second restore appended %d messages and found %d; the first had appended %d", sum.Appended, sum.Present, first.Totals().Appended)
	}
	return first
}

// described are the messages of a folder on Dovecot, which keeps the instant of
// an internal date and not its zone.
func described(t *testing.T, f *rawimap.Folder) []string {
	t.Helper()
	list := []string{}
	for _, m := range f.Messages {
		at, err := time.Parse(rawimap.DateFormat, m.InternalDate)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, describe(string(m.Octets), strings.Join(m.Flags, " "), at.UTC().String()))
	}
	slices.Sort(list)
	return list
}

func describedLetters(letters []letter) []string {
	list := []string{}
	for _, l := range letters {
		list = append(list, describe(l.octets, strings.Join(l.flags, " "), l.at.UTC().String()))
	}
	slices.Sort(list)
	return list
}

func TestRealServersGetFoldersAndMessagesAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, server := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			eightBit := "Subject: \xe4\r\n\r\nbare CR \r and \xff\r\n"
			end := ""
			if s.Choosy {
				// Cyrus makes an X of the one octet, Courier drops the CR and ends
				// what has no end.
				eightBit, end = "Subject: x\r\n\r\nand \xff\r\n", "\r\n"
			}
			var folders []folder
			want := map[string][]letter{}
			for i, levels := range [][]string{{"INBOX"}, {"INBOX", "below"}, {"a"}, {"a", "b", "c"}, {"R&D"}, {"Entwürfe & Co"}, {"日本語", "📬"}, {`quo"te\`}, {"st*r", "per%cent"},
				{"trailing "}, {"{5}"}, {"NIL"}, {strings.Repeat("x", 200)}, {"empty"}, {"=raw=494e424f58"}} {
				if choosyAbout(s, levels) {
					continue
				}
				letters := someLetters(fmt.Sprint(i), 12)
				odd := letter{"no header", []string{`\Draft`, `\Deleted`}, noon}
				if s.Choosy {
					odd.octets = "Subject: nobody\r\n"
				}
				letters = append(letters, letters[4], letters[9], // twice the same
					odd, letter{"Subject: long\r\n\r\n" + strings.Repeat("x", 70_000) + end, []string{`\Flagged`, "a'b"}, noon},
					letter{eightBit, nil, time.Date(1999, 12, 31, 23, 59, 59, 0, time.FixedZone("", 14*3600))})
				if levels[0] == "empty" {
					letters = nil
				}
				folders = append(folders, folder{levels: levels, letters: letters, subscribed: i%2 == 0})
				wire := rawimap.EncodeName(s.Prefix + strings.Join(levels, s.Delimiter))
				if len(levels) == 1 && levels[0] == "INBOX" {
					wire = "INBOX"
				}
				want[wire] = letters
			}
			d, user, target := atDovecot(t, s, folders...)
			if report := d.run(target); !report.Complete() || len(report.Totals().Dropped) > 0 || notes(report) != "" {
				t.Errorf("refused %+v, dropped %v, notes %q", report.Totals().Refused, report.Totals().Dropped, notes(report))
			}
			got := servers.Dump(t, s, user)
			for i, f := range folders {
				wire := rawimap.EncodeName(s.Prefix + strings.Join(f.levels, s.Delimiter))
				if i == 0 {
					wire = "INBOX"
				}
				there := got.Folder(wire)
				if there == nil {
					t.Errorf("there is no folder %q", wire)
					continue
				}
				if g, w := described(t, there), describedLetters(want[wire]); !slices.Equal(g, w) {
					t.Errorf("folder %q has %d messages, want %d, or others: %.30q, want %.30q", wire, len(g), len(w), g, w)
				}
				if there.Subscribed != f.subscribed {
					t.Errorf("folder %q: subscribed to: %v", wire, there.Subscribed)
				}
			}
		})
	}
}

// Dovecot changes a NUL and a bare LF, loses a CR at the end and takes no empty
// message. None of that makes it get anything twice.
func TestDovecotGetsWhatItChangesOnce(t *testing.T) {
	t.Parallel()
	for name, server := range dovecots {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letters := someLetters("x", 10)
			letters[0].octets += "bare\nLF\n"
			letters[1].octets += "NUL \x00\r\n"
			letters[9].octets += "\x00 no Message-ID\n" // it has none
			letters[2].octets += "ends in CR\r"
			letters[3].octets = ""
			letters = append(letters, letters[9], letters[0])
			d, user, target := atDovecot(t, server(t), named("INBOX", letters...))
			report := d.run(target)
			if f := report.Folders[0]; f.Appended != 11 || len(f.Refused) != 1 || f.Refused[0].UID != 4 {
				t.Errorf("%d appended, refused %+v", f.Appended, f.Refused)
			}
			if n := len(servers.Dump(t, server(t), user).Folder("INBOX").Messages); n != 11 {
				t.Errorf("the folder has %d messages", n)
			}
		})
	}
}

// Cyrus writes an X for an 8-bit octet in a header, and Courier drops a CR that
// stands alone. Neither gets such a message twice.
func TestCyrusAndCourierGetWhatTheyChangeOnce(t *testing.T) {
	t.Parallel()
	for name, server := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letters := someLetters("x", 3)
			letters[0].octets = "Subject: Gr\xfc\xdfe\r\nMessage-ID: <8@x>\r\n\r\nbare CR \r and \xff\r\n"
			letters[1].octets = "Subject: Gr\xfc\xdfe\r\n\r\nno Message-ID, \xe4\r\n"
			s := server(t)
			d, user, target := atDovecot(t, s, named("INBOX", letters...))
			if report := d.run(target); !report.Complete() {
				t.Errorf("refused %+v", report.Totals().Refused)
			}
			if n := len(servers.Dump(t, s, user).Folder("INBOX").Messages); n != 3 {
				t.Errorf("the folder has %d messages", n)
			}
		})
	}
}

// Cyrus 3.6 dies of a LIST with braces in it. It takes no folder of such a name,
// and the others come back all the same.
func TestCyrusAndAFolderNamedWithBraces(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB) servers.Server{"Cyrus": servers.Cyrus, "Cyrus, dot and prefix": servers.CyrusDot} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letters := someLetters("x", 5)
			d, _, target := atDovecot(t, server(t), named("good", letters...), named("{5}", letters...), named("well", letters...))
			for _, f := range d.run(target).Folders {
				if good := f.Folder != "{5}"; good != (f.Failed == "") || good != (f.Appended == 5) {
					t.Errorf("folder %q: %d appended, failed: %q", f.Folder, f.Appended, f.Failed)
				}
			}
		})
	}
}

// Dovecot gives special uses by its configuration, whatever is asked for.
func TestDovecotsSpecialUsesAreReportedAsTheyAre(t *testing.T) {
	t.Parallel()
	s := servers.IMAP(t)
	d, user, target := atDovecot(t, s, folder{levels: []string{"Sent"}, use: []string{`\Sent`}}, folder{levels: []string{"Papierkorb"}, use: []string{`\Trash`}})
	report := d.run(target)
	if got := notes(report); strings.Contains(got, "Sent") || strings.Count(got, "\n") != 1 {
		t.Errorf("notes %q", got)
	}
	wantText(t, notes(report), `Papierkorb: the server does not let clients set a special use: \Trash`)
	got := servers.Dump(t, s, user)
	if f := got.Folder("Sent"); f == nil || !slices.Equal(f.SpecialUse, []string{`\Sent`}) {
		t.Errorf("%+v", f)
	}
}

// Names that are no modified UTF-7 Dovecot lets nobody create. That costs
// nothing but the folder, and another place takes it.
func TestDovecotAndNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, server := range dovecots {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			letters := someLetters("x", 5)
			d, user, target := atDovecot(t, s, folder{levels: []string{"caf%E9"}, raw: "caf\xe9", delimiter: s.Delimiter, letters: letters}, named("good", letters...))
			report := d.run(target)
			for _, f := range report.Folders {
				if good := f.Folder == "good"; good != (f.Failed == "") || good != (f.Appended == 5) {
					t.Errorf("folder %q: %d appended, failed: %q", f.Folder, f.Appended, f.Failed)
				}
			}
			if _, err := d.over(t.Context(), target(), restore.Options{Into: []string{"back"}}); err != nil {
				t.Fatal(err)
			}
			got := servers.Dump(t, s, user)
			if f := got.Folder(s.Prefix + "back" + s.Delimiter + "caf%E9"); f == nil || len(f.Messages) != 5 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// Dates that Dovecot does not take are not worth a message.
func TestDovecotAndOddDates(t *testing.T) {
	t.Parallel()
	s := servers.IMAP(t)
	var letters []letter
	for i, at := range []time.Time{{}, time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.FixedZone("", 13*3600+45*60)), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		letters = append(letters, letter{fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), []string{`\Seen`, "$Odd"}, at})
	}
	d, user, target := atDovecot(t, s, named("INBOX", letters...))
	report := d.run(target)
	got := servers.Dump(t, s, user).Folder("INBOX")
	if len(got.Messages) != len(letters) || !report.Complete() {
		t.Errorf("%d messages", len(got.Messages))
	}
}
