package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// Stored gets tokens from the grant of a person who has logged in, which is
// kept in a file of mode 0600. Several processes may use the same file. Many
// servers give a new refresh token with each access token, and the old one is
// worth nothing from then on (RFC 6749 section 6, RFC 9700 section 4.14.2): the
// new one is on disk before the access token is used, and one process at a time
// asks for one.
//
// Its methods may be called at the same time.
type Stored struct {
	client *Client
	path   string

	mu      sync.Mutex // one at a time, and guards what follows
	unsaved *grant     // in place of this refresh token's, which is spent:
	spent   string
	refused error // by the server, for reasons that are not the grant's
}

// NewStored returns tokens from the grant in a file, which need not be there
// yet.
func NewStored(c *Client, path string) *Stored { return &Stored{client: c, path: path} }

// Path is where the grant is kept.
func (s *Stored) Path() string { return s.path }

// Ends is when the grant ends; zero where the server does not say, or there is
// none.
func (s *Stored) Ends() time.Time {
	g, err := readGrant(s.path)
	if err != nil {
		return time.Time{}
	}
	return g.Ends
}

// Token returns an access token. refused is one that the mail server has not
// taken, or "". A grant that is rejected is not shown to the server again, by
// this process or another, until a person has logged in.
func (s *Stored) Token(ctx context.Context, refused string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved == nil {
		// Most of the time nothing has to be locked or written.
		if g, err := s.read(); err != nil {
			return "", err
		} else if token, ok := g.usable(time.Now(), refused); ok {
			return token, nil
		}
	}
	release, err := lock(ctx, s.path)
	if err != nil {
		return "", err
	}
	defer release()
	g, err := s.read() // again: somebody may have renewed it meanwhile
	if err != nil {
		return "", err
	}
	if s.unsaved != nil && g.RefreshToken == s.spent {
		if err := save(s.path, s.unsaved); err != nil {
			return "", err
		}
		g = s.unsaved
	}
	s.unsaved = nil
	if token, ok := g.usable(time.Now(), refused); ok {
		return token, nil
	}
	if s.refused != nil {
		return "", s.refused
	}
	return s.renew(ctx, g)
}

// read returns the grant in the file, if it can be used.
func (s *Stored) read() (*grant, error) {
	g, err := readGrant(s.path)
	switch {
	case err != nil:
		return nil, err
	case g.TokenURL != s.client.TokenURL || g.ClientID != s.client.ID:
		return nil, fmt.Errorf("%w: the login in %s is for another client-id or token server", ErrLoginNeeded, s.path)
	case g.Rejected != nil:
		return nil, fmt.Errorf("%w again: the grant was rejected on %s (%s)", ErrLoginNeeded, g.Rejected.At.Local().Format("2006-01-02 15:04"), clean(g.Rejected.Reason, 400, nil))
	}
	return g, nil
}

// renew spends the refresh token (RFC 6749 section 6). The file is locked.
func (s *Stored) renew(ctx context.Context, g *grant) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	d, err := newDraft(s.path)
	if err != nil {
		return "", err
	}
	defer d.discard()
	// A request that was sent is not called off: the new refresh token may be on
	// its way, and the old one spent.
	a, err := s.client.token(context.WithoutCancel(ctx), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}})
	if err != nil {
		return "", s.rejected(d, g, err)
	}
	now := time.Now()
	renewed := &grant{TokenURL: g.TokenURL, ClientID: g.ClientID, RefreshToken: g.RefreshToken, AccessToken: a.AccessToken, RenewAt: a.renewAt(now).UTC(), Ends: a.ends(now, g)}
	if a.RefreshToken != "" {
		renewed.RefreshToken = a.RefreshToken
	}
	if err := d.keep(renewed); err != nil {
		s.unsaved, s.spent = renewed, g.RefreshToken
		return "", err
	}
	return renewed.AccessToken, nil
}

// rejected remembers a refusal, on disk if it is the grant's end.
func (s *Stored) rejected(d *draft, g *grant, err error) error {
	r, ok := errors.AsType[*refusal](err)
	switch {
	case !ok || !errors.Is(r, ErrRefused):
		return err
	case !r.ofGrant():
		s.refused = fmt.Errorf("%w: %w", ErrRefused, err)
		return s.refused
	}
	g.Rejected = &rejection{At: time.Now().UTC().Truncate(time.Second), Reason: r.Error()}
	g.AccessToken = ""
	if err := d.keep(g); err != nil {
		s.refused = fmt.Errorf("%w again: the grant was rejected (%w), and %w", ErrLoginNeeded, r, err)
		return s.refused
	}
	_, err = s.read()
	return err
}

// save puts a grant into its file. The file is locked.
func save(path string, g *grant) error {
	d, err := newDraft(path)
	if err != nil {
		return err
	}
	return d.keep(g)
}
