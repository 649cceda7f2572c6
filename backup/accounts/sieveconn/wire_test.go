package sieveconn

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// says is a wire whose server says a text and closes, whatever it is asked.
func says(t *testing.T, text string) *Conn {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	go io.Copy(io.Discard, server)
	go func() { io.WriteString(server, text); server.Close() }()
	w := newWire(client, time.Minute, time.Now().Add(time.Minute), 1<<10)
	return &Conn{w: w}
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"quoted", "\"a \\\"b\\\\\"\r\nOK\r\n", `a "b\`},
		{"literal", "{9}\r\nkeep;\r\n\x00\"\r\nOK (WARNINGS) \"well\"\r\n", "keep;\r\n\x00\""},
		{"looks like an end", "{4}\r\nOK\r\n\r\nOK\r\n", "OK\r\n"},
		{"empty", "\"\"\r\nok\r\n", ""},
		{"a script called OK", "\"OK\"\r\nOK\r\n", "OK"},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, err := says(t, test.text).w.answer()
			if err != nil || len(lines) != 1 || lines[0][0].text != test.want {
				t.Errorf("%v, %v", lines, err)
			}
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"a script of 1 GiB", "{1073741824}\r\n", ErrProtocol},
		{"literals together", strings.Repeat("{600}\r\n"+strings.Repeat("x", 600)+"\r\n", 2) + "OK\r\n", ErrProtocol},
		{"a negative literal", "{-1}\r\n", ErrProtocol},
		{"a literal that overflows", "{99999999999999999999}\r\n", ErrProtocol},
		{"a string without end", "\"" + strings.Repeat("x", mostWord+1), ErrProtocol},
		{"a word without end", strings.Repeat("x", mostWord+1), ErrProtocol},
		{"words without end", strings.Repeat("x ", mostTokens+1) + "\r\n", ErrProtocol},
		{"many lines of long words", strings.Repeat(strings.Repeat("\""+strings.Repeat("x", mostWord-1)+"\" ", mostTokens-1)+"\r\n", 20) + "OK\r\n", ErrProtocol},
		{"lines without end", strings.Repeat("\"x\"\r\n", mostLines+1), ErrProtocol},
		{"an empty line", "\r\n", ErrProtocol},
		{"an LF alone", "OK\n", ErrProtocol},
		{"closed in a literal", "{9}\r\nkee", io.ErrUnexpectedEOF},
		{"NO", "NO (QUOTA/MAXSIZE) \"full\"\r\n", ErrRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := says(t, test.text).w.answer(); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// TestClearTextBehindSTARTTLS: octets that came before the handshake are never
// taken for ones that came after it, and no secret is sent.
func TestClearTextBehindSTARTTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "\"SASL\" \"PLAIN\"\r\nOK\r\n")
		b := make([]byte, len("STARTTLS\r\n"))
		io.ReadFull(c, b)
		io.WriteString(c, "OK\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n")
		one := make([]byte, 1) // whoever sends more than none is found out at once
		n, _ := c.Read(one)
		got <- string(one[:n])
	}()
	_, err = Dial(context.Background(), Options{Address: l.Addr().String(), User: "u", Password: "secret"})
	if !errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), "clear text") {
		t.Errorf("%v", err)
	}
	if rest := <-got; rest != "" {
		t.Errorf("sent %q", rest)
	}
}
