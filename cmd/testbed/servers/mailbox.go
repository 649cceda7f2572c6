package servers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/cmd/testbed/rawimap"
)

// A Session is a logged-in IMAP connection that fails the test on any error.
type Session struct {
	*rawimap.Conn
	t testing.TB
}

// Login opens a session, which ends with the test.
func Login(t testing.TB, s Server, user string) *Session {
	t.Helper()
	c := dial(t, s, user)
	t.Cleanup(func() { c.Close() })
	return &Session{c, t}
}

// Do runs a command that must succeed, and returns the answer: see
// [rawimap.Conn.Do].
func (s *Session) Do(command string) []string {
	s.t.Helper()
	answer, err := s.Conn.Do(command)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// A Message is one to be put into a folder.
type Message struct {
	Octets []byte
	Flags  []string
	Date   time.Time // internal date; zero: now
}

// Append adds messages to a folder that is there.
func (s *Session) Append(folder string, messages ...Message) {
	s.t.Helper()
	for _, m := range messages {
		if err := s.Conn.Append(folder, m.Flags, m.Date, m.Octets); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Load creates a folder, named as on the wire, if it is not there, subscribes
// to it and adds messages by APPEND.
func Load(t testing.TB, s Server, user, folder string, messages ...Message) {
	t.Helper()
	session := Login(t, s, user)
	defer session.Close()
	if strings.EqualFold(folder, "INBOX") {
		// It is there, and not every server says why it does not make another.
	} else if _, err := session.Conn.Do("CREATE " + rawimap.Quote(folder)); err != nil && !strings.Contains(err.Error(), "[ALREADYEXISTS]") {
		t.Fatal(err)
	}
	session.Do("SUBSCRIBE " + rawimap.Quote(folder))
	session.Append(folder, messages...)
}

// Dump reads all that an account holds, and changes nothing.
func Dump(t testing.TB, s Server, user string) rawimap.Mailbox {
	t.Helper()
	c := dial(t, s, user)
	defer c.Close()
	m, err := c.Dump()
	if err != nil {
		t.Fatalf("reading the mailbox of %s: %v", user, err)
	}
	return m
}

// Same fails the test unless both mailboxes hold the same: folders with their
// special uses and subscriptions, and in each folder the same messages with
// flags and internal dates, however they are numbered.
func Same(t testing.TB, want, got rawimap.Mailbox) {
	t.Helper()
	if diff := rawimap.Difference(want, got); len(diff) > 0 {
		const most = 20
		if more := len(diff) - most; more > 0 {
			diff = append(diff[:most], fmt.Sprintf("and %d more", more))
		}
		t.Errorf("the mailboxes differ:\n%s", strings.Join(diff, "\n"))
	}
}
