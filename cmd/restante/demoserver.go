package main

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// A demoServer is a mail server in this process: accounts in memory, IMAP on a
// loopback port. What it was given it gives back as it was: octets, flags and
// keywords in their own spelling, internal dates with their zones. go-imap's
// own server in memory does not: it writes keywords in lower case, gives no
// body where a header is broken, and lets EXAMINE set \Seen.
type demoServer struct {
	address string
	imap    *imapserver.Server
	served  chan error

	mu       sync.Mutex // guards what follows, and everything in it
	accounts map[string]*demoAccount
	validity uint32 // the last UIDVALIDITY; no two folders have the same
	// Messages that were given out whole, and their octets, so that anybody can
	// see how little a second backup asks for.
	read, readOctets int64
}

type demoAccount struct {
	password   string
	folders    map[string]*demoFolder
	subscribed map[string]bool // names, whether there is such a folder or not (RFC 9051 section 6.3.7)
}

type demoFolder struct {
	name     string
	validity uint32
	next     imap.UID
	uses     []imap.MailboxAttr
	messages []*demoMessage // by UID
	tracker  *imapserver.MailboxTracker
}

type demoMessage struct {
	uid    imap.UID
	octets []byte // never changed
	date   time.Time
	flags  []imap.Flag
}

const demoDelimiter = '/'

// startDemoServer starts a server without accounts.
func startDemoServer(log *slog.Logger) (*demoServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp", "[::1]:0"); err != nil {
			return nil, fmt.Errorf("start a mail server on this computer: %w", err)
		}
	}
	s := &demoServer{address: l.Addr().String(), served: make(chan error, 1), accounts: map[string]*demoAccount{}, validity: 1_700_000_000}
	s.imap = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &demoSession{server: s}, nil, nil
		},
		Caps:         demoCaps,
		InsecureAuth: true, // nothing here is secret, and nothing leaves this computer
		Logger:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	})
	go func() { s.served <- s.imap.Serve(l) }()
	return s, nil
}

// close ends all connections.
func (s *demoServer) close() {
	s.imap.Close()
	<-s.served
}

// addAccount makes an account that has an INBOX.
func (s *demoServer) addAccount(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &demoAccount{password: password, folders: map[string]*demoFolder{}, subscribed: map[string]bool{}}
	s.accounts[name] = a
	s.addFolder(a, "INBOX")
}

// addFolder makes a folder and those above it. The caller holds mu.
func (s *demoServer) addFolder(a *demoAccount, name string, uses ...imap.MailboxAttr) *demoFolder {
	if above := demoAbove(name); above != "" && a.folders[above] == nil {
		s.addFolder(a, above) // RFC 9051 section 6.3.4
	}
	s.validity++
	f := &demoFolder{name: name, validity: s.validity, next: 1, uses: uses, tracker: imapserver.NewMailboxTracker(0)}
	a.folders[name] = f
	return f
}

// demoAbove is the name of the folder above, or empty.
func demoAbove(name string) string {
	if i := strings.LastIndexByte(name, demoDelimiter); i > 0 {
		return name[:i]
	}
	return ""
}

// add puts a message into a folder. The caller holds the server's mu.
func (f *demoFolder) add(octets []byte, date time.Time, flags []imap.Flag) *demoMessage {
	m := &demoMessage{uid: f.next, octets: octets, date: date}
	m.set(flags)
	f.next++
	f.messages = append(f.messages, m)
	f.tracker.QueueNumMessages(uint32(len(f.messages)))
	return m
}

// remove takes out the messages that it is told to. The caller holds the
// server's mu.
func (f *demoFolder) remove(gone func(*demoMessage) bool) {
	for i, m := range slices.Backward(f.messages) {
		if gone(m) {
			f.messages = slices.Delete(f.messages, i, i+1)
			f.tracker.QueueExpunge(uint32(i + 1))
		}
	}
}

// isFlag compares flags: their case means nothing (RFC 9051 section 2.3.2).
func isFlag(flag imap.Flag) func(imap.Flag) bool {
	return func(other imap.Flag) bool { return strings.EqualFold(string(flag), string(other)) }
}

func (m *demoMessage) has(flag imap.Flag) bool { return slices.ContainsFunc(m.flags, isFlag(flag)) }

// set adds flags, in the spelling that comes first.
func (m *demoMessage) set(flags []imap.Flag) {
	for _, flag := range flags {
		if !m.has(flag) && !strings.EqualFold(string(flag), `\Recent`) {
			m.flags = append(m.flags, flag)
		}
	}
}

func (m *demoMessage) clear(flags []imap.Flag) {
	for _, flag := range flags {
		m.flags = slices.DeleteFunc(m.flags, isFlag(flag))
	}
}

// deliver puts mail into an account, as a mail server does with what arrives.
func (s *demoServer) deliver(account string, list []demoMail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[account]
	for _, m := range list {
		f := a.folders[m.folder]
		if f == nil {
			f = s.addFolder(a, m.folder)
		}
		flags := make([]imap.Flag, len(m.flags))
		for i, flag := range m.flags {
			flags[i] = imap.Flag(flag)
		}
		f.add(m.octets, m.date, flags)
	}
}

// furnish makes the folders of the demo's mailbox.
func (s *demoServer) furnish(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[account]
	for _, f := range demoFolders {
		folder := a.folders[f.name]
		if folder == nil {
			folder = s.addFolder(a, f.name)
		}
		if f.use != "" {
			folder.uses = []imap.MailboxAttr{imap.MailboxAttr(f.use)}
		}
		if f.subscribed {
			a.subscribed[f.name] = true
		}
	}
}

// givenOut tells how many messages the server gave out whole since the last
// time, and their octets.
func (s *demoServer) givenOut() (messages, octets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages, octets = s.read, s.readOctets
	s.read, s.readOctets = 0, 0
	return messages, octets
}
