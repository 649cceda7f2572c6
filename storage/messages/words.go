package messages

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"
)

// decodeWords returns the text of a field in which encoded words may stand
// (RFC 2047). It is more lenient than mime.WordDecoder, which gives up on a
// whole field for one word it cannot read, and decodes every word alone
// although many senders cut words in the middle of a character.
func decodeWords(value []byte) string {
	if !bytes.Contains(value, []byte("=?")) {
		return guess(value)
	}
	var (
		out       strings.Builder
		words     []byte // of neighbouring encoded words in one charset
		name      string // of that charset
		afterWord bool
	)
	flush := func() {
		out.WriteString(convert(name, words))
		words = words[:0]
	}
	for {
		i := bytes.Index(value, []byte("=?"))
		if i < 0 {
			break
		}
		word, ok := parseWord(value[i:])
		if !ok {
			i += len("=?")
		}
		// White space between encoded words is not shown (section 6.2).
		if !ok || !afterWord || len(bytes.TrimSpace(value[:i])) > 0 {
			flush()
			out.WriteString(guess(value[:i]))
		} else if !strings.EqualFold(name, word.charset) {
			flush()
		}
		if ok {
			name = word.charset
			words = word.append(words)
		}
		value = value[i+word.size:]
		afterWord = ok
	}
	flush()
	out.WriteString(guess(value))
	return out.String()
}

// An encodedWord is =?charset?encoding?text?=.
type encodedWord struct {
	charset string
	base64  bool
	text    []byte
	size    int // octets of all of it
}

// parseWord reads the encoded word that p begins with.
func parseWord(p []byte) (w encodedWord, ok bool) {
	rest := p[len("=?"):]
	i := bytes.IndexByte(rest, '?')
	if i <= 0 || i > 64 || len(rest) < i+3 || rest[i+2] != '?' {
		return w, false
	}
	name, _, _ := bytes.Cut(rest[:i], []byte("*")) // language, RFC 2231 section 5
	w.charset = string(name)
	switch rest[i+1] {
	case 'B', 'b':
		w.base64 = true
	case 'Q', 'q':
	default:
		return w, false
	}
	rest = rest[i+3:]
	end := bytes.Index(rest, []byte("?="))
	if end < 0 {
		return w, false
	}
	w.text = rest[:end]
	w.size = len(p) - len(rest) + end + len("?=")
	return w, true
}

// append appends the octets that the word stands for, in its charset.
func (w *encodedWord) append(out []byte) []byte {
	if w.base64 {
		text := bytes.TrimRight(w.text, "= \t\r\n")
		out, _ = base64.RawStdEncoding.AppendDecode(out, text) // as far as it goes
		return out
	}
	for i := 0; i < len(w.text); i++ {
		c := w.text[i]
		if c == '_' {
			c = ' '
		} else if c == '=' && i+2 < len(w.text) {
			if high, low := unhex(w.text[i+1]), unhex(w.text[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		out = append(out, c)
	}
	return out
}

// convert returns p, which is in the charset of that name, as UTF-8. A charset
// that nobody knows is guessed.
func convert(name string, p []byte) string {
	switch {
	case len(p) == 0:
		return ""
	case strings.EqualFold(name, "utf-8"), strings.EqualFold(name, "utf8"):
		return strings.ToValidUTF8(string(p), "\ufffd")
	case strings.EqualFold(name, "us-ascii"):
		return guess(p)
	}
	r, err := charset.Reader(name, bytes.NewReader(p))
	if err != nil {
		return guess(p)
	}
	text, _ := io.ReadAll(r) // what can be converted
	return strings.ToValidUTF8(string(text), "\ufffd")
}

// guess returns text of which nobody says what it is in.
func guess(p []byte) string {
	if utf8.Valid(p) {
		return string(p)
	}
	text, _ := charmap.Windows1252.NewDecoder().Bytes(p) // knows no errors
	return string(text)
}
