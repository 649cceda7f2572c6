package smtpconn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestHowLongAServerMayTake has a server be slow to answer a command: only the
// answer to a message is worth ten minutes, and it is said that it is waited for.
func TestHowLongAServerMayTake(t *testing.T) {
	for _, c := range []struct {
		slow  string // the command that it is slow with, by its verb
		takes time.Duration
		is    error // nil: all goes well
		after time.Duration
		told  int // lines of the log
	}{
		{"MAIL", 99 * time.Second, nil, 99 * time.Second, 0},
		{"MAIL", 101 * time.Second, ErrTimeout, 100 * time.Second, 0},
		{"DATA", 101 * time.Second, ErrTimeout, 100 * time.Second, 0},
		{".", 20 * time.Second, nil, 20 * time.Second, 0},
		{".", 595 * time.Second, nil, 595 * time.Second, 19},
		{".", 605 * time.Second, ErrUnknown, 600 * time.Second, 19},
	} {
		t.Run(fmt.Sprint(c.slow, " ", c.takes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var served sync.WaitGroup
				defer served.Wait()
				served.Go(func() { serveSlowly(server, c.slow, c.takes) })
				var log bytes.Buffer
				o := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}.filled()
				conn := &Conn{opts: &o}
				conn.use(client)
				defer conn.Close()
				began := time.Now()
				answers, err := conn.Deliver(message("Subject: x\r\n\r\n", SevenBit, "alice"))
				if took := time.Since(began); !errors.Is(err, c.is) || took != c.after {
					t.Errorf("%v after %v; should be %v after %v", err, took, c.is, c.after)
				}
				if c.is == nil && !answers[0].OK() {
					t.Errorf("the answer is %v", answers[0])
				}
				if told := strings.Count(log.String(), "has not answered yet"); told != c.told {
					t.Errorf("it was told %d times, and should be %d times:\n%s", told, c.told, log.String())
				}
			})
		})
	}
}

// serveSlowly takes a message, and is slow to answer one command.
func serveSlowly(conn net.Conn, slow string, takes time.Duration) {
	defer conn.Close()
	inMessage := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		if inMessage && verb != "." {
			continue
		}
		if inMessage = verb == "DATA"; verb == slow {
			time.Sleep(takes)
		}
		answer := "250 ok\r\n"
		if inMessage {
			answer = "354 go on\r\n"
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
}
