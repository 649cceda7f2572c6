package imapconn

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Faults of go-imap as it is published that take time, a process or a look at
// what it writes; upstream_test.go has the others.

// doomed runs the rest of a test in a process of its own, which the fault ends with
// those words, and returns false there.
func doomed(t *testing.T, section, words string) bool {
	const environment = "RESTANTE_TEST_DOOMED"
	if os.Getenv(environment) != "" {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), environment+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		gone(t, section)
	} else if !strings.Contains(string(out), words) {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}

func TestFaultOfTheLibraryInDepth(t *testing.T) {
	if doomed(t, "9", "stack overflow") {
		return
	}
	debug.SetMaxStack(16 << 20) // it ends soon enough
	c := bare(t, "", map[string]string{"NOOP": "* 1 FETCH (BODYSTRUCTURE " + strings.Repeat("(", 1<<20) + "\r\n"})
	c.Noop().Wait()
}

func TestFaultOfTheLibraryInPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare(t, "", map[string]string{"NOOP": "-"})
		done := make(chan error, 1)
		go func() { done <- c.Noop().Wait() }()
		time.Sleep(48 * time.Hour)
		select {
		case <-done:
			gone(t, "10")
		default:
		}
		c.Close()
		<-done
	})
}

func TestFaultOfTheLibraryInOrder(t *testing.T) {
	if doomed(t, "17", "deadlock") {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		// As Dovecot does it: the answers to both commands, and then their ends.
		c := bare(t, "", map[string]string{"FETCH": "-", "NOOP": "* 1 FETCH (UID 1 BODY[] {1}\r\nx)\r\n* 2 FETCH (UID 2 BODY[] {1}\r\ny)\r\nT1 OK\r\nT2 OK\r\nTAG OK\r\n"})
		o := &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}
		first, second := c.Fetch(imap.UIDSetNum(1), o), c.Fetch(imap.UIDSetNum(2), o)
		c.Noop()
		first.Collect()
		second.Collect()
	})
}

func TestFaultOfTheLibraryInHaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		over := make(chan bool)
		go func() {
			defer close(over)
			defer server.Close()
			fmt.Fprint(server, "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n")
			in := bufio.NewReader(server)
			line, _ := in.ReadString('\n')
			tag, _, _ := strings.Cut(line, " ")
			fmt.Fprint(server, "* 1 FETCH (UID 1 BODY[] {600}\r\n")
			for range 600 {
				time.Sleep(time.Second)
				if _, err := server.Write([]byte("x")); err != nil {
					return
				}
			}
			fmt.Fprintf(server, ")\r\n%s OK\r\n", tag)
			in.ReadString('\n')
		}()
		c := imapclient.New(client, nil)
		cmd := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
		n := 0
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			for item := m.Next(); item != nil; item = m.Next() {
				n += strings.Count(itemText(item), "x")
			}
		}
		if err := cmd.Close(); err == nil && n >= 600 {
			gone(t, "11")
		}
		c.Close()
		<-over
	})
}

// sent is what go-imap writes for a command that do gives it.
func sent(t *testing.T, caps string, do func(*imapclient.Client)) string {
	client, server := net.Pipe()
	c := make(chan string, 1)
	go func() {
		defer server.Close()
		fmt.Fprintf(server, "* PREAUTH [CAPABILITY %s] hi\r\n", caps)
		line, _ := bufio.NewReader(server).ReadString('\n')
		c <- line
	}()
	lib := imapclient.New(client, nil)
	defer lib.Close()
	if err := lib.WaitGreeting(); err != nil {
		t.Fatal(err)
	}
	go do(lib)
	return soon(t, "a command", func() string { return <-c })
}

func TestFaultsOfTheLibraryInCommands(t *testing.T) {
	if line := sent(t, "IMAP4rev1 IMAP4rev2", func(c *imapclient.Client) { c.Select("Entwürfe", &imap.SelectOptions{ReadOnly: true}) }); strings.Contains(line, "Entw&APw-rfe") {
		gone(t, "14")
	} else if !strings.Contains(line, "Entwürfe") {
		t.Errorf("%q", line)
	}
	if line := sent(t, "IMAP4rev1 LITERAL+", func(c *imapclient.Client) { c.Append("INBOX", 5000, nil).Write(make([]byte, 5000)) }); strings.Contains(line, "{5000+}") {
		gone(t, "15")
	} else if !strings.Contains(line, "{5000}") {
		t.Errorf("%q", line)
	}
}
