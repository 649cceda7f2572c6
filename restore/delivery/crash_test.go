package delivery

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"restante/backup/accounts/smtpconn/smtptest"
	"restante/restore"
)

// A crashing server hangs up at the at-th moment at which something can happen
// to a restore, and takes no more calls: a command comes, a message is whole and
// nobody has it yet, or somebody has it and the answer is lost.
type crashing struct {
	t       *testing.T
	journal string // directory
	at      int

	mu     sync.Mutex // guards what follows
	seen   int
	struck string
	left   []byte // of the journal, then
	healed bool
}

// moment says whether this is when it happens.
func (c *crashing) moment(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.healed:
		return false
	case c.struck != "":
		return true
	}
	c.seen++
	if c.seen-1 != c.at {
		return false
	}
	c.struck = what
	if path := journalIn(c.t, c.journal); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			c.t.Error(err)
		}
		c.left = b
	}
	return true
}

func (c *crashing) command(_ *smtptest.Session, command string) string {
	if c.moment("before " + command) {
		return "hang up"
	}
	return ""
}

func (c *crashing) final(_ *smtptest.Session, to, octets string) string {
	switch {
	case c.moment(fmt.Sprintf("before %.20q is delivered to %s", octets, to)):
		return "hang up"
	case c.moment(fmt.Sprintf("after %.20q is delivered to %s", octets, to)):
		return "kept and hang up"
	}
	return ""
}

// journalIn is the path of the only journal in a directory; empty: there is none.
func journalIn(t *testing.T, dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, strings.Repeat("[0-9a-f]", 24))) // and its lock beside it
	if err != nil || len(found) > 1 {
		t.Errorf("%v, %v", found, err)
	}
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// onDisk is what certainly is on the disk of a journal: all to the end of the
// last line that was flushed.
func onDisk(journal []byte) []byte {
	end := 0
	for i, at := 0, 0; at < len(journal); at = i {
		i = at + bytes.IndexByte(journal[at:], '\n') + 1
		if bytes.HasPrefix(journal[at:], []byte(sending)) {
			end = i
		}
	}
	return journal[:end]
}

// Wherever a delivery ends, and whatever of its journal a power cut leaves, the
// next one delivers nothing twice, and says of each message that may not have
// come that it is unknown.
func TestEveryCrashPointOfADelivery(t *testing.T) {
	t.Parallel()
	all := append(letters(3), text(1)) // one twice
	points := 0
	for _, kind := range []struct {
		what   string
		lmtp   bool
		to     []string
		offers []string
	}{
		{"SMTP", false, []string{"anna@example.org"}, []string{"8BITMIME"}},
		{"SMTP, pipelined", false, []string{"anna@example.org"}, []string{"PIPELINING", "8BITMIME"}},
		{"LMTP, to two", true, []string{"anna@example.org", "bob@example.org"}, []string{"PIPELINING", "8BITMIME"}},
	} {
		moments := 1
		for at := 0; at < moments; at++ {
			for _, rest := range []string{"all of it", "what was flushed", "half of what was not flushed"} {
				c := &crashing{t: t, at: at}
				s := &smtptest.Server{LMTP: kind.lmtp, Offers: kind.offers, Final: c.final, Handle: map[string]func(*smtptest.Session, string) string{}}
				for _, verb := range []string{"EHLO", "LHLO", "MAIL", "RCPT", "DATA", "QUIT"} {
					s.Handle[verb] = c.command
				}
				d := newDesk(t, s, all...)
				d.o.To = kind.to
				c.journal = d.journal
				_, err := d.run(restore.Options{})
				c.mu.Lock()
				c.healed = true
				struck, left := c.struck, c.left
				c.mu.Unlock()
				if struck == "" {
					if err != nil {
						t.Fatal(err)
					}
					break // it came to its end
				}
				points, moments = points+1, at+2
				where := fmt.Sprintf("%s, %s, and of the journal is left %s", kind.what, struck, rest)
				if path := journalIn(t, d.journal); path != "" {
					flushed := len(onDisk(left))
					switch rest {
					case "what was flushed":
						left = left[:flushed]
					case "half of what was not flushed":
						left = left[:flushed+(len(left)-flushed)/2]
					}
					if err := os.WriteFile(path, left, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 2 {
					sum := d.do(restore.Options{})
					if i > 0 && sum.Appended > 0 {
						t.Fatalf("%s: the restore after the next one delivers %d", where, sum.Appended)
					}
					d.wantOnce(where, all, sum)
				}
			}
		}
		if moments < 20 {
			t.Errorf("%s: %d moments; the test shows little", kind.what, moments)
		}
	}
	t.Logf("%d crash points", points)
}

// wantOnce fails the test unless each recipient has each letter once, or it is
// told that nobody knows.
func (d *desk) wantOnce(where string, all []string, sum restore.FolderReport) {
	d.t.Helper()
	unknown := map[string]int{}
	for _, r := range sum.Refused {
		if !strings.Contains(r.Reason, "unknown") {
			d.t.Fatalf("%s: %s: %s", where, r.Reference, r.Reason)
		}
		unknown[all[r.UID-1]]++
	}
	for _, to := range d.o.To {
		got, want := map[string]int{}, map[string]int{}
		for _, m := range d.server.Got() {
			if m.To == to {
				got[m.Octets]++
			}
		}
		for _, l := range all {
			want[l]++
		}
		for l, n := range got {
			if n > want[l] {
				d.t.Fatalf("%s: %s has %.30q %d times", where, to, l, n)
			}
		}
		for l, n := range want {
			if got[l]+unknown[l] < n {
				d.t.Fatalf("%s: %s has %.30q %d times, and %d are said to be unknown", where, to, l, got[l], unknown[l])
			}
		}
	}
}
