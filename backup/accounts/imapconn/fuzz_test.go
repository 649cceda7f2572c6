package imapconn

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

// openCommands sends commands of all kinds and returns a function that waits
// for all of them and gives their errors.
func openCommands(c *Conn) func() []error {
	var waits []func() error
	add := func(f func() error) { waits = append(waits, f) }
	noop := c.Noop()
	add(noop.Wait)
	list := c.List("", "*", &imap.ListOptions{ReturnStatus: statusItems})
	add(func() error { _, err := list.Collect(); return err })
	status := c.Status("INBOX", statusItems)
	add(func() error { _, err := status.Wait(); return err })
	search := c.UIDSearch(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnAll: true})
	add(func() error { _, err := search.Wait(); return err })
	bodies := c.Fetch(uids(1, 1000), &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	add(func() error {
		for m := bodies.Next(); m != nil; m = bodies.Next() {
			for item := m.Next(); item != nil; item = m.Next() {
				itemText(item)
			}
		}
		return bodies.Close()
	})
	flags := c.Fetch(imap.SeqSet{{Start: 1, Stop: 1000}}, &imap.FetchOptions{Flags: true})
	add(flags.Close)
	ns := c.Namespace()
	add(func() error { _, err := ns.Wait(); return err })
	quota := c.GetQuotaRoot("INBOX")
	add(func() error { _, err := quota.Wait(); return err })
	rights := c.MyRights("INBOX")
	add(func() error { _, err := rights.Wait(); return err })
	examine := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true})
	add(func() error { _, err := examine.Wait(); return err })
	capability := c.Capability()
	add(func() error { _, err := capability.Wait(); return err })
	return func() []error {
		errs := make(chan error, len(waits))
		for _, w := range waits {
			go func() { errs <- w() }()
		}
		var all []error
		for range waits {
			all = append(all, <-errs)
		}
		return all
	}
}

// Whatever a server sends while commands of all kinds are open: nothing
// panics, nothing hangs, and it is never go-imap that gives up on an answer.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		hello + "T1 OK\r\n", "* VANISHED (EARLIER) 1:3\r\n", "* LIST (\\Sent) \"/\" \"a&b\"\r\n* STATUS a&b (MESSAGES 1)\r\nT2 OK\r\n",
		"* 2 FETCH (X-GM-LABELS (\"a\" {3}\r\nabc) UID 2)\r\n", "* OK [X y\r\n+ x\r\n", "* 3 FETCH (BODY[] {2}\r\nxx UID 3)\r\nT5 NO [LIMIT] x\r\n",
		"* 4 FETCH (FLAGS (a b]c \"\\\\Seen\" {1}\r\nx) UID 4 BODY[HEADER.FIELDS (A)]<0> \"q\" MODSEQ (4) RFC822.SIZE 4 INTERNALDATE \" 1-Jan-2020 00:00:00 +0000\")\r\n",
		"* SEARCH 1 2 (MODSEQ 3)\r\n* ESEARCH (TAG \"T4\") UID ALL 1:3,9 COUNT 4\r\nT4 OK\r\n", "* NAMESPACE ((\"\" \"/\")) NIL ((\"a\" NIL \"X\" (\"y\")))\r\nT7 OK\r\n",
		"* QUOTAROOT INBOX \"\" x\r\n* QUOTA \"\" (STORAGE 1 2)\r\nT8 OK\r\n", "* MYRIGHTS INBOX lrs\r\nT9 OK\r\n", "* ACL INBOX a lr\r\n* METADATA INBOX (/x {1}\r\na)\r\n",
		"* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* OK [PERMANENTFLAGS (\\*)] x\r\n* OK [UIDVALIDITY 1]\r\n* OK [HIGHESTMODSEQ 1] x\r\nT10 OK [READ-ONLY] x\r\n",
		"* CAPABILITY IMAP4rev1 X\r\nT11 OK [CAPABILITY IMAP4rev1] x\r\n", "* STATUS {5}\r\nINBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 SIZE 4 APPENDLIMIT NIL DELETED-STORAGE 1 HIGHESTMODSEQ 1)\r\nT3 OK\r\n",
		"* 1 FETCH (UID 1 FLAGS (x))\r\n* 1 FETCH (UID 1 RFC822 {1}\r\nx BODY[1.2.MIME] NIL)\r\n* 1 EXPUNGE\r\n* BYE [ALERT] x\r\n", "T1 OK [APPENDUID 1 2] x\r\nT2 OK [COPYUID 1 2 3] y\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(serve)
}

// words are what FuzzServerWords puts together, so that it gets deeper into
// answers than single octets do.
var words = []string{
	"\r\n", " ", "(", ")", "\"", "{1}\r\nx", "{3}\r\n)\r\n", "~{2}\r\n\x00\n", "NIL", "[", "]", "*", "+ ", "1", "2", "0", "4294967296", "-1", ":", ",",
	"* ", "T1 ", "T2 ", "T3 ", "T4 ", "T5 ", "T6 ", "OK ", "NO ", "BAD ", "BYE ", "PREAUTH ",
	"* LIST ", "* STATUS ", "* SEARCH", "* ESEARCH ", "* NAMESPACE ", "* QUOTA ", "* QUOTAROOT ", "* MYRIGHTS ", "* ACL ", "* METADATA ", "* FLAGS ", "* CAPABILITY ", "* XFOO ", "* VANISHED ",
	"* 1 FETCH (", "* 2 FETCH (", "* 1 EXISTS", "* 1 EXPUNGE", "UID 1", "UID 2", "FLAGS (", "\\Seen", "a]b", "\\*", "RFC822.SIZE ", "MODSEQ (", "INTERNALDATE ",
	"\"17-Jul-1996 02:44:25 -0700\"", "BODY[] ", "BODY[HEADER.FIELDS (A)] ", "BODY[1.TEXT]<0> ", "RFC822 ", "BODYSTRUCTURE ", "X-FOO ",
	"[PERMANENTFLAGS (", "[UIDNEXT ", "[UIDVALIDITY 1] ", "[HIGHESTMODSEQ ", "[APPENDUID ", "[COPYUID ", "[CAPABILITY ", "[ALERT] ", "[CLOSED]", "[READ-ONLY] ",
	"INBOX", "\"a b\"", "&AOk-", "caf\xe9", "\"/\"", "\"\"", "(TAG \"T4\")", "ALL ", "COUNT ", "MESSAGES ", "UIDNEXT ", "APPENDLIMIT ", "STORAGE ",
}

func FuzzServerWords(f *testing.F) {
	f.Add([]byte{44, 48, 1, 58, 5, 3, 0, 25, 27, 0})
	for i := range words {
		f.Add([]byte{byte(i), 1, byte(i), 0})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var text []byte
		for _, i := range b {
			text = append(text, words[int(i)%len(words)]...)
		}
		serve(t, text)
	})
}

// serve lets a server send b while commands of all kinds are open.
func serve(t *testing.T, b []byte) {
	client, server := net.Pipe()
	ready, heard := make(chan bool), make(chan bool)
	go func() {
		defer server.Close()
		io.WriteString(server, "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n")
		go func() {
			io.Copy(io.Discard, server)
			close(heard)
		}()
		<-ready
		server.Write(b)
	}()
	c, err := Dial(t.Context(), Options{Address: "pipe:143", Security: Insecure, Idle: patience, Odd: func(Oddity) {},
		Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
	if err != nil {
		t.Fatal(err)
	}
	wait := openCommands(c)
	close(ready)
	errs := soon(t, "a command", wait)
	for _, err := range errs {
		if err != nil && strings.Contains(err.Error(), "panic") {
			t.Errorf("%v", err)
		}
	}
	<-c.Closed()
	if c.Err() == errLibrary {
		t.Errorf("go-imap gave up on %q: %v", b, errs[0])
	}
	c.Close()
	<-heard
}

// Whatever octets a folder is called by, it is listed, and found again.
func FuzzFolderName(f *testing.F) {
	for _, s := range []string{"INBOX", "R&D", "R&-D", "caf\xe9", "&AOk-&AOk-", "&2D3cSw-", "=raw=41", "a\"b\\c", "\x00\r\n\x7f", "&AA\n-", "&////-", "日本"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		if len(name) > maxAliased {
			return
		}
		got := make(chan string, 1)
		script := imaptest.Script{Caps: "IMAP4rev1 LITERAL+", Handle: handlers{
			"LIST": func(c *imaptest.Conn, cmd imaptest.Command) {
				c.Say("* LIST () \"/\" {%d}\r\n", len(name))
				c.Write(append(bytes.Clone(name), "\r\n"...))
				c.OK(cmd)
			},
			"EXAMINE": func(c *imaptest.Conn, cmd imaptest.Command) { got <- cmd.Args; c.OK(cmd) },
		}}
		c, err := Dial(t.Context(), Options{Address: "pipe:143", Security: Insecure, User: "u", Idle: patience,
			Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(script), nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all, err := c.List("", "*", nil).Collect()
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, c.Explain(err))
		}
		if octets, ok := RawName(all[0].Mailbox); ok && !bytes.Equal(octets, name) {
			t.Errorf("the alias stands for %q", octets)
		}
		if _, err := c.Select(all[0].Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			t.Fatal(c.Explain(err))
		}
		s := &scan{in: newInput(strings.NewReader(""), limits{line: 4096, inline: 4096, depth: 1}), b: []byte(<-got)}
		sent := s.b
		if lit, rest, ok := bytes.Cut(s.b, []byte("\r\n")); ok && sent[0] == '{' && len(lit) > 3 {
			sent = rest
		} else if sent, _, err = s.text(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sent, name) && !(is(name, "INBOX") && is(sent, "INBOX")) {
			t.Errorf("listed as %q, examined as %q", name, sent)
		}
	})
}
