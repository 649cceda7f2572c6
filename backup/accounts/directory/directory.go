// Package directory asks an LDAP directory (RFC 4511) who has a mailbox:
// [Search.Users]. It reads, and changes nothing.
package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"restante/backup/accounts/peer"
	"slices"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Search says where to ask, and for what.
type Search struct {
	// URL is ldaps://host (TLS, port 636), ldap://host (STARTTLS, always, port
	// 389) or ldap+insecure://host (clear text).
	URL string
	// Authorities are trusted in place of the system's; nil: the system's.
	Authorities *x509.CertPool
	// BindDN and Password are who asks; without a BindDN nobody does (RFC 4513
	// section 5.1.1).
	BindDN, Password string
	// Base is where the search begins, and goes down from.
	Base   string
	Filter string // RFC 4515; empty: every entry with the attribute User
	// User is the attribute that has the user's name; empty: uid. Each entry
	// must have one, with one value.
	User string
	// Attributes are others that are asked for. Of several values the first in
	// alphabetical order is taken, since a directory has them in no order.
	Attributes []string
	// IgnoreReferrals takes what the directory has, where it names others that
	// have more. None are followed.
	IgnoreReferrals bool
	// Timeout bounds it all. Default: 1 minute.
	Timeout time.Duration

	page, most int // entries at once, and in all; tests set fewer
}

// An Entry is one user: the values by the names of the attributes as they were
// asked for.
type Entry struct {
	DN     string
	User   string
	Values map[string]string
}

// ErrLogin: the directory does not let BindDN in.
var ErrLogin = errors.New("the directory refused the login")

func init() { ber.MaxPacketLengthBytes = 64 << 20 } // else a length that lies is allocated

func hint(advice, format string, args ...any) error {
	return peer.WithHint(fmt.Errorf(format, args...), advice)
}

// Users returns what the directory has, by user name. A list that is not whole is
// an error.
func (s Search) Users(ctx context.Context) ([]Entry, error) {
	s.User, s.page, s.most = cmp.Or(s.User, "uid"), cmp.Or(s.page, 500), cmp.Or(s.most, 1_000_000)
	s.Filter = cmp.Or(s.Filter, "("+s.User+"=*)")
	if _, err := ldap.CompileFilter(s.Filter); err != nil {
		return nil, hint("for example (&(objectClass=person)(mail=*))", "the filter %q is not well written", s.Filter)
	}
	timeout := cmp.Or(s.Timeout, time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no list within %v", timeout))
	defer cancel()
	list, err := s.ask(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return nil, fmt.Errorf("ask the directory %s: %w", s.host(), err)
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.User, b.User) })
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.User == b.User {
			return nil, fmt.Errorf("the directory %s has %s %q twice: %s and %s", s.host(), s.User, a.User, a.DN, b.DN)
		}
	}
	return list, nil
}

// host is where it is, without what may be a secret in a URL that has no place for
// one.
func (s Search) host() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// ask connects and searches.
func (s Search) ask(ctx context.Context) ([]Entry, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if s.BindDN != "" {
		if s.Password == "" { // RFC 4513 section 5.1.2: that would succeed as nobody
			return nil, fmt.Errorf("%w: there is no password for %s", ErrLogin, s.BindDN)
		}
		if err := conn.Bind(s.BindDN, s.Password); err != nil {
			if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultNoSuchObject, ldap.LDAPResultUnwillingToPerform) {
				return nil, hint("check bind-dn and its password", "%w as %s: %w", ErrLogin, s.BindDN, err)
			}
			return nil, fmt.Errorf("log in as %s: %w", s.BindDN, err)
		}
	}
	return s.pages(conn)
}

// dial connects and encrypts.
func (s Search) dial(ctx context.Context) (*ldap.Conn, error) {
	u, err := url.Parse(s.URL)
	ports := map[string]string{"ldaps": "636", "ldap": "389", "ldap+insecure": "389"}
	if err != nil || u.Hostname() == "" || ports[u.Scheme] == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, hint("base, filter and who asks are keys of their own", "the url has to be ldaps://HOST, ldap://HOST or ldap+insecure://HOST, with a port if need be")
	}
	cfg := &tls.Config{ServerName: u.Hostname(), RootCAs: s.Authorities, MinVersion: tls.VersionTLS12}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme])))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	wrap := func(err error) error { raw.Close(); return fmt.Errorf("no trustworthy encryption: %w", err) }
	if u.Scheme == "ldaps" {
		secure := tls.Client(raw, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, wrap(err)
		}
		raw = secure
	}
	conn := ldap.NewConn(raw, u.Scheme == "ldaps")
	conn.Start()
	if u.Scheme == "ldap" {
		if err := conn.StartTLS(cfg); err != nil {
			conn.Close()
			return nil, wrap(err)
		}
	}
	return conn, nil
}

// pages reads all entries, page by page (RFC 2696) where the directory can.
func (s Search) pages(conn *ldap.Conn) (list []Entry, err error) {
	paging := ldap.NewControlPaging(uint32(s.page))
	request := ldap.NewSearchRequest(s.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, s.Filter, append([]string{s.User}, s.Attributes...), []ldap.Control{paging})
	for {
		result, err := conn.Search(request)
		if err != nil {
			return nil, explain(err, s.Base)
		}
		if len(result.Referrals) > 0 && !s.IgnoreReferrals {
			return nil, hint("begin further down with base, or write ignore-referrals = true", "the directory says that %s has more entries, and may not be all there is", result.Referrals[0])
		}
		for _, e := range result.Entries {
			entry, err := s.entry(e)
			if err != nil {
				return nil, err
			}
			list = append(list, entry)
		}
		if len(list) > s.most {
			return nil, hint("ask for fewer with base and filter", "there are more than %d entries", s.most)
		}
		answer, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(answer.Cookie) == 0 {
			return list, nil
		}
		if len(result.Entries) == 0 && string(answer.Cookie) == string(paging.Cookie) {
			return nil, errors.New("the directory gives the same empty page again and again")
		}
		paging.SetCookie(answer.Cookie)
	}
}

// explain says what can be done about an answer.
func explain(err error, base string) error {
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultAdminLimitExceeded):
		return hint("ask for fewer with base and filter, or have the limit for bind-dn raised", "the list is not whole: %w", err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return hint("check base; some directories say so where whoever asks may not read", "there is no %q: %w", base, err)
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultOperationsError):
		return hint("give bind-dn and bind-password-file", "whoever asks may not: %w", err)
	}
	return err
}

// entry is a user.
func (s Search) entry(e *ldap.Entry) (Entry, error) {
	names := e.GetEqualFoldAttributeValues(s.User)
	if len(names) != 1 || names[0] == "" {
		return Entry{}, hint(fmt.Sprintf("have the filter leave it out, as with (%s=*), or name another attribute as user", s.User), "%s has %d values of %s, and should have one", e.DN, len(names), s.User)
	}
	u := Entry{DN: e.DN, User: names[0], Values: map[string]string{}}
	for _, a := range s.Attributes {
		values := slices.Sorted(slices.Values(e.GetEqualFoldAttributeValues(a)))
		if len(values) > 0 {
			u.Values[a] = values[0]
		} else {
			u.Values[a] = ""
		}
	}
	return u, nil
}
