package pop3conn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/pop3conn/pop3test"
)

// odd are messages that go-pop3, or net/textproto's DotReader, changes, cuts
// or takes for something else.
var odd = []struct{ name, octets string }{
	{"simple", "Subject: a\r\n\r\nhi\r\n"},
	{"line of 5,000 octets", "Subject: a\r\n\r\n" + strings.Repeat("x", 5000) + "\r\n"},
	{"line of 3 MB", "Subject: a\r\n\r\n" + strings.Repeat("y", 3<<20) + "\r\n"},
	{"line of 3 MB of dots", strings.Repeat(".", 3<<20) + "\r\n"},
	{"lines that begin with dots", "Subject: a\r\n\r\n.\r\n..\r\n.x\r\n...\r\nend\r\n"},
	{"only a dot", ".\r\n"},
	{"bare LF", "Subject: a\r\n\r\none\ntwo\nthree\r\n"},
	{"bare LF, dot, text", "Subject: a\r\n\r\none\n.two\r\n"},
	{"bare LF, dot, CRLF", "Subject: a\r\n\r\none\n.\r\n+OK what follows must not be lost\r\n"},
	{"bare LF, dot, bare LF", "one\n.\ntwo\r\n"},
	{"dot, bare LF", "Subject: a\r\n\r\n.\nafter\r\n"},
	{"bare CR", "Subject: a\r\n\r\na\rb\r\r\nc\r\n"},
	{"bare CR, dot, CRLF", "a\r.\r\nb\r\n"},
	{"CR, CRLF, dot", "a\r\r\n.b\r\n"},
	{"dot, CR, text", "Subject: a\r\n\r\n.\rx\r\nz\r\n"},
	{"dot, CR, CRLF", ".\r\r\nz\r\n"},
	{"NUL and 8 bits", "Subject: a\r\n\r\n\x00\x01\xff\xfe\r\n"},
	{"byte order mark", "\xef\xbb\xbfSubject: a\r\n\r\nx\r\n"},
	{"empty", ""},
	{"only CRLF", "\r\n"},
	{"spaces and blank lines at the end", "Subject: a  \r\n\r\nx \r\n\r\n\r\n"},
	{"answers of a server", "+OK\r\n-ERR\r\n+OK 3 messages\r\n1 a\r\n"},
}

func TestMessagesAreExact(t *testing.T) {
	t.Parallel()
	var octets []string
	for _, m := range odd {
		octets = append(octets, m.octets)
	}
	for name, change := range map[string]func(*Options){"pipelined": nil, "one by one": func(o *Options) { o.OneByOne = true }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, drop(octets...), change)
			for i, m := range odd {
				texts, bodies, err := retrieve(c, i+1)
				if err != nil {
					t.Fatalf("%s: %v", m.name, err)
				}
				if texts[0] != m.octets || bodies[0].Size != int64(len(m.octets)) || bodies[0].Number != i+1 || bodies[0].Err != nil {
					t.Errorf("%s: %.80q comes as %.80q, %+v", m.name, m.octets, texts[0], bodies[0])
				}
			}
			alive(t, c)
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestManyMessagesAtOnce(t *testing.T) {
	t.Parallel()
	var octets []string
	var numbers []int
	for i := range 100 {
		octets = append(octets, fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat(".", i)))
		numbers = append(numbers, i+1)
	}
	d := drop(octets...)
	c := dial(t, d, nil)
	slices.Reverse(numbers)
	numbers = append(numbers, 101) // not there
	texts, bodies, err := retrieve(c, numbers...)
	if err != nil || len(texts) != 101 {
		t.Fatalf("%d messages, %v", len(texts), err)
	}
	for i, text := range texts[:100] {
		if text != octets[99-i] || bodies[i].Number != 100-i {
			t.Errorf("%+v is %q", bodies[i], text)
		}
	}
	if !errors.Is(bodies[100].Err, ErrRefused) || texts[100] != "" {
		t.Errorf("a message that is not there: %q, %+v", texts[100], bodies[100])
	}
	alive(t, c)
}

func TestHeads(t *testing.T) {
	t.Parallel()
	d := drop("A: b\r\n.c: d\r\n\r\nbody\r\n", "no body\r\n")
	c := dial(t, d, nil)
	var texts []string
	var b bytes.Buffer
	err := c.Heads([]Listed{{Number: 1}, {Number: 2}}, func(int) io.Writer { b.Reset(); return &b }, func(Body) error { texts = append(texts, b.String()); return nil })
	if err != nil || !slices.Equal(texts, []string{"A: b\r\n.c: d\r\n\r\n", "no body\r\n"}) {
		t.Errorf("%q, %v", texts, err)
	}
	d.Unknown = "TOP"
	err = c.Heads([]Listed{{Number: 1}}, func(int) io.Writer { return io.Discard }, func(b Body) error {
		if !errors.Is(b.Err, ErrRefused) {
			t.Error(b.Err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	alive(t, c)
}

// What a server that does as the RFC says never sends is read as the RFC has
// it, and flagged.
func TestOddWires(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, wire, want string
		oddity           Oddity
	}{
		{"bare LF, dot, CRLF, and more", "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", DotAfterLF},
		{"dot, bare LF, and more", "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", DotLF},
		{"a dot that is not doubled", "a\r\n.b\r\n.\r\n", "a\r\nb\r\n", LoneDot},
		{"a dot that is not doubled, and CR", "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", LoneDot},
		{"a dot that is not doubled, CR, CR", "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", LoneDot},
		{"doubled dots", "a\r\n..\r\n..b\r\n...\r\n.\r\n", "a\r\n.\r\n.b\r\n..\r\n", 0},
		{"a dot at the beginning", "..a\r\n.\r\n", ".a\r\n", DotFirst},
		{"a dot at the beginning that is not doubled", ".a\r\n.\r\n", "a\r\n", DotFirst | LoneDot},
		{"bare LF, doubled dot, CRLF", "a\n..\r\n.\r\n", "a\n..\r\n", 0},
		{"bare LF, dot, bare LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", 0},
		{"bare LF and the end", "a\n\r\n.\r\n", "a\n\r\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &pop3test.Maildrop{Messages: []*pop3test.Message{{Wire: test.wire}}}
			c := dial(t, d, nil)
			texts, bodies, err := retrieve(c, 1)
			if err != nil || texts[0] != test.want || bodies[0].Oddity != test.oddity {
				t.Errorf("%q, %+v, %v", texts, bodies, err)
			}
			alive(t, c)
		})
	}
}

// A dot at the very beginning is not doubled by Dovecot 2.3. What the server
// says of the size tells whose it is.
func TestDotAtTheBeginning(t *testing.T) {
	t.Parallel()
	messages := []*pop3test.Message{{Wire: ".a\r\n.\r\n", Size: 4}, {Wire: "..a\r\n.\r\n", Size: 4}, {Wire: "..a\r\n.\r\n", Size: 5}, {Wire: ".\r\n.\r\n", Size: 3}, {Octets: "", Wire: ".\r\n"}}
	for i, want := range []bool{true, false, true} {
		c := dial(t, &pop3test.Maildrop{Messages: messages}, nil)
		l, err := c.List()
		if err != nil {
			t.Fatal(err)
		}
		_, bodies, err := retrieveListed(c, l.Messages[i:i+1])
		if err != nil || bodies[0].Undoubled(l.Messages[i].Size) != want {
			t.Errorf("%q: %+v, %v", messages[i].Wire, bodies, err)
		}
	}
	c := dial(t, &pop3test.Maildrop{Messages: messages}, nil)
	l, _ := c.List()
	texts, _, err := retrieveListed(c, l.Messages[3:4])
	if which, ok := errors.AsType[*MessageError](err); !errors.Is(err, ErrOutOfStep) || !ok || which.Number != 4 || len(texts) != 0 {
		t.Errorf("a dot alone: %q, %v", texts, err)
	}
	c = dial(t, &pop3test.Maildrop{Messages: messages}, nil)
	if texts, _, err := retrieveListed(c, l.Messages[4:]); err != nil || texts[0] != "" {
		t.Errorf("an empty message: %q, %v", texts, err)
	}
}

// A server that ends a message with a bare LF somewhere has said all it has to
// say. It is not guessed that it has.
func TestFalseEnds(t *testing.T) {
	t.Parallel()
	for name, wire := range map[string]string{
		"bare LF, dot, CRLF": "Subject: x\n\nlf only\n.\r\n", "dot, bare LF": "Subject: x\r\n\r\nlf end\r\n.\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &pop3test.Maildrop{Messages: []*pop3test.Message{{Wire: wire}}, Handle: map[string]func(*pop3test.Conn, string){}}
				c := dial(t, d, func(o *Options) { o.Idle = 5 * time.Minute })
				began := time.Now()
				texts, _, err := retrieve(c, 1)
				var which *MessageError
				if !errors.Is(err, ErrFalseEnd) || !errors.As(err, &which) || which.Number != 1 || len(texts) != 0 {
					t.Errorf("%q, %v", texts, err)
				}
				if took := time.Since(began); took != 30*time.Second {
					t.Errorf("it took %v", took)
				}
				if c.Err() == nil {
					t.Error("the connection can be used again")
				}
			})
		})
	}
}

// Behind a message that may have ended elsewhere, answers may be part of the
// message.
func TestOutOfStep(t *testing.T) {
	t.Parallel()
	// The server means message 1 to end in the middle; what follows is its
	// answer to the next RETR.
	messages := []*pop3test.Message{{Wire: "one\n.\r\n"}, {Octets: "two\r\n"}, {Octets: "three\r\n"}}
	c := dial(t, &pop3test.Maildrop{Messages: messages}, nil)
	texts, _, err := retrieve(c, 1, 2, 3)
	if which, ok := errors.AsType[*MessageError](err); !errors.Is(err, ErrOutOfStep) || !ok || which.Number != 1 || len(texts) != 0 {
		t.Errorf("%q, %v", texts, err)
	}
	// The same octets from a server that means them, asked for alone.
	messages[0].Wire = "one\n.\r\n+OK\r\ntwo\r\n.\r\n"
	c = dial(t, &pop3test.Maildrop{Messages: messages}, func(o *Options) { o.OneByOne = true })
	texts, bodies, err := retrieve(c, 1, 2, 3)
	if err != nil || !slices.Equal(texts, []string{"one\n.\r\n+OK\r\ntwo\r\n", "two\r\n", "three\r\n"}) || bodies[0].Oddity != DotAfterLF {
		t.Errorf("%q, %+v, %v", texts, bodies, err)
	}
}

// A server that does not double dots lets whoever sends a message say what its
// next answers are.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	const forged = "one\r\n.\r\n+OK\r\nforged\r\n"
	for name, window := range map[string]bool{"pipelined": false, "one by one": true} {
		for _, told := range []int{len(forged), 5} {
			d := drop(forged, "two\r\n", "three\r\n")
			d.Messages[0].Wire, d.Messages[0].Size = forged+".\r\n", told
			c := dial(t, d, func(o *Options) { o.OneByOne = window })
			l, err := c.List()
			if err != nil {
				t.Fatal(err)
			}
			if texts, _, err := retrieveListed(c, l.Messages); !errors.Is(err, ErrOutOfStep) || c.Err() == nil {
				t.Errorf("%s, %d octets told: %q, %v", name, told, texts, err)
			}
		}
	}
}

// A server that does not know "UIDL n" has its messages read all the same.
func TestNoUIDLOfOneMessage(t *testing.T) {
	t.Parallel()
	d := drop("one\r\n", "two\r\n")
	d.Messages[0].Size = 100
	d.Handle = map[string]func(*pop3test.Conn, string){"UIDL": func(c *pop3test.Conn, command string) {
		if command != "UIDL" {
			c.Say("-ERR no arguments\r\n")
			return
		}
		c.Default(command)
	}}
	for _, oneByOne := range []bool{false, true} {
		c := dial(t, d, func(o *Options) { o.OneByOne = oneByOne })
		l, err := c.List()
		if err != nil {
			t.Fatal(err)
		}
		if texts, _, err := retrieveListed(c, l.Messages); err != nil || !slices.Equal(texts, []string{"one\r\n", "two\r\n"}) {
			t.Errorf("%q, %v", texts, err)
		}
		alive(t, c)
	}
}

func TestBrokenAnswersToRETR(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		want         error
		says         string
	}{
		{"a blank line before the status", "\r\n+OK\r\nx\r\n.\r\n", ErrProtocol, `"" in place of +OK`},
		{"no status", "x\r\n.\r\n", ErrProtocol, `"x" in place`},
		{"a status that is none", "+OKAY\r\nx\r\n.\r\n", ErrProtocol, ""},
		{"closed in the message", "+OK\r\nhalf a mess", io.ErrUnexpectedEOF, "closed the connection"},
		{"closed in the end", "+OK\r\nx\r\n.\r", io.ErrUnexpectedEOF, ""},
		{"closed before the end", "+OK\r\nx\r\n", io.ErrUnexpectedEOF, ""},
		{"closed at once", "", io.ErrUnexpectedEOF, ""},
		{"a status without end", "+OK " + strings.Repeat("x", 70000) + "\r\n", ErrProtocol, "65536"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := drop("x\r\n")
			d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, _ string) {
				io.WriteString(c, test.answer)
				c.Close()
			}}
			c := dial(t, d, nil)
			texts, _, err := retrieve(c, 1)
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) || len(texts) != 0 {
				t.Errorf("%q, %v", texts, err)
			}
			if _, _, again := retrieve(c, 1); again == nil || c.Err() == nil {
				t.Error("the connection can be used again")
			}
		})
	}
}

func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{
		"-ERR\r\n": ErrRefused, "-ERR no such message\r\n": ErrRefused, "-ERR [SYS/TEMP] later\r\n": ErrBusy, "-err small letters\r\n": ErrRefused,
	} {
		d := drop("x\r\n")
		d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, _ string) { io.WriteString(c, answer) }}
		c := dial(t, d, nil)
		texts, bodies, err := retrieve(c, 1)
		if err != nil || !errors.Is(bodies[0].Err, want) || texts[0] != "" {
			t.Errorf("%q: %q, %+v, %v", answer, texts, bodies, err)
		}
		alive(t, c)
	}
}

func TestErrorsOfASink(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	c := dial(t, drop("x\r\n", "y\r\n"), nil)
	err := c.Retrieve([]Listed{{Number: 1}, {Number: 2}}, func(int) io.Writer { return failing{full} }, func(Body) error { return nil })
	if !errors.Is(err, full) || c.Err() == nil {
		t.Errorf("%v, %v", err, c.Err())
	}
	c = dial(t, drop("x\r\n", "y\r\n"), nil)
	err = c.Retrieve([]Listed{{Number: 1}, {Number: 2}}, func(int) io.Writer { return io.Discard }, func(Body) error { return full })
	if !errors.Is(err, full) || c.Err() == nil {
		t.Errorf("%v, %v", err, c.Err())
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestTooLargeMessage(t *testing.T) {
	t.Parallel()
	c := dial(t, drop(strings.Repeat("x", 100_000)+"\r\n"), func(o *Options) { o.MaxMessage = 90_000 })
	if _, _, err := retrieve(c, 1); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
}

// A message takes no more memory than its sink does.
func TestAMessageIsStreamed(t *testing.T) {
	const size = 64 << 20
	d := drop("x\r\n")
	d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, _ string) {
		io.WriteString(c, "+OK\r\n")
		line := []byte(strings.Repeat(strings.Repeat("x", 62)+"\r\n", 1024))
		for range size / len(line) {
			c.Write(line)
		}
		io.WriteString(c, ".\r\n")
	}}
	c := dial(t, d, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var got int64
	err := c.Retrieve([]Listed{{Number: 1}}, func(int) io.Writer { return io.Discard }, func(b Body) error { got = b.Size; return nil })
	runtime.ReadMemStats(&after)
	if err != nil || got != size {
		t.Fatalf("%d octets, %v", got, err)
	}
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 4<<20 {
		t.Errorf("%d octets of memory for a message of %d", spent, size)
	}
}

func BenchmarkUnstuff(b *testing.B) {
	wire := []byte(strings.Repeat("a line of a message as most of them are, some seventy octets long..\r\n", 1000))
	b.SetBytes(int64(len(wire)))
	u := new(unstuffer)
	for b.Loop() {
		u.write(io.Discard, wire)
	}
}
