package imaptarget

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
)

// there is an account that has some of the letters already.
func there(letters []letter, change func(*imaptest.Account, *imaptest.Script)) func(*imaptest.Account, *imaptest.Script) {
	return func(a *imaptest.Account, s *imaptest.Script) {
		for _, l := range letters {
			a.Add("INBOX", l.octets, strings.Join(l.flags, " "))
		}
		if change != nil {
			change(a, s)
		}
	}
}

// without leaves messages out of an answer to UID FETCH.
func without(answer string, leave func(uid string) bool) string {
	var b strings.Builder
	for rest := answer; rest != ""; {
		next := strings.Index(rest[1:], "\r\n* ")
		if tagged := strings.LastIndex(rest, ")\r\n"); next < 0 && tagged > 0 && strings.HasPrefix(rest, "* ") {
			next = tagged
		}
		one := rest
		if next >= 0 {
			one = rest[:next+3]
		}
		rest = rest[len(one):]
		_, uid, isFetch := strings.Cut(one, "FETCH (UID ")
		uid, _, _ = strings.Cut(uid, " ")
		if !isFetch || !leave(uid) {
			b.WriteString(one)
		}
	}
	return b.String()
}

// An omission is not a deletion: what a server leaves out of an answer is asked
// for again, and, if that is of no use, said.
func TestMessagesThatAnAnswerLeavesOutAreNotAddedAgain(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{full, ""} {
		for _, asked := range []string{"HEADER.FIELDS", "BODY.PEEK[]"} {
			for times, lost := range map[int]int64{1: 0, 1000: 2} {
				letters := someLetters("x", 40)
				left := map[string]int{}
				d := atDesk(t, caps, there(letters, func(_ *imaptest.Account, s *imaptest.Script) {
					s.Handle["UID FETCH"] = imaptest.Rewrite(s.Handle["UID FETCH"], func(cmd imaptest.Command, answer string) string {
						if !strings.Contains(cmd.Args, asked) {
							return answer
						}
						return without(answer, func(uid string) bool {
							left[uid]++
							return (uid == "3" || uid == "10") && left[uid] <= times
						})
					})
				}), named("INBOX", letters...))
				report := d.restore()
				if sum := report.Totals(); sum.Appended != lost || sum.Present != 40-lost {
					t.Errorf("%s: left out %d times: %d appended, %d present", asked, times, sum.Appended, sum.Present)
				}
				if said := strings.Contains(notes(report), "2 messages that it does not show"); said != (lost > 0) {
					t.Errorf("%s: left out %d times: notes %q", asked, times, notes(report))
				}
				// At worst there is one more copy, not one more each time.
				if sum := d.restore().Totals(); sum.Appended != 0 {
					t.Errorf("%s: left out %d times: then %d appended", asked, times, sum.Appended)
				}
			}
		}
	}
}

// A message that the server cannot read keeps no other from being compared.
func TestMessageThatTheServerCannotReadIsSaid(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"HEADER.FIELDS", "BODY.PEEK[]"} {
		letters := someLetters("x", 40)
		d := atDesk(t, full, there(letters, func(_ *imaptest.Account, s *imaptest.Script) {
			h := s.Handle["UID FETCH"]
			s.Handle["UID FETCH"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				set, _, _ := strings.Cut(cmd.Args, " ")
				if strings.Contains(cmd.Args, asked) && imaptest.InSet(set, 17) {
					c.Say("%s NO [SERVERBUG] cannot read it\r\n", cmd.Tag)
					return
				}
				h(c, cmd)
			}
		}), named("INBOX", letters...))
		report := d.restore()
		if sum := report.Totals(); sum.Appended != 1 || sum.Present != 39 {
			t.Errorf("%s: %d appended, %d present", asked, sum.Appended, sum.Present)
		}
		wantText(t, notes(report), "1 messages that it does not show")
		if sum := d.restore().Totals(); sum.Appended != 0 {
			t.Errorf("%s: then %d appended", asked, sum.Appended)
		}
	}
}

// A message that somebody deletes while the restore looks is missing, and comes
// back.
func TestMessageThatIsDeletedWhileItIsComparedComesBack(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{full, ""} {
		letters := someLetters("x", 40)
		once := false
		var account *imaptest.Account
		d := atDesk(t, caps, there(letters, func(a *imaptest.Account, s *imaptest.Script) {
			account = a
			h := s.Handle["UID FETCH"]
			s.Handle["UID FETCH"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				if strings.Contains(cmd.Args, "BODY.PEEK[]") && !once {
					once = true
					account.Expunge("INBOX", 5, 20)
					h(c, cmd) // the session has not been told: it may leave them out
					return
				}
				h(c, cmd)
			}
			s.Handle["UID FETCH"] = imaptest.Rewrite(s.Handle["UID FETCH"], func(cmd imaptest.Command, answer string) string {
				if !strings.Contains(cmd.Args, "BODY.PEEK[]") {
					return answer
				}
				return without(answer, func(uid string) bool { return uid == "5" || uid == "20" })
			})
		}), named("INBOX", letters...))
		if sum := d.restore().Totals(); sum.Appended != 2 || sum.Present != 38 {
			t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
		}
		if n := len(d.account.Folder("INBOX").Messages); n != 40 {
			t.Errorf("the folder has %d messages", n)
		}
	}
}

// A server that wants only one connection gets one.
func TestServerThatTakesOneConnectionOnly(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	in := map[*imaptest.Conn]bool{}
	var folders []folder
	for i := range 10 {
		folders = append(folders, named(fmt.Sprint("f", i), someLetters(fmt.Sprint(i), 70)...))
	}
	d := atDesk(t, full, func(a *imaptest.Account, s *imaptest.Script) {
		s.Handle["LOGIN"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			mu.Lock()
			defer mu.Unlock()
			if len(in) > 0 {
				c.Say("%s NO [LIMIT] too many connections\r\n", cmd.Tag)
				return
			}
			in[c] = true
			c.Say("%s OK [CAPABILITY %s] welcome\r\n", cmd.Tag, a.Caps)
		}
	}, folders...)
	// Nobody waits: a second connection that came back for more until it was
	// let in would fail.
	report := d.restore()
	if sum := report.Totals(); sum.Appended != 700 {
		t.Errorf("%d appended", sum.Appended)
	}
	if n := len(d.sent("LOGIN")); n > 40 {
		t.Errorf("it tried to log in %d times", n)
	}
}

// Two restores at the same time may each add what the other is about to add:
// between a look and an APPEND there is no lock. That is all: no message is
// lost, none is there more often than restores ran, and the next restore adds
// nothing.
func TestTwoRestoresAtTheSameTime(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 80)
	d := atDesk(t, full, nil, named("INBOX", letters...), named("new", letters...))
	var wg sync.WaitGroup
	for range 2 {
		target := d.target(nil)
		wg.Go(func() {
			if _, err := d.over(t.Context(), target, restore.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"INBOX", "new"} {
		times := map[string]int{}
		for _, m := range d.account.Folder(name).Messages {
			times[m.Body]++
		}
		for _, l := range letters {
			if n := times[l.octets]; n < 1 || n > 2 {
				t.Errorf("%s has a message %d times", name, n)
			}
		}
	}
	if sum := d.restore().Totals(); sum.Appended != 0 {
		t.Errorf("the next restore appended %d", sum.Appended)
	}
}

// betweenLookAndAppend has something happen when a restore knows what is missing.
type betweenLookAndAppend struct {
	*Target
	do func()
}

func (b betweenLookAndAppend) Room(ctx context.Context) (int64, bool, error) {
	b.do()
	return b.Target.Room(ctx)
}

// Another restore does all between the look and the first APPEND. A folder that
// has grown since is looked at again, and so is one that was to be made once it is
// there.
func TestRestoreThatOvertakesAnother(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	d := atDesk(t, full, nil, named("INBOX", letters...), named("new", letters...))
	slow := betweenLookAndAppend{d.target(nil), func() { d.restore() }}
	report, err := d.over(t.Context(), slow, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.want(map[string][]letter{"INBOX": letters, "new": letters})
	for _, f := range report.Folders {
		if f.Present != 20 || f.Appended != 0 || f.Missing != 0 {
			t.Errorf("%s: %d present, %d missing, %d appended", f.Folder, f.Present, f.Missing, f.Appended)
		}
	}
	if sum := d.restore().Totals(); sum.Appended != 0 {
		t.Errorf("the next restore appended %d", sum.Appended)
	}
}

// A folder that is made anew between the look and the first APPEND is another
// one.
func TestFolderThatIsReplacedMeanwhileIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	d := atDesk(t, full, there(letters[:10], nil), named("INBOX", letters...))
	slow := betweenLookAndAppend{d.target(nil), func() {
		d.account.Remove("INBOX")
		d.account.Folder("other") // for another UIDVALIDITY
		for _, l := range letters[5:20] {
			d.account.Add("INBOX", l.octets, "")
		}
	}}
	report, err := d.over(t.Context(), slow, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if sum := report.Totals(); sum.Appended != 5 || sum.Present != 15 || len(d.account.Folder("INBOX").Messages) != 20 {
		t.Errorf("%d appended, %d present, %d there", sum.Appended, sum.Present, len(d.account.Folder("INBOX").Messages))
	}
}
