package imapsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage"
)

// detailed is a chain whose server tells details, with a clock.
func detailed(t *testing.T, more string) (c *chain, script func(change map[string]imaptest.Handler) *imaptest.Script, clock *time.Time) {
	c = newChain(t, everything+" "+more)
	c.account.Add("INBOX", letter(1), ``)
	c.account.Add("Sent", letter(2), ``)
	clock = new(time.Time)
	*clock = time.Date(2026, 11, 20, 23, 59, 0, 0, time.UTC)
	c.run = func(o *backup.Options) { o.Now = func() time.Time { return *clock } }
	return c, func(change map[string]imaptest.Handler) *imaptest.Script {
		s := c.account.Script()
		name := func(cmd imaptest.Command) string {
			n, _ := imaptest.Name(strings.TrimPrefix(cmd.Args, "(DEPTH infinity) "))
			return quoted(n)
		}
		s.Handle["MYRIGHTS"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
			conn.Say("* MYRIGHTS %s lrswi\r\n%s OK\r\n", name(cmd), cmd.Tag)
		}
		s.Handle["GETACL"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
			if name(cmd) != `"INBOX"` {
				conn.Say("%s NO [NOPERM] not yours\r\n", cmd.Tag)
				return
			}
			conn.Say("* ACL %s alice lrswi {5}\r\na \x01 b lr\r\n%s OK\r\n", name(cmd), cmd.Tag)
		}
		s.Handle["GETQUOTAROOT"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
			conn.Say("* QUOTAROOT %s \"User quota\"\r\n* QUOTA \"User quota\" (STORAGE 10 512 MESSAGE 2 1000)\r\n%s OK\r\n", name(cmd), cmd.Tag)
		}
		s.Handle["GETMETADATA"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
			conn.Say("* METADATA %s (/shared/comment {3}\r\na\r\n)\r\n%s OK\r\n", name(cmd), cmd.Tag)
		}
		for command, h := range change {
			s.Handle[command] = h
		}
		return &s
	}, clock
}

func quoted(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// details are what a snapshot has of them, as one line.
func (c *chain) details(s storage.Snapshot) string {
	c.t.Helper()
	tree, err := c.repo.OpenSnapshot(c.t.Context(), s)
	if err != nil {
		c.t.Fatal(err)
	}
	d, err := tree.Details(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if d == nil {
		return "none"
	}
	var b strings.Builder
	for _, q := range d.Quotas {
		fmt.Fprintf(&b, "%s:", q.Root)
		for _, r := range q.Resources {
			fmt.Fprintf(&b, " %s %d/%d", r.Name, r.Usage, r.Limit)
		}
		b.WriteString("; ")
	}
	for _, f := range d.Folders {
		fmt.Fprintf(&b, "%s %s", storage.FolderName(f.Levels), f.Rights)
		for _, g := range f.ACL {
			fmt.Fprintf(&b, " %q=%s", g.Identifier, g.Rights)
		}
		fmt.Fprintf(&b, " %q", f.Quotas)
		for _, m := range f.Metadata {
			fmt.Fprintf(&b, " %s=%q", m.Entry, m.Value)
		}
		b.WriteString("; ")
	}
	for _, m := range d.Metadata {
		fmt.Fprintf(&b, "server %s=%q; ", m.Entry, m.Value)
	}
	for _, s := range d.Scripts {
		fmt.Fprintf(&b, "script %s=%q; ", s.Name, s.Octets)
	}
	return b.String()
}

const (
	quotaSaid  = "User quota: MESSAGE 2/1000 STORAGE 10/512; "
	rightsSaid = "INBOX lrswi \"a \\x01 b\"=lr \"alice\"=lrswi [\"User quota\"]; Sent lrswi [\"User quota\"]; "
)

func TestDetailsAreInTheSnapshot(t *testing.T) {
	t.Parallel()
	c, script, _ := detailed(t, "ACL QUOTA")
	first := c.must(script(nil))
	if got := c.details(first.Snapshot); got != quotaSaid+rightsSaid || len(first.Snapshot.Notes) > 0 {
		t.Errorf("got %s, notes %q", got, first.Snapshot.Notes)
	}
	if n := c.sent(); n["MYRIGHTS"] != 2 || n["GETACL"] != 2 || n["GETQUOTAROOT"] != 2 || n["GETMETADATA"] != 0 {
		t.Errorf("the server got %v", n)
	}
	c, script, _ = detailed(t, "METADATA")
	if got := c.details(c.must(script(nil)).Snapshot); got != `INBOX  [] /shared/comment="a\r\n"; Sent  [] /shared/comment="a\r\n"; server /shared/comment="a\r\n"; ` {
		t.Errorf("METADATA: %s", got)
	}
	c, script, _ = detailed(t, "")
	if got, n := c.details(c.must(script(nil)).Snapshot), c.sent(); got != "none" || n["MYRIGHTS"]+n["GETQUOTAROOT"]+n["GETMETADATA"] != 0 {
		t.Errorf("of a server that announces nothing: %s, %v", got, n)
	}
}

// Dovecot may add up what is in all folders for each.
func TestThatThousandsOfFoldersHaveOneQuotaIsNotAskedOfEach(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		last string // folder of the first flight with another root
		want int
	}{"one root": {"", foldersAhead}, "a root of its own": {"Folder 10", 200}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			chain, script, _ := detailed(t, "QUOTA")
			for i := range 198 {
				chain.account.Add(fmt.Sprintf("Folder %d", i), letter(1), ``)
			}
			chain.must(script(map[string]imaptest.Handler{"GETQUOTAROOT": func(conn *imaptest.Conn, cmd imaptest.Command) {
				root := "x"
				if n, _ := imaptest.Name(cmd.Args); n == c.last {
					root = "y"
				}
				conn.Say("* QUOTAROOT %s %s\r\n* QUOTA %[2]s (STORAGE 1 2)\r\n%s OK\r\n", cmd.Args, root, cmd.Tag)
			}}))
			if n := chain.sent(); n["GETQUOTAROOT"] != c.want {
				t.Errorf("the quota was asked of %d folders", n["GETQUOTAROOT"])
			}
		})
	}
}

// What Cyrus measures would make every day's details others.
func TestWhatAServerMeasuresIsLeftOut(t *testing.T) {
	t.Parallel()
	c, script, _ := detailed(t, "METADATA-SERVER")
	r := c.must(script(map[string]imaptest.Handler{"GETMETADATA": imaptest.Answer("* METADATA \"\" (/shared/vendor/cmu/cyrus-imapd/freespace/percent/most \"1;2\" /private/vendor/cmu/cyrus-imapd/usermodseq 7 /shared/vendor/cmu/cyrus-imapd/sharedseen true /shared/size 1)\r\n%T OK\r\n")}))
	if got := c.details(r.Snapshot); got != `server /shared/size="1"; server /shared/vendor/cmu/cyrus-imapd/sharedseen="true"; ` {
		t.Errorf("got %s", got)
	}
}

// A run that finds nothing changed asks for the list alone, but the first one of
// a day; the same details are the same tree.
func TestDetailsAreAskedForOncePerDay(t *testing.T) {
	t.Parallel()
	c, script, clock := detailed(t, "ACL QUOTA")
	asked := func(what string, want int) *backup.Result {
		t.Helper()
		r := c.must(script(nil))
		if n := c.sent()["GETQUOTAROOT"]; n != want {
			t.Errorf("%s: asked %d times", what, n)
		}
		if got := c.details(r.Snapshot); got != quotaSaid+rightsSaid {
			t.Errorf("%s: %s", what, got)
		}
		return r
	}
	first := asked("first", 2)
	asked("a minute later", 0)
	*clock = clock.Add(time.Minute)
	if r := asked("the next day", 2); r.Snapshot.Root != first.Snapshot.Root || r.Snapshot.Stats.Stored != 0 {
		t.Errorf("the same details wrote %d octets", r.Snapshot.Stats.Stored)
	}
	c.account.Add("INBOX", letter(3), ``)
	asked("new mail", 0)
	full := c.run
	c.run = func(o *backup.Options) { full(o); o.Full = true }
	asked("in full", 2)
}

// Whatever goes wrong, the mail is in the snapshot.
func TestDetailsThatCannotBeHadAreANote(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command, answer string
		note, want      string
	}{
		"refused quota":      {"GETQUOTAROOT", "%T NO not now\r\n", "does not tell the quota of 2 folders: imap: NO not now", "INBOX lrswi \"a \\x01 b\"=lr \"alice\"=lrswi []; Sent lrswi []; "},
		"rights not known":   {"MYRIGHTS", "%T BAD what\r\n", "does not tell the rights of 2 folders: imap: BAD what", quotaSaid + strings.ReplaceAll(rightsSaid, "lrswi \"a", " \"a")},
		"of another folder":  {"MYRIGHTS", "* MYRIGHTS Elsewhere a\r\n%T OK\r\n", "", ""},
		"hostile":            {"GETACL", "* ACL INBOX" + strings.Repeat(" a lr", 2000) + "\r\n%T OK\r\n", "are as in the last snapshot: rights, quotas and METADATA: ", "none"},
		"sizes beyond reach": {"GETQUOTAROOT", "* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 1 99999999999999999999)\r\n%T OK\r\n", "are as in the last snapshot: ", "none"},
		"an endless literal": {"GETACL", "* ACL INBOX {4294967295}\r\n", "are as in the last snapshot: ", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, script, _ := detailed(t, "ACL QUOTA")
			r := c.must(script(map[string]imaptest.Handler{test.command: imaptest.Answer(test.answer)}))
			if r.Snapshot.Messages != 2 || !strings.Contains(fmt.Sprint(r.Snapshot.Notes), test.note) || test.note == "" && len(r.Snapshot.Notes) > 0 {
				t.Errorf("%d messages, notes %q", r.Snapshot.Messages, r.Snapshot.Notes)
			}
			got := c.details(r.Snapshot)
			switch name {
			case "of another folder":
				if strings.Contains(got, "INBOX a") {
					t.Errorf("got %s", got)
				}
			case "rights not known":
				if strings.Contains(got, "INBOX lrswi") || !strings.Contains(got, quotaSaid) {
					t.Errorf("got %s", got)
				}
			default:
				if got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
		})
	}
}

// Scripts that cannot be had just now stay as the last snapshot has them.
func TestScriptsThatCannotBeHadStay(t *testing.T) {
	t.Parallel()
	c, script, clock := detailed(t, "")
	var fail error
	c.source = func(o *Options) {
		o.Scripts = func(context.Context) ([]storage.Script, error) {
			return []storage.Script{{Name: "main", Octets: []byte("keep;")}}, fail
		}
	}
	const want = `script main="keep;"; `
	if got := c.details(c.must(script(nil)).Snapshot); got != want {
		t.Errorf("got %s", got)
	}
	*clock = clock.Add(24 * time.Hour)
	fail = errors.New("nobody is there")
	r := c.must(script(nil))
	if got := c.details(r.Snapshot); got != want || fmt.Sprint(r.Snapshot.Notes) != "[filter scripts: nobody is there]" {
		t.Errorf("got %s, notes %q", got, r.Snapshot.Notes)
	}
}

// Where no server of scripts was named, that there is none is not worth a note
// every day; that it is gone is worth one.
func TestNoServerOfScriptsIsSaidOnlyWhereThereWasOne(t *testing.T) {
	t.Parallel()
	c, script, clock := detailed(t, "")
	there := false
	c.source = func(o *Options) {
		o.Scripts = func(context.Context) ([]storage.Script, error) {
			if there {
				return []storage.Script{{Name: "main", Octets: []byte("keep;")}}, nil
			}
			return nil, ErrNoScripts
		}
	}
	if r := c.must(script(nil)); len(r.Snapshot.Notes) != 0 {
		t.Errorf("notes %q", r.Snapshot.Notes)
	}
	*clock, there = clock.Add(24*time.Hour), true
	c.must(script(nil))
	*clock, there = clock.Add(24*time.Hour), false
	if r := c.must(script(nil)); len(r.Snapshot.Notes) != 1 || c.details(r.Snapshot) != `script main="keep;"; ` {
		t.Errorf("notes %q, details %s", r.Snapshot.Notes, c.details(r.Snapshot))
	}
}
