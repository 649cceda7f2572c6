package imapsource

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// What hostile servers are made of. In all texts "%T" stands for the tag.

// A maker makes a hostile server of one that is well.
type maker = func(c *chain, s *imaptest.Script)

// plain is one that every client may meet.
func plain(change rogue.Change) maker {
	return func(c *chain, s *imaptest.Script) { change(c.t, s) }
}

// beginnings are those that are hostile before anybody asks for mail.
func beginnings() (list []hostile) {
	for _, b := range rogue.Beginnings() {
		h := hostile{name: b.Name, conn: b.Conn, raw: b.Raw, want: refused(b.Want.Is, b.Want.Says...).hinting(b.Want.Hint)}
		if b.Server != nil {
			h.server = plain(b.Server)
		}
		if b.Want.Works {
			h.want = complete()
		}
		list = append(list, h)
	}
	return list
}

// rewriting changes the answers to a command.
func rewriting(command string, change func(cmd imaptest.Command, text string) string) maker {
	return plain(rogue.Rewriting(command, change))
}

// says answers a command so, and does nothing else.
func says(command, text string) maker { return plain(rogue.Says(command, text)) }

// before puts text in front of the answers to a command, behind it behind them.
func before(command, text string) maker { return plain(rogue.Before(command, text)) }

func behind(command, text string) maker { return plain(rogue.Behind(command, text)) }

// between puts text between any two lines of the answers to a command that are
// no part of a literal.
func between(command, text string) maker {
	return rewriting(command, func(cmd imaptest.Command, answer string) string {
		return rogue.TagIn(text, cmd) + strings.Join(answers(answer), rogue.TagIn(text, cmd))
	})
}

// swapping puts text in place of what the answers to a command have.
func swapping(command string, oldnew ...string) maker {
	return plain(rogue.Swapping(command, oldnew...))
}

// of13 changes the answer with the body of UID 13 in INBOX, which is new.
func of13(change func(answer string) string) maker {
	return rewriting("UID FETCH", changed(13, change))
}

// body13 puts text in place of the body of UID 13, its literal and all.
func body13(text string) maker {
	return of13(func(a string) string { return bodyItem.ReplaceAllLiteralString(a, "BODY[] "+text+")\r\n") })
}

// item13 puts an item in front of the body of UID 13.
func item13(text string) maker {
	return of13(func(a string) string { return strings.Replace(a, "BODY[]", text+" BODY[]", 1) })
}

// together are several makers, one on top of the other.
func together(makers ...maker) maker {
	return func(c *chain, s *imaptest.Script) {
		for _, m := range makers {
			m(c, s)
		}
	}
}

// greeting is the first line, offering what can be done, and compressing an
// answer to COMPRESS.
func greeting(text string) maker { return plain(rogue.Greeting(text)) }

func offering(caps string) maker { return plain(rogue.Offering(caps)) }

func compressing(then func(c *imaptest.Conn, clear net.Conn)) maker {
	return plain(rogue.Compressing(then))
}

// handling answers a command by other means.
func handling(command string, h imaptest.Handler) maker { return plain(rogue.Handling(command, h)) }

// pouring answers a command with text without end, after a beginning, as long as
// anybody listens; with a pause after each piece.
func pouring(command, begin, piece string, pause time.Duration) maker {
	return plain(rogue.Pouring(command, begin, piece, pause))
}

// pouringBody is pouring where the body of UID 13 is asked for.
func pouringBody(begin, piece string, pause time.Duration) maker {
	return instead13(func(c *imaptest.Conn, _ imaptest.Command) {
		io.WriteString(c.Conn, begin)
		rogue.Pour(c, piece, pause)
	})
}

// instead13 answers what asks for the body of UID 13 by other means.
func instead13(h imaptest.Handler) maker {
	return func(_ *chain, s *imaptest.Script) {
		own := s.Handle["UID FETCH"]
		s.Handle["UID FETCH"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if wantsBody(cmd, 13) {
				h(c, cmd)
				return
			}
			own(c, cmd)
		}
	}
}

// inFolder changes the answers to a command while the folder of a UIDVALIDITY is
// open.
func inFolder(validity int, command string, change func(cmd imaptest.Command, text string) string) maker {
	return func(_ *chain, s *imaptest.Script) {
		var open sync.Map // by connection
		inner := s.Handle["EXAMINE"]
		s.Handle["EXAMINE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			var here bool
			imaptest.Rewrite(inner, func(cmd imaptest.Command, text string) string {
				if here = strings.Contains(text, fmt.Sprintf("[UIDVALIDITY %d]", validity)); here && command == "EXAMINE" {
					return change(cmd, text)
				}
				return text
			})(c, cmd)
			open.Store(c, here)
		}
		if command == "EXAMINE" {
			return
		}
		own := s.Handle[command]
		s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if here, _ := open.Load(c); here == true {
				imaptest.Rewrite(own, change)(c, cmd)
				return
			}
			own(c, cmd)
		}
	}
}

// inbox changes the answers to a command while INBOX is open.
func inbox(command string, oldnew ...string) maker {
	return inFolder(1000, command, func(cmd imaptest.Command, text string) string {
		for i := 0; i < len(oldnew); i += 2 {
			text = strings.ReplaceAll(text, oldnew[i], rogue.TagIn(oldnew[i+1], cmd))
		}
		return text
	})
}
