package rawimap

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Discard sends a command and throws the answer away as it comes. It returns
// how many literals were in the answer and how many octets they had: for a
// FETCH of bodies, the messages and their sizes. Nothing can read mail faster.
// Lines of more than 64 KiB, which a FETCH of bodies has none of, are an error.
func (c *Conn) Discard(command string) (literals, octets int64, err error) {
	c.tag++
	tag := "t" + strconv.Itoa(c.tag) + " "
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return 0, 0, fmt.Errorf("sending %s: %w", brief(command), err)
	}
	begins := true // the next line begins a response
	for {
		c.conn.SetDeadline(time.Now().Add(commandTime))
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			c.conn.Close()
			return literals, octets, fmt.Errorf("%s: reading the answer: %w", brief(command), noEOF(err))
		}
		line = bytes.TrimSuffix(line, []byte("\r\n"))
		if begins && bytes.HasPrefix(line, []byte(tag)) {
			rest := string(line[len(tag):])
			if status, _, _ := strings.Cut(rest, " "); !strings.EqualFold(status, "OK") {
				return literals, octets, &Refused{brief(command), rest}
			}
			return literals, octets, nil
		}
		n, literal := literalAt(line)
		begins = !literal // what follows a literal is of the same response
		if !literal {
			continue
		}
		if n > maxLiteral {
			return literals, octets, fmt.Errorf("%s: a literal of %d octets", brief(command), n)
		}
		if _, err := c.r.Discard(int(n)); err != nil {
			c.conn.Close()
			return literals, octets, fmt.Errorf("%s: reading a literal: %w", brief(command), noEOF(err))
		}
		literals++
		octets += n
	}
}
