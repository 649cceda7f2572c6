package mailfiles

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mutf7 is the alphabet of modified UTF-7 (RFC 3501 section 5.1.3).
var mutf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// encodeUTF7 writes text, which must be UTF-8, in modified UTF-7. Characters
// for which special returns true are written in base64 although they need not
// be; that is Courier's way of getting a '.' or a '/' into a file name.
// special is told the octet offset of the character in text.
func encodeUTF7(text string, special func(offset int, c rune) bool) string {
	var b strings.Builder
	var run []rune // characters that wait to be written in base64
	flush := func() {
		if len(run) == 0 {
			return
		}
		units := utf16.Encode(run)
		octets := make([]byte, 0, 2*len(units))
		for _, u := range units {
			octets = append(octets, byte(u>>8), byte(u))
		}
		b.WriteByte('&')
		b.WriteString(mutf7.EncodeToString(octets))
		b.WriteByte('-')
		run = run[:0]
	}
	for offset, c := range text {
		if c < ' ' || c > '~' || special(offset, c) {
			run = append(run, c)
			continue
		}
		flush()
		b.WriteRune(c)
		if c == '&' {
			b.WriteByte('-')
		}
	}
	flush()
	return b.String()
}

// decodeUTF7 reads modified UTF-7. It reports false for anything malformed,
// but takes base64 for characters that could have stood for themselves.
func decodeUTF7(name string) (text string, ok bool) {
	var b strings.Builder
	for name != "" {
		if c := name[0]; c != '&' {
			if c < ' ' || c > '~' {
				return "", false
			}
			b.WriteByte(c)
			name = name[1:]
			continue
		}
		coded, rest, found := strings.Cut(name[1:], "-")
		switch {
		case !found:
			return "", false
		case coded == "":
			b.WriteByte('&')
		default:
			part, ok := decodeRun(coded)
			if !ok {
				return "", false
			}
			b.WriteString(part)
			// Two runs with nothing between them should have been one.
			if strings.HasPrefix(rest, "&") && !strings.HasPrefix(rest, "&-") {
				return "", false
			}
		}
		name = rest
	}
	return b.String(), true
}

// decodeRun decodes one run of base64 over UTF-16 to text.
func decodeRun(coded string) (text string, ok bool) {
	// encoding/base64 skips line ends, which have no place in a name.
	if strings.ContainsAny(coded, "\r\n") {
		return "", false
	}
	octets, err := mutf7.DecodeString(coded)
	if err != nil || len(octets)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(octets)/2)
	for i := range units {
		units[i] = uint16(octets[2*i])<<8 | uint16(octets[2*i+1])
	}
	var b strings.Builder
	for i := 0; i < len(units); i++ {
		c := rune(units[i])
		if utf16.IsSurrogate(c) {
			if i+1 == len(units) {
				return "", false
			}
			if c = utf16.DecodeRune(c, rune(units[i+1])); c == utf8.RuneError {
				return "", false
			}
			i++
		}
		b.WriteRune(c)
	}
	return b.String(), true
}
