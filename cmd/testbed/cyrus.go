package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"text/template"
	"time"
)

// cyrus is Cyrus IMAP in two instances: one with folder names like a/b, one
// with names like INBOX.a.b.
var cyrus = service{
	name:    "cyrus",
	build:   cyrusBundle.unpack,
	version: cyrusUnpacked,
	start:   startCyrus,
}

var cyrusBundle = bundle{
	name:     "cyrus",
	packages: []string{"cyrus-imapd", "cyrus-common", "libsasl2-modules", "libsasl2-modules-db"},
	program:  "usr/lib/cyrus/bin/imapd",
}

//go:embed cyrus.conf
var cyrusConf string

//go:embed cyrus-imapd.conf
var cyrusImapdConf string

var (
	cyrusTemplate      = template.Must(template.New("cyrus.conf").Parse(cyrusConf))
	cyrusImapdTemplate = template.Must(template.New("imapd.conf").Parse(cyrusImapdConf))
)

func cyrusUnpacked() (string, error) {
	version, err := cyrusBundle.unpacked()
	return "Cyrus " + version, err
}

// A cyrusInstance is what its configuration needs to know.
type cyrusInstance struct {
	Name      string // also of its directory
	Separator string
	Dir       string
	Greeting  string // the name it greets with
	Role      role
	Programs  string // directory of the unpacked packages
	Ports     struct{ IMAP, IMAPS int }
}

// Program is the path of one of Cyrus's programs.
func (c *cyrusInstance) Program(name string) string {
	return filepath.Join(c.Programs, "usr/lib/cyrus/bin", name)
}

func startCyrus(ctx context.Context, b *bed) error {
	certs, ca, err := b.authority("cyrus-ca.pem")
	if err != nil {
		return err
	}
	r, err := serverRole()
	if err != nil {
		return err
	}
	programs, err := cyrusBundle.reachableBy(b, r)
	if err != nil {
		return err
	}
	slash := &cyrusInstance{Name: "cyrus-slash", Separator: "/"}
	dot := &cyrusInstance{Name: "cyrus-dot", Separator: "."}
	var wg sync.WaitGroup
	var errs [2]error
	for i, c := range []*cyrusInstance{slash, dot} {
		c.Role, c.Programs = r, programs
		wg.Go(func() { errs[i] = c.start(ctx, b, certs) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	b.set("TESTBED_CYRUS_CA", ca)
	b.set("TESTBED_CYRUS", loopback(slash.Ports.IMAP))
	b.set("TESTBED_CYRUS_TLS", loopback(slash.Ports.IMAPS))
	b.set("TESTBED_CYRUS_DOT", loopback(dot.Ports.IMAP))
	b.set("TESTBED_CYRUS_TLS_DOT", loopback(dot.Ports.IMAPS))
	return nil
}

func (c *cyrusInstance) start(ctx context.Context, b *bed, certs *certificates) error {
	c.Dir = filepath.Join(b.dir, c.Name)
	c.Greeting = filepath.Base(b.dir) + "-" + c.Name
	for _, dir := range []string{"", "mail", "state", "state/db", "state/proc", "state/socket", "state/log", "state/msg", "state/lock"} {
		if err := os.Mkdir(filepath.Join(c.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	server, err := certs.server()
	if err != nil {
		return err
	}
	if err := server.write(filepath.Join(c.Dir, "server.pem"), filepath.Join(c.Dir, "server.key")); err != nil {
		return err
	}
	if err := servePasswords(b, filepath.Join(c.Dir, "saslauthd")); err != nil {
		return err
	}
	libs, err := libraries(c.Programs)
	if err != nil {
		return err
	}
	plugins, err := filepath.Glob(filepath.Join(c.Programs, "usr/lib/*/sasl2"))
	if err != nil || len(plugins) == 0 {
		return errors.New("SASL's plugins were not unpacked")
	}
	for range startTries {
		if err = c.configure(); err != nil {
			return err
		}
		cmd := exec.Command(c.Program("master"), "-M", filepath.Join(c.Dir, "cyrus.conf"), "-C", filepath.Join(c.Dir, "imapd.conf"),
			"-p", filepath.Join(c.Dir, "state", "pid"), "-D")
		cmd.Dir = c.Dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ"), "LD_LIBRARY_PATH=" + libs, "SASL_PATH=" + plugins[0], "CYRUS_USER=" + c.Role.Name}
		runAs(cmd, c.Role)
		var p *daemon
		if p, err = b.spawn(c.Name, cmd); err != nil {
			return err
		}
		if err = p.await(ctx, c.answers); err == nil || ctx.Err() != nil {
			return err
		}
		p.stop()
	}
	return err
}

// configure writes the configuration, with free ports.
func (c *cyrusInstance) configure() error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	c.Ports.IMAP, c.Ports.IMAPS = ports[0], ports[1]
	for name, t := range map[string]*template.Template{"cyrus.conf": cyrusTemplate, "imapd.conf": cyrusImapdTemplate} {
		var text bytes.Buffer
		if err := t.Execute(&text, c); err != nil {
			return fmt.Errorf("filling in %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(c.Dir, name), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return giveAway(c.Dir, c.Role)
}

// answers returns nil if this very Cyrus answers at both ports. It goes on where
// it could not have one of them.
func (c *cyrusInstance) answers(ctx context.Context) error {
	for port, secure := range map[int]bool{c.Ports.IMAP: false, c.Ports.IMAPS: true} {
		greeting, err := greetingAt(ctx, loopback(port), secure)
		if err != nil {
			return err
		}
		if !strings.Contains(greeting, c.Greeting) {
			return fmt.Errorf("somebody else's greeting: %q", greeting)
		}
	}
	return nil
}

// servePasswords answers at a socket as saslauthd does: whether a name and a
// password belong together. Every name does that has the right password, so
// that tests need not make users known.
func servePasswords(b *bed, socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("opening the socket for passwords: %w", err)
	}
	if err := os.Chmod(socket, 0o777); err != nil {
		return err
	}
	b.onClose(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the bed is closed
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(answerTime))
				answerPassword(conn)
			}()
		}
	}()
	return nil
}

// answerPassword reads user, password, service and realm, each behind its
// length in two octets, and writes "OK" or "NO" in the same way.
func answerPassword(conn io.ReadWriter) {
	var fields [4]string
	for i := range fields {
		var size uint16
		if binary.Read(conn, binary.BigEndian, &size) != nil {
			return
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(conn, text); err != nil {
			return
		}
		fields[i] = string(text)
	}
	answer := "NO"
	if rightPassword(fields[0], fields[1]) {
		answer = "OK"
	}
	conn.Write(append([]byte{0, byte(len(answer))}, answer...))
}

// rightPassword says whether a user of Cyrus or Courier has the password. As
// at Dovecot, every name is a user's; "cyrus" is that of Cyrus's admin.
func rightPassword(user, password string) bool {
	if user == "cyrus" {
		return password == "master"
	}
	return user != "" && password == "testbed"
}
