package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// courier is Courier IMAP, with folder names like INBOX.a.b. Its packaged login
// program looks for its authentication daemon at a path of the system and
// nowhere else, so the testbed is the login program, and starts Courier's imapd
// for who has logged in as that would.
var courier = service{
	name:    "courier",
	build:   courierBundle.unpack,
	version: courierUnpacked,
	start:   startCourier,
}

var courierBundle = bundle{
	name:     "courier",
	packages: []string{"courier-imap", "courier-base", "courier-authlib", "libgamin0", "gamin"},
	program:  "usr/bin/imapd",
}

func courierUnpacked() (string, error) {
	version, err := courierBundle.unpacked()
	return "Courier IMAP " + version, err
}

// courierCapabilities are those of Debian's /etc/courier/imapd. The server adds
// some of its own.
const courierCapabilities = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"

// A courierServer starts a process of Courier for each connection that logs in.
type courierServer struct {
	mail    string   // directory of the users' homes
	program string   // Courier's imapd
	env     []string // what is the same for all
	role    role
	tls     *tls.Config
	making  sync.Mutex // held while a home is made

	mu     sync.Mutex            // guards what follows
	conns  map[net.Conn]struct{} // nil once the server is closed
	served sync.WaitGroup        // those that answer conns
}

func startCourier(ctx context.Context, b *bed) error {
	certs, ca, err := b.authority("courier-ca.pem")
	if err != nil {
		return err
	}
	cert, err := certs.server()
	if err != nil {
		return err
	}
	r, err := serverRole()
	if err != nil {
		return err
	}
	programs, err := courierBundle.reachableBy(b, r)
	if err != nil {
		return err
	}
	libs, err := libraries(programs)
	if err != nil {
		return err
	}
	mail := filepath.Join(b.dir, "courier-mail")
	if err := os.Mkdir(mail, 0o755); err != nil {
		return err
	}
	if err := giveAway(mail, r); err != nil {
		return err
	}
	watcher, err := startGamin(ctx, b, programs, libs, r)
	if err != nil {
		return err
	}
	s := &courierServer{
		mail: mail, program: filepath.Join(programs, courierBundle.program), role: r,
		tls:   &tls.Config{Certificates: []tls.Certificate{cert.tls()}},
		conns: make(map[net.Conn]struct{}),
		env: []string{
			"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ"), "LD_LIBRARY_PATH=" + libs,
			"IMAP_CAPABILITY=" + courierCapabilities, "IMAP_KEYWORDS=1", "IMAP_ACL=1", "IMAP_UMASK=022", "IMAP_EMPTYTRASH=",
			"IMAP_TRASHFOLDERNAME=Trash", "IMAP_CHECK_ALL_FOLDERS=0", "IMAP_OBSOLETE_CLIENT=0", "IMAP_MAILBOX_SANITY_CHECK=1",
			"IMAP_USELOCKS=1", "IMAP_ENHANCEDIDLE=0", "GAM_CLIENT_ID=" + watcher,
			"PROTOCOL=IMAP", "TCPREMOTEIP=127.0.0.1", "TCPREMOTEPORT=0",
		},
	}
	clear, err := s.listen(b, false)
	if err != nil {
		return err
	}
	secure, err := s.listen(b, true)
	if err != nil {
		return err
	}
	b.onClose(s.close)
	b.set("TESTBED_COURIER_CA", ca)
	b.set("TESTBED_COURIER", clear)
	b.set("TESTBED_COURIER_TLS", secure)
	b.set("TESTBED_COURIER_MAIL", mail)
	return nil
}

// startGamin starts the daemon that watches files for Courier, which waits long
// for one if there is none, and returns the name by which it is found.
func startGamin(ctx context.Context, b *bed, programs, libs string, r role) (string, error) {
	name := filepath.Base(b.dir)
	cmd := exec.Command(filepath.Join(programs, "usr/libexec/gam_server"), "--notimeout", name)
	cmd.Dir = b.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + libs}
	runAs(cmd, r)
	d, err := b.spawn("gamin", cmd)
	if err != nil {
		return "", err
	}
	socket := "@/tmp/fam-" + r.Name + "-" + name // not a file: see unix(7), abstract
	socket += strings.Repeat("\x00", 108-len(socket))
	return name, d.await(ctx, func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// listen opens a port, and returns its address.
func (s *courierServer) listen(b *bed, secure bool) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening a port for Courier: %w", err)
	}
	b.onClose(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the bed is closed
			}
			if !s.add(conn) {
				conn.Close()
				continue
			}
			go func() {
				defer s.served.Done()
				defer s.drop(conn)
				front := &courierLogin{server: s, secure: secure}
				if secure {
					front.use(tls.Server(conn, s.tls))
				} else {
					front.use(conn)
				}
				front.run()
			}()
		}
	}()
	return l.Addr().String(), nil
}

func (s *courierServer) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[conn] = struct{}{}
	s.served.Add(1)
	return true
}

func (s *courierServer) drop(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// close ends all connections and waits until their processes are gone.
func (s *courierServer) close() {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	for conn := range conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.served.Wait()
}

// home is a user's directory, with a Maildir in it.
func (s *courierServer) home(user string) (string, error) {
	if user != filepath.Base(user) || user == "." || user == ".." {
		return "", errors.New("no name for a user")
	}
	s.making.Lock()
	defer s.making.Unlock()
	home := filepath.Join(s.mail, user)
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(home, "Maildir", sub), 0o700); err != nil {
			return "", fmt.Errorf("making a Maildir: %w", err)
		}
	}
	return home, giveAway(home, s.role)
}

// imapd is Courier's server for a user who has logged in.
func (s *courierServer) imapd(user, home, tag string) *exec.Cmd {
	cmd := exec.Command(s.program, "Maildir")
	cmd.Dir = home
	cmd.Env = append([]string{"HOME=" + home, "AUTHENTICATED=" + user, "AUTHADDR=" + user, "IMAPLOGINTAG=" + tag}, s.env...)
	runAs(cmd, s.role)
	return cmd
}
