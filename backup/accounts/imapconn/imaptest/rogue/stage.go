package rogue

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// A Stage is where a client meets a server that is hostile until it is well, over
// lines in memory: on its first connections, or on all until [Stage.Heal].
type Stage struct {
	T testing.TB // fails where the client is not discreet

	// TLS and Trusted are what the server proves itself with and whom the client
	// believes, as [Certificate] makes them.
	TLS, Trusted *tls.Config
	// Script makes the server of a connection as it is when it is well, and is told
	// whether it is going to be hostile.
	Script func(hostile bool) imaptest.Script

	// What is hostile: Server changes the script, Conn the options of the client,
	// Raw speaks in place of the script, from the first octet on. Each may be nil.
	Server Change
	Conn   func(*imapconn.Options)
	Raw    func(net.Conn)
	// Times is how many connections it is hostile on before it comes to its senses;
	// 0: all.
	Times int

	Logged Heard // by the client
	Clear  Heard // what the client says, as it is on the wire

	mu      sync.Mutex // guards what follows
	well    bool
	dialed  int
	lines   map[net.Conn]bool // servers' ends of those that are up
	servers []*imaptest.Server
}

// Dial connects and logs in as [User], with STARTTLS but for what Conn changes. o
// has what is the client's own (TempDir, News); the rest is the stage's. Errors
// are those of [imapconn.Dial].
func (s *Stage) Dial(ctx context.Context, o imapconn.Options) (*imapconn.Conn, error) {
	o.Address, o.Security, o.TLS = Host+":143", imapconn.StartTLS, s.Trusted
	o.User, o.Password = User, Password
	o.Log, o.ClientName, o.Compress = s.Log(), "Restante", true
	hostile := s.next()
	script := s.Script(hostile)
	script.TLS, script.StartTLS = s.TLS, true
	if hostile && s.Server != nil {
		s.Server(s.T, &script)
	}
	if hostile && s.Conn != nil {
		s.Conn(&o)
	}
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := NewLine()
		serve := s.Raw
		if !hostile || s.Raw == nil {
			serve = s.serving(script)
		}
		s.up(server)
		go func() { defer s.down(server); serve(server) }()
		return &Tapped{Conn: client, Said: &s.Clear}, nil
	}
	return imapconn.Dial(ctx, o)
}

// next counts a connection, and says whether the server is hostile on it.
func (s *Stage) next() (hostile bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialed++
	return !s.well && (s.Times == 0 || s.dialed <= s.Times)
}

// serving is what a server with a script does to a line. The server is kept.
func (s *Stage) serving(script imaptest.Script) func(net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := imaptest.New(script)
	s.servers = append(s.servers, own)
	return own.Serve
}

// up keeps the server's end of a line for HangUp.
func (s *Stage) up(line net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[net.Conn]bool{}
	}
	s.lines[line] = true
}

// down ends a line, and keeps it no longer: what nobody has read of a flood would
// count as memory.
func (s *Stage) down(line net.Conn) {
	line.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, line)
}

// Log is a log that is kept in Logged.
func (s *Stage) Log() *slog.Logger { return slog.New(PlainLog{To: &s.Logged}) }

// Dialed is how many connections were made so far, or tried.
func (s *Stage) Dialed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialed
}

// Heal has the server be well on all connections that are made from now on.
func (s *Stage) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.well = true
}

// HangUp ends all connections from the server's side.
func (s *Stage) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.lines {
		c.Close()
	}
}

// Commands are what the servers that have a script were told so far, of each
// connection on its own.
func (s *Stage) Commands() (list [][]imaptest.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		list = append(list, server.Commands())
	}
	return list
}

// Discreet sees that nothing secret was told, and nothing that commands a
// terminal, neither by the log nor by said, which the failure calls what; and
// that the password went out in clear only where Conn asks for that.
func (s *Stage) Discreet(what, said string) {
	s.T.Helper()
	for what, text := range map[string]string{"the log": s.Logged.String(), what: said} {
		if bad := Unfit(text); bad != "" {
			s.T.Errorf("%s: %s", what, bad)
		}
	}
	if Exposed(&s.Clear, s.Conn) {
		s.T.Errorf("the password goes out in clear")
	}
	// Who hears nothing finds no password either.
	if told := slices.Concat(s.Commands()...); len(told) > 0 && s.Clear.String() == "" {
		s.T.Errorf("servers were told %d commands, and nothing of what went over the wire was kept", len(told))
	}
}

// Exposed says whether the password is in what a client said, as it is on the
// wire, though it was to encrypt: its options are STARTTLS but for what conn
// changes, which may be nil.
func Exposed(clear *Heard, conn func(*imapconn.Options)) bool {
	o := imapconn.Options{Security: imapconn.StartTLS}
	if conn != nil {
		conn(&o)
	}
	if o.Security == imapconn.Insecure {
		return false
	}
	text := clear.String()
	for _, secret := range Secrets() {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}
