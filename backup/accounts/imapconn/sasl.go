package imapconn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"restante/backup/accounts/peer"
	"strings"
)

// exchange is the client's side of a SASL mechanism.
type exchange struct {
	initial   []byte
	next      func(challenge []byte) []byte
	challenge []byte // of a mechanism for tokens: why the token is refused
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
		x.next = x.refused([]byte{1}) // RFC 7628 section 3.2.3
	case XOAuth2:
		x.initial = []byte("user=" + o.User + "\x01auth=Bearer " + o.Password + "\x01\x01")
		x.next = x.refused([]byte{})
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

// refused keeps the reason that comes as a challenge before the NO. The
// exchange is over for the server once it has answer.
func (x *exchange) refused(answer []byte) func([]byte) []byte {
	return func(challenge []byte) []byte {
		if len(bytes.TrimSpace(challenge)) > 0 {
			x.challenge = bytes.Clone(challenge)
		}
		return answer
	}
}

// tokenRefused puts the reason for a token's refusal into words, with a hint
// where one is known. The reason is JSON (RFC 7628 section 3.2.2); XOAUTH2 has
// the same members, with numbers of HTTP for the status.
func tokenRefused(challenge string) (why, hint string) {
	if challenge == "" {
		return "", ""
	}
	var reason struct {
		Status any
		Scope  string
	}
	if err := json.Unmarshal([]byte(challenge), &reason); err != nil || reason.Status == nil {
		return "of the token it says " + short(challenge, 300), ""
	}
	status := short(fmt.Sprint(reason.Status), 300)
	switch status {
	case "invalid_token", "invalid_request", "400", "401":
		hint = "the access token has expired or was revoked, or it is for another user or server"
	case "insufficient_scope", "403":
		hint = "the access token does not allow mail to be read by IMAP"
		if reason.Scope != "" {
			hint += "; it needs the scope " + short(reason.Scope, 300)
		}
	}
	return "of the token it says " + status, hint
}

// short is the beginning of a server's words, on one line.
func short(text string, octets int) string { return peer.Text(text[:min(len(text), octets)]) }

// isToken reports whether a text can be an access token: RFC 6750 section 2.1,
// and all other visible characters besides.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
