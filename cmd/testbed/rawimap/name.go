package rawimap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// base64Name is the base64 of folder names (RFC 3501 section 5.1.3).
var base64Name = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// EncodeName writes a folder's name in modified UTF-7, as servers do
// (RFC 3501 section 5.1.3).
func EncodeName(name string) string {
	var out strings.Builder
	var pending []byte // UTF-16 of the characters not yet written
	flush := func() {
		if len(pending) > 0 {
			out.WriteString("&" + base64Name.EncodeToString(pending) + "-")
			pending = nil
		}
	}
	for _, r := range name {
		if r < 0x20 || r > 0x7e {
			for _, u := range utf16.AppendRune(nil, r) {
				pending = append(pending, byte(u>>8), byte(u))
			}
			continue
		}
		flush()
		out.WriteRune(r)
		if r == '&' {
			out.WriteByte('-')
		}
	}
	flush()
	return out.String()
}
