package thunderbird

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxPrefs is the size in octets up to which a file of settings is read.
const maxPrefs = 64 << 20

// readPrefs reads the settings in a prefs.js; there are none if there is no
// such file. Mozilla writes one to a line:
//
//	user_pref("mail.server.server1.hostname", "pop.example.org");
func readPrefs(name string) (map[string]string, error) {
	text, err := readText(name)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of the Thunderbird profile: %w", err)
	}
	prefs := map[string]string{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "user_pref(")
		if !ok {
			continue
		}
		key, rest, ok := cutString(strings.TrimSpace(rest))
		if !ok {
			continue
		}
		rest, ok = strings.CutPrefix(strings.TrimSpace(rest), ",")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		value, _, ok := cutString(rest)
		if !ok {
			value, _, ok = strings.Cut(rest, ")") // a number, true or false
		}
		if ok {
			prefs[key] = value
		}
	}
	return prefs, nil
}

// readText reads a small file; it is empty if there is none.
func readText(name string) (string, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPrefs+1))
	if err == nil && len(text) > maxPrefs {
		err = fmt.Errorf("%s is larger than %d octets", name, maxPrefs)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), err
}

// cutString cuts a string literal off that s begins with.
func cutString(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return "", s, false
	}
	quote := s[0]
	var b strings.Builder
	var high rune // half of a character beyond 16 bits
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return b.String(), s[i+1:], true
		case s[i] != '\\':
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		digits := map[byte]int{'x': 2, 'u': 4}[s[i]]
		switch {
		case s[i] == 'n':
			b.WriteByte('\n')
		case s[i] == 'r':
			b.WriteByte('\r')
		case digits == 0:
			b.WriteByte(s[i])
		case i+digits >= len(s):
			return "", s, false
		default:
			n, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 16)
			if err != nil {
				return "", s, false
			}
			c := rune(n)
			i += digits
			switch {
			case utf16.IsSurrogate(c) && c < 0xdc00:
				high = c
				continue
			case high != 0:
				c, high = utf16.DecodeRune(high, c), 0
			}
			b.WriteRune(c)
		}
	}
	return "", s, false
}
