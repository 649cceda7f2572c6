// Package oauth gets access tokens (OAuth 2, RFC 6749) for accounts whose mail
// server takes those in place of a password. A [Client] says who asks and
// where; then
//
//   - a person allows it once, with [Stored.Login], and [Stored] keeps the
//     grant in a file and renews tokens from it;
//   - [NewServiceAccount] signs for itself, for every mailbox of a domain
//     (RFC 7523, Google);
//   - [NewClientCredentials] has a secret of its own (Microsoft).
//
// All three have a method Token. Errors wrap [ErrLoginNeeded], [ErrRefused] or
// [ErrUnavailable] where one of them applies; none has a secret in it.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
)

var (
	// ErrLoginNeeded: there is no grant, or it is no longer good. Until a person
	// has logged in, asking again is of no use.
	ErrLoginNeeded = errors.New("a person has to log in")
	// ErrRefused: the token server does not want to, and will not want to the
	// next time.
	ErrRefused = errors.New("the token server refuses")
	// ErrUnavailable: the token server cannot be had just now.
	ErrUnavailable = errors.New("the token server is not to be had")
)

// A Client is what a token server knows us as.
type Client struct {
	// TokenURL, DeviceURL and AuthURL are the server's endpoints: for tokens, for
	// logging in on another device, and for logging in with a browser. All are
	// https. The latter two may be empty.
	TokenURL, DeviceURL, AuthURL string
	// AuthParameters go to AuthURL as well.
	AuthParameters url.Values
	// ID is the client identifier, and Secret gets the secret that belongs to it;
	// nil for a client without one (RFC 6749 section 2.1: a public client).
	ID     string
	Secret func(ctx context.Context) (string, error)
	// Post sends the secret in the body of requests, as Google and Microsoft want
	// it; else it goes by HTTP Basic, which every server has to take (RFC 6749
	// section 2.3.1).
	Post bool
	// Scopes are what is asked for.
	Scopes []string
	// Transport sends the requests; see [NewTransport].
	Transport http.RoundTripper

	mu     sync.Mutex
	secret string // once it was asked for; guarded by mu
}

// theSecret asks for the client's secret once.
func (c *Client) theSecret(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret != "" || c.Secret == nil {
		return c.secret, nil
	}
	secret, err := c.Secret(ctx)
	if err != nil {
		return "", fmt.Errorf("the client's secret: %w", err)
	}
	c.secret = secret
	return secret, nil
}

// Check reports what is wrong with a client.
func (c *Client) Check() error {
	if c.TokenURL == "" {
		return errors.New("there is no token-url")
	}
	for name, endpoint := range map[string]string{"token-url": c.TokenURL, "device-url": c.DeviceURL, "auth-url": c.AuthURL} {
		if endpoint == "" {
			continue
		}
		if err := checkURL(endpoint); err != nil {
			return fmt.Errorf("the %s %w", name, err)
		}
	}
	return nil
}

// checkURL takes https with a host, and nobody's name. It never repeats the
// URL, which may hold a secret.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("is no URL")
	case u.Scheme != "https":
		return errors.New("does not begin with https://, and secrets go there")
	case u.User != nil:
		return errors.New("has a user name in it")
	case u.Fragment != "":
		return errors.New("has a # in it")
	}
	return nil
}
