package main

import (
	"io"
	"net"
	"testing"
)

// TestCyrusAnswersAtBothPorts: somebody else has taken the port for TLS before
// Cyrus could, which then goes on without it.
func TestCyrusAnswersAtBothPorts(t *testing.T) {
	t.Parallel()
	greeter := func(greeting string) (port int) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(conn, greeting)
				conn.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr).Port
	}
	c := &cyrusInstance{Greeting: "testbed-1-cyrus-slash"}
	c.Ports.IMAP, c.Ports.IMAPS = greeter("* OK testbed-1-cyrus-slash Cyrus IMAP\r\n"), greeter("* OK somebody else\r\n")
	if err := c.answers(t.Context()); err == nil {
		t.Error("it is content with somebody else at the port for TLS")
	}
}
