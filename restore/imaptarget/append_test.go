package imaptarget

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
)

func TestFlagsThatTheFolderDoesNotKeepAreReportedAndTheMessageRestored(t *testing.T) {
	t.Parallel()
	flags := []string{`\Seen`, `\Flagged`, "$Forwarded", "Private"}
	for permanent, want := range map[string]string{
		`\Answered \Flagged \Deleted \Seen \Draft \*`: `\Seen \Flagged $Forwarded Private`,
		`\Seen \Flagged $forwarded`:                   `\Seen \Flagged $Forwarded`,
		`\Seen \Deleted`:                              `\Seen`,
		`\Seen \Deleted \*`:                           `\Seen $Forwarded Private`,
		"":                                            "",
		"none: a server that does not say, keeps them (9051)": `\Seen \Flagged $Forwarded Private`,
	} {
		d := atDesk(t, full, func(a *imaptest.Account, s *imaptest.Script) {
			f := a.Folder("INBOX")
			f.PermanentFlags = permanent
			if strings.HasPrefix(permanent, "none") {
				s.Handle["SELECT"] = imaptest.Rewrite(s.Handle["SELECT"], func(_ imaptest.Command, answer string) string {
					line := answer[strings.Index(answer, "* OK [PERMANENTFLAGS"):]
					return strings.Replace(answer, line[:strings.Index(line, "\n")+1], "", 1)
				})
			}
		}, named("INBOX", letter{"Subject: x\r\n\r\nx\r\n", flags, noon}))
		sum := d.twice().Totals()
		got := d.account.Folder("INBOX").Messages
		if len(got) != 1 || got[0].Flags != want {
			t.Errorf("%q: the message has %q, want %q", permanent, got[0].Flags, want)
			continue
		}
		for _, f := range flags {
			if lost := !slices.Contains(strings.Fields(want), f); lost != (sum.Dropped[f] == 1) {
				t.Errorf("%q: %s is lost: %v, and reported %d times", permanent, f, lost, sum.Dropped[f])
			}
		}
	}
}

// A flag in the archive that no IMAP command can carry is not worth a message.
func TestFlagsThatCannotBeSentAreReported(t *testing.T) {
	t.Parallel()
	d := atDesk(t, full, nil, named("INBOX", letter{"Subject: x\r\n\r\nx\r\n", []string{`\Seen`, "a b", "\xe9", "x\r\nT9 DELETE INBOX"}, noon}))
	sum := d.twice().Totals()
	if got := d.account.Folder("INBOX").Messages; len(got) != 1 || got[0].Flags != `\Seen` || len(sum.Dropped) != 3 {
		t.Errorf("%+v, dropped %v", got, sum.Dropped)
	}
}

// A server that refuses a message for its keywords gets it without.
func TestRefusedKeywordsAreReportedAndTheMessageRestored(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{full, someUse} {
		for _, answer := range []string{"NO [CANNOT] too many keywords", "BAD invalid flag"} {
			letters := someLetters("x", 100)
			for i := range letters {
				letters[i].flags = [][]string{{`\Seen`}, {`\Flagged`, "$Odd", "more"}}[i%2]
			}
			d := atDesk(t, caps, func(_ *imaptest.Account, s *imaptest.Script) {
				h := s.Handle["APPEND"]
				s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
					if strings.Contains(cmd.Args, "$Odd") {
						c.Say("%s %s\r\n", cmd.Tag, answer)
						return
					}
					h(c, cmd)
				}
			}, named("INBOX", letters...))
			report := d.twice()
			for i := range letters {
				letters[i].flags = letters[i].flags[:1]
			}
			d.want(map[string][]letter{"INBOX": letters})
			if sum := report.Totals(); sum.Appended != 100 || sum.Dropped["$Odd"] != 50 || sum.Dropped["more"] != 50 || len(sum.Dropped) != 2 || !report.Complete() {
				t.Errorf("%s: %d appended, dropped %v, refused %v", answer, sum.Appended, sum.Dropped, sum.Refused)
			}
		}
	}
}

func TestInternalDatesKeepTheirZones(t *testing.T) {
	t.Parallel()
	var letters []letter
	for i, at := range []time.Time{
		time.Date(2024, 2, 29, 23, 59, 60, 0, time.UTC), time.Date(1999, 12, 31, 0, 0, 0, 0, time.FixedZone("", 14*3600)),
		time.Date(1969, 1, 1, 1, 2, 3, 0, time.FixedZone("", -12*3600)), time.Date(2038, 2, 1, 0, 0, 0, 0, time.FixedZone("", 5*3600+45*60)),
		time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		letters = append(letters, letter{fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), nil, at})
	}
	d := atDesk(t, full, nil, named("INBOX", letters...))
	d.twice()
	d.want(map[string][]letter{"INBOX": letters})
}

// A message whose internal date nobody knows is left to the server.
func TestNoInternalDateIsSentWhereThereIsNone(t *testing.T) {
	t.Parallel()
	d := atDesk(t, full, nil, named("INBOX", letter{"Subject: x\r\n\r\nx\r\n", nil, time.Time{}}))
	d.twice()
	if got := d.sent("APPEND"); len(got) != 1 || got[0] != "\"INBOX\" {17+}\r\nSubject: x\r\n\r\nx\r\n" && got[0] != "INBOX {17+}\r\nSubject: x\r\n\r\nx\r\n" {
		t.Errorf("%q", got)
	}
}

func TestLiteralsAreThoseThatTheServerTakes(t *testing.T) {
	t.Parallel()
	letters := []letter{{"Subject: small\r\n\r\nx\r\n", nil, noon}, {"Subject: large\r\n\r\n" + strings.Repeat("line\r\n", 2000), nil, noon},
		{"Subject: huge\r\n\r\n" + strings.Repeat("line of the huge one\r\n", 200_000), nil, noon}}
	for caps, want := range map[string]string{"LITERAL+": "+++", "LITERAL-": "+  ", "": "   "} {
		d := atDesk(t, caps, nil, named("INBOX", letters...))
		d.twice()
		d.want(map[string][]letter{"INBOX": letters})
		got := ""
		for _, args := range d.sent("APPEND") {
			header, _, _ := strings.Cut(args, "\r\n")
			if strings.HasSuffix(header, "+}") {
				got += "+"
			} else {
				got += " "
			}
		}
		if got != want {
			t.Errorf("%s: literals that do not wait: %q, want %q", caps, got, want)
		}
	}
}

// With LITERAL+, messages follow each other without waiting for answers.
func TestMessagesFollowEachOtherWithoutWaiting(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 64)
	var held []imaptest.Command
	d := atDesk(t, full, func(_ *imaptest.Account, s *imaptest.Script) {
		h := s.Handle["APPEND"]
		s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			// Nothing is answered before so many have come.
			if held = append(held, cmd); len(held) == aheadMessages {
				for _, cmd := range held {
					h(c, cmd)
				}
				held = nil
			}
		}
	}, named("INBOX", letters...))
	d.restore()
	d.want(map[string][]letter{"INBOX": letters})
}

// A NO to a message costs that message only, whenever the server says it and
// whether or not it waits for messages.
func TestRefusedMessagesAreNamedAndTheRestIsRestored(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"UIDPLUS", "UIDPLUS LITERAL-", "UIDPLUS LITERAL+"} {
		for _, answer := range []string{"NO [TOOBIG] too big", "NO I do not like it", "BAD NUL", "NO [SERVERBUG] oops"} {
			for _, atOnce := range []bool{true, false} {
				if atOnce && strings.HasSuffix(caps, "+") {
					continue // it does not ask
				}
				t.Run(fmt.Sprint(caps, answer, atOnce), func(t *testing.T) {
					t.Parallel()
					letters := someLetters("x", 70)
					for i := range letters {
						letters[i].octets += strings.Repeat("long enough for a literal that waits\r\n", 200)
					}
					bad := []int{0, 1, 33, 69}
					for _, i := range bad {
						letters[i].octets += "BAD" + strings.Repeat("!", 10_000-len(letters[i].octets))
					}
					d := atDesk(t, caps, func(_ *imaptest.Account, s *imaptest.Script) {
						h := s.Handle["APPEND"]
						if atOnce {
							s.Literal = func(c *imaptest.Conn, cmd imaptest.Command, size int64) bool {
								if size > 9000 {
									c.Say("%s %s\r\n", cmd.Tag, answer)
									return false
								}
								c.Say("+ go on\r\n")
								return true
							}
							return
						}
						s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
							if strings.Contains(cmd.Args, "BAD!!!") {
								c.Say("%s %s\r\n", cmd.Tag, answer)
								return
							}
							h(c, cmd)
						}
					}, named("INBOX", letters...))
					report := d.twice()
					var uids []uint32
					for _, r := range report.Folders[0].Refused {
						uids = append(uids, r.UID)
						if text := answer[strings.LastIndex(answer, "] ")+1:]; !strings.Contains(r.Reason, strings.TrimSpace(strings.TrimPrefix(text, "NO "))) && !strings.Contains(r.Reason, "NUL") {
							t.Errorf("the reason is %q", r.Reason)
						}
					}
					slices.Sort(uids)
					if !slices.Equal(uids, []uint32{1, 2, 34, 70}) || report.Complete() || report.Folders[0].Appended != 66 {
						t.Errorf("refused %v, appended %d", uids, report.Folders[0].Appended)
					}
					for _, i := range slices.Backward(bad) {
						letters = slices.Delete(letters, i, i+1)
					}
					d.want(map[string][]letter{"INBOX": letters})
					if n := len(d.sent("LOGIN")); n > 4 {
						t.Errorf("%d connections were made", n)
					}
				})
			}
		}
	}
}

// What is larger than the server takes is not sent, and a dry run says so.
func TestMessagesBeyondAPPENDLIMITAreNotSent(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{full + " APPENDLIMIT=3000", full + " APPENDLIMIT"} {
		for _, there := range []bool{false, true} {
			letters := someLetters("x", 10)
			letters[4].octets += strings.Repeat("x", 3000)
			d := atDesk(t, caps, func(a *imaptest.Account, s *imaptest.Script) {
				if there {
					a.Folder("a")
				}
				s.Handle["STATUS"] = imaptest.Answer("* STATUS a (APPENDLIMIT 3000)\r\n%T OK done\r\n")
				s.Handle["GETQUOTAROOT"] = imaptest.Answer("* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 0 2)\r\n%T OK done\r\n") // room for the others
			}, named("a", letters...))
			dry, err := d.try(restore.Options{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			// A limit of a folder's own is known when the folder is there.
			if known := there || strings.Contains(caps, "="); known != (len(dry.Totals().Refused) == 1) || known != (dry.Totals().Missing == 9) {
				t.Errorf("%s, there %v: the dry run refuses %+v, and %d are missing", caps, there, dry.Totals().Refused, dry.Totals().Missing)
			}
			report := d.twice()
			if sum := report.Totals(); sum.Appended != 9 || len(sum.Refused) != 1 || sum.Refused[0].UID != 5 || sum.Refused[0].Reference != "a#5" || !strings.Contains(sum.Refused[0].Reason, "3000") {
				t.Errorf("%s: %d appended, refused %+v", caps, sum.Appended, sum.Refused)
			}
			d.want(map[string][]letter{"INBOX": nil, "a": slices.Delete(letters, 4, 5)})
			if n := len(d.sent("APPEND")); n != 9 {
				t.Errorf("%d messages were sent", n)
			}
		}
	}
}

func TestFullAccountEndsTheRestoreAndItGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"UIDPLUS", full} {
		letters := someLetters("x", 100)
		room := 40
		d := atDesk(t, caps, func(a *imaptest.Account, s *imaptest.Script) {
			h := s.Handle["APPEND"]
			s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				full := false
				a.Do(func() { room--; full = room < 0 })
				if full {
					c.Say("%s NO [OVERQUOTA] full\r\n", cmd.Tag)
					return
				}
				h(c, cmd)
			}
		}, named("INBOX", letters...))
		report, err := d.try(restore.Options{})
		if !errors.Is(err, restore.ErrRoom) || report.Totals().Appended != 40 {
			t.Errorf("%s: %d appended, %v", caps, report.Totals().Appended, err)
		}
		d.account.Do(func() { room = 1000 })
		if sum := d.twice().Totals(); sum.Appended != 60 || sum.Present != 40 {
			t.Errorf("%s: then %d appended, %d present", caps, sum.Appended, sum.Present)
		}
		d.want(map[string][]letter{"INBOX": letters})
	}
}

func TestQuotaIsAskedForBeforehand(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 100) // of some 50 octets
	for answer, enough := range map[string]bool{
		"* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 10 11)\r\n":                                 false,
		"* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 12 11)\r\n":                                 false,
		"* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 10 100)\r\n":                                true,
		"* QUOTAROOT INBOX x y\r\n* QUOTA x (STORAGE 10 100)\r\n* QUOTA y (STORAGE 10 10)\r\n": false,
		"* QUOTAROOT INBOX x\r\n* QUOTA x (MESSAGE 10 11)\r\n":                                 true,
		"* QUOTAROOT INBOX\r\n": true,
		"* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 10 9223372036854775807)\r\n":                             true,
		"* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 0 18014398509481983)\r\n":                                true,
		"* QUOTAROOT INBOX x y\r\n* QUOTA x (STORAGE 0 9223372036854775807)\r\n* QUOTA y (STORAGE 5 6)\r\n": false,
	} {
		for end, ok := range map[string]bool{"OK done": true, "NO none of your business": false} {
			d := atDesk(t, full+" QUOTA", func(_ *imaptest.Account, s *imaptest.Script) {
				s.Handle["GETQUOTAROOT"] = imaptest.Answer(answer + "%T " + end + "\r\n")
			}, named("INBOX", letters...))
			_, err := d.try(restore.Options{})
			if wrong := ok && !enough; wrong != errors.Is(err, restore.ErrRoom) || !wrong && err != nil {
				t.Errorf("%q %s: %v", answer, end, err)
			}
			if n := len(d.sent("APPEND")); ok && !enough && n > 0 {
				t.Errorf("%q: %d messages were sent", answer, n)
			}
		}
	}
}

// A server that asks for patience gets it, and the message.
func TestBusyServerIsAskedAgain(t *testing.T) {
	t.Parallel()
	for command, answer := range map[string]string{"APPEND": "NO [LIMIT] slow down", "CREATE": "NO [UNAVAILABLE] later", "SELECT": "NO [INUSE] locked", "SUBSCRIBE": "NO too many requests, try again later"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			letters := someLetters("x", 100)
			times := 0
			d := atDesk(t, full, func(a *imaptest.Account, s *imaptest.Script) {
				h := s.Handle[command]
				s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
					busy := false
					a.Do(func() { times++; busy = times%50 > 0 && times%50 <= 4 })
					if busy {
						c.Say("%s %s\r\n", cmd.Tag, answer)
						return
					}
					h(c, cmd)
				}
			}, folder{levels: []string{"a"}, subscribed: true, use: []string{`\Sent`}, letters: letters})
			report := d.twice()
			d.want(map[string][]letter{"INBOX": nil, "a": letters})
			if sum := report.Totals(); sum.Appended != 100 || !report.Complete() || notes(report) != "" || d.account.Folder("a").Attrs != `\Sent` || !d.account.Folder("a").Subscribed {
				t.Errorf("%d appended, refused %v, notes %q, use %q", sum.Appended, sum.Refused, notes(report), d.account.Folder("a").Attrs)
			}
		})
	}
}

// A server that changes what it is given gets nothing twice.
func TestServerThatChangesMessagesGetsThemOnce(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 30)
	letters[2].octets += "bare\nLF, a NUL \x00 and\r"
	letters[9].octets += "\x00 without a Message-ID\n\r"
	letters = append(letters, letters[2], letters[9])
	dovecot := func(s string) string {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
		return strings.ReplaceAll(strings.TrimSuffix(s, "\r"), "\x00", "\x80")
	}
	exchange := func(s string) string { return strings.Replace(s, "\r\n\r\n", "\r\nX-Scanned: yes\r\n\r\n", 1) }
	for name, c := range map[string]struct {
		caps    string
		change  func(string) string
		journal bool
	}{"like Dovecot": {full, dovecot, false}, "like Dovecot, with a journal": {full, dovecot, true},
		"like Dovecot, without UIDPLUS": {"LITERAL+", dovecot, true}, "like Exchange, with a journal": {full, exchange, true}} {
		d := atDesk(t, c.caps, func(_ *imaptest.Account, s *imaptest.Script) {
			h := s.Handle["APPEND"]
			s.Handle["APPEND"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
				header, body, _ := strings.Cut(cmd.Args, "\r\n")
				cmd.Args = header + "\r\n" + c.change(body)
				h(conn, cmd)
			}
		}, named("INBOX", letters...))
		if c.journal {
			d.journal = t.TempDir()
		}
		if sum := d.twice().Totals(); sum.Appended != 32 {
			t.Errorf("%s: %d appended", name, sum.Appended)
		}
		if n := len(d.account.Folder("INBOX").Messages); n != 32 {
			t.Errorf("%s: the folder has %d messages", name, n)
		}
	}
}

// A message that makes the server hang up is left out, and no others.
func TestMessageThatTheServerHangsUpOnIsNamed(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"UIDPLUS", full} {
		letters := someLetters("x", 200)
		letters[70].octets += "POISON"
		letters[71].octets += "POISON"
		d := atDesk(t, caps, func(_ *imaptest.Account, s *imaptest.Script) {
			h := s.Handle["APPEND"]
			s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				if strings.Contains(cmd.Args, "POISON") {
					c.Close()
					return
				}
				h(c, cmd)
			}
		}, named("INBOX", letters...), named("other", letters[:50]...))
		report := d.restore()
		if r := report.Folders[0].Refused; len(r) != 2 || r[0].UID != 71 || r[1].UID != 72 || report.Totals().Appended != 248 {
			t.Errorf("%s: refused %+v, %d appended", caps, r, report.Totals().Appended)
		}
		d.want(map[string][]letter{"INBOX": slices.Delete(slices.Clone(letters), 70, 72), "other": letters[:50]})
	}
}
