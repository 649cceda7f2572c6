package accounts

import (
	"context"
	"errors"
	"sync/atomic"
)

// A login asks for the password of an account once, however many connections
// there are, and again when the server no longer takes one that it took before.
// Until a password has proven good, there is one login at a time, and a refusal
// goes to everybody who was waiting: servers lock accounts after a few failures.
//
// A token is asked for anew for each connection, since it may have expired, and
// a second time when the server does not take it: it may have been revoked.
type login struct {
	secret  Secret
	tokens  Tokens // in place of secret
	refused error  // what a refusal wraps

	turn    chan struct{} // whoever has taken its element may use what follows
	value   string
	known   bool // value has been asked for
	proven  bool // and the server has taken it
	renewed int  // how often it was asked for
	refusal error

	refusals atomic.Int64
}

// newLogin returns a login whose secret or tokens are still to be set.
func newLogin(refused error) *login {
	l := &login{refused: refused, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// with calls connect with the password, which connects and logs in with it.
func (l *login) with(ctx context.Context, connect func(password string) error) error {
	seen := l.refusals.Load()
	if err := l.take(ctx); err != nil {
		return err
	}
	expired, reason := "", error(nil)
	if l.proven {
		if err := l.refresh(ctx); err != nil {
			l.release()
			return err
		}
		password, mine := l.value, l.renewed
		l.release()
		err := connect(password)
		if !errors.Is(err, l.refused) {
			return err
		}
		expired, reason = password, err
		if err := l.take(ctx); err != nil {
			return err
		}
		if l.renewed == mine {
			l.known, l.proven = false, false
		}
	}
	defer l.release()
	if l.refusals.Load() != seen {
		return l.refusal
	}
	if !l.known {
		value, err := l.ask(ctx, expired)
		if err != nil {
			return err
		}
		if reason != nil && value == expired {
			return reason
		}
		l.value, l.known = value, true
		l.renewed++
	}
	err := connect(l.value)
	if errors.Is(err, l.refused) && l.tokens != nil && reason == nil {
		err = l.again(ctx, connect, err)
	}
	switch {
	case err == nil:
		l.proven = true
	case errors.Is(err, l.refused):
		l.known, l.refusal = false, err
		l.refusals.Add(1)
	}
	return err
}

func (l *login) take(ctx context.Context) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *login) release() { l.turn <- struct{}{} }
