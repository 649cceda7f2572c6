package servers

import "testing"

func BenchmarkFill(b *testing.B) {
	s, user := IMAP(b), NewUser(b)
	octets := message("a message")
	for b.Loop() {
		Fill(b, s, user, "INBOX", Message{Octets: octets, Date: date})
	}
}

func BenchmarkAppend(b *testing.B) {
	s, user := IMAP(b), NewUser(b)
	session := Login(b, s, user)
	octets := message("a message")
	for b.Loop() {
		session.Append("INBOX", Message{Octets: octets, Date: date})
	}
}

func BenchmarkDump(b *testing.B) {
	s, user := IMAP(b), NewUser(b)
	messages := make([]Message, 1000)
	for i := range messages {
		messages[i] = Message{Octets: make([]byte, 20_000)}
	}
	Fill(b, s, user, "INBOX", messages...)
	b.SetBytes(20_000 * 1000)
	for b.Loop() {
		Dump(b, s, user)
	}
}
