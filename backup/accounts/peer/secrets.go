package peer

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Secrets are what a server was told in confidence. It may repeat that, at once
// or much later, in a text, a code, or something that makes no sense and is
// quoted in an error; none of it is to get into an error or a log. The zero
// value has none.
type Secrets struct {
	forms []string // in lower case
}

// leastSecret is how long a secret has to be to be hidden: without a shorter one
// nothing would be left of a text.
const leastSecret = 3

// Keep adds a secret, with what it looks like in base64 and where Go quotes it.
func (s *Secrets) Keep(secret string) {
	if len(secret) < leastSecret {
		return
	}
	s.forms = append(s.forms, lower(secret), lower(base64.StdEncoding.EncodeToString([]byte(secret))))
	if q := strconv.Quote(secret); q[1:len(q)-1] != secret {
		s.forms = append(s.forms, lower(q[1:len(q)-1]))
	}
}

const (
	// leastPart and mostPart are how many octets of a secret are taken for a part
	// of it.
	leastPart, mostPart = 4, 100
	// mostQuotes is how many quotation marks of a text are looked at: those of an
	// error, not those that a server makes it of.
	mostQuotes = 100
)

// Hide takes the secrets out of a text, in whatever case.
func (s *Secrets) Hide(text string) string { return s.hide(text, 0) }

// hide is Hide. With quotes it also takes out the beginning of a secret in front
// of one of so many quotation marks, and the end of one behind it, since what an
// error quotes is cut somewhere.
func (s *Secrets) hide(text string, quotes int) string {
	low := lower(text)
	hide := make([]bool, len(text))
	hidden := false
	mark := func(from, to int) {
		for i := from; i < to; i++ {
			hide[i], hidden = true, true
		}
	}
	for _, secret := range s.forms {
		for from := 0; ; {
			i := strings.Index(low[from:], secret)
			if i < 0 {
				break
			}
			mark(from+i, from+i+len(secret))
			from += i + len(secret)
		}
		for i, left := 0, quotes; i <= len(low) && left > 0; i++ {
			if i < len(low) && low[i] != '"' {
				continue
			}
			left--
			for n := min(len(secret)-1, i, mostPart); n >= leastPart; n-- {
				if strings.HasSuffix(low[:i], secret[:n]) {
					mark(i-n, i)
					break
				}
			}
			rest := low[min(i+1, len(low)):]
			for n := min(len(secret)-1, len(rest), mostPart); n >= leastPart; n-- {
				if strings.HasPrefix(rest, secret[len(secret)-n:]) {
					mark(i+1, i+1+n)
					break
				}
			}
		}
	}
	if !hidden {
		return text
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hide[i]:
			out.WriteByte(text[i])
		case i == 0 || !hide[i-1]:
			out.WriteString("•••")
		}
	}
	return out.String()
}

// Veil returns an error that shows nothing secret, and is what err is.
func (s *Secrets) Veil(err error) error {
	if err == nil {
		return nil
	}
	if text := s.hide(err.Error(), mostQuotes); text != err.Error() {
		return &veiled{error: err, text: text}
	}
	return err
}

type veiled struct {
	error
	text string
}

func (v *veiled) Error() string { return v.text }
func (v *veiled) Unwrap() error { return v.error }
