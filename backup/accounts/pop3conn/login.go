package pop3conn

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"restante/backup/accounts/peer"
	"slices"
	"strings"
)

// login logs in with the mechanism that was asked for, or the best one for a
// password.
func (s *session) login() error {
	o := s.opts
	if o.User == "" {
		return errors.New("no user name to log in with")
	}
	if strings.ContainsAny(o.User+o.Password+o.ActAs, "\x00\r\n") {
		return errors.New("a user name or password with a NUL or a line end cannot be sent")
	}
	for _, secret := range []string{o.Password, plainResponse(o), xoauth2Response(o)} {
		s.wire.secrets.Keep(secret)
	}
	if o.ActAs != "" && o.Mechanism != AnyPassword && o.Mechanism != Plain {
		return fmt.Errorf("%s cannot open another user's maildrop; PLAIN can", o.Mechanism)
	}
	switch o.Mechanism {
	case Plain:
		return s.authenticate(Plain, plainResponse(o))
	case XOAuth2:
		return s.authenticate(XOAuth2, xoauth2Response(o))
	case User:
		return s.userPass()
	case APOP:
		return s.apop()
	case AnyPassword:
	default:
		return fmt.Errorf("%q is no way to log in", o.Mechanism)
	}
	offers := s.caps["SASL"]
	switch {
	case slices.Contains(offers, "PLAIN"), o.ActAs != "":
		return s.authenticate(Plain, plainResponse(o))
	case s.caps == nil, s.caps.has("USER"):
		return s.userPass()
	case s.stamp != "":
		return s.apop()
	}
	ways := clip(peer.Text(strings.Join(append(slices.Clone(offers), "nothing else"), ", ")), mostText)
	err := fmt.Errorf("%w: it takes no password (it offers %s)", ErrLogin, ways)
	return peer.WithHint(err, "large providers want OAuth 2, or a password made for one application")
}

// ready refuses to send anything secret in clear text unless it was asked to.
func (s *session) ready() error {
	if s.wire.Conn == s.tcp && s.opts.Security != Insecure {
		return fmt.Errorf("%w: the password is not sent in clear text", ErrTLS)
	}
	return nil
}

// userPass sends USER and PASS (RFC 1939 section 7). A password may have
// spaces; a user name with one cannot be sent.
func (s *session) userPass() error {
	if err := s.ready(); err != nil {
		return err
	}
	if strings.Contains(s.opts.User, " ") {
		return errors.New("USER cannot send a user name with a space")
	}
	st, err := s.ask("USER " + s.opts.User)
	if err != nil {
		return err
	}
	if !st.ok {
		return s.refused(st, "")
	}
	if st, err = s.ask("PASS " + s.opts.Password); err != nil {
		return err
	}
	if !st.ok {
		return s.refused(st, "")
	}
	return nil
}

// timestamp finds the timestamp in a greeting, if it has the form that RFC
// 1939 section 7 asks for. Others are what somebody in between would send to
// find out about passwords by collisions of MD5 (CVE-2007-1558).
func timestamp(greeting string) string {
	open := strings.IndexByte(greeting, '<')
	if open < 0 {
		return ""
	}
	end := strings.IndexByte(greeting[open:], '>')
	if end < 0 {
		return ""
	}
	stamp := greeting[open : open+end+1]
	at := strings.IndexByte(stamp, '@')
	if at < 2 || at == len(stamp)-2 || strings.ContainsFunc(stamp, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return ""
	}
	return stamp
}

// apop proves the password without sending it.
func (s *session) apop() error {
	if s.stamp == "" {
		return fmt.Errorf("%w: it has no APOP", ErrLogin)
	}
	sum := md5.Sum([]byte(s.stamp + s.opts.Password))
	digest := hex.EncodeToString(sum[:])
	s.wire.secrets.Keep(digest) // passwords can be tried against it
	st, err := s.ask("APOP " + s.opts.User + " " + digest)
	if err != nil {
		return err
	}
	if !st.ok {
		return s.refused(st, "")
	}
	return nil
}

func plainResponse(o *Options) string { return o.ActAs + "\x00" + o.User + "\x00" + o.Password }

func xoauth2Response(o *Options) string {
	return "user=" + o.User + "\x01auth=Bearer " + o.Password + "\x01\x01"
}

// authenticate runs a SASL exchange of one step (RFC 5034), in the form that
// needs no initial response, which some servers do not take and which may not
// be longer than a line.
func (s *session) authenticate(m Mechanism, response string) error {
	if err := s.ready(); err != nil {
		return err
	}
	challenge, st, err := s.step("AUTH " + string(m))
	if err != nil {
		return err
	}
	if challenge == nil {
		if st.ok {
			return broken("+OK to AUTH %s before anything was proven", m)
		}
		return s.refused(st, "")
	}
	challenge, st, err = s.step(base64.StdEncoding.EncodeToString([]byte(response)))
	if err != nil {
		return err
	}
	details := ""
	if challenge != nil {
		// XOAUTH2 says why it failed in a challenge, in JSON, and then -ERR.
		if raw, err := base64.StdEncoding.DecodeString(string(challenge)); err == nil {
			details = clip(peer.Text(s.wire.secrets.Hide(string(raw))), mostText)
		}
		if challenge, st, err = s.step(""); err != nil {
			return err
		}
		if challenge != nil || st.ok {
			return broken("a login without end")
		}
	}
	if !st.ok {
		return s.refused(st, details)
	}
	return nil
}

// step sends a line and reads a challenge, which is not nil then, or the end
// of the exchange.
func (s *session) step(line string) (challenge []byte, st status, err error) {
	if err := s.wire.send([]byte(line + "\r\n")); err != nil {
		return nil, st, err
	}
	s.wire.begin()
	answer, err := s.wire.readLine()
	if err != nil {
		return nil, st, s.wire.failed(err)
	}
	if string(answer) == "+" || strings.HasPrefix(string(answer), "+ ") {
		return append([]byte{}, strings.TrimSpace(string(answer[1:]))...), st, nil
	}
	if st, err = parseStatus(string(answer), &s.wire.secrets); err != nil {
		return nil, st, s.wire.failed(err)
	}
	return nil, st, nil
}

// refused tells a wrong password from a server that has no time. RFC 3206: a
// server with its code AUTH says [AUTH] only where the password is wrong.
func (s *session) refused(st status, details string) error {
	if details != "" {
		st.text = strings.TrimSpace(st.text + " " + details)
	}
	if st.busy() {
		return peer.WithHint(fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrBusy, st),
			"a maildrop is open to one session at a time; another mail program may have it open")
	}
	return fmt.Errorf("log in as %s: %w: %s", s.opts.User, ErrLogin, st)
}
