package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"text/template"
)

// dovecot is the server for IMAP, POP3 and LMTP, in two instances: one with
// folder names like a/b, one with names like INBOX.a.b.
var dovecot = service{
	name:     "dovecot",
	packages: []string{"dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd", "dovecot-sieve", "dovecot-managesieved"},
	version:  dovecotInstalled,
	start:    startDovecot,
}

//go:embed dovecot.conf
var dovecotConf string

var dovecotTemplate = template.Must(template.New("dovecot.conf").Parse(dovecotConf))

func dovecotInstalled() (string, error) {
	program, err := findProgram("dovecot")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking Dovecot for its version: %w", err)
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !strings.HasPrefix(version, "2.3.") && !strings.HasPrefix(version, "2.4.") {
		return "", fmt.Errorf("found Dovecot %s, and the testbed knows how to configure 2.3 and 2.4", version)
	}
	doveconf, err := findProgram("doveconf")
	if err != nil {
		return "", err
	}
	libexec, err := exec.Command(doveconf, "-d", "-h", "libexec_dir").Output()
	if err != nil {
		return "", fmt.Errorf("asking Dovecot where its programs are: %w", err)
	}
	for _, name := range []string{"imap", "pop3", "lmtp", "managesieve"} {
		if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(libexec)), name)); err != nil {
			return "", fmt.Errorf("Dovecot is installed without %s", name)
		}
	}
	return "Dovecot " + version, nil
}

// A dovecotInstance is what its configuration needs to know.
type dovecotInstance struct {
	Name              string // also of its directory
	Separator, Prefix string
	Layout            string // of the folders in the file system
	V24               bool   // Dovecot 2.4, whose configuration is another
	Dir, Mail         string
	Greeting          string
	Role              role
	Introspection     string // URL that tells whose a token is
	Policy            string // URL that tells who is let in; empty: whoever has a password
	// Details: it has access control lists, a quota, and filter scripts. It is
	// not known how to configure those of Dovecot 2.4.
	Details bool
	Ports   struct{ IMAP, IMAPS, POP3, POP3S, LMTP, Sieve int }
}

func startDovecot(ctx context.Context, b *bed) error {
	certs, ca, err := b.authority("ca.pem")
	if err != nil {
		return err
	}
	version, err := dovecotInstalled()
	if err != nil {
		return err
	}
	r, err := serverRole()
	if err != nil {
		return err
	}
	introspection, err := serveTokens(b, certs)
	if err != nil {
		return err
	}
	slash := &dovecotInstance{Name: "dovecot", Separator: "/", Layout: "fs"}
	dot := &dovecotInstance{Name: "dovecot-dot", Separator: ".", Prefix: "INBOX.", Layout: "maildir++"}
	var wg sync.WaitGroup
	var errs [2]error
	for i, d := range []*dovecotInstance{slash, dot} {
		d.Role, d.V24 = r, strings.HasPrefix(version, "Dovecot 2.4.")
		d.Introspection, d.Policy = introspection, b.policy
		d.Details = d == slash && !d.V24
		wg.Go(func() { errs[i] = d.start(ctx, b, certs) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}

	b.set("TESTBED_CA", ca)
	b.set("TESTBED_IMAP", loopback(slash.Ports.IMAP))
	b.set("TESTBED_IMAPS", loopback(slash.Ports.IMAPS))
	b.set("TESTBED_POP3", loopback(slash.Ports.POP3))
	b.set("TESTBED_POP3S", loopback(slash.Ports.POP3S))
	b.set("TESTBED_LMTP", loopback(slash.Ports.LMTP))
	if slash.Details {
		b.set("TESTBED_SIEVE", loopback(slash.Ports.Sieve))
	}
	b.set("TESTBED_MAIL", slash.Mail)
	b.set("TESTBED_IMAP_DOT", loopback(dot.Ports.IMAP))
	b.set("TESTBED_IMAPS_DOT", loopback(dot.Ports.IMAPS))
	b.set("TESTBED_MAIL_DOT", dot.Mail)
	doveadm, err := findProgram("doveadm")
	if err != nil {
		return err
	}
	b.set("TESTBED_DOVEADM", doveadm+" -c "+filepath.Join(slash.Dir, "dovecot.conf"))
	return serveBadCertificates(b, certs, loopback(slash.Ports.IMAP))
}

func (d *dovecotInstance) start(ctx context.Context, b *bed, certs *certificates) error {
	program, err := findProgram("dovecot")
	if err != nil {
		return err
	}
	d.Dir = filepath.Join(b.dir, d.Name)
	d.Mail = filepath.Join(d.Dir, "mail")
	d.Greeting = filepath.Base(b.dir) + " " + d.Name + " ready"
	for _, dir := range []string{d.Dir, d.Mail, filepath.Join(d.Dir, "run"), filepath.Join(d.Dir, "state")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	server, err := certs.server()
	if err != nil {
		return err
	}
	if err := server.write(filepath.Join(d.Dir, "server.pem"), filepath.Join(d.Dir, "server.key")); err != nil {
		return err
	}
	conf := filepath.Join(d.Dir, "dovecot.conf")
	for range startTries {
		if err = d.configure(conf); err != nil {
			return err
		}
		cmd := exec.Command(program, "-F", "-c", conf)
		cmd.Dir = d.Dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ")}
		runAs(cmd, d.Role)
		var p *daemon
		if p, err = b.spawn(d.Name, cmd); err != nil {
			return err
		}
		if err = p.await(ctx, d.answers); err == nil || ctx.Err() != nil {
			return err
		}
		p.stop()
	}
	return err
}

// configure writes the configuration, with free ports.
func (d *dovecotInstance) configure(conf string) error {
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	d.Ports.IMAP, d.Ports.IMAPS, d.Ports.POP3, d.Ports.POP3S, d.Ports.LMTP, d.Ports.Sieve = ports[0], ports[1], ports[2], ports[3], ports[4], ports[5]
	var text bytes.Buffer
	if err := dovecotTemplate.Execute(&text, d); err != nil {
		return fmt.Errorf("filling in the configuration: %w", err)
	}
	if err := os.WriteFile(conf, text.Bytes(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "oauth2.conf"), []byte(d.oauth2Conf()), 0o644); err != nil {
		return err
	}
	return giveAway(d.Dir, d.Role)
}

// oauth2Conf is what Dovecot 2.3 wants of tokens in a file of its own.
func (d *dovecotInstance) oauth2Conf() string {
	return "introspection_mode = post\nintrospection_url = " + d.Introspection +
		"\nforce_introspection = yes\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n"
}

// answers returns nil if this very Dovecot answers on all its ports.
func (d *dovecotInstance) answers(ctx context.Context) error {
	for _, port := range []int{d.Ports.IMAP, d.Ports.POP3, d.Ports.LMTP} {
		greeting, err := greetingAt(ctx, loopback(port), false)
		if err != nil {
			return err
		}
		if !strings.Contains(greeting, d.Greeting) {
			return fmt.Errorf("somebody else's greeting: %q", greeting)
		}
	}
	return nil
}
