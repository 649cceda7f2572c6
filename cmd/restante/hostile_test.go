package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"restante/cmd/testbed/servers"
)

// A server's own words reach the terminal without what they mean to do there.
func TestWordsOfServersDoNotSteerTheTerminal(t *testing.T) {
	const escapes = "\x1b[2J\x1b]0;pwned\x07\u009b31m\u202e"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintf(c, "* OK [CAPABILITY IMAP4rev1] hello %s\r\n", escapes)
				for lines := bufio.NewScanner(c); lines.Scan(); {
					tag, _, _ := strings.Cut(lines.Text(), " ")
					fmt.Fprintf(c, "* OK [ALERT] look %s\r\n%s NO [AUTHENTICATIONFAILED] denied %s\r\n", escapes, tag, escapes)
				}
			}()
		}
	}()

	b := newBench(t, "")
	account := fmt.Sprintf("imap+insecure://alice@%s", listener.Addr())
	for _, args := range [][]string{{account}, {account, "--json"}, {account, "--verbose"}} {
		code, out, errOut := b.exec("backup", args...)
		if code != exitFailed || !strings.Contains(errOut, "denied") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out, errOut)
		}
		for _, r := range out + errOut {
			if r != '\n' && (steers(r) || turns(r)) {
				t.Errorf("%q: %U in %q", args, r, out+errOut)
				break
			}
		}
		if strings.Contains(out+errOut, servers.Password) {
			t.Errorf("%q: the password is in %q", args, out+errOut)
		}
	}
}

func TestJSONHasNothingThatSteers(t *testing.T) {
	var b bytes.Buffer
	if err := writeJSON(&b, map[string]string{"a<b": "\x1b\u009b31m\u202ex\u2028<&>ä\n"}, "  "); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a<b\": \"\\u001b\\u009b31m\\u202ex\\u2028<&>ä\\n\"\n}\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}
