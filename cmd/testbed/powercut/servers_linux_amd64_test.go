package powercut

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
)

// An imapServer has one account, which a scene begins with anew each time.
type imapServer struct {
	address string
	sitting sync.WaitGroup // connections

	mu      sync.Mutex // guards what follows
	account *imaptest.Account
	script  imaptest.Script
}

func newIMAPServer(t *testing.T) *imapServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s := &imapServer{address: listener.Addr().String()}
	s.begin()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			script := s.script
			s.mu.Unlock()
			s.sitting.Go(func() { imaptest.New(script).Serve(conn) })
		}
	}()
	return s
}

// begin forgets all mail.
func (s *imapServer) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = imaptest.NewAccount("UIDPLUS SASL-IR AUTH=XOAUTH2")
	s.script = s.account.Script()
}

// ended waits until all is done that a program that is no more has asked for.
func (s *imapServer) ended() { s.sitting.Wait() }

// messages are the octets, flags and date of all messages, with the folder of
// each.
func (s *imapServer) messages() (list []string) {
	for _, f := range s.account.Folders() {
		for _, m := range f.Messages {
			list = append(list, fmt.Sprintf("%s (%s) %s %q", f.Name, m.Flags, m.Date, m.Body))
		}
	}
	slices.Sort(list)
	return list
}
