package pop3conn

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"restante/backup/accounts/pop3conn/pop3test"
)

// answer is a handler that writes text and no more.
func answer(text string) func(*pop3test.Conn, string) {
	return func(c *pop3test.Conn, _ string) { io.WriteString(c, text) }
}

func TestList(t *testing.T) {
	t.Parallel()
	const list3 = "+OK\r\n1 10\r\n2 20\r\n3 30\r\n.\r\n"
	for _, test := range []struct {
		name, stat, list, uidl string
		want                   string // number/size/unique-id
		sure                   bool
	}{
		{"well", "+OK 3 60\r\n", list3, "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n", "1/10/a 2/20/b 3/30/c", true},
		{"empty", "+OK 0 0\r\n", "+OK\r\n.\r\n", "+OK\r\n.\r\n", "", true},
		{"more words", "+OK 3 60 (octets)\r\n", "+OK 3 messages (60 octets)\r\n1 10 octets\r\n2 20\r\n3 30\r\n.\r\n", "+OK unique-ids follow\r\n1  a \r\n2 b\r\n3 c\r\n.\r\n", "1/10/a 2/20/b 3/30/c", true},
		{"an empty unique-id, behind which the library stops", "+OK 3 60\r\n", list3, "+OK\r\n1 a\r\n2 \r\n3 c\r\n.\r\n", "1/10/a 2/20/ 3/30/c", true},
		{"a number alone", "+OK 3 60\r\n", list3, "+OK\r\n1 a\r\n2\r\n3 c\r\n.\r\n", "1/10/a 2/20/ 3/30/c", true},
		{"no UIDL", "+OK 3 60\r\n", list3, "-ERR what?\r\n", "1/10/ 2/20/ 3/30/", true},
		{"no LIST", "+OK 3 60\r\n", "-ERR what?\r\n", "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n", "1/-1/a 2/-1/b 3/-1/c", true},
		{"neither", "+OK 3 60\r\n", "-ERR what?\r\n", "-ERR what?\r\n", "1/-1/ 2/-1/ 3/-1/", false},
		{"duplicate unique-ids", "+OK 3 60\r\n", list3, "+OK\r\n1 a\r\n2 a\r\n3 c\r\n.\r\n", "1/10/a 2/20/a 3/30/c", true},
		{"two unique-ids for a number", "+OK 3 60\r\n", list3, "+OK\r\n1 a\r\n1 b\r\n2 b\r\n3 c\r\n.\r\n", "1/10/ 2/20/b 3/30/c", true},
		{"a unique-id with a space", "+OK 3 60\r\n", list3, "+OK\r\n1 a b\r\n2 b\r\n3 c\r\n.\r\n", "1/10/a b 2/20/b 3/30/c", true},
		{"a unique-id of 1,001 octets", "+OK 3 60\r\n", list3, "+OK\r\n1 " + strings.Repeat("x", 1001) + "\r\n2 b\r\n3 c\r\n.\r\n", "1/10/ 2/20/b 3/30/c", true},
		{"nonsense among the lines", "+OK 3 60\r\n", list3, "+OK\r\n1 a\r\n\r\nx y\r\n-1 z\r\n99999999999999999999 z\r\n2 b\r\n3 c\r\n.\r\n", "1/10/a 2/20/b 3/30/c", true},
		{"only LF", "+OK 3 60\n", strings.ReplaceAll(list3, "\r", ""), "+OK\n1 a\n2 b\n3 c\n.\n", "1/10/a 2/20/b 3/30/c", true},
		{"one that LIST leaves out", "+OK 3 60\r\n", "+OK\r\n1 10\r\n3 30\r\n.\r\n", "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n", "1/10/a 2/-1/b 3/30/c", true},
		{"one that both leave out", "+OK 3 60\r\n", "+OK\r\n1 10\r\n3 30\r\n.\r\n", "+OK\r\n1 a\r\n3 c\r\n.\r\n", "1/10/a 2/-1/ 3/30/c", false},
		{"more than STAT counts", "+OK 2 60\r\n", list3, "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n", "1/10/a 2/20/b 3/30/c", false},
		{"ten million, of which none is listed", "+OK 10000000 60\r\n", list3, "-ERR what?\r\n", "1/10/ 2/20/ 3/30/", false},
		{"a size that no message has", "+OK 1 60\r\n", "+OK\r\n1 9223372036854775807\r\n.\r\n", "+OK\r\n1 a\r\n.\r\n", "1/-1/a", true},
		{"a size that is none", "+OK 1 60\r\n", "+OK\r\n1 ten\r\n.\r\n", "+OK\r\n1 a\r\n.\r\n", "1/-1/a", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &pop3test.Maildrop{Handle: map[string]func(*pop3test.Conn, string){"STAT": answer(test.stat), "LIST": answer(test.list), "UIDL": answer(test.uidl)}}
			c := dial(t, d, nil)
			l, err := c.List()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range l.Messages {
				uidl := m.UIDL
				got = append(got, fmt.Sprintf("%d/%d/%s", m.Number, m.Size, uidl))
			}
			if s := strings.Join(got, " "); s != test.want || l.Sure != test.sure {
				t.Errorf("%s, sure: %v", s, l.Sure)
			}
			alive(t, c)
		})
	}
}

func TestBrokenLists(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, stat, list string
		want             error
	}{
		{"STAT without numbers", "+OK\r\n", "", ErrProtocol},
		{"STAT with words", "+OK many octets\r\n", "", ErrProtocol},
		{"STAT refused", "-ERR not now\r\n", "", ErrRefused},
		{"closed in a list", "+OK 3 60\r\n", "+OK\r\n1 10\r\n2 2", io.ErrUnexpectedEOF},
		{"a blank line before the status", "+OK 3 60\r\n", "\r\n+OK\r\n1 10\r\n.\r\n", ErrProtocol},
		{"a list without end", "+OK 3 60\r\n", "+OK\r\n" + strings.Repeat("1 10\r\n", 200_000), ErrProtocol},
		{"a line without end", "+OK 3 60\r\n", "+OK\r\n1 " + strings.Repeat("0", 100_000), ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &pop3test.Maildrop{Handle: map[string]func(*pop3test.Conn, string){
				"STAT": answer(test.stat), "LIST": func(c *pop3test.Conn, _ string) { io.WriteString(c, test.list); c.Close() },
			}}
			c := dial(t, d, func(o *Options) {
				o.limits = Options{}.filled().limits
				o.limits.listing = 1 << 20
			})
			if _, err := c.List(); !errors.Is(err, test.want) {
				t.Error(err)
			}
		})
	}
}
