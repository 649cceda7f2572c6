// Package site is what programs that try Restante out find on a testbed. Make
// a [Site] with [New], [Site.Build] the real restante, make a repository with
// [Site.NewRestante], and put mail into accounts: your own, or what a [Maker]
// makes up.
package site

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"restante/cmd/testbed/rawimap"
)

// Password is that of every user of the mail server.
const Password = "testbed"

// A Site is a testbed to work on.
type Site struct {
	Dir  string // to work in; whoever made it removes it
	IMAP string // host:port of the mail server; clear text
	Mail string // directory of the users' homes on the mail server
	S3   string // URL of a bucket; empty: there is none

	// TLS says that clients talk to the mail server through TLS. It is off, as
	// what encryption costs is the same for everybody.
	TLS   bool
	imaps string // host:port
	CA    string // file with the authority of the server's certificate

	// Run runs a program to its end. The end of the context is a kill -9.
	Run func(ctx context.Context, cmd *exec.Cmd) error
	// Say tells people how far things are.
	Say func(format string, args ...any)

	environ []string
}

// New makes a Site of the testbed's variables, such as [os.Getenv] tells them
// to a command of the testbed.
func New(dir string, getenv func(string) string) (*Site, error) {
	s := &Site{
		Dir: dir, IMAP: getenv("TESTBED_IMAP"), imaps: getenv("TESTBED_IMAPS"), CA: getenv("TESTBED_CA"),
		Mail: getenv("TESTBED_MAIL"), S3: getenv("TESTBED_S3"),
		Run: RunAlone, Say: func(string, ...any) {},
	}
	if s.IMAP == "" || s.Mail == "" {
		return nil, errors.New("there is no mail server to work with")
	}
	home := filepath.Join(dir, "home")
	for _, sub := range []string{"", "tmp", "cache", "config"} {
		if err := os.MkdirAll(filepath.Join(home, sub), 0o700); err != nil {
			return nil, fmt.Errorf("making a home for the programs: %w", err)
		}
	}
	s.environ = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=UTC", "HOME=" + home, "TMPDIR=" + filepath.Join(home, "tmp"),
		"XDG_CACHE_HOME=" + filepath.Join(home, "cache"), "XDG_CONFIG_HOME=" + filepath.Join(home, "config"),
		"AWS_ACCESS_KEY_ID=" + getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + getenv("AWS_SECRET_ACCESS_KEY"),
	}
	return s, nil
}

// Command is a program to run, with a home of its own, so that nothing of the
// user's is read or written.
func (s *Site) Command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = s.Dir, append([]string(nil), s.environ...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// RunAlone is [Site.Run] where nobody looks after what a killed testbed leaves.
func RunAlone(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	return cmd.Wait()
}

// Output runs a program and returns what it printed. An error has what it
// printed on standard error.
func (s *Site) Output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	err := s.Stream(ctx, cmd, &out)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w\n%s", err, out.String())
	}
	return out.String(), err
}

// Stream is like [Site.Output], but writes what the program prints to out.
func (s *Site) Stream(ctx context.Context, cmd *exec.Cmd, out io.Writer) error {
	var errOut strings.Builder
	cmd.Stdout, cmd.Stderr = out, &errOut
	if err := s.Run(ctx, cmd); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, errOut.String())
	}
	return nil
}

// Address is where clients reach the mail server.
func (s *Site) Address() string {
	if s.TLS {
		return s.imaps
	}
	return s.IMAP
}

// Through is the same site, but for another host:port at which clients reach
// the mail server, with TLS or without as before.
func (s *Site) Through(address string) *Site {
	other := *s
	if s.TLS {
		other.imaps = address
	} else {
		other.IMAP = address
	}
	return &other
}

// AccountURL is a user's account as restante is told of it.
func (s *Site) AccountURL(user string) string {
	if s.TLS {
		return fmt.Sprintf("imaps://%s@%s?ca=%s", user, s.imaps, s.CA)
	}
	return fmt.Sprintf("imap+insecure://%s@%s", user, s.IMAP)
}

// Login opens a connection to a user's account.
func (s *Site) Login(ctx context.Context, user string) (*rawimap.Conn, error) {
	ca := ""
	if s.TLS {
		ca = s.CA
	}
	return Login(ctx, s.Address(), ca, user)
}

// Login opens a connection to a user's account on a mail server: in clear text
// if there is no file with its authority.
func Login(ctx context.Context, address, ca, user string) (*rawimap.Conn, error) {
	c, err := dial(ctx, address, ca)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, Password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func dial(ctx context.Context, address, ca string) (*rawimap.Conn, error) {
	if ca == "" {
		return rawimap.Dial(ctx, address)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return rawimap.DialTLS(ctx, address, &tls.Config{RootCAs: roots})
}

// Dump reads all that a user's account holds.
func (s *Site) Dump(ctx context.Context, user string) (rawimap.Mailbox, error) {
	c, err := s.Login(ctx, user)
	if err != nil {
		return rawimap.Mailbox{}, err
	}
	defer c.Close()
	m, err := c.Dump()
	if err != nil {
		return m, fmt.Errorf("reading the account of %s: %w", user, err)
	}
	return m, nil
}

// Forget removes a user with all mail. The server makes a new one when the
// user comes again.
func (s *Site) Forget(user string) error {
	if user == "" || strings.ContainsAny(user, "/.") {
		return fmt.Errorf("no user is called %q", user)
	}
	var err error
	for range 10 { // the server may be writing an index
		if err = os.RemoveAll(filepath.Join(s.Mail, user)); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Place is where a new repository may be: a directory of that name, or an
// empty place in the bucket.
func (s *Site) Place(name string, inBucket bool) (string, error) {
	if !inBucket {
		return filepath.Join(s.Dir, name), nil
	}
	if s.S3 == "" {
		return "", errors.New("there is no S3 server")
	}
	u, err := url.Parse(s.S3)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name + "-" + strings.ToLower(rand.Text()[:8]) + "/"
	return u.String(), nil
}
