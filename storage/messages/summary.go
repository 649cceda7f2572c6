package messages

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Summary is what a list of messages shows of one. It is for people:
// nothing is decided by it. All text is valid UTF-8 without control
// characters, of at most 200 octets.
type Summary struct {
	From      string
	To        string
	Subject   string
	Date      time.Time // with the zone that the header gives; zero if none can be read
	MessageID string
}

const (
	maxSummary = 200
	// So much of a field is looked at: enough for maxSummary octets in the
	// most wasteful encoding.
	maxValue = 8 << 10
)

// Summarize reads a header block. Of fields that stand there more than once it
// takes the first with something in it. It knows encoded words (RFC 2047),
// 8-bit headers in UTF-8 (RFC 6532), and takes other 8-bit text for
// Windows-1252.
func Summarize(header []byte) Summary {
	var s Summary
	for line, field := range fields(header) {
		field = field[:min(len(field), maxValue)]
		line = field[:min(len(line), len(field))]
		value := func(name string) []byte {
			v, ok := fieldValue(line, name)
			if !ok {
				return nil
			}
			return field[len(line)-len(v):]
		}
		switch line[0] | 0x20 {
		case 'f':
			if v := value("from"); s.From == "" {
				s.From = display(decodeWords(v))
			}
		case 't':
			if v := value("to"); s.To == "" {
				s.To = display(decodeWords(v))
			}
		case 's':
			if v := value("subject"); s.Subject == "" {
				s.Subject = display(decodeWords(v))
			}
		case 'd':
			if v := value("date"); s.Date.IsZero() {
				s.Date = parseDate(v)
			}
		case 'm':
			if v := value("message-id"); s.MessageID == "" {
				s.MessageID = display(guess(v))
			}
		}
	}
	return s
}

// display makes a value fit to be shown in one line: white space becomes one
// space, what would act on a terminal or turn the direction of the text around
// becomes U+FFFD, and the whole is cut at a rune's boundary.
func display(value string) string {
	var b strings.Builder
	b.Grow(min(len(value), maxSummary))
	space := false
	for _, r := range value {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) && r > '\u200f' {
			r = utf8.RuneError
		}
		n := utf8.RuneLen(r)
		if space {
			n++
		}
		if b.Len()+n > maxSummary {
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
