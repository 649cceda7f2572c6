package imapsource

import (
	"io"
	"slices"
	"strings"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that do the same thing at each step of a session, once or always.

// A fault is what a server does in place of its answer to a command.
type fault struct {
	name string
	do   func(command string) maker
	// always is what comes of it where it is done at this command, time and again.
	always func(command string) outcome
	// once is what comes of it where it is done on the first connection only.
	once func(command string) outcome
}

// midway cuts the answers to a command, and then does something.
func midway(command string, then func(c *imaptest.Conn)) maker {
	return func(_ *chain, s *imaptest.Script) {
		own := s.Handle[command]
		if own == nil {
			own = imaptest.Answer("%T OK [CAPABILITY IMAP4rev1] done\r\n")
		}
		half := imaptest.Rewrite(own, func(_ imaptest.Command, text string) string { return text[:len(text)/2] })
		s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
			half(c, cmd)
			then(c)
		}
	}
}

func hostileSteps() (list []hostile) {
	closed := func(command string) outcome { return failing(command, io.ErrUnexpectedEOF, "closed the connection") }
	// A connection that was lost is made again at once; whatever else is wrong
	// before the first folder is opened, a person wants to hear of.
	fine := func(string) outcome { return complete() }
	once := func(from string, always func(string) outcome) func(string) outcome {
		return func(command string) outcome {
			if slices.Index(steps, command) >= slices.Index(steps, from) {
				return complete()
			}
			return always(command)
		}
	}
	bye := func(command string) outcome { return failing(command, nil, "BYE not today") }
	silent := func(command string) outcome {
		return failing(command, imapconn.ErrTimeout, "the server does not answer in time")
	}
	broken := func(command string) outcome {
		return failing(command, imapconn.ErrProtocol, "the server breaks the protocol")
	}
	faults := []fault{
		{"BYE", func(command string) maker { return handling(command, rogue.HangUp("* BYE not today\r\n")) }, bye, once("NAMESPACE", bye)},
		{"hangs up", func(command string) maker { return handling(command, rogue.HangUp("")) }, closed, fine},
		{"hangs up in the middle of the answer", func(command string) maker {
			return midway(command, func(c *imaptest.Conn) { c.Close() })
		}, closed, fine},
		{"NO", func(command string) maker { return says(command, "%T NO not today\r\n") }, func(command string) outcome {
			return refusing(command, "NO not today")
		}, nil},
		{"BAD", func(command string) maker { return says(command, "%T BAD not today\r\n") }, func(command string) outcome {
			return refusing(command, "BAD not today")
		}, nil},
		{"silence", func(command string) maker { return handling(command, rogue.Silence) }, silent, once("EXAMINE", silent)},
		{"silence in the middle of the answer", func(command string) maker {
			return midway(command, func(c *imaptest.Conn) { rogue.Silence(c, imaptest.Command{}) })
		}, silent, once("EXAMINE", silent)},
		{"rubbish", func(command string) maker { return says(command, "\x00\xff rubbish\r\n* (\r\n* 1 (\r\n%T rubbish\r\n") }, broken, once("EXAMINE", broken)},
		{"too many connections", func(command string) maker { return says(command, "%T NO [LIMIT] too many connections\r\n") }, func(command string) outcome {
			return failing(command, backup.ErrBusy, "too many connections")
		}, nil},
	}
	for _, f := range faults {
		for _, command := range steps {
			list = append(list, hostile{name: "at each " + command + ": " + f.name, server: f.do(command), want: f.always(command)})
			if f.once != nil {
				list = append(list, hostile{name: "at " + command + " on the first connection: " + f.name, times: 1, server: f.do(command), want: f.once(command)})
			}
		}
	}
	return list
}

// failing is what comes of a connection that always fails at a command.
func failing(command string, is error, says string) outcome {
	switch i := slices.Index(steps, command); {
	case i < slices.Index(steps, "NAMESPACE"):
		return refused(is, host, says)
	case i < slices.Index(steps, "EXAMINE"):
		return refused(is, "list folders", says)
	case command == "EXAMINE" && is != backup.ErrBusy:
		return refused(is, `open folder "`, says)
	}
	return incomplete(`folder "INBOX"`, `folder "Sent"`, says)
}

// refusing is what comes of a command that is always refused.
func refusing(command, says string) outcome {
	switch command {
	case "STARTTLS":
		return refused(imapconn.ErrTLS, host, says).hinting("imaps://")
	case "LOGIN":
		return refused(imapconn.ErrLogin, host, says)
	case "NAMESPACE":
		return complete()
	case "EXAMINE":
		return incomplete(`folder "INBOX"`, `folder "Sent"`, says)
	case "UID SEARCH":
		return complete() // FETCH tells
	}
	return failing(command, nil, strings.TrimPrefix(strings.TrimPrefix(says, "NO "), "BAD "))
}
