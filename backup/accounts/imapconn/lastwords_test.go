package imapconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
)

// A slowReader hears of the end a second after a command could not be sent: the
// goroutine that reads has its turn later than the one that writes.
type slowReader struct {
	net.Conn
	failed chan struct{} // closed when a command could not be sent
	end    error         // what the server's hanging up looks like
}

func (s *slowReader) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("STATUS")) {
		close(s.failed)
		return 0, syscall.EPIPE
	}
	return s.Conn.Write(p)
}

func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if bytes.Contains(p[:n], []byte("BYE")) {
		<-s.failed
		time.Sleep(time.Second)
	}
	if err != nil {
		err = s.end
	}
	return n, err
}

// What a server says before it hangs up is heard, also where the next command
// finds out first that it did, and where it had not read all of what was sent.
func TestLastWordsAreHeard(t *testing.T) {
	for what, end := range map[string]error{"it had read all": io.EOF, "it had not": syscall.ECONNRESET} {
		t.Run(what, func(t *testing.T) {
			script := imaptest.Script{Handle: handlers{"NOOP": func(c *imaptest.Conn, _ imaptest.Command) {
				c.Say("* BYE [UNAVAILABLE] come back later\r\n")
				c.Close()
			}}}
			virtual(t, script, func(o *Options) {
				o.Dial = func(context.Context, string, string) (net.Conn, error) {
					return &slowReader{imaptest.Pipe(script), make(chan struct{}), end}, nil
				}
			}, func(t *testing.T, c *Conn) {
				noop := c.Noop()
				status := c.Status("INBOX", statusItems)
				_, statusErr := status.Wait()
				for what, err := range map[string]error{"NOOP": noop.Wait(), "STATUS": statusErr} {
					if err = c.Explain(err); !errors.Is(err, ErrBusy) {
						t.Errorf("%s: %v", what, err)
					}
				}
			})
		})
	}
}
