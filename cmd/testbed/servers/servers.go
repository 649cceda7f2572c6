// Package servers tells tests where the testbed's servers are, for example
// with [IMAP], and fills and compares mailboxes on them. Only tests import it.
//
// Without a testbed the calls skip the test; under CI=true in a testbed they
// fail it, so that no test is left out unseen.
package servers

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"restante/cmd/testbed/rawimap"
)

// Password is that of every user; a master user logs in as name*master with
// MasterPassword.
const (
	Password       = "testbed"
	MasterPassword = "master"
)

// A Server is one protocol of the mail server.
type Server struct {
	Address    string // host:port; clear text, with STARTTLS or STLS
	TLSAddress string // host:port; TLS from the first octet
	CA         string // PEM file with the authority of its certificates
	Delimiter  string // between the levels of a folder's name
	Prefix     string // what every folder's name but INBOX begins with
	Choosy     bool   // it refuses some names for folders
	mail       string // directory of the users' homes
}

// IMAP is the mail server with folder names like "a/b". A folder called Sent,
// Drafts, Junk, Trash, Archive, Gesendet, Entwürfe or Gelöschte Objekte has
// its special use from its name; there is no CREATE-SPECIAL-USE.
//
// The server is Dovecot, which does not keep every octet: a bare LF comes back
// as CRLF and a NUL as 0x80, and it refuses to APPEND an empty message.
func IMAP(t testing.TB) Server {
	t.Helper()
	return Server{
		Address:    lookup(t, "TESTBED_IMAP"),
		TLSAddress: lookup(t, "TESTBED_IMAPS"),
		CA:         lookup(t, "TESTBED_CA"),
		Delimiter:  "/",
		mail:       lookup(t, "TESTBED_MAIL"),
	}
}

// IMAPDot is another mail server, with users and mail of its own and folder
// names like "INBOX.a.b". A level of a name may hold a '/'.
func IMAPDot(t testing.TB) Server {
	t.Helper()
	return Server{
		Address:    lookup(t, "TESTBED_IMAP_DOT"),
		TLSAddress: lookup(t, "TESTBED_IMAPS_DOT"),
		CA:         lookup(t, "TESTBED_CA"),
		Delimiter:  ".",
		Prefix:     "INBOX.",
		mail:       lookup(t, "TESTBED_MAIL_DOT"),
	}
}

// POP3 is the mail server of [IMAP] by POP3: the maildrop is the INBOX.
func POP3(t testing.TB) Server {
	t.Helper()
	return Server{
		Address:    lookup(t, "TESTBED_POP3"),
		TLSAddress: lookup(t, "TESTBED_POP3S"),
		CA:         lookup(t, "TESTBED_CA"),
		mail:       lookup(t, "TESTBED_MAIL"),
	}
}

// LMTP is the host:port at which the mail server of [IMAP] takes mail. What
// follows the @ of a recipient does not matter.
func LMTP(t testing.TB) string { t.Helper(); return lookup(t, "TESTBED_LMTP") }

// Sieve is the host:port at which the server of [IMAP] gives out filter scripts,
// by ManageSieve with STARTTLS. Its folders have access control lists, and each
// user a quota of a tebibyte.
func Sieve(t testing.TB) string { t.Helper(); return lookup(t, "TESTBED_SIEVE") }

// BadCertificates are IMAPS ports of the server of [IMAP] whose certificates
// a client must refuse, by what is wrong with them.
func BadCertificates(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"unknown authority": lookup(t, "TESTBED_IMAPS_BADCERT"),
		"expired":           lookup(t, "TESTBED_IMAPS_EXPIRED"),
		"other name":        lookup(t, "TESTBED_IMAPS_WRONGNAME"),
	}
}

// OAuth is the token server of [IMAP] and [IMAPDot]: its URL, and the key file of
// a service account that may open every mailbox. Package tokens says what can be
// asked there; the certificate is of the mail server's authority.
func OAuth(t testing.TB) (url, serviceAccount string) {
	t.Helper()
	return lookup(t, "TESTBED_OAUTH"), lookup(t, "TESTBED_OAUTH_SERVICE_ACCOUNT")
}

// S3 is the URL of an empty place in a bucket, for the credentials in the
// environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).
func S3(t testing.TB) string { t.Helper(); return emptyPlace(t, "TESTBED_S3") }

// S3Versions is like [S3], in a bucket that keeps versions.
func S3Versions(t testing.TB) string { t.Helper(); return emptyPlace(t, "TESTBED_S3_VERSIONS") }

func emptyPlace(t testing.TB, variable string) string {
	t.Helper()
	u, err := url.Parse(lookup(t, variable))
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	u.Path = "/" + strings.ToLower(rand.Text()) + "/"
	return u.String()
}

// S3ReadOnly returns credentials that may get and list in the buckets and are
// refused everything else (403 AccessDenied).
func S3ReadOnly(t testing.TB) (accessKey, secret string) {
	t.Helper()
	return lookup(t, "TESTBED_S3_READONLY_ACCESS_KEY"), lookup(t, "TESTBED_S3_READONLY_SECRET")
}

// NewUser returns the name of a user that nobody has used yet.
func NewUser(testing.TB) string { return "u" + strings.ToLower(rand.Text()[:16]) }

// Doveadm runs doveadm on the server of [IMAP] and returns its output.
func Doveadm(t testing.TB, args ...string) string {
	t.Helper()
	command := append(strings.Fields(lookup(t, "TESTBED_DOVEADM")), args...)
	out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("doveadm %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// lookup returns what the testbed says about a server.
func lookup(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value != "" {
		return value
	}
	if os.Getenv("CI") == "true" && os.Getenv("RESTANTE_TESTBED") == "1" {
		t.Fatalf("the testbed runs but has not set %s; it misses: %s", variable, os.Getenv("TESTBED_MISSING"))
	}
	t.Skip("needs the testbed: go run ./cmd/testbed go test ./...")
	return ""
}

// dial logs in. It is used in cleanups too, so it does not use t.Context.
func dial(t testing.TB, s Server, user string) *rawimap.Conn {
	t.Helper()
	c, err := rawimap.Dial(context.Background(), s.Address)
	if err != nil {
		t.Fatalf("connecting to the testbed's IMAP server: %v", err)
	}
	password := Password
	if strings.HasSuffix(user, "*master") || user == CyrusAdmin {
		password = MasterPassword
	}
	if err := c.Login(user, password); err != nil {
		c.Close()
		t.Fatal(err)
	}
	return c
}
