package mailfiles

import (
	"bytes"
	"strings"
)

var (
	fromPrefix    = []byte("From ")
	byteOrderMark = []byte("\xef\xbb\xbf")
)

// separator reports whether the line at hand begins the next message, with
// the line's length.
//
// A line is a separator when it begins with "From ", ends in a date, and has
// an empty line or nothing before it. That is what every writer produces that
// follows mbox(5), and what no text has that one of them has quoted.
//
// Some programs left out the empty line (old list archivers) or the date
// (Netscape, Thunderbird, Gmail). One of the two may be missing if what
// follows begins with header fields, of which two are well known: text that
// begins with "From " goes on as text. With neither, only Netscape's "From -"
// is a separator. Any other line is content, and counted in the report.
func (s *mboxScan) separator() (from FromLine, length int, weak bool) {
	if s.limit >= 0 || s.buf[s.pos] != 'F' {
		return from, 0, false
	}
	rest := s.buf[s.pos:s.end]
	line, _ := cutLine(rest)
	if len(line) > maxFromLine || !bytes.HasPrefix(line, fromPrefix) {
		return from, 0, false
	}
	from, shape := parseFromLine(bytes.TrimRight(line, "\r\n"), s.b.options.Zone)
	switch {
	case shape == fromDated && s.blank:
		return from, len(line), false
	case shape == fromDated, shape == fromUndated && (s.blank || from.Sender == "-"):
		if knownFields(rest[len(line):min(len(rest), len(line)+8<<10)]) >= 2 {
			return from, len(line), true
		}
	}
	return from, 0, false
}

// knownFields counts the well-known fields at the beginning of p, up to the
// first line that is no header field.
func knownFields(p []byte) (n int) {
	for len(p) > 0 {
		line, whole := cutLine(p)
		p = p[len(line):]
		name, _, ok := bytes.Cut(line, []byte(":"))
		switch {
		case isEmpty(line):
			return n
		case line[0] == ' ' || line[0] == '\t':
			// goes on with the field before
		case !ok || !isFieldName(name):
			return n
		case whole && wellKnown[strings.ToLower(string(bytes.TrimRight(name, " \t")))]:
			n++
		}
	}
	return n
}

// isFieldName reports whether name can be the name of a header field (RFC
// 5322 section 2.2), with white space behind it as old programs wrote
// (section 4.5).
func isFieldName(name []byte) bool {
	name = bytes.TrimRight(name, " \t")
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(name) > 0
}

// wellKnown are fields of which a message has some.
var wellKnown = func() map[string]bool {
	known := make(map[string]bool)
	for name := range strings.FieldsSeq(`
		bcc cc content-length content-transfer-encoding content-type date delivered-to dkim-signature
		envelope-to errors-to from in-reply-to lines list-id message-id mime-version newsgroups
		organization path precedence received received-spf references reply-to resent-from return-path
		sender status subject to user-agent x-account-key x-envelope-from x-gm-thrid x-gmail-labels
		x-keywords x-mailer x-mozilla-keys x-mozilla-status x-mozilla-status2 x-original-to x-priority
		x-status x-uid x-uidl x-vm-v5-data xref`) {
		known[name] = true
	}
	return known
}()
