package pop3conn

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"restante/backup/accounts/pop3conn/pop3test"
)

// plainUnstuff is RFC 1939 section 3, octet by octet and with no regard to
// speed. done is false where there is no end; rest is what is behind it.
func plainUnstuff(wire string) (octets, rest string, done bool) {
	var b strings.Builder
	for lineStart := true; wire != ""; {
		if lineStart && strings.HasPrefix(wire, ".\r\n") {
			return b.String(), wire[3:], true
		}
		if lineStart && wire[0] == '.' {
			wire = wire[1:]
			lineStart = false
			continue
		}
		if lineStart = strings.HasPrefix(wire, "\r\n"); lineStart {
			b.WriteString("\r\n")
			wire = wire[2:]
			continue
		}
		b.WriteByte(wire[0])
		wire = wire[1:]
	}
	return b.String(), "", false
}

// Whatever comes, in whatever pieces, is read as the RFC has it, and what is
// sent as the RFC has it comes back as it was.
func FuzzUnstuff(f *testing.F) {
	for _, m := range odd {
		if len(m.octets) < 2000 {
			f.Add(m.octets, uint8(3))
			f.Add(pop3test.Stuff(m.octets)+"+OK\r\n", uint8(1))
		}
	}
	for _, s := range []string{"a\n.\r\nb\r\n.\r\n", ".\r\r\n.\r\n", "\r\n.\r\n", ".\n", "..\n.\r", "\r\r\n.\r.\r\n"} {
		f.Add(s, uint8(2))
	}
	f.Fuzz(func(t *testing.T, text string, step uint8) {
		unstuff := func(wire string) (string, string, bool, *unstuffer) {
			var b bytes.Buffer
			u := new(unstuffer)
			for wire != "" {
				piece := wire[:min(len(wire), int(step)+1)]
				n, done, err := u.write(&b, []byte(piece))
				if err != nil || n > len(piece) || !done && n != len(piece) {
					t.Fatalf("%q: %d taken, %v, %v", piece, n, done, err)
				}
				wire = wire[n:]
				if done {
					return b.String(), wire, true, u
				}
			}
			return b.String(), "", false, u
		}
		got, rest, done, u := unstuff(text)
		want, wantRest, wantDone := plainUnstuff(text)
		if done != wantDone || rest != wantRest || done && got != want || int64(len(got)) != u.size {
			t.Errorf("%q is %q, %q, %v (%d)\nwant %q, %q, %v", text, got, rest, done, u.size, want, wantRest, wantDone)
		}
		wire := pop3test.Stuff(text)
		got, rest, done, u = unstuff(wire + "+OK\r\n")
		want = text
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if got != want || rest != "+OK\r\n" || !done || u.oddity&^(DotAfterLF|DotFirst) != 0 {
			t.Errorf("%q comes back as %q, %q, %v, %b", text, got, rest, done, u.oddity)
		}
	})
}

// Whatever a server answers to every command from the login on, nothing
// panics, nothing hangs, and the library is never shown what it does not
// understand: its complaints would not say what the server did. What people are
// shown has no control characters.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"+OK 3 60\r\n", "+OK\r\n1 a\r\n2 b\r\n.\r\n", "-ERR [IN-USE] x\r\n", "\r\n+OK\r\n", "+OK\r\nSubject: x\r\n\r\n..\r\n.\r\n", "+OK\r\na\n.\r\n",
		"+ \r\n", "+OK [", "-ERR", "+OK 1 2\r\n+OK\r\n1 99999999999999999999\r\n.\r\n", "-ERR [\x1b[2J\x9b] x\x9by\r\n",
		"+OK\r\n-ERR\r\n+OK\r\n-ERR [\x1b[2J\xff] x\x9by\r\n", "+OK 0 0\r\n.\r\n", "+OK -5 -7\r\n", "+OK 99999999 1\r\n+OK\r\n.\r\n+OK\r\n.\r\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s+s+s+s+s+s), false)
	}
	shown := func(t *testing.T, err error) {
		if err != nil && (!utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })) {
			t.Errorf("shown as %q", err)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, login bool) {
		client, server := net.Pipe()
		defer server.Close()
		go io.Copy(io.Discard, server)
		go func() {
			if login {
				io.WriteString(server, "+OK\r\n-ERR\r\n+OK\r\n+OK\r\n+OK\r\nPIPELINING\r\n.\r\n")
			}
			server.Write(text)
			server.Close()
		}()
		o := options(nil)
		o.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		c, err := Dial(t.Context(), o)
		if shown(t, err); err != nil {
			return
		}
		defer c.Close()
		_, err = c.List()
		shown(t, err)
		retrieve(c, 1, 2, 3)
		shown(t, c.Heads([]Listed{{Number: 1}}, func(int) io.Writer { return io.Discard }, func(Body) error { return nil }))
		shown(t, c.Delete(1))
		err = c.Quit(t.Context())
		shown(t, err)
		if err != nil && strings.Contains(err.Error(), "unknown response") {
			t.Errorf("the library was shown what it does not understand: %v", err)
		}
	})
}
