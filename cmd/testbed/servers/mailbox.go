package servers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
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
	if _, err := session.Conn.Do("CREATE " + rawimap.Quote(folder)); err != nil && !strings.Contains(err.Error(), "[ALREADYEXISTS]") {
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
	if diff := difference(want, got); len(diff) > 0 {
		const most = 20
		if more := len(diff) - most; more > 0 {
			diff = append(diff[:most], fmt.Sprintf("and %d more", more))
		}
		t.Errorf("the mailboxes differ:\n%s", strings.Join(diff, "\n"))
	}
}

// difference says line by line what only one of the mailboxes holds.
func difference(want, got rawimap.Mailbox) []string {
	count := make(map[string]int)
	for _, line := range describe(want) {
		count[line]++
	}
	for _, line := range describe(got) {
		count[line]--
	}
	var diff []string
	for line, n := range count {
		switch {
		case n > 0:
			diff = append(diff, fmt.Sprintf("%s: missing (%d)", line, n))
		case n < 0:
			diff = append(diff, fmt.Sprintf("%s: too many (%d)", line, -n))
		}
	}
	slices.Sort(diff)
	return diff
}

// describe has a line for every folder and message.
func describe(m rawimap.Mailbox) []string {
	var lines []string
	for _, f := range m.Folders {
		lines = append(lines, fmt.Sprintf("folder %q attributes %v special use %v subscribed %t", f.Name, f.Attributes, f.SpecialUse, f.Subscribed))
		for _, m := range f.Messages {
			lines = append(lines, fmt.Sprintf("folder %q message %x of %d octets (%q) flags %v date %s",
				f.Name, sha256.Sum256(m.Octets), len(m.Octets), subject(m.Octets), m.Flags, m.InternalDate))
		}
	}
	return lines
}

// subject is for people who look for a message.
func subject(message []byte) string {
	for line := range bytes.Lines(message) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if len(line) > 8 && strings.EqualFold(string(line[:8]), "Subject:") {
			return strings.TrimSpace(string(line[8:min(len(line), 80)]))
		}
	}
	return ""
}
