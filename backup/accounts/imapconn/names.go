package imapconn

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Folder names. On the wire a name is octets, by the standard in modified
// UTF-7 (RFC 3501 section 5.1.3). go-imap closes the connection over names
// that are not, and would change others when it sends them back: "caf\xe9",
// raw UTF-8, "R&D". Such a name is shown to go-imap, and by go-imap to its
// user, under an alias in ASCII. Where the alias comes back in a command, the
// server gets the octets that it listed.

// aliasPrefix begins every alias. A folder that is really called that is
// given an alias as well, so an alias never stands for anything else.
const aliasPrefix = "=raw="

// maxAliased is the longest name with an alias: go-imap quotes strings of up
// to 4,096 octets, and an alias has to fit into one.
const maxAliased = 2000

// RawName takes a folder name from go-imap. Where it is an alias, the octets
// that the server uses are returned, and true.
func RawName(name string) (octets []byte, isRaw bool) {
	h, ok := strings.CutPrefix(name, aliasPrefix)
	if !ok || strings.ToLower(h) != h {
		return nil, false
	}
	octets, err := hex.DecodeString(h)
	if err != nil || len(octets) > maxAliased {
		return nil, false
	}
	return octets, true
}

// AliasName returns the name to give to go-imap for a folder whose name on
// the wire is to be exactly these octets. It is longer than the octets; of
// more than 2,000 octets there is no alias that can be sent.
func AliasName(octets []byte) string { return aliasPrefix + hex.EncodeToString(octets) }

// DecodeName is the reverse of EncodeName: it takes what a name is on the wire,
// and returns it as LIST gives it.
func DecodeName(octets []byte) string {
	switch {
	case bytes.EqualFold(octets, []byte("INBOX")):
		return "INBOX" // the one name whose case means nothing (RFC 9051 section 5.1)
	case isName(octets):
		return fromModifiedUTF7(octets)
	}
	return AliasName(octets)
}

// isName reports whether go-imap can be shown a name as it stands.
func isName(octets []byte) bool {
	return isModifiedUTF7(octets) && !bytes.HasPrefix(octets, []byte(aliasPrefix))
}

// showName appends a folder's name to dst as a quoted string for go-imap.
func showName(dst, octets []byte) ([]byte, error) {
	if isName(octets) {
		return quote(dst, octets), nil
	}
	if len(octets) > maxAliased {
		return dst, broken("a folder name of %d octets that is not in modified UTF-7", len(octets))
	}
	return quote(dst, []byte(AliasName(octets))), nil
}

var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// isModifiedUTF7 reports whether a name is written the one way in which
// go-imap would write what it stands for. It is strict on purpose: a name that
// is decoded and encoded again must come out with the same octets.
func isModifiedUTF7(name []byte) bool {
	for _, c := range name {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	afterBase64 := false
	for i := 0; i < len(name); i++ {
		if name[i] != '&' {
			afterBase64 = false
			continue
		}
		n := bytes.IndexByte(name[i+1:], '-')
		if n < 0 {
			return false
		}
		coded := name[i+1 : i+1+n]
		i += 1 + n
		if n == 0 { // "&-" is an ampersand
			afterBase64 = false
			continue
		}
		if afterBase64 || !isUTF16Base64(coded) {
			return false // two runs in a row would be written as one
		}
		afterBase64 = true
	}
	return true
}

// isUTF16Base64 reports whether b is UTF-16 without anything that has to be
// written as itself.
func isUTF16Base64(b []byte) bool {
	raw := make([]byte, utf7.DecodedLen(len(b)))
	n, err := utf7.Decode(raw, b)
	if err != nil || n == 0 || n%2 != 0 {
		return false
	}
	for i := 0; i < n; i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i == n || utf16.DecodeRune(r, rune(raw[i])<<8|rune(raw[i+1])) == utf8.RuneError {
				return false
			}
		} else if r >= 0x20 && r <= 0x7e {
			return false
		}
	}
	return true
}

// fromModifiedUTF7 decodes a name that isModifiedUTF7 has accepted.
func fromModifiedUTF7(name []byte) string {
	var out strings.Builder
	for len(name) > 0 {
		before, rest, found := bytes.Cut(name, []byte("&"))
		out.Write(before)
		if !found {
			break
		}
		coded, rest, _ := bytes.Cut(rest, []byte("-"))
		name = rest
		if len(coded) == 0 {
			out.WriteByte('&')
			continue
		}
		raw := make([]byte, utf7.DecodedLen(len(coded)))
		n, _ := utf7.Decode(raw, coded)
		var units []uint16
		for i := 0; i+1 < n; i += 2 {
			units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
		}
		out.WriteString(string(utf16.Decode(units)))
	}
	return out.String()
}

// wantsLiteral reports whether octets cannot stand in a quoted string.
func wantsLiteral(octets []byte) bool {
	for _, c := range octets {
		if c == 0 || c == '\r' || c == '\n' || c >= 0x80 {
			return true
		}
	}
	return false
}

// takesFolder tells which commands have folder names among their arguments.
// In the others a quoted string that looks like an alias is left alone.
var takesFolder = map[string]bool{
	"SELECT": true, "EXAMINE": true, "CREATE": true, "DELETE": true, "RENAME": true,
	"SUBSCRIBE": true, "UNSUBSCRIBE": true, "LIST": true, "LSUB": true, "STATUS": true, "APPEND": true,
	"COPY": true, "MOVE": true, "GETQUOTAROOT": true, "MYRIGHTS": true, "GETACL": true,
	"SETACL": true, "GETMETADATA": true, "SETMETADATA": true,
}

// NameOf returns what LIST calls a folder whose name on the wire stands for
// text, even where text looks like an alias: the name to give to go-imap. What
// is no UTF-8 in it becomes U+FFFD.
func NameOf(text string) string {
	const letter = "x" // no alias begins with it, and it is encoded as itself
	return DecodeName(EncodeName(letter + text)[len(letter):])
}

// EncodeName returns the octets that stand for a name on the wire: modified
// UTF-7, or, of an alias, what it stands for. What is no UTF-8 in the name is
// encoded as U+FFFD.
func EncodeName(name string) []byte {
	if octets, ok := RawName(name); ok {
		return octets
	}
	var out []byte
	var other []byte // UTF-16
	flush := func() {
		if len(other) > 0 {
			out = append(out, '&')
			out = utf7.AppendEncode(out, other)
			out = append(out, '-')
			other = other[:0]
		}
	}
	for _, r := range name {
		if r < 0x20 || r > 0x7e {
			for _, unit := range utf16.Encode([]rune{r}) {
				other = append(other, byte(unit>>8), byte(unit))
			}
			continue
		}
		flush()
		if out = append(out, byte(r)); r == '&' {
			out = append(out, '-')
		}
	}
	flush()
	return out
}
