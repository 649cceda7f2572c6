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

// store answers UID STORE. It does what it is told where it is to add labels of
// Gmail's.
func (a *Account) store(c *Conn, cmd Command) {
	set, what, _ := strings.Cut(cmd.Args, " ")
	labels, isLabels := strings.CutPrefix(what, "+X-GM-LABELS.SILENT (")
	s := a.sessions[c]
	if s == nil || isLabels && !a.has("X-GM-EXT-1") {
		c.Say("%s BAD what?\r\n", cmd.Tag)
		return
	}
	for _, m := range s.told {
		if isLabels && InSet(set, m.UID) {
			s.folder.ModSeq++
			m.Labels, m.modSeq = strings.TrimSpace(m.Labels+" "+strings.TrimSuffix(labels, ")")), s.folder.ModSeq
		}
	}
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
	if m.GmailID != "" {
		add("X-GM-MSGID", "X-GM-MSGID %s", m.GmailID)
	}
	add("RFC822.SIZE", "RFC822.SIZE %d", len(m.Body))
	add("MODSEQ", "MODSEQ (%d)", m.modSeq)
	add("BODY.PEEK[HEADER]", "BODY[HEADER] {%d}\r\n%s", len(header), header)
	if _, after, ok := strings.Cut(asked, "BODY.PEEK[HEADER.FIELDS ("); ok {
		names, _, _ := strings.Cut(after, ")")
		fields := headerFields(header, strings.Fields(strings.ReplaceAll(names, `"`, "")))
		list = append(list, fmt.Sprintf("BODY[HEADER.FIELDS (%s)] {%d}\r\n%s", names, len(fields), fields))
	}
	add("BODY.PEEK[]", "BODY[] {%d}\r\n%s", len(m.Body), m.Body)
	return strings.Join(list, " ")
}

// headerFields are the fields of these names, with the empty line behind them.
func headerFields(header string, names []string) string {
	var fields strings.Builder
	wanted := false
	for line := range strings.Lines(header) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			name, _, _ := strings.Cut(line, ":")
			wanted = slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		}
		if wanted {
			fields.WriteString(line)
		}
	}
	return fields.String() + "\r\n"
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
