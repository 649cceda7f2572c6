package imapconn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"restante/backup/accounts/peer"
	"strconv"
	"strings"
)

// login logs in with the mechanism that was asked for, or the best one for a
// password or token.
func (s *session) login() error {
	o := s.opts
	if o.User == "" {
		return errors.New("no user name to log in with")
	}
	if strings.ContainsRune(o.User+o.Password+o.ActAs, 0) {
		return errors.New("a user name or password with a NUL cannot be sent")
	}
	switch o.Mechanism {
	case OAuthBearer, XOAuth2, AnyToken: // in which 0x01 ends the user name and the token
		if !isToken(o.Password) {
			return errors.New("the access token is empty, or has characters that no token has")
		}
		if strings.ContainsRune(o.User+o.ActAs, 1) {
			return errors.New("a user name with a control character cannot be sent with a token")
		}
	}
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
	case AnyToken:
		return s.token()
	case AnyPassword:
		return s.password()
	}
	return fmt.Errorf("%q is no way to log in", o.Mechanism)
}

// password logs in with the best mechanism for a password.
func (s *session) password() error {
	o := s.opts
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
	err := fmt.Errorf("%w: it takes no password (it offers %s)", ErrLogin, s.offers())
	return peer.WithHint(err, "large providers want OAuth 2, or a password made for one application")
}

// token logs in with the best mechanism for an access token.
func (s *session) token() error {
	var offered []Mechanism
	for _, m := range []Mechanism{OAuthBearer, XOAuth2} {
		// XOAUTH2 has no authorization identity.
		if s.caps.has("AUTH="+string(m)) && (m == OAuthBearer || s.opts.ActAs == "") {
			offered = append(offered, m)
		}
	}
	for i, m := range offered {
		// As with passwords, a BAD says nothing of the token.
		c, err := s.authenticate(m)
		if err == nil || c.status != "BAD" || i == len(offered)-1 {
			return err
		}
	}
	err := fmt.Errorf("%w: it takes no access token (it offers %s)", ErrLogin, s.offers())
	return peer.WithHint(err, "this server wants a password; OAuth 2 has to be allowed there first")
}

// offers are the server's SASL mechanisms, for people.
func (s *session) offers() string {
	var offers []string
	for _, c := range s.caps {
		if m, ok := strings.CutPrefix(c, "AUTH="); ok {
			offers = append(offers, m)
		}
	}
	return strings.Join(append(offers, "nothing else"), ", ")
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
		return c, s.loginRefused(c, x.challenge)
	}
	return c, nil
}

func encodeSASL(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

// loginRefused tells a wrong password from a server that has no time. The last
// challenge of a mechanism for tokens says what is wrong with the token.
func (s *session) loginRefused(c condition, challenge []byte) error {
	c.text = s.secrets.Hide(c.text)
	switch {
	case c.busy():
		return fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrBusy, c)
	case c.code == "PRIVACYREQUIRED":
		return fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrTLS, c)
	}
	err := fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrLogin, c)
	if why, hint := tokenRefused(s.secrets.Hide(string(challenge))); why != "" {
		err = fmt.Errorf("%w (%s)", err, why)
		if hint != "" {
			return peer.WithHint(err, hint)
		}
	}
	switch c.code {
	case "EXPIRED":
		return peer.WithHint(err, "the password or token has expired")
	case "AUTHORIZATIONFAILED":
		return peer.WithHint(err, "the password is right, but this user may not open that mailbox")
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
			return s.loginRefused(c, nil)
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
		return s.loginRefused(c, nil)
	}
	return nil
}
