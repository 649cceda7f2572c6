package imapconn

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Gmail's labels and message IDs (developers.google.com/gmail/imap/imap-extensions).
// go-imap knows nothing of them. A server that announces X-GM-EXT-1 is asked for
// the labels of a message whenever go-imap asks for its flags, and for its ID,
// the same in all folders, whenever go-imap asks for its internal date; the
// answer comes to Options.Odd as that of an item that go-imap cannot be shown.

// capGmail is what Gmail announces.
const capGmail = "X-GM-EXT-1"

// LabelsItem is the item of an [Oddity] that holds a message's labels, for
// [Labels].
const LabelsItem = "X-GM-LABELS"

// MessageIDItem is the item of an [Oddity] that holds Gmail's ID of a message,
// for [GmailID].
const MessageIDItem = "X-GM-MSGID"

// HasLabels says whether the server knows Gmail's labels and IDs.
func (c *Conn) HasLabels() bool { return c.Caps().Has(capGmail) }

// withGmails adds to what a FETCH asks for the labels, if it asks for flags, and
// the ID, if it asks for the internal date.
func withGmails(line []byte) []byte {
	return asking(asking(line, "FLAGS", LabelsItem), "INTERNALDATE", MessageIDItem)
}

// asking adds an item to a FETCH that asks for another one.
func asking(line []byte, item, more string) []byte {
	for _, before := range []string{"(", " "} {
		for _, after := range []string{" ", ")"} {
			ask := []byte(before + item + after)
			if bytes.Contains(line, ask) {
				return bytes.Replace(line, ask, []byte(before+item+" "+more+after), 1)
			}
		}
	}
	return line
}

// GmailID reads the ID of a message, an unsigned number of 64 bits; empty if
// that is not one.
func GmailID(raw string) string {
	if n, ok := number([]byte(raw), 64); !ok || n == 0 {
		return ""
	}
	return raw
}

// Labels reads a list of labels as a server writes it: names like those of
// folders, in modified UTF-7, and Gmail's own like \Important.
func Labels(raw string) ([]string, error) {
	s := &scan{b: []byte(raw)}
	if !s.special('(') {
		return nil, broken("labels like %q", clip(s.b))
	}
	var labels []string
	seen := map[string]bool{} // there may be very many
	for {
		if s.spaces(); s.special(')') {
			return labels, nil
		}
		var name []byte
		switch s.peek() {
		case '"':
			name, _ = s.quoted()
		case '{':
			name, _ = labelLiteral(s)
		default:
			name = s.word()
		}
		if len(name) == 0 {
			return nil, broken("labels like %q", clip(s.b))
		}
		label := string(name)
		if isModifiedUTF7(name) {
			label = fromModifiedUTF7(name)
		}
		if !seen[label] {
			seen[label] = true
			labels = append(labels, label)
		}
	}
}

// labelLiteral reads a literal that stands in memory with its octets.
func labelLiteral(s *scan) ([]byte, bool) {
	head, rest, ok := bytes.Cut(s.b[s.i:], []byte("}\r\n"))
	if !ok {
		return nil, false
	}
	n, ok := number(bytes.TrimPrefix(head, []byte("{")), 31)
	if !ok || n > uint64(len(rest)) {
		return nil, false
	}
	s.i += len(head) + len("}\r\n") + int(n)
	return rest[:n], true
}

// labelAtom begins what go-imap is shown of a label: an atom it takes for a flag.
const labelAtom = "X-GM-LABEL="

// AllLabels tells of the labels of all messages of the folder that is open.
// Those of which the server does not tell, or in no way that can be read, it
// leaves out. Each is called from another goroutine, one call at a time, and
// must neither block nor use the connection.
func (c *Conn) AllLabels(each func(uid uint32, labels []string)) error {
	tell := func(o Oddity) {
		if o.Item != LabelsItem || o.UID == 0 {
			return
		}
		if labels, err := Labels(o.Raw); err == nil {
			each(o.UID, labels)
		}
	}
	c.f.labels.Store(&tell)
	defer c.f.labels.Store(nil)
	cmd := c.Fetch(imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true})
	for cmd.Next() != nil {
	}
	if err := cmd.Close(); err != nil {
		return fmt.Errorf("FETCH: %w", c.Explain(err))
	}
	return nil
}

// AddLabels gives labels to messages of the folder that is open.
func (c *Conn) AddLabels(uids imap.UIDSet, labels []string) error {
	flags := make([]imap.Flag, len(labels))
	for i, l := range labels {
		flags[i] = imap.Flag(labelAtom + hex.EncodeToString([]byte(l)))
	}
	cmd, err := c.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil)
	if err == nil {
		err = cmd.Close()
	}
	if err != nil {
		return fmt.Errorf("STORE: %w", c.Explain(err))
	}
	return nil
}

// asLabels makes of a STORE of such flags one of labels.
func asLabels(line []byte) []byte {
	const flags = " +FLAGS.SILENT ("
	before, list, ok := bytes.Cut(line, []byte(flags+labelAtom))
	if !ok {
		return line
	}
	line = append(slices.Clone(before), " +X-GM-LABELS.SILENT ("...)
	for i, atom := range strings.Fields(strings.TrimSuffix(string(list), ")")) {
		octets, err := hex.DecodeString(strings.TrimPrefix(atom, labelAtom))
		if err != nil {
			continue // nobody else writes such a flag
		}
		if i > 0 {
			line = append(line, ' ')
		}
		if len(octets) > 1 && octets[0] == '\\' && isAtom(octets[1:]) { // one of Gmail's own
			line = append(line, octets...)
		} else {
			line = quote(line, EncodeName(string(octets)))
		}
	}
	return append(line, ')')
}
