package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A visibleWriter shows text on a terminal: what the terminal would do
// something about becomes something to see. Lines may end with CRLF.
type visibleWriter struct {
	w    io.Writer
	rest []byte // the beginning of a character, or a CR, that was written last
}

func (v *visibleWriter) Write(p []byte) (int, error) {
	text := append(v.rest, p...)
	end := len(text)
	for i := max(0, end-utf8.UTFMax+1); i < end; i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) || i == end-1 && text[i] == '\r' {
			end = i
		}
	}
	_, err := io.WriteString(v.w, visible(string(text[:end])))
	v.rest = append([]byte(nil), text[end:]...)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes what Write kept back.
func (v *visibleWriter) flush() error {
	_, err := io.WriteString(v.w, visible(string(v.rest)))
	v.rest = nil
	return err
}

func visible(text string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		switch {
		case r == '\n' || r == '\t' || !steers(r) && !turns(r):
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			b.WriteByte('^')
			b.WriteRune(r ^ 0x40)
		default:
			fmt.Fprintf(&b, "<%04X>", r)
		}
	}
	return b.String()
}

// shellWord writes a word so that a shell takes it as it is.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
