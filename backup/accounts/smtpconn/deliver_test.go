package smtpconn

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"restante/backup/accounts/smtpconn/smtptest"
)

// dial connects to a server in clear text.
func dial(t *testing.T, address string, o Options) *Conn {
	t.Helper()
	o.Address, o.Security = address, Insecure
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func message(octets string, b Body, to ...string) Message {
	return Message{To: to, Size: int64(len(octets)), Body: b, Write: func(w io.Writer) error {
		for len(octets) > 3 { // in pieces that end anywhere
			if _, err := io.WriteString(w, octets[:3]); err != nil {
				return err
			}
			octets = octets[3:]
		}
		_, err := io.WriteString(w, octets)
		return err
	}}
}

// texts are messages that have been changed on their way, and what they need.
var texts = []struct {
	octets string
	body   Body
}{
	{"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n", SevenBit},
	{".\r\n", SevenBit},
	{"\r\n\r\n.\r\n\r\n", SevenBit},
	{"", SevenBit},
	{"Subject: \xff\xe4\r\n\r\n\x80\r\n", EightBit},
	{"", Binary},
	{"x", Binary},
	{"Subject: x\n\n.\n.\r\n\r\n.\r\nQUIT\r\n\x00\r\rend", Binary},
	{"Subject: x\r\n\r\n" + strings.Repeat("x", 100_000), Binary},
}

func TestOctetsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, lmtp := range []bool{false, true} {
		for _, offers := range [][]string{nil, {"8BITMIME", "CHUNKING", "BINARYMIME"}} {
			s := &smtptest.Server{LMTP: lmtp, Offers: offers}
			c := dial(t, smtptest.Start(t, s), Options{LMTP: lmtp})
			for i, text := range texts {
				sent := false
				m := message(text.octets, text.body, "anna@example.org", "bob@example.org")
				m.From, m.Sending = "joe@example.org", func() error { sent = true; return nil }
				answers, err := c.Deliver(m)
				if err != nil || !answers[0].OK() || !answers[1].OK() || !sent {
					t.Fatalf("%.80q: %v, %v, %v", text.octets, answers, err, sent)
				}
				for k, got := range s.Got()[2*i:] {
					if got.Octets != text.octets || got.From != "joe@example.org" || got.To != m.To[k] {
						t.Errorf("%.80q became %.200v", text.octets, got)
					}
				}
			}
			c.Quit()
		}
	}
}

// A backend is somebody else's server, which tells what it got.
type backend struct{ got chan string }

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *backend) Mail(string, *smtp.MailOptions) error        { return nil }
func (b *backend) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (b *backend) Reset()                                      {}
func (b *backend) Logout() error                               { return nil }

func (b *backend) Data(r io.Reader) error {
	octets, err := io.ReadAll(r)
	b.got <- string(octets)
	return err
}

func TestSomebodyElsesServerGetsTheOctets(t *testing.T) {
	t.Parallel()
	for _, lmtp := range []bool{false, true} {
		b := &backend{make(chan string, 1)}
		s := smtp.NewServer(b)
		s.LMTP, s.EnableBINARYMIME, s.Domain, s.MaxLineLength = lmtp, true, "other", 1<<20
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go s.Serve(listener)
		t.Cleanup(func() { s.Close() })
		c := dial(t, listener.Addr().String(), Options{LMTP: lmtp})
		for _, text := range texts {
			if text.octets == "" && text.body == Binary || strings.Contains(text.octets, "\xff") {
				continue // it takes BDAT 0 LAST for a mistake
			}
			answers, err := c.Deliver(message(text.octets, text.body, "anna@example.org"))
			if err != nil || !answers[0].OK() {
				t.Fatalf("lmtp %v, %.80q: %v, %v", lmtp, text.octets, answers, err)
			}
			if got := <-b.got; got != text.octets {
				t.Errorf("lmtp %v: %.80q became %.80q", lmtp, text.octets, got)
			}
		}
	}
}

func TestEachRecipientHasItsAnswer(t *testing.T) {
	t.Parallel()
	s := &smtptest.Server{LMTP: true, Handle: map[string]func(*smtptest.Session, string) string{
		"RCPT": func(_ *smtptest.Session, command string) string {
			if strings.Contains(command, "nobody") {
				return "550 5.1.1 no such user"
			}
			return ""
		},
	}, Final: func(_ *smtptest.Session, to, _ string) string {
		return map[string]string{"full": "452 4.2.2 full", "bad": "554 5.6.0 bad"}[to]
	}}
	c := dial(t, smtptest.Start(t, s), Options{LMTP: true})
	answers, err := c.Deliver(message("x\r\n", SevenBit, "nobody", "anna", "full", "bad", "bob"))
	if err != nil {
		t.Fatal(err)
	}
	var codes []int
	for _, a := range answers {
		codes = append(codes, a.Code)
	}
	if want := []int{550, 250, 452, 554, 250}; !equal(codes, want) || !answers[0].Recipient || answers[2].Recipient || !answers[2].Enhanced("2.2") {
		t.Errorf("%v, want %v", codes, want)
	}
	// Nobody is left: the transaction is ended, and the next one is well.
	if answers, err = c.Deliver(message("x\r\n", SevenBit, "nobody")); err != nil || answers[0].Code != 550 {
		t.Errorf("%v, %v", answers, err)
	}
	if answers, err = c.Deliver(message("x\r\n", SevenBit, "anna")); err != nil || !answers[0].OK() || len(s.Got()) != 3 {
		t.Errorf("%v, %v, %v", answers, err, s.Got())
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestAnswersThatAreLostAndThatAreNone(t *testing.T) {
	t.Parallel()
	always := func(answer string) func(*smtptest.Session, string) string {
		return func(*smtptest.Session, string) string { return answer }
	}
	for _, c := range []struct {
		what    string
		verb    string
		answer  string
		final   string
		unknown bool
		is      error
	}{
		{"no answer to the dot", "", "", "hang up", true, ErrUnknown},
		{"nonsense as answer to the dot", "", "", "what a nice message", true, ErrProtocol},
		{"an intermediate answer to the dot", "", "", "354 more?", true, ErrProtocol},
		{"no answer to DATA", "DATA", "hang up", "", false, io.ErrUnexpectedEOF},
		{"success to DATA", "DATA", "250 ok", "", false, ErrProtocol},
		{"two answers to DATA", "DATA", "354 go on\r\n250 accepted", "", false, ErrProtocol},
		{"two answers to RCPT", "RCPT", "250 ok\r\n354 go on", "", false, ErrProtocol},
		{"a line without end", "RCPT", "250 " + strings.Repeat("x", mostLine+10), "", false, ErrProtocol},
		{"an answer without end", "RCPT", strings.Repeat("250-"+strings.Repeat("x", 100)+"\r\n", 1000) + "250 ok", "", false, ErrProtocol},
		{"two codes in one answer", "RCPT", "250-ok\r\n550 no", "", false, ErrProtocol},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s := &smtptest.Server{Offers: []string{"8BITMIME"}, Handle: map[string]func(*smtptest.Session, string) string{}}
			if c.verb != "" {
				s.Handle[c.verb] = always(c.answer)
			}
			if c.final != "" {
				s.Final = func(*smtptest.Session, string, string) string { return c.final }
			}
			conn := dial(t, smtptest.Start(t, s), Options{})
			sent := false
			m := message("x\r\n", SevenBit, "anna")
			m.Sending = func() error { sent = true; return nil }
			answers, err := conn.Deliver(m)
			if !errors.Is(err, c.is) || errors.Is(err, ErrUnknown) != c.unknown || sent != c.unknown || answers[0].OK() {
				t.Errorf("%v, %v, sent %v", answers, err, sent)
			}
		})
	}
	// A long answer that is none too long.
	s := &smtptest.Server{Handle: map[string]func(*smtptest.Session, string) string{"RCPT": always(strings.Repeat("250-still thinking\r\n", 500) + "250 ok")}}
	s.Handle["RCPT"] = func(_ *smtptest.Session, command string) string { return "" }
	s.Final = func(*smtptest.Session, string, string) string {
		return strings.Repeat("250-still thinking\r\n", 500) + "250 ok"
	}
	answers, err := dial(t, smtptest.Start(t, s), Options{}).Deliver(message("x\r\n", SevenBit, "anna"))
	if err != nil || !answers[0].OK() || len(answers[0].String()) > 600 {
		t.Errorf("%v, %v", answers, err)
	}
}

func TestNothingIsDeliveredOfAMessageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, b := range []Body{SevenBit, Binary} {
		s := &smtptest.Server{}
		c := dial(t, smtptest.Start(t, s), Options{})
		m := message("x\r\n", b, "anna")
		m.Size = 100
		write := m.Write
		for _, m.Write = range []func(io.Writer) error{func(w io.Writer) error { write(w); return broken }, write} {
			if _, err := c.Deliver(m); err == nil || errors.Is(err, ErrUnknown) {
				t.Errorf("%v", err)
			}
			c.Close()
			c = dial(t, smtptest.Start(t, s), Options{})
		}
		m = message("xxx\r\n", b, "anna")
		m.Sending = func() error { return broken }
		if _, err := c.Deliver(m); !errors.Is(err, broken) || errors.Is(err, ErrUnknown) {
			t.Errorf("%v", err)
		}
		c.Close()
		m = message("x\r\n", b, "anna>\r\nDATA\r\n")
		if _, err := dial(t, smtptest.Start(t, s), Options{}).Deliver(m); err == nil {
			t.Error("an address with a command in it was sent")
		}
		if got := s.Got(); len(got) > 0 {
			t.Errorf("%q was delivered", got)
		}
	}
}
