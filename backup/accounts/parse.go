package accounts

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/peer"
	"restante/backup/accounts/pop3conn"
)

func hint(advice, format string, args ...any) error {
	return peer.WithHint(fmt.Errorf(format, args...), advice)
}

// Parse reads an account's address; the package comment shows what they look
// like. Errors never repeat what could be a password.
//
// In a user name, "%" and what follows it, "/", "?" and ":" are written as
// %XX. "@" may stand as it is: the last one ends the user name. Parameters:
//
//	ca=FILE       trust the authorities in FILE as well as the system's
//	auth=HOW      plain, login, oauthbearer, xoauth2, or token: the better of
//	              the latter two; for a maildrop plain, login (USER and PASS),
//	              apop or xoauth2; else the best for a password
//	authzid=USER  open USER's mailbox, with the user name's own password
//	master=USER   open the user name's mailbox, with USER's own password
func Parse(address string) (Address, error) {
	scheme, rest, ok := strings.Cut(address, ":")
	a := Address{Scheme: Scheme(strings.ToLower(scheme))}
	port, known := schemes[a.Scheme]
	if !ok || !known {
		return a, unknownScheme(a.Scheme, ok)
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return a, errors.New("the account's address has control characters in it")
	}
	if a.Scheme.path() {
		if rest == "" && a.Scheme == Thunderbird {
			return a, nil
		}
		if rest == "" {
			if a.Scheme == LMTPUnix {
				return a, hint("for example lmtp+unix:/run/dovecot/lmtp", "the account's address names no socket")
			}
			return a, hint(fmt.Sprintf("write %s:DIRECTORY", a.Scheme), "the account's address names no directory")
		}
		a.Dir = filepath.Clean(rest)
		return a, nil
	}
	a.Port = port
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok {
		return a, hint(fmt.Sprintf("write %s://USER@HOST", a.Scheme), "the account's address has no // after %s:", a.Scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest = strings.TrimSuffix(rest, "/")
	if err := a.parseUser(rest); err != nil {
		return Address{}, err
	}
	if err := a.parseQuery(query); err != nil {
		return Address{}, err
	}
	return a, nil
}

func unknownScheme(s Scheme, colon bool) error {
	var names []string
	for _, known := range Schemes() {
		names = append(names, string(known))
	}
	if !colon || strings.Contains(string(s), "@") { // it may be anything, a password among it
		return hint("for example imaps://USER@HOST", "the account's address does not begin with one of %s and a colon", strings.Join(names, ", "))
	}
	return hint("did you mean "+nearest(string(s), names)+":?", "%q is no kind of account (they are %s)", s, strings.Join(names, ", "))
}

// parseUser reads USER@HOST:PORT.
func (a *Address) parseUser(s string) error {
	at := strings.LastIndexByte(s, '@')
	switch {
	case at < 0 && a.Scheme.Delivers():
		if strings.Contains(s, "/") {
			return errors.New("the account's address has a path in it")
		}
		return a.parseHost(s)
	case a.Scheme.lmtp():
		return hint("say to whom with --deliver-to", "nobody logs in by LMTP, and the account's address has a user name")
	case at < 0:
		return hint(fmt.Sprintf("write %s://USER@HOST", a.Scheme), "the account's address has no user name")
	}
	user, host := s[:at], s[at+1:]
	if strings.Contains(user, ":") {
		return hint("leave it out: it is asked for, or read from a file or command; a colon in a user name is written %3A",
			"the account's address has a password in it")
	}
	if strings.Contains(user, "/") || strings.Contains(host, "/") {
		return hint("a slash in a user name is written %2F, a question mark %3F", "the account's address has a path in it")
	}
	var err error
	if a.User, err = url.PathUnescape(user); err != nil {
		return hint("a percent sign in it is written %25", "the account's user name is not well written")
	}
	if a.User == "" {
		return errors.New("the account's user name is empty")
	}
	return a.parseHost(host)
}

func (a *Address) parseHost(s string) error {
	if strings.HasPrefix(s, "[") { // an IPv6 address, RFC 3986 section 3.2.2
		ip, rest, ok := strings.Cut(s[1:], "]")
		addr, err := netip.ParseAddr(strings.Replace(ip, "%25", "%", 1))
		if !ok || err != nil || !addr.Is6() || escape(addr.Zone(), "") != addr.Zone() || rest != "" && rest[0] != ':' {
			return fmt.Errorf("%q is no IPv6 address", s)
		}
		a.Host = addr.String()
		return a.parsePort(strings.TrimPrefix(rest, ":"), rest != "")
	}
	host, port, hasPort := strings.Cut(s, ":")
	if strings.Contains(port, ":") {
		return hint("write it in brackets: [2001:db8::1]", "an IPv6 address without brackets")
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("%#/?@[]\\\"<>^`{|}", r) }) {
		return fmt.Errorf("%q is no host", host)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(host) // RFC 5891 section 5; certificates have that form, too
		if err != nil || ascii == "" {
			return fmt.Errorf("%q is no host", host)
		}
		host = ascii
	}
	a.Host = strings.ToLower(host)
	return a.parsePort(port, hasPort)
}

func (a *Address) parsePort(s string, has bool) error {
	if !has {
		return nil
	}
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return errors.New("the account's port is no number from 1 to 65535")
	}
	a.Port = int(port)
	return nil
}

// mechanisms are the values of auth, for IMAP and for POP3.
var (
	mechanisms = map[string]imapconn.Mechanism{
		"plain": imapconn.Plain, "login": imapconn.Login, "oauthbearer": imapconn.OAuthBearer, "xoauth2": imapconn.XOAuth2,
		"token": imapconn.AnyToken,
	}
	maildropMechanisms = map[string]imapconn.Mechanism{
		"plain": imapconn.Mechanism(pop3conn.Plain), "login": imapconn.Mechanism(pop3conn.User),
		"apop": imapconn.Mechanism(pop3conn.APOP), "xoauth2": imapconn.Mechanism(pop3conn.XOAuth2),
	}
)

func (a *Address) parseQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what follows the ? in the account's address is not well written")
	}
	known := []string{"auth", "authzid", "ca", "master"}
	for key, all := range values {
		if !slices.Contains(known, key) {
			if key == "password" || key == "pass" {
				return hint("leave it out: it is asked for, or read from a file or command", "the account's address has a password in it")
			}
			return hint("did you mean "+nearest(key, known)+"=?", "an account's address has no %q (but %s)", key, strings.Join(known, ", "))
		}
		if len(all) != 1 || all[0] == "" {
			return fmt.Errorf("%s has to have one value", key)
		}
	}
	a.Authzid, a.CA, a.Master = values.Get("authzid"), values.Get("ca"), values.Get("master")
	if auth := values.Get("auth"); auth != "" {
		known := mechanisms
		if a.Scheme.Maildrop() {
			known = maildropMechanisms
		}
		m, ok := known[strings.ToLower(auth)]
		if !ok {
			names := slices.Sorted(maps.Keys(known))
			return hint("did you mean "+nearest(auth, names)+"?", "auth=%s is no way to log in (they are %s)", auth, strings.Join(names, ", "))
		}
		a.Auth = m
	}
	return a.check()
}

// check finds what does not go together.
func (a *Address) check() error {
	auth := strings.ToLower(string(a.Auth))
	switch {
	case a.Scheme.Local() && a.User+a.Authzid+a.Master != "":
		return fmt.Errorf("nobody logs in to %s:%s", a.Scheme, a.Dir)
	case a.Scheme.Delivers() && string(a.Auth)+a.Authzid+a.Master != "":
		return fmt.Errorf("auth, authzid and master mean nothing to %s", a.Scheme)
	case a.CA != "" && a.Scheme.clear():
		return fmt.Errorf("ca means nothing to %s, which has no certificates", a.Scheme)
	case a.Authzid != "" && (a.Auth == imapconn.Login || a.Auth == imapconn.XOAuth2 || a.Auth == maildropMechanisms["apop"]):
		return fmt.Errorf("authzid cannot be sent with auth=%s", auth)
	case a.Master != "" && a.Authzid != "":
		return hint("master users of Dovecot are for master, all others for authzid", "the account's address has an authzid and a master")
	case a.Master != "" && a.Token():
		return fmt.Errorf("a master user has a password, and auth=%s is for tokens", auth)
	}
	return nil
}

// nearest returns the word that takes the fewest changes to become s.
func nearest(s string, words []string) string {
	return slices.MinFunc(words, func(a, b string) int { return distance(s, a) - distance(s, b) })
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
