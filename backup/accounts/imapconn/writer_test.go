package imapconn

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

// add appends a message and returns what the server said, and how far it got.
func add(c *Conn, folder string, message []byte, flags ...imap.Flag) error {
	cmd, err := c.Append(folder, int64(len(message)), &imap.AppendOptions{Flags: flags})
	if err != nil {
		return err
	}
	if _, err := cmd.Write(message); err != nil {
		cmd.Close()
		cmd.Wait()
		return fmt.Errorf("write: %w", err)
	}
	if err := cmd.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	_, err = cmd.Wait()
	return err
}

func TestAppendLiterals(t *testing.T) {
	t.Parallel()
	small, large := []byte("hello"), bytes.Repeat([]byte("0123456\r\n"), 1000)
	for _, test := range []struct {
		caps         string
		small, large string
	}{
		{"IMAP4rev1", "{5}", "{9000}"},
		{"IMAP4rev1 LITERAL-", "{5+}", "{9000}"},
		{"IMAP4rev1 IMAP4rev2", "{5+}", "{9000}"},
		{"IMAP4rev1 LITERAL+", "{5+}", "{9000+}"},
	} {
		t.Run(test.caps, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Caps: test.caps})
			c := dial(t, s, nil)
			for _, m := range [][]byte{small, large, nil} {
				if err := add(c, "INBOX", m, imap.FlagSeen, "$x"); err != nil {
					t.Fatal(c.Explain(err))
				}
			}
			got := s.Commands()[1:]
			for i, want := range []string{test.small + "\r\n" + string(small), test.large + "\r\n" + string(large)} {
				if got[i].Args != `INBOX (\Seen $x) `+want {
					t.Errorf("got APPEND %.60q", got[i].Args)
				}
			}
			alive(t, c)
		})
	}
}

// go-imap closes the connection when a server without LITERAL+ says NO to the
// size of a message, and so loses all other messages as well.
func TestAppendRefused(t *testing.T) {
	t.Parallel()
	message := bytes.Repeat([]byte("x"), 100_000)
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LITERAL-", "IMAP4rev1 LITERAL+"} {
		for code, when := range map[string]string{"OVERQUOTA": "at once", "TOOBIG": "at the end"} {
			t.Run(caps+" "+when, func(t *testing.T) {
				t.Parallel()
				script := imaptest.Script{Caps: caps}
				no := func(c *imaptest.Conn, cmd imaptest.Command) { c.Say("%s NO [%s] no\r\n", cmd.Tag, code) }
				if when == "at once" && !strings.HasSuffix(caps, "+") {
					script.Literal = func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
						no(c, cmd)
						return false
					}
				} else {
					script.Handle = map[string]func(*imaptest.Conn, imaptest.Command){"APPEND": no}
				}
				c := dial(t, imaptest.Start(t, script), nil)
				for range 2 {
					err := soon(t, "APPEND", func() error { return add(c, "INBOX", message) })
					var refusal *imap.Error
					if !errors.As(err, &refusal) || string(refusal.Code) != code {
						t.Fatalf("got %v, %v", err, c.Err())
					}
				}
				alive(t, c)
			})
		}
	}
}

// A server that refuses in the middle of a message it did not have to wait
// for still gets all of it; what follows must not be taken for commands.
func TestAppendRefusedInTheMiddle(t *testing.T) {
	t.Parallel()
	said := make(chan bool)
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 LITERAL+", Greeting: "* PREAUTH hi", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"NOOP": func(c *imaptest.Conn, cmd imaptest.Command) {
			<-said                              // the command is on its way
			c.Say("T2 NO [OVERQUOTA] full\r\n") // T2 is the next command
			c.OK(cmd)
		},
	}})
	c := dial(t, s, nil)
	noop := c.Noop()
	cmd, err := c.Append("INBOX", 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	close(said)
	if err := noop.Wait(); err != nil {
		t.Fatal(c.Explain(err))
	}
	fmt.Fprint(cmd, "0123456789")
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = cmd.Wait()
	var refusal *imap.Error
	if !errors.As(err, &refusal) {
		t.Errorf("got %v", c.Explain(err))
	}
	c.Logout(background())
	got := s.Commands()
	if names := fmt.Sprint(got[len(got)-2].Name, got[len(got)-1].Name); names != "APPENDLOGOUT" {
		t.Errorf("the server saw %v", got)
	}
}

func TestAppendWithAnAliasRefused(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{4, 5} { // the name, the message
		s := imaptest.Start(t, imaptest.Script{Literal: func(c *imaptest.Conn, cmd imaptest.Command, n int64) bool {
			if n == at {
				c.Say("%s NO [TRYCREATE] no\r\n", cmd.Tag)
				return false
			}
			c.Say("+ ok\r\n")
			return true
		}})
		c := dial(t, s, nil)
		err := soon(t, "APPEND", func() error { return add(c, AliasName([]byte("caf\xe9")), []byte("hello")) })
		var refusal *imap.Error
		if !errors.As(err, &refusal) || refusal.Code != imap.ResponseCodeTryCreate {
			t.Errorf("got %v", c.Explain(err))
		}
		alive(t, c)
	}
}

func TestKeywordsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{})
	c := dial(t, s, nil)
	for _, flag := range []imap.Flag{"", "a b", "foo]bar", "é", `\`, `a\b`, `"x"`, "a\r\nT9 DELETE INBOX", "(", "%", "x\x00"} {
		if err := add(c, "INBOX", []byte("hello"), imap.FlagSeen, flag); !errors.Is(err, ErrKeyword) {
			t.Errorf("APPEND with %q: %v", flag, err)
		}
		if _, err := c.Store(uids(1, 1), &imap.StoreFlags{Flags: []imap.Flag{flag}}, nil); !errors.Is(err, ErrKeyword) {
			t.Errorf("STORE with %q: %v", flag, err)
		}
		if _, err := c.Create("x", &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{`\Sent`, imap.MailboxAttr(flag)}}); err == nil {
			t.Errorf("CREATE with %q", flag)
		}
	}
	if len(s.Commands()) != 1 {
		t.Errorf("something was sent: %v", s.Commands())
	}
	if err := add(c, "INBOX", nil, `\Seen`, "$Forwarded", "a'b", "x-[y"); err != nil {
		t.Error(err)
	}
	alive(t, c)
}

// Many goroutines append over one connection; with LITERAL+ all messages go
// out before the first answer comes.
func TestAppendsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	const n = 20
	var waiting []string
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 LITERAL+", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"APPEND": func(c *imaptest.Conn, cmd imaptest.Command) {
			if waiting = append(waiting, cmd.Tag); len(waiting) == n {
				for _, tag := range waiting {
					c.Say("%s OK [APPENDUID 1 2] done\r\n", tag)
				}
			}
		},
	}})
	c := dial(t, s, nil)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := add(c, "INBOX", bytes.Repeat([]byte{byte('a' + i)}, 1+i*1000)); err != nil {
				t.Error(c.Explain(err))
			}
		})
	}
	wg.Wait()
	for _, cmd := range s.Commands()[1:] {
		_, m, _ := strings.Cut(cmd.Args, "\r\n")
		if strings.Trim(m, m[:1]) != "" {
			t.Error("messages got mixed")
		}
	}
	alive(t, c)
}

func TestAppendUIDs(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"[APPENDUID 38505 3955]": "38505 3955", "[appenduid 38505 3955]": "38505 3955", "[APPENDUID 38505 3955:3957]": "0 0",
		"[APPENDUID x y]": "0 0", "[APPENDUID]": "0 0", "[APPENDUID 1 2": "0 0", "[COPYUID 1 2 3]": "0 0", "[HIGHESTMODSEQ 12]": "0 0",
		"[CAPABILITY IMAP4rev2 LITERAL+]": "0 0", "": "0 0",
	} {
		s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"APPEND": imaptest.Answer("%T OK " + code + " done\r\n")}})
		c := dial(t, s, nil)
		cmd, err := c.Append("INBOX", 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Write([]byte("x"))
		cmd.Close()
		d, err := cmd.Wait()
		if err != nil {
			t.Errorf("%s: %v", code, c.Explain(err))
			continue
		}
		if got := fmt.Sprint(d.UIDValidity, d.UID); got != want {
			t.Errorf("%s: %s", code, got)
		}
		alive(t, c)
	}
}

// Commands longer than go-imap's buffer arrive whole.
func TestLongCommand(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{})
	c := dial(t, s, nil)
	var set imap.UIDSet
	for i := imap.UID(1); i < 20_000; i += 2 {
		set = append(set, imap.UIDRange{Start: i, Stop: i})
	}
	if _, err := fetched(c, set, true); err != nil {
		t.Fatal(c.Explain(err))
	}
	cmds := s.Commands()
	if got := cmds[len(cmds)-1].Args; !strings.HasPrefix(got, set.String()+" (UID ") {
		t.Errorf("got %d octets", len(got))
	}
}
