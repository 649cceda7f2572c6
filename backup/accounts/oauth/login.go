package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"restante/backup/accounts/peer"
	"time"
)

// Instructions say what a person has to do to log in.
type Instructions struct {
	URL      string    // to open; on another device, too, if there is a Code
	Code     string    // to type there; empty: none
	Complete string    // URL with the code in it; may be empty
	Back     string    // without a Code: host:port that the browser comes back to
	Until    time.Time // when it is too late
}

// loginTime is how long a person may take, where the server does not say.
const loginTime = 15 * time.Minute

// Login has a person allow access and keeps the grant. show is called once, and
// what it shows has to be followed while Login waits.
func (s *Stored) Login(ctx context.Context, show func(Instructions)) error {
	if err := s.tryFile(ctx); err != nil {
		return err
	}
	var (
		a   *answer
		err error
	)
	switch {
	case s.client.DeviceURL != "":
		a, err = s.client.byDevice(ctx, show)
	case s.client.AuthURL != "":
		a, err = s.client.byBrowser(ctx, show)
	default:
		return errors.New("the token server has neither a device-url nor an auth-url to log in at")
	}
	if err != nil {
		return err
	}
	if a.RefreshToken == "" {
		return peer.WithHint(errors.New("the token server gives access for a short while only (no refresh token)"),
			"many want the scope offline_access for it")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	release, err := lock(ctx, s.path)
	if err != nil {
		return err
	}
	defer release()
	s.unsaved, s.refused = nil, nil
	now := time.Now()
	return save(s.path, &grant{
		TokenURL: s.client.TokenURL, ClientID: s.client.ID,
		RefreshToken: a.RefreshToken, AccessToken: a.AccessToken, RenewAt: a.renewAt(now).UTC(), Ends: a.ends(now, nil),
	})
}

// tryFile finds what can go wrong with the file, before somebody has taken the
// trouble to log in.
func (s *Stored) tryFile(ctx context.Context) error {
	release, err := lock(ctx, s.path)
	if err != nil {
		return err
	}
	defer release()
	d, err := newDraft(s.path)
	if err != nil {
		return err
	}
	d.discard()
	return nil
}

// byDevice logs in on another device (RFC 8628).
func (c *Client) byDevice(ctx context.Context, show func(Instructions)) (*answer, error) {
	form := url.Values{}
	c.addScopes(form)
	a, err := c.post(ctx, c.DeviceURL, form)
	if err != nil {
		return nil, fmt.Errorf("ask for a code to log in with: %w", err)
	}
	i := Instructions{URL: clean(cmp.Or(a.URI, a.OldURI), 500, nil), Code: clean(a.UserCode, 100, nil), Complete: clean(a.Complete, 1000, nil)}
	if i.URL == "" || i.Code == "" || !isToken(a.DeviceCode) {
		return nil, errors.New("ask for a code to log in with: the token server's answer has none")
	}
	if err := checkURL(i.URL); err != nil {
		return nil, fmt.Errorf("ask for a code to log in with: the address to log in at %w", err)
	}
	if checkURL(i.Complete) != nil {
		i.Complete = ""
	}
	lifetime := a.ExpiresIn.within(loginTime, time.Minute, time.Hour)
	i.Until = time.Now().Add(lifetime)
	ctx, cancel := context.WithTimeoutCause(ctx, lifetime, errTooLate)
	defer cancel()
	show(i)
	return c.poll(ctx, a.DeviceCode, a.Interval.within(5*time.Second, time.Second, 5*time.Minute))
}

var errTooLate = errors.New("nobody has logged in in time")

// poll asks until the person has decided (RFC 8628 sections 3.4 and 3.5).
func (c *Client) poll(ctx context.Context, code string, interval time.Duration) (*answer, error) {
	for {
		timer := time.NewTimer(interval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		a, err := c.token(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}})
		if err == nil {
			return a, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		r, ok := errors.AsType[*refusal](err)
		switch {
		case ok && r.code == "authorization_pending":
		case ok && r.code == "slow_down": // for good
			interval += 5 * time.Second
		case ok && r.code == "access_denied":
			return nil, errDenied
		case ok && r.code == "expired_token":
			return nil, errTooLate
		case errors.Is(err, ErrUnavailable): // section 3.5: go slower and go on
			interval = min(2*interval, 5*time.Minute)
		default:
			return nil, err
		}
	}
}

var errDenied = errors.New("the person did not allow it")

func (c *Client) addScopes(form url.Values) {
	if len(c.Scopes) > 0 {
		form.Set("scope", c.scope())
	}
}
