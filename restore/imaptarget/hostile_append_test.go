package imaptarget

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/restore"
)

// Servers that lie while messages are put back.

// ways are the ways of sending a message: without waiting, waiting each time, and
// waiting where it is large.
var ways = []struct{ name, caps string }{{"LITERAL+", full}, {"no LITERAL+", someUse + " CREATE-SPECIAL-USE"}, {"LITERAL-", someUse + " CREATE-SPECIAL-USE LITERAL-"}}

// hundreds is how many hundred thousand things a storm has where it is said to
// have one: the short tests play lesser ones.
func hundreds(n int) int {
	if long {
		return n * 100_000
	}
	return n * 5_000
}

// answering answers APPEND by other means than own, which does what is asked.
func answering(h func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command)) rogue.Change {
	return func(_ testing.TB, s *imaptest.Script) {
		own := s.Handle["APPEND"]
		s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) { h(own, c, cmd) }
	}
}

// unheard does what is asked, and says nothing of it.
func unheard(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
	imaptest.Rewrite(own, func(imaptest.Command, string) string { return "" })(c, cmd)
}

// hangingUp hangs up at each of the first n messages, which it has taken or not.
func hangingUp(n int32, taken bool) rogue.Change {
	var seen atomic.Int32
	return answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
		if seen.Add(1) > n {
			own(c, cmd)
			return
		}
		if taken {
			unheard(own, c, cmd)
		}
		c.Close()
	})
}

var appendUID = regexp.MustCompile(`\[APPENDUID (\d+) (\d+)\]`)

// uid has APPENDUID tell something else.
func uid(tell func(validity, uid string) string) rogue.Change {
	return rogue.Rewriting("APPEND", func(_ imaptest.Command, text string) string {
		return appendUID.ReplaceAllStringFunc(text, func(was string) string {
			m := appendUID.FindStringSubmatch(was)
			return tell(m[1], m[2])
		})
	})
}

// atLiteral is asked at the header of each literal that waits.
func atLiteral(h func(c *imaptest.Conn, cmd imaptest.Command, size int64) bool) rogue.Change {
	return func(_ testing.TB, s *imaptest.Script) { s.Literal = h }
}

func hostileAppends() (list []hostile) {
	add := func(way, name string, server rogue.Change, want outcome) {
		for i, w := range ways {
			if way == "" || slices.Contains(strings.Split(way, ", "), w.name) {
				list = append(list, hostile{name: w.name + ", APPEND: " + name, caps: w.caps, server: server, want: want, long: way == "" && i == 2})
			}
		}
	}
	says := func(text string) rogue.Change { return rogue.Says("APPEND", text) }
	const waiting = "no LITERAL+"

	// UIDs of what was taken.
	for name, tell := range map[string]func(validity, uid string) string{
		"of another UIDVALIDITY": func(_, uid string) string { return "[APPENDUID 4242 " + uid + "]" },
		"of UIDVALIDITY 0":       func(_, uid string) string { return "[APPENDUID 0 " + uid + "]" },
		"4 billion":              func(v, _ string) string { return "[APPENDUID " + v + " 4294967295]" },
		"2^32":                   func(v, _ string) string { return "[APPENDUID " + v + " 4294967296]" },
		"0":                      func(v, _ string) string { return "[APPENDUID " + v + " 0]" },
		"a set of 4 billion":     func(v, _ string) string { return "[APPENDUID " + v + " 1:4294967295]" },
		"more than were sent":    func(v, u string) string { return "[APPENDUID " + v + " " + u + ",77,78,79]" },
		"none":                   func(v, _ string) string { return "[APPENDUID " + v + "]" },
		"nothing at all":         func(_, _ string) string { return "[APPENDUID]" },
		"the same each time":     func(v, _ string) string { return "[APPENDUID " + v + " 5]" },
		"that of another's":      func(v, _ string) string { return "[APPENDUID " + v + " 3]" },
		"the next one's":         func(v, u string) string { var n int; fmt.Sscan(u, &n); return fmt.Sprintf("[APPENDUID %s %d]", v, n+1) },
		"the last one's":         func(v, u string) string { var n int; fmt.Sscan(u, &n); return fmt.Sprintf("[APPENDUID %s %d]", v, n-1) },
		"of a bare message for another": func(v, u string) string {
			return "[APPENDUID " + v + " " + map[string]string{"2": "3", "3": "2"}[u] + "]"
		},
		"rubbish": func(_, _ string) string { return "[APPENDUID ((( \x00\xff" },
		"COPYUID": func(v, u string) string { return "[COPYUID " + v + " " + u + " " + u + "]" },
	} {
		add("", "the UID is "+name, uid(tell), complete())
	}

	// What is said of a message that was not taken, or was and it is not said.
	no := func(name, text string, want outcome) { add("", name, says("%T "+text+"\r\n"), want) }
	no("NO", "NO never", incomplete("never"))
	no("BAD", "BAD what?", incomplete("what?"))
	no("NO, with the password", "NO "+rogue.Evil, incomplete("•••"))
	no("NO of 60 KiB", "NO "+strings.Repeat("x", 60<<10), incomplete("xxx"))
	no("TRYCREATE for ever", "NO [TRYCREATE] make it first", incomplete("make it first"))
	no("NONEXISTENT", "NO [NONEXISTENT] gone", incomplete("gone"))
	no("NOPERM", "NO [NOPERM] not yours", incomplete("not yours"))
	no("OVERQUOTA", "NO [OVERQUOTA] full", failed(restore.ErrRoom, "full"))
	no("TOOBIG", "NO [TOOBIG] too big", incomplete("too big"))
	no("LIMIT for ever", "NO [LIMIT] too many", failed(restore.ErrBusy, "too many"))
	no("UNAVAILABLE for ever", "NO [UNAVAILABLE] later", failed(restore.ErrBusy, "later"))
	no("SERVERBUG", "NO [SERVERBUG] oops", incomplete("oops"))
	no("an unknown code of 10,000 octets", "NO ["+strings.Repeat("X", 10_000)+"] no", incomplete())
	no("OK to nothing taken", "OK done", complete().lying())
	no("OK to nothing taken, with a UID", "OK [APPENDUID 1000 77] done", complete().lying())
	no("MAYBE", "MAYBE", failed(nil, "APPEND"))
	no("PREAUTH", "PREAUTH welcome", failed(nil, "APPEND"))
	add("", "NO with APPENDUID to what was taken", rogue.Swapping("APPEND", " OK [", " NO ["), incomplete("done").spoiling())
	add("", "NO to what was taken", rogue.Rewriting("APPEND", func(cmd imaptest.Command, _ string) string { return cmd.Tag + " NO no\r\n" }), incomplete("no").spoiling())
	add("", "OK twice", rogue.Behind("APPEND", "%T OK again\r\n"), complete())
	add("", "OK, then NO", rogue.Behind("APPEND", "%T NO after all\r\n"), complete())
	add("", "OK to other tags first", rogue.Before("APPEND", "T1 OK\r\nT999 OK [APPENDUID 1000 4]\r\nA OK\r\n"), complete())
	// What is read before the command is sent means nothing; behind that it is a
	// lie like any other. Which comes first is by chance.
	add("", "OK to the next ones in advance", rogue.Behind("SELECT", rogue.Many(60, "T%d OK [APPENDUID 1000 7] in advance")), outcome{}.lying().spoiling())
	add("", "nothing, ever", rogue.Handling("APPEND", rogue.Silence), failed(nil, "APPEND"))
	add("", "taken, and nothing is ever said", answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
		unheard(own, c, cmd)
		rogue.Silence(c, cmd)
	}), complete())
	add("", "BYE", rogue.Handling("APPEND", rogue.HangUp("* BYE enough\r\n")), failed(nil, "APPEND"))
	add("", "a line each ten seconds, and no end", rogue.Pouring("APPEND", "", "* OK still here\r\n", 10*time.Second), failed(nil, "APPEND"))

	// The connection is cut between a message and its answer.
	for _, n := range []int32{1, 2, 5} {
		for _, taken := range []bool{true, false} {
			add("", fmt.Sprintf("hangs up at %d messages, taken: %v", n, taken), hangingUp(n, taken), outcome{})
		}
	}
	add("", "hangs up at each message, taken", hangingUp(1<<30, true), complete())
	add("", "hangs up at each message, not taken", hangingUp(1<<30, false), failed(nil, "APPEND", "closed the connection"))
	add("", "hangs up in the midst of the answer", answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
		unheard(own, c, cmd)
		io.WriteString(c.Conn, cmd.Tag+" OK [APPENDUID 10")
		c.Close()
	}), complete())

	// The message is another one.
	add("", "keeps each twice", answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) { unheard(own, c, cmd); own(c, cmd) }), complete().spoiling())
	add("", "keeps half of each", answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
		cmd.Args = cmd.Args[:len(cmd.Args)-10]
		own(c, cmd)
	}), complete().spoiling())
	add("", "keeps them in another folder", answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
		_, rest := imaptest.Name(cmd.Args)
		cmd.Args = "empty " + rest
		own(c, cmd)
	}), outcome{spoils: true})
	add("LITERAL+", "answers from the last to the first", func() rogue.Change {
		var mu sync.Mutex
		held := map[*imaptest.Conn][]string{}
		return func(_ testing.TB, s *imaptest.Script) {
			own := s.Handle["APPEND"]
			s.Handle["APPEND"] = imaptest.Rewrite(own, func(cmd imaptest.Command, text string) string { return text })
			h := s.Handle["APPEND"]
			s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				name, _ := imaptest.Name(cmd.Args)
				most := map[string]int{"INBOX": 7, "a": 4, "b/c": 3}[name]
				imaptest.Rewrite(h, func(_ imaptest.Command, text string) string {
					mu.Lock()
					defer mu.Unlock()
					held[c] = append([]string{text}, held[c]...)
					if len(held[c]) < most {
						return ""
					}
					all := strings.Join(held[c], "")
					delete(held, c)
					return all
				})(c, cmd)
			}
		}
	}(), complete())

	// Leave to send a literal.
	add(waiting, "OK before the message was sent", atLiteral(func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
		c.Say("%s OK done\r\n", cmd.Tag)
		return false
	}), failed(nil, "APPEND", "before the whole of the command was sent"))
	add(waiting, "OK with a UID before the message was sent", atLiteral(func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
		c.Say("%s OK [APPENDUID 1000 77] done\r\n", cmd.Tag)
		return false
	}), failed(nil, "APPEND", "before the whole of the command was sent"))
	add("LITERAL-", "OK before a large message was sent", atLiteral(func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
		c.Say("%s OK done\r\n", cmd.Tag)
		return false
	}), incomplete())
	add(waiting, "NO before the message was sent", atLiteral(func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
		c.Say("%s NO never\r\n", cmd.Tag)
		return false
	}), incomplete("never"))
	add(waiting, "BAD before the message was sent", atLiteral(func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
		c.Say("%s BAD what?\r\n", cmd.Tag)
		return false
	}), incomplete("what?"))
	add(waiting, "+ twice", atLiteral(func(c *imaptest.Conn, _ imaptest.Command, _ int64) bool { c.Say("+ go\r\n+ go\r\n"); return true }), complete())
	add(waiting, "+ a thousand times", atLiteral(func(c *imaptest.Conn, _ imaptest.Command, _ int64) bool {
		c.Say("%s", strings.Repeat("+ go\r\n", 1000))
		return true
	}), complete())
	add(waiting, "+ in advance", rogue.Behind("SELECT", "+ go\r\n+ go\r\n"), complete())
	add(waiting, "no +", atLiteral(func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool { rogue.Silence(c, cmd); return false }), failed(nil, "APPEND"))
	add(waiting, "lines in place of a +", atLiteral(func(c *imaptest.Conn, _ imaptest.Command, _ int64) bool {
		rogue.Pour(c, "* OK wait\r\n", 10*time.Second)
		return false
	}), failed(nil, "APPEND"))
	add(waiting, "+ and the password", atLiteral(func(c *imaptest.Conn, _ imaptest.Command, _ int64) bool { c.Say("+ %s\r\n", rogue.Evil); return true }), complete())
	add(waiting, "BYE in place of a +", atLiteral(func(c *imaptest.Conn, _ imaptest.Command, _ int64) bool { c.Say("* BYE\r\n"); c.Close(); return false }), failed(nil, "APPEND"))
	add("LITERAL+, no LITERAL+", "NO behind the message", says("+ go on\r\n%T NO after all\r\n"), incomplete("after all"))
	add("LITERAL+", "LITERAL+ announced and refused", says("%T BAD no literal of this kind\r\n"), incomplete("no literal of this kind"))
	add("LITERAL+", "LITERAL+ announced, and each message is for commands", answering(func(own imaptest.Handler, c *imaptest.Conn, cmd imaptest.Command) {
		c.Say("%s BAD what?\r\n", cmd.Tag)
		for i, line := range strings.Split(cmd.Args, "\r\n")[1:] {
			c.Say("%.20q%d BAD what?\r\n", line, i)
		}
	}), incomplete("what?"))
	list = append(list, hostile{name: "APPEND: MULTIAPPEND announced and refused", caps: full + " MULTIAPPEND CATENATE BINARY", server: says("%T BAD one at a time\r\n"), want: incomplete("one at a time")},
		hostile{name: "APPEND: UIDPLUS gone with the login", server: rogue.Says("LOGIN", "%T OK [CAPABILITY IMAP4rev1] welcome\r\n"), want: complete().spoiling()},
		hostile{name: "APPEND: BINARY and UTF8=ACCEPT announced", caps: full + " BINARY UTF8=ACCEPT UTF8=ONLY", want: complete()})

	// Lines nobody has asked for.
	for name, line := range map[string]string{"EXISTS": "* %d EXISTS", "EXPUNGE": "* 1 EXPUNGE", "FETCH": `* %d FETCH (FLAGS (\Deleted))`, "STATUS": `* STATUS "x%d" (MESSAGES 1)`,
		"LIST": `* LIST () "/" "x%d"`, "SEARCH": "* SEARCH %d", "OK": "* OK %d", "alerts": "* OK [ALERT] " + rogue.Evil, "BYE": "* BYE %d", "UIDNEXT": "* OK [UIDNEXT %d] x",
		"FLAGS": "* FLAGS (x%d)", "answers to no command": "Z%d OK", "blank lines": "", "VANISHED": "* VANISHED %d"} {
		for _, command := range []string{"APPEND", "SELECT", "UID FETCH"} {
			var once sync.Once
			list = append(list, hostile{name: command + ": 100,000 lines: " + name, server: rogue.Rewriting(command, func(_ imaptest.Command, text string) string {
				once.Do(func() { text = rogue.Many(hundreds(1), line) + text })
				return text
			})})
		}
	}
	list = append(list, hostile{name: "EXPUNGE: at any moment", server: expunging(), want: complete()},
		hostile{name: "EXPUNGE: more than there are, at any moment", server: func(t testing.TB, s *imaptest.Script) {
			for _, command := range []string{"SELECT", "UID FETCH", "APPEND", "LIST", "CREATE"} {
				rogue.Before(command, strings.Repeat("* 4294967295 EXPUNGE\r\n* 1 EXPUNGE\r\n", 50))(t, s)
			}
		}},
		hostile{name: "UIDVALIDITY: another behind each message", server: rogue.Before("APPEND", "* OK [UIDVALIDITY 77] new\r\n"), want: outcome{}},
		hostile{name: "quota: of 4 billion, of nothing and of less", caps: full + " QUOTA", server: rogue.Says("GETQUOTAROOT", "* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 18446744073709551615 -1 MESSAGE 1 2)\r\n* QUOTA x ()\r\n%T OK\r\n"), want: outcome{}},
		hostile{name: "quota: no room", caps: full + " QUOTA", server: rogue.Says("GETQUOTAROOT", "* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 10 10)\r\n%T OK\r\n"), want: failed(restore.ErrRoom)},
		hostile{name: "quota: NO", caps: full + " QUOTA", server: rogue.Says("GETQUOTAROOT", "%T NO "+rogue.Evil+"\r\n"), want: complete()},
		hostile{name: "quota: without end", caps: full + " QUOTA", server: rogue.Pouring("GETQUOTAROOT", "", "* QUOTA x (STORAGE 1 2)\r\n", time.Second), want: failed(imapconn.ErrTimeout)},
	)
	for _, limit := range []string{"=0", "=1", "=4294967295", "=18446744073709551616", "=-1", "=x", "="} {
		h := hostile{name: "APPENDLIMIT" + limit, server: rogue.Offering("APPENDLIMIT" + limit)}
		if limit == "=1" {
			h.want = incomplete("more than the 1 that the server takes")
		}
		list = append(list, h)
	}
	for name, text := range map[string]string{"NO": "%T NO no\r\n", "4 billion": "* STATUS INBOX (APPENDLIMIT 4294967295)\r\n%T OK\r\n", "0": "* STATUS INBOX (APPENDLIMIT 0)\r\n%T OK\r\n",
		"NIL": "* STATUS INBOX (APPENDLIMIT NIL)\r\n%T OK\r\n", "nothing": "%T OK\r\n", "of another folder": "* STATUS \"../x\" (APPENDLIMIT 1)\r\n%T OK\r\n"} {
		list = append(list, hostile{name: "APPENDLIMIT: " + name, caps: full + " APPENDLIMIT", server: rogue.Says("STATUS", text)})
	}
	return list
}

// expunging says in front of each answer that the first message is gone.
func expunging() rogue.Change {
	return func(t testing.TB, s *imaptest.Script) {
		for _, command := range []string{"UID FETCH", "APPEND"} {
			rogue.Before(command, "* 1 EXPUNGE\r\n")(t, s)
		}
	}
}
