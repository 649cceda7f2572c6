package imapconn

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// login logs in with the mechanism that was asked for, or the best one for a
// password.
func (s *session) login() error {
	o := s.opts
	if o.User == "" {
		return errors.New("no user name to log in with")
	}
	if strings.ContainsRune(o.User+o.Password+o.ActAs, 0) {
		return errors.New("a user name or password with a NUL cannot be sent")
	}
	s.secrets = []string{o.Password, string(quote(nil, []byte(o.Password)))}
	switch o.Mechanism {
	case Plain, OAuthBearer, XOAuth2:
		_, err := s.authenticate(o.Mechanism)
		return err
	case Login:
		if o.ActAs != "" {
			return errors.New("LOGIN cannot open another user's mailbox; PLAIN can")
		}
		if s.caps.has("LOGINDISABLED") && s.caps.has("AUTH=LOGIN") {
			_, err := s.authenticate(Login)
			return err
		}
		return s.loginCommand()
	case AnyPassword:
	default:
		return fmt.Errorf("%q is no way to log in", o.Mechanism)
	}
	if s.caps.has("AUTH=PLAIN") || o.ActAs != "" {
		// BAD is for a server that offers what it does not know; nothing was
		// proven wrong, so LOGIN may still be tried.
		c, err := s.authenticate(Plain)
		if err == nil || c.status != "BAD" || o.ActAs != "" {
			return err
		}
	}
	if !s.caps.has("LOGINDISABLED") {
		return s.loginCommand()
	}
	if s.caps.has("AUTH=LOGIN") {
		_, err := s.authenticate(Login)
		return err
	}
	var offers []string
	for _, c := range s.caps {
		if m, ok := strings.CutPrefix(c, "AUTH="); ok {
			offers = append(offers, m)
		}
	}
	err := fmt.Errorf("%w: it takes no password (it offers %s)", ErrLogin, strings.Join(append(offers, "nothing else"), ", "))
	return withHint(err, "large providers want OAuth 2, or a password made for one application")
}

// ready refuses to send anything secret in clear text unless it was asked to.
func (s *session) ready() error {
	if s.conn == s.sock && s.opts.Security != Insecure {
		return fmt.Errorf("%w: the password is not sent in clear text", ErrTLS)
	}
	return nil
}

// authenticate runs a SASL exchange (RFC 9051 section 6.2.2).
func (s *session) authenticate(m Mechanism) (condition, error) {
	if err := s.ready(); err != nil {
		return condition{}, err
	}
	x := newExchange(m, s.opts)
	s.secrets = append(s.secrets, string(x.initial))
	text := "AUTHENTICATE " + string(m)
	if x.initial != nil && s.caps.has("SASL-IR") { // RFC 4959
		text += " " + encodeSASL(x.initial)
		x.initial = nil
	}
	s.tags++
	tag := "L" + strconv.Itoa(s.tags)
	before := s.caps
	s.caps = nil // they change with the login
	if err := s.write([]byte(tag + " " + text + "\r\n")); err != nil {
		return condition{}, err
	}
	steps := 0
	c, err := s.answer(tag, nil, func(challenge []byte) error {
		if steps++; steps > 10 {
			return broken("a login without end")
		}
		answer := x.initial
		if x.initial = nil; answer == nil {
			raw, err := base64.StdEncoding.DecodeString(string(challenge))
			if err != nil {
				raw = challenge // a prompt in clear, as some servers send for LOGIN
			}
			answer = x.next(raw)
		}
		return s.write([]byte(base64.StdEncoding.EncodeToString(answer) + "\r\n"))
	})
	if err != nil {
		return c, err
	}
	if c.status != "OK" {
		s.caps = before
		return c, s.loginRefused(c, x.details)
	}
	return c, nil
}

func encodeSASL(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

// loginRefused tells a wrong password from a server that has no time.
func (s *session) loginRefused(c condition, details string) error {
	c.text = s.scrub(c.text)
	if details != "" {
		c.text = strings.TrimSpace(c.text + " " + s.scrub(details))
	}
	switch {
	case c.busy():
		return fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrBusy, c)
	case c.code == "PRIVACYREQUIRED":
		return fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrTLS, c)
	}
	err := fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrLogin, c)
	switch c.code {
	case "EXPIRED":
		return withHint(err, "the password or token has expired")
	case "AUTHORIZATIONFAILED":
		return withHint(err, "the password is right, but this user may not open that mailbox")
	}
	return err
}

// loginCommand sends LOGIN (RFC 9051 section 6.2.3), the user name and the
// password as literals where they cannot be quoted.
func (s *session) loginCommand() error {
	if err := s.ready(); err != nil {
		return err
	}
	if s.caps.has("LOGINDISABLED") {
		return fmt.Errorf("%w: it has disabled LOGIN", ErrLogin)
	}
	s.tags++
	tag := "L" + strconv.Itoa(s.tags)
	buf := []byte(tag + " LOGIN")
	caps := s.caps
	s.caps = nil
	for _, arg := range []string{s.opts.User, s.opts.Password} {
		buf = append(buf, ' ')
		if !wantsLiteral([]byte(arg)) && len(arg) < 1000 {
			buf = quote(buf, []byte(arg))
			continue
		}
		buf = append(append(buf, '{'), strconv.Itoa(len(arg))...)
		if caps.has("LITERAL+") || caps.has("LITERAL-") && len(arg) <= literalMinus {
			buf = append(append(buf, "+}\r\n"...), arg...)
			continue
		}
		if err := s.write(append(buf, "}\r\n"...)); err != nil {
			return err
		}
		buf = []byte(arg)
		waiting := errors.New("go on")
		c, err := s.answer(tag, nil, func([]byte) error { return waiting })
		if err == nil { // the tagged answer came instead
			s.caps = caps
			return s.loginRefused(c, "")
		}
		if !errors.Is(err, waiting) {
			return err
		}
	}
	if err := s.write(append(buf, "\r\n"...)); err != nil {
		return err
	}
	c, err := s.answer(tag, nil, nil)
	if err != nil {
		return err
	}
	if c.status != "OK" {
		s.caps = caps
		return s.loginRefused(c, "")
	}
	return nil
}

// exchange is the client's side of a SASL mechanism.
type exchange struct {
	initial []byte
	next    func(challenge []byte) []byte
	details string // what the server said of a failure
}

func newExchange(m Mechanism, o *Options) *exchange {
	x := &exchange{next: func([]byte) []byte { return nil }}
	switch m {
	case Plain: // RFC 4616
		x.initial = []byte(o.ActAs + "\x00" + o.User + "\x00" + o.Password)
	case OAuthBearer: // RFC 7628 section 3.1
		user := o.User
		if o.ActAs != "" {
			user = o.ActAs
		}
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
		x.initial = []byte("n,a=" + name + ",\x01auth=Bearer " + o.Password + "\x01\x01")
		x.next = x.failure([]byte{1}) // RFC 7628 section 3.2.3
	case XOAuth2:
		x.initial = []byte("user=" + o.User + "\x01auth=Bearer " + o.Password + "\x01\x01")
		x.next = x.failure([]byte{})
	case Login: // draft-murchison-sasl-login: two prompts, whatever they say
		answers := [][]byte{[]byte(o.User), []byte(o.Password)}
		x.next = func([]byte) []byte {
			if len(answers) == 0 {
				return nil
			}
			a := answers[0]
			answers = answers[1:]
			return a
		}
	}
	return x
}

// failure keeps the reason that comes as a challenge, in JSON, before the NO.
func (x *exchange) failure(answer []byte) func([]byte) []byte {
	return func(challenge []byte) []byte {
		if len(bytes.TrimSpace(challenge)) > 0 {
			x.details = cleanText(challenge[:min(len(challenge), 500)])
		}
		return answer
	}
}
