package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
	"restante/storage"
)

// What may happen to a command that changes something.
const (
	notDone  = "the connection is lost before it"
	answered = "the connection is lost after its answer"
	lost     = "it is done, and the answer lost"
)

// changing are the commands with which a restore changes something.
var changing = []string{"CREATE", "SUBSCRIBE", "APPEND", "UID STORE"}

// A crashing server loses the connection at the at-th command that changes
// something. With dead, that is the end of the client, too: it gets no other.
type crashing struct {
	*imaptest.Server
	what    string
	at      int // -1: never
	dead    bool
	seen    int
	struck  string // the command
	account *imaptest.Account
}

func newCrashing(t *testing.T, caps, what string, at int, dead bool) *crashing {
	c := &crashing{what: what, at: at, dead: dead, account: imaptest.NewAccount(caps)}
	c.account.Add("INBOX", someLetters("there", 1)[0].octets, `\Seen`)
	script := c.account.Script()
	for _, name := range changing {
		h := script.Handle[name]
		script.Handle[name] = func(conn *imaptest.Conn, cmd imaptest.Command) {
			c.seen++ // one connection is served at a time
			switch {
			case c.seen-1 != c.at:
				h(conn, cmd)
				return
			case c.what == answered:
				h(conn, cmd)
			case c.what == lost:
				imaptest.Rewrite(h, func(imaptest.Command, string) string { return "" })(conn, cmd)
			}
			c.struck = fmt.Sprintf("%s %.40q", cmd.Name, cmd.Args)
			conn.Close()
		}
	}
	c.Server = imaptest.Start(t, script)
	return c
}

// Wherever a restore ends, before or after any command that changes something
// or with its answer lost, or loses its connection there and goes on with
// another, the next one ends with every message there once, octet for octet,
// with its flags, date and labels, in folders with their use and subscription.
func TestEveryCrashPointOfARestore(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 12)
	labelled := someLetters("y", 3)
	labelled[0].flags = []string{`\Seen`, storage.LabelFlag("one"), storage.LabelFlag("two")}
	labelled[2].flags = []string{storage.LabelFlag("two")}
	folders := []folder{
		named("INBOX", append(letters[:4:4], letters[1], letters[9])...), // one twice, one without a Message-ID
		{levels: []string{"a"}, subscribed: true, use: []string{`\Sent`}, letters: letters[4:7]},
		{levels: []string{"b"}, subscribed: true, letters: labelled},
		named("empty"),
	}
	points := 0
	for _, caps := range []string{"", "UIDPLUS", full, "UIDPLUS X-GM-EXT-1"} {
		d := &desk{t: t, repo: newRepository(t)}
		d.tree = archive(t, d.repo, folders...)
		for _, journal := range []bool{true, false} {
			// run is a process from its beginning to its end.
			run := func(c *crashing) (*restore.Report, error) {
				dial := serially(c.Server, nil)
				target := New(Options{Location: "imap://alice@test", Dial: func(ctx context.Context) (*imapconn.Conn, error) {
					if c.dead && c.struck != "" {
						return nil, errDead
					}
					return dial(ctx)
				}})
				defer target.Close()
				return d.over(t.Context(), oneConnection{target}, restore.Options{})
			}
			fresh := func() {
				if d.journal = ""; journal {
					d.journal = t.TempDir()
				}
			}
			fresh()
			whole := newCrashing(t, caps, "", -1, false)
			if _, err := run(whole); err != nil {
				t.Fatal(err)
			}
			want := contents(whole.account)
			for at := range whole.seen {
				for _, what := range []string{notDone, answered, lost} {
					for _, dead := range []bool{true, false} {
						points++
						fresh()
						c := newCrashing(t, caps, what, at, dead)
						_, err := run(c)
						where := fmt.Sprintf("%s, journal %v, %s: %s, dead %v", caps, journal, c.struck, what, dead)
						if c.struck == "" {
							t.Fatalf("%s: it never came there", where)
						}
						if dead && err == nil && at < whole.seen-1 {
							t.Fatalf("%s: no error", where)
						}
						if err == nil && contents(c.account) != want {
							t.Fatalf("%s: no error, and the account has\n%s\nwant\n%s", where, contents(c.account), want)
						}
						c.dead = false
						for i := range 2 {
							report, err := run(c)
							if err != nil {
								t.Fatalf("%s: the next restore: %v", where, err)
							}
							if sum := report.Totals(); !report.Complete() || sum.Appended+sum.Present != 12 || i > 0 && sum.Appended > 0 {
								t.Fatalf("%s: the next restore: %d appended, %d present", where, sum.Appended, sum.Present)
							}
							if got := contents(c.account); got != want {
								t.Fatalf("%s: the account has\n%s\nwant\n%s", where, got, want)
							}
						}
						wantHarmless(t, c.Commands())
						c.Close()
					}
				}
			}
			whole.Close()
		}
	}
	t.Logf("%d crash points", points)
}

// A restore whose journal ends anywhere, or in octets that never reached the
// disk, adds nothing twice.
func TestJournalThatEndsAnywhereDoublesNothing(t *testing.T) {
	t.Parallel()
	d := &desk{t: t, repo: newRepository(t), journal: t.TempDir()}
	d.tree = archive(t, d.repo, named("INBOX", someLetters("x", 6)...))
	c := newCrashing(t, "UIDPLUS", "", -1, false)
	d.server, d.account = c.Server, c.account
	d.restore()
	want := contents(c.account)
	files, err := filepath.Glob(filepath.Join(d.journal, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil || len(whole) < 300 {
		t.Fatalf("%q, %v", whole, err)
	}
	for n := 0; n <= len(whole); n += 3 {
		for _, tail := range []int{0, len(whole) - n} {
			left := append(append([]byte(nil), whole[:n]...), make([]byte, tail)...)
			if err := os.WriteFile(files[0], left, 0o600); err != nil {
				t.Fatal(err)
			}
			if sum := d.restore().Totals(); sum.Appended != 0 || sum.Present != 6 {
				t.Fatalf("cut after %d octets, %d NULs behind: %d appended, %d present", n, tail, sum.Appended, sum.Present)
			}
		}
	}
	if got := contents(c.account); got != want {
		t.Errorf("the account has\n%s\nwant\n%s", got, want)
	}
	if strings.Count(want, "\n") < 8 {
		t.Errorf("the test shows little: %s", want)
	}
}

var errDead = errors.New("the process is gone")
