package rawimap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve answers each command with the next of the answers, in which "TAG"
// stands for the command's tag, and then hangs up.
func serve(t *testing.T, answers ...string) *Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "* OK hello\r\n")
		r := bufio.NewReader(conn)
		for _, answer := range answers {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			tag, _, _ := strings.Cut(line, " ")
			io.WriteString(conn, strings.ReplaceAll(answer, "TAG", tag))
		}
	}()
	c, err := Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDoReturnsResponsesWithTheirLiterals(t *testing.T) {
	t.Parallel()
	body := "a\r\nt1 OK that is not the end\r\n{3}"
	fetch := fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s FLAGS ())", len(body), body)
	list := "* LIST () \"/\" {4}\r\n{99}" // a name that looks like a literal's announcement
	c := serve(t, fetch+"\r\n"+list+"\r\nTAG OK [X] done\r\n")
	answer, err := c.Do("NOOP")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{fetch, list, "OK [X] done"}; !slices.Equal(answer, want) {
		t.Errorf("got  %q\nwant %q", answer, want)
	}
}

func TestDoTellsARefusalFromABrokenConnection(t *testing.T) {
	t.Parallel()
	c := serve(t, "* BYE soon\r\nTAG NO [CANNOT] never\r\n", "* 1 FETCH (BODY[] {100}\r\nonly this")
	answer, err := c.Do("CREATE x")
	var refused *Refused
	if !errors.As(err, &refused) || refused.Answer != "NO [CANNOT] never" || len(answer) != 2 {
		t.Errorf("a NO gives %q, %v", answer, err)
	}
	if _, err := c.Do("FETCH"); !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &refused) {
		t.Errorf("a cut literal gives %v", err)
	}
}

func TestAppendSendsTheOctetsAsTheyAre(t *testing.T) {
	t.Parallel()
	const want = `t1 APPEND "a\"b" (\Seen x) " 1-Mar-2026 06:00:00 -0500" {6+}` + "\r\na\nb\r\x00c\r\n"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "* OK hello\r\n")
		buf := make([]byte, len(want))
		io.ReadFull(conn, buf)
		got <- string(buf)
		io.WriteString(conn, "t1 OK\r\n")
	}()
	c, err := Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	date := time.Date(2026, 3, 1, 6, 0, 0, 0, time.FixedZone("", -5*3600))
	if err := c.Append(`a"b`, []string{`\Seen`, "x"}, date, []byte("a\nb\r\x00c")); err != nil {
		t.Fatal(err)
	}
	if sent := <-got; sent != want {
		t.Errorf("got  %q\nwant %q", sent, want)
	}
}
