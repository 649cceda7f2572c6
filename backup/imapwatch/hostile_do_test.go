package imapwatch

import (
	"io"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// What a server that is listened to can do.

// listening has the server say something as soon as it is listened to: within
// IDLE, or after NOTIFY where it has no IDLE. say must not wait for the client; the
// channel is closed when it is to stop.
func listening(say func(c *imaptest.Conn, over <-chan struct{})) rogue.Change {
	return func(_ testing.TB, s *imaptest.Script) {
		if !strings.Contains(strings.ToUpper(s.Caps), "IDLE") {
			s.Handle["NOTIFY"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				c.OK(cmd)
				go say(c, nil)
			}
			return
		}
		s.Handle["IDLE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("+ idling\r\n")
			over, ended := make(chan struct{}), make(chan struct{})
			go func() { defer close(ended); say(c, over) }()
			line, err := c.Line()
			close(over)
			<-ended
			if err == nil && line == "DONE" {
				c.OK(cmd)
			}
		}
	}
}

// trickling says a text again and again, with a pause before each time.
func trickling(text string, pause time.Duration) rogue.Change {
	return listening(func(c *imaptest.Conn, over <-chan struct{}) {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			if _, err := io.WriteString(c.Conn, text); err != nil {
				return
			}
		}
	})
}

// saying says a text once each time that it is listened to.
func saying(text string) rogue.Change {
	return listening(func(c *imaptest.Conn, _ <-chan struct{}) { io.WriteString(c.Conn, text) })
}

// pouring says a text for as long as anybody listens.
func pouring(text string) rogue.Change {
	return listening(func(c *imaptest.Conn, _ <-chan struct{}) { rogue.Pour(c, text, 0) })
}

// idle answers IDLE with a text, waits for DONE, and answers that with another.
func idle(begin, end string) rogue.Change {
	return rogue.Handling("IDLE", func(c *imaptest.Conn, cmd imaptest.Command) {
		imaptest.Answer(begin)(c, cmd)
		c.Line()
		imaptest.Answer(end)(c, cmd)
	})
}
