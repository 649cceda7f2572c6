package sieveconn

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Whatever a server answers, in whatever pieces: what is read of it is no more
// than was sent, what is written of it as literals is read the same, and what
// people are shown has no control characters in it.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"SIEVE\" \"fileinto reject\"\r\n\"SASL\" \"PLAIN LOGIN\"\r\n\"STARTTLS\"\r\n\"VERSION\" \"1.0\"\r\nOK \"ready\"\r\n",
		"\"main\" ACTIVE\r\n\"old \\\"one\\\"\"\r\nOK\r\n", "{9+}\r\nkeep;\r\n\x00\"\r\nOK (WARNINGS) \"well\"\r\n", "{3}\r\nOK\x1b\r\nNO (QUOTA/MAXSIZE) {2}\r\n\x1b[\r\n",
		"BYE (REFERRAL \"sieve://x\") \"go\x9b\"\r\n", "{1073741824}\r\n", "{-1}\r\n", "\r\n", "OK\n", "OK \r",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		answer := func(said string) ([][]token, error) {
			client, server := net.Pipe()
			defer client.Close()
			go func() { io.WriteString(server, said); server.Close() }()
			return newWire(client, time.Minute, time.Now().Add(time.Minute), 1<<10).answer()
		}
		lines, err := answer(string(said))
		if err != nil {
			if !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrRefused) && !errors.Is(err, errBye) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("an error of no kind: %v", err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("shown as %q", err.Error())
			}
			return
		}
		total := 0
		var again strings.Builder
		for _, l := range lines {
			for i, w := range l {
				total += len(w.text)
				switch {
				case !w.quoted:
					again.WriteString(w.text)
				case strings.Contains(w.text, "\x00") || len(w.text) < 100:
					again.WriteString("{" + strconv.Itoa(len(w.text)) + "}\r\n" + w.text)
				default:
					again.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w.text) + `"`)
				}
				if i < len(l)-1 {
					again.WriteString(" ")
				}
			}
			again.WriteString("\r\n")
		}
		if total > len(said) {
			t.Errorf("%d octets read of %d", total, len(said))
		}
		second, err := answer(again.String() + "OK\r\n")
		if errors.Is(err, ErrProtocol) && strings.Contains(err.Error(), "allowed") {
			return // what came quoted is too much as literals
		}
		if err != nil || len(second) != len(lines) {
			t.Fatalf("%q is %v, and written anew %q is %v, %v", said, lines, again.String(), second, err)
		}
		for i := range lines {
			for j, w := range lines[i] {
				if second[i][j] != w {
					t.Errorf("%+v, and written anew %+v", w, second[i][j])
				}
			}
		}
	})
}
