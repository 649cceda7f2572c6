package smtpconn

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Whatever a server answers: a reply is one code and lines of text that can be
// shown, an error says what is wrong, and nothing that was offered is more than
// what was said.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"250-mail.example.org\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 CHUNKING\r\n", "220 ready\r\n", "354\r\n",
		"552 5.2.2 Mailbox full\r\n", "452-4.2.2 a\r\n452 4.2.2 b\n", "250-a\r\n550 b\r\n", "250-SIZE -1\r\n250 SIZE 99999999999999999999\r\n", "250-x\r\n250 \x1b[2J\x9b\xff\r\n",
		"25\r\n", "+25 x\r\n", "\r\n", "250", "999 x\r\n", "2500\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		client, server := net.Pipe()
		defer client.Close()
		go io.Copy(io.Discard, server)
		go func() { server.Write(said); server.Close() }()
		c := &Conn{opts: &Options{Idle: time.Minute, LMTP: true, Hello: "localhost"}}
		c.use(client)
		shown := func(what, s string) {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffe' }) || len(s) > 1000 {
				t.Errorf("%s is shown as %q", what, s)
			}
		}
		r, err := c.reply()
		if err != nil {
			shown("an error", err.Error())
			if !errors.Is(err, ErrProtocol) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		shown("a reply", r.String())
		if r.Code < 200 || r.Code > 599 || r.OK() && r.Temporary() || len(strings.Join(r.lines, "")) > 3*len(said) {
			t.Errorf("%q is %+v", said, r)
		}
		r.Enhanced("2.2")
		if err := c.hello(); err == nil {
			if c.SizeLimit() < 0 {
				t.Errorf("a limit of %d octets", c.SizeLimit())
			}
			for keyword, parameter := range c.ext {
				shown("a keyword", keyword)
				shown("a parameter", parameter)
			}
		} else {
			shown("an error", strings.ReplaceAll(err.Error(), "\n", " "))
		}
	})
}
