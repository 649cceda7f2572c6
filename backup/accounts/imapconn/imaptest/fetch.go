package imaptest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// fetch answers UID FETCH.
func (a *Account) fetch(c *Conn, cmd Command) {
	s := a.sessions[c]
	if s == nil {
		c.Say("%s BAD no folder is open\r\n", cmd.Tag)
		return
	}
	set, items, _ := strings.Cut(cmd.Args, " ")
	since := uint64(0)
	if _, rest, ok := strings.Cut(items, "(CHANGEDSINCE "); ok {
		since, _ = strconv.ParseUint(strings.TrimRight(rest, ")"), 10, 64)
	}
	for i, m := range s.told {
		if InSet(set, m.UID) && m.modSeq > since {
			c.Say("* %d FETCH (%s)\r\n", i+1, m.items(items))
			s.flags[m] = m.Flags
		}
	}
	// Messages that are gone are told of at the end only.
	a.end(c, cmd)
}

// items are what a FETCH asks of a message.
func (m *Message) items(asked string) string {
	list := []string{fmt.Sprint("UID ", m.UID)}
	add := func(item, format string, args ...any) {
		if strings.Contains(asked, item) {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	header := m.Body
	if i := strings.Index(header, "\r\n\r\n"); i >= 0 {
		header = header[:i+4]
	}
	add("FLAGS", "FLAGS (%s)", m.Flags)
	add("X-GM-LABELS", "X-GM-LABELS (%s)", m.Labels)
	add("INTERNALDATE", "INTERNALDATE %s", m.Date)
	add("RFC822.SIZE", "RFC822.SIZE %d", len(m.Body))
	add("MODSEQ", "MODSEQ (%d)", m.modSeq)
	add("BODY.PEEK[HEADER]", "BODY[HEADER] {%d}\r\n%s", len(header), header)
	add("BODY.PEEK[HEADER.FIELDS", "BODY[HEADER.FIELDS (Message-ID)] %s", m.messageID())
	add("BODY.PEEK[]", "BODY[] {%d}\r\n%s", len(m.Body), m.Body)
	return strings.Join(list, " ")
}

func (m *Message) messageID() string {
	for line := range strings.Lines(m.Body) {
		if strings.HasPrefix(strings.ToLower(line), "message-id:") {
			line = strings.TrimSpace(line) + "\r\n\r\n"
			return fmt.Sprintf("{%d}\r\n%s", len(line), line)
		}
	}
	return "{2}\r\n\r\n"
}

// InSet reports whether a UID is in a set of a command. The largest UID there
// is takes the place of "*".
func InSet(set string, uid uint32) bool {
	number := func(s string) uint32 {
		if s == "*" {
			return math.MaxUint32
		}
		n, _ := strconv.ParseUint(s, 10, 32)
		return uint32(n)
	}
	return slices.ContainsFunc(strings.Split(set, ","), func(part string) bool {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		return number(first) <= uid && uid <= number(last)
	})
}
