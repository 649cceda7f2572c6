// Package accounts says who Restante logs in as: [Parse] an account's address,
// take a [Secret] from where the password is kept, and let [NewDialer] make
// connections of the two.
//
//	imaps://alice@mail.example.org                   TLS, port 993
//	imap://alice@example.org@mail.example.org:1143   STARTTLS, always
//	imap+insecure://alice@localhost                  clear text, password included
//	imaps://admin@mail.example.org?authzid=alice     alice's mailbox, admin's password
//	imaps://alice@mail.example.org?master=admin      the same as Dovecot's alice*admin
//	pop3s://alice@mail.example.org                   a maildrop; TLS, port 995
//	pop3://alice@mail.example.org                    STLS, always
//	pop3+insecure://alice@localhost                  clear text
//	maildir:/home/alice/Maildir                      mail on this computer
//	mbox:/home/alice/mail
//	thunderbird:/home/alice/.thunderbird/abc.default
//	thunderbird:                                     the profile that opens by default
//
// Mail can be delivered to, and not read from:
//
//	lmtp://mail.example.org                          LMTP with STARTTLS, port 24
//	lmtp+insecure://localhost:24                     clear text
//	lmtp+unix:/run/dovecot/lmtp                      a socket on this computer
//	smtps://alice@mail.example.org                   SMTP with TLS, port 465
//	smtp://alice@mail.example.org                    STARTTLS, always, port 587
//	smtp+insecure://mail.example.org                 clear text, port 25; nobody logs in
//
// No address holds a password, so addresses may be printed and stored.
package accounts

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"restante/backup/accounts/imapconn"
)

// Scheme is how an account is reached.
type Scheme string

const (
	IMAPS        Scheme = "imaps"
	IMAP         Scheme = "imap"
	IMAPInsecure Scheme = "imap+insecure"
	POP3S        Scheme = "pop3s"
	POP3         Scheme = "pop3"
	POP3Insecure Scheme = "pop3+insecure"
	Maildir      Scheme = "maildir"
	Mbox         Scheme = "mbox"
	Thunderbird  Scheme = "thunderbird"

	LMTP         Scheme = "lmtp"
	LMTPInsecure Scheme = "lmtp+insecure"
	LMTPUnix     Scheme = "lmtp+unix"
	SMTPS        Scheme = "smtps"
	SMTP         Scheme = "smtp"
	SMTPInsecure Scheme = "smtp+insecure"
)

// schemes are all of them, with the port of those that have one.
var schemes = map[Scheme]int{IMAPS: 993, IMAP: 143, IMAPInsecure: 143, POP3S: 995, POP3: 110, POP3Insecure: 110, Maildir: 0, Mbox: 0, Thunderbird: 0,
	LMTP: 24, LMTPInsecure: 24, LMTPUnix: 0, SMTPS: 465, SMTP: 587, SMTPInsecure: 25}

// Schemes lists the words that an account's address begins with.
func Schemes() []Scheme {
	return []Scheme{IMAPS, IMAP, IMAPInsecure, POP3S, POP3, POP3Insecure, Maildir, Mbox, Thunderbird,
		LMTP, LMTPInsecure, LMTPUnix, SMTPS, SMTP, SMTPInsecure}
}

// Local reports whether the mail is on this computer.
func (s Scheme) Local() bool { return s.path() && s != LMTPUnix }

// Delivers reports whether mail can be delivered to it, and not read.
func (s Scheme) Delivers() bool { return s.lmtp() || s == SMTPS || s == SMTP || s == SMTPInsecure }

func (s Scheme) lmtp() bool { return s == LMTP || s == LMTPInsecure || s == LMTPUnix }

// path reports whether the address is a path on this computer.
func (s Scheme) path() bool { return schemes[s] == 0 }

// Maildrop reports whether it is reached by POP3.
func (s Scheme) Maildrop() bool { return s == POP3S || s == POP3 || s == POP3Insecure }

// clear reports whether everything goes in clear text.
func (s Scheme) clear() bool {
	return s == IMAPInsecure || s == POP3Insecure || s == LMTPInsecure || s == SMTPInsecure
}

// Address is where an account is and who opens it. Parse makes valid ones.
type Address struct {
	Scheme Scheme
	Dir    string // of a local account; "" for Thunderbird's own choice; the path of a socket

	User    string // "" where mail is delivered and nobody logs in
	Host    string // lower case; an IPv6 address without brackets
	Port    int
	Auth    imapconn.Mechanism // for a maildrop, a pop3conn.Mechanism of that name
	Authzid string             // whose mailbox it is, if not User's
	Master  string             // who opens User's mailbox with a password of their own
	CA      string             // file with certificates of authorities, in PEM
}

// Name is what the account is called where nobody has given it a name:
// user@host, the user being the one whose mailbox it is; for local accounts
// the address.
func (a Address) Name() string {
	switch {
	case a.Scheme.Local(), a.Scheme.Delivers():
		return a.String()
	case a.Authzid != "":
		return a.Authzid + "@" + a.Host
	}
	return a.User + "@" + a.Host
}

// LoginName is the user name that is sent. Dovecot takes a mailbox and a master
// user in one, with a "*" between them unless it is configured otherwise.
func (a Address) LoginName() string {
	if a.Master != "" {
		return a.User + "*" + a.Master
	}
	return a.User
}

// Token reports whether it is said to log in with an access token.
func (a Address) Token() bool {
	return a.Auth == imapconn.OAuthBearer || a.Auth == imapconn.XOAuth2 || a.Auth == imapconn.AnyToken
}

// Mailbox is the address without what does not matter to which mailbox it is:
// how to log in, and whom to trust.
func (a Address) Mailbox() Address {
	a.Auth, a.CA = "", ""
	return a
}

// LoginAs is the address with user, who may open other people's mailboxes, in
// place of the one whose mailbox it is, who becomes the authorization identity.
func (a Address) LoginAs(user string) (Address, error) {
	a.Authzid, a.User = a.User, user
	return a, a.check()
}

// WithMaster is the address with a master user.
func (a Address) WithMaster(master string) (Address, error) {
	a.Master = master
	return a, a.check()
}

// HostPort is what to connect to.
func (a Address) HostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// String is an address that Parse takes for this one.
func (a Address) String() string {
	if a.Scheme.path() {
		return string(a.Scheme) + ":" + a.Dir
	}
	host := a.HostPort()
	if a.Port == schemes[a.Scheme] {
		host = strings.TrimSuffix(host, ":"+strconv.Itoa(a.Port))
	}
	s := string(a.Scheme) + "://"
	if a.User != "" {
		s += escape(a.User, "@") + "@"
	}
	s += escape(host, ":[]")
	query := url.Values{}
	for key, value := range map[string]string{"auth": strings.ToLower(string(a.Auth)), "authzid": a.Authzid, "ca": a.CA, "master": a.Master} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if len(query) > 0 {
		s += "?" + query.Encode()
	}
	return s
}

// escape writes everything as %XX that is neither a letter or digit, nor one
// of "-._~!$&'()*+,;=", nor in also.
func escape(s, also string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;="+also, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
