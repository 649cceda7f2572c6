package mailfiles

import (
	"bytes"
	"strconv"
	"strings"
)

// mboxHeader reads a message's header as far as mbox is concerned with it.
type mboxHeader struct {
	over   bool  // an empty line has ended it
	length int64 // Content-Length, or -1
	status statusFields

	name  string // the field at hand, in small letters; "" if it is of no interest
	value []byte
}

// maxField is how many octets of a field's value are looked at, maxKeywords
// how many keywords a message may have.
const (
	maxField    = 16 << 10
	maxKeywords = 200
)

// line takes a line. It reports whether it belongs to a field that mail
// programs change as they use a message.
func (h *mboxHeader) line(line []byte) (changing bool) {
	if line[0] == ' ' || line[0] == '\t' {
		if h.name != "" && len(h.value) < maxField {
			h.value = append(h.value, bytes.TrimRight(line, "\r\n")...)
		}
		return statusNames[h.name].changing
	}
	h.endField()
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return false
	}
	field := lookUpField(bytes.TrimRight(line[:colon], " \t"))
	if h.name = field.name; field.name != "" {
		h.value = append(h.value[:0], bytes.TrimSpace(line[colon+1:])...)
	}
	return field.changing
}

// endField takes the field that was read.
func (h *mboxHeader) endField() {
	if h.name == "" {
		return
	}
	value := strings.TrimSpace(string(h.value))
	if h.name == "content-length" {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
			h.length = n
		}
	}
	h.status.field(h.name, value)
	h.name = ""
}

// statusField is a field that this package looks at; changing ones are those
// that mail programs add to a message in an mbox and change later. An
// attacker's mail may have them, too.
type statusField struct {
	name     string
	changing bool
}

var statusNames = func() map[string]statusField {
	names := make(map[string]statusField)
	for name := range strings.FieldsSeq("status x-status x-keywords x-uid x-imap x-imapbase content-length x-mozilla-status x-mozilla-status2 x-mozilla-keys") {
		names[name] = statusField{name, true}
	}
	for name := range strings.FieldsSeq("received return-path delivered-to subject") {
		names[name] = statusField{name, false}
	}
	return names
}()

// lookUpField finds a field by its name in any case, at no cost for the many
// that are of no interest.
func lookUpField(name []byte) statusField {
	var small [len("x-mozilla-status2")]byte
	if len(name) > len(small) {
		return statusField{}
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		small[i] = c
	}
	return statusNames[string(small[:len(name)])]
}

// statusFields collects what the fields say that mail programs keep a
// message's state in.
type statusFields struct {
	found    []string
	expunged bool
	traced   bool // a field was seen that the way through the net adds
	pseudo   int  // marks of c-client's pseudo message
}

// field takes one field; name is in small letters.
func (s *statusFields) field(name, value string) {
	switch name {
	case "status": // R: read, O: old; D, A and others are seen as well
		s.letters(value, "R", flagSeen, "D", flagDeleted, "A", flagAnswered, "F", flagFlagged)
	case "x-status":
		s.letters(value, "A", flagAnswered, "D", flagDeleted, "F", flagFlagged, "T", flagDraft)
	case "x-keywords", "x-mozilla-keys":
		for word := range strings.FieldsSeq(value) {
			if isKeyword(word) && len(s.found) < maxKeywords {
				s.found = addFlag(s.found, word)
			}
		}
	case "x-mozilla-status":
		s.mozilla(value)
	case "x-mozilla-status2":
		s.mozilla2(value)
	case "received", "return-path", "delivered-to":
		s.traced = true
	case "x-imap":
		s.pseudo++
	case "subject":
		if strings.HasPrefix(value, "DON'T DELETE THIS MESSAGE") {
			s.pseudo++
		}
	}
}

// letters adds the flags whose letters are in value.
func (s *statusFields) letters(value string, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if strings.Contains(value, pairs[i]) {
			s.found = addFlag(s.found, pairs[i+1])
		}
	}
}

// A bitFlag is a bit of Mozilla's nsMsgMessageFlags.idl and the flag it is.
type bitFlag struct {
	bit  uint64
	flag string
}

// mozilla reads X-Mozilla-Status, four hexadecimal digits. Its 0008 says that
// the user deleted the message; it counts only above all that the way through
// the net adds, where Thunderbird writes it, since otherwise a sender could
// delete his mail from an archive.
func (s *statusFields) mozilla(value string) {
	bits := s.bits(value, bitFlag{0x0001, flagSeen}, bitFlag{0x0002, flagAnswered}, bitFlag{0x0004, flagFlagged}, bitFlag{0x1000, flagForwarded})
	if bits&0x0008 != 0 && !s.traced {
		s.expunged = true
	}
}

// mozilla2 reads X-Mozilla-Status2, eight hexadecimal digits. Three bits are
// the number of a label, which Thunderbird has as a keyword by now.
func (s *statusFields) mozilla2(value string) {
	bits := s.bits(value, bitFlag{0x0020_0000, flagDeleted}, bitFlag{0x0080_0000, "$MDNSent"})
	if label := bits >> 25 & 7; 1 <= label && label <= 5 {
		s.found = addFlag(s.found, "$label"+strconv.FormatUint(label, 10))
	}
}

// bits reads a hexadecimal number and adds the flags whose bits it has.
func (s *statusFields) bits(value string, flags ...bitFlag) uint64 {
	bits, err := strconv.ParseUint(value, 16, 32)
	if err != nil {
		return 0
	}
	for _, f := range flags {
		if bits&f.bit != 0 {
			s.found = addFlag(s.found, f.flag)
		}
	}
	return bits
}

// internal reports whether the fields are those of c-client's pseudo message,
// which is the first of a file and comes from no address.
func (s *statusFields) internal(m *MboxMessage) bool {
	return s.pseudo == 2 && m.Index == 0 && strings.HasPrefix(m.From.Sender, "MAILER-DAEMON")
}

// HeaderFlags returns the flags that the fields in a message's header tell, as
// [MboxMessage] has them. Thunderbird keeps them there in its Maildirs, too.
func HeaderFlags(header []byte) (flags []string, expunged bool) {
	h := mboxHeader{length: -1}
	for line := range bytes.Lines(header) {
		if isEmpty(line) {
			break
		}
		h.line(line)
	}
	h.endField()
	return h.status.found, h.status.expunged
}
