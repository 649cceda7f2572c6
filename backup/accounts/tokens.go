package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/oauth"
	"restante/backup/accounts/pop3conn"
)

// Tokens gives access tokens in place of a password; package oauth has those
// that do.
type Tokens interface {
	// Token returns a token that the server may take. refused is one that it
	// has not taken, or "".
	Token(ctx context.Context, refused string) (string, error)
}

// NewTokenDialer is NewDialer for an account that logs in with tokens. A token
// that cannot be had for good is an [imapconn.ErrLogin]; that one cannot be had
// just now is an error like that of a server that is not there.
func NewTokenDialer(a Address, tokens Tokens, o imapconn.Options) (*Dialer, error) {
	if a.Auth == imapconn.AnyPassword {
		a.Auth = imapconn.AnyToken
	}
	if !a.Token() {
		return nil, fmt.Errorf("auth=%s is for passwords, and there is a token", strings.ToLower(string(a.Auth)))
	}
	if a.Master != "" {
		return nil, errors.New("a master user has a password, and there is a token")
	}
	d, err := newDialer(a, o)
	if err != nil {
		return nil, err
	}
	d.login.tokens = tokens
	return d, nil
}

// NewPOP3TokenDialer is NewPOP3Dialer for an account that logs in with tokens,
// which go by XOAUTH2. Errors are as of [NewTokenDialer], with those of pop3conn.
func NewPOP3TokenDialer(a Address, tokens Tokens, o pop3conn.Options) (*POP3Dialer, error) {
	byToken := maildropMechanisms["xoauth2"]
	if a.Auth == "" {
		a.Auth = byToken
	}
	if a.Auth != byToken {
		return nil, fmt.Errorf("auth=%s is for passwords, and there is a token", strings.ToLower(string(a.Auth)))
	}
	if a.Master != "" {
		return nil, errors.New("a master user has a password, and there is a token")
	}
	d, err := newPOP3Dialer(a, o)
	if err != nil {
		return nil, err
	}
	d.login.tokens = tokens
	return d, nil
}

// again tries a new token in place of one that the server has refused.
func (l *login) again(ctx context.Context, connect func(token string) error, refusal error) error {
	value, err := l.ask(ctx, l.value)
	if err != nil {
		return err
	}
	if value == l.value {
		return refusal
	}
	l.value = value
	l.renewed++
	return connect(value)
}

// refresh replaces a token that has expired.
func (l *login) refresh(ctx context.Context) error {
	if l.tokens == nil {
		return nil
	}
	value, err := l.ask(ctx, "")
	if err != nil {
		return err
	}
	if value != l.value {
		l.value = value
		l.renewed++
	}
	return nil
}

// ask asks for the password, or for a token that is not the refused one.
func (l *login) ask(ctx context.Context, refused string) (string, error) {
	if l.tokens == nil {
		return l.secret(ctx)
	}
	token, err := l.tokens.Token(ctx, refused)
	if errors.Is(err, oauth.ErrLoginNeeded) || errors.Is(err, oauth.ErrRefused) {
		err = marked{err, l.refused}
	}
	return token, err
}

// A marked error says what it says, and is something else besides.
type marked struct {
	error
	mark error
}

func (m marked) Unwrap() []error { return []error{m.error, m.mark} }
