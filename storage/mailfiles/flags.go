package mailfiles

import (
	"slices"
	"strings"
)

// The flags that have a letter or a bit in local mail, as IMAP writes them
// (RFC 9051 section 2.3.2).
const (
	flagSeen      = `\Seen`
	flagAnswered  = `\Answered`
	flagFlagged   = `\Flagged`
	flagDeleted   = `\Deleted`
	flagDraft     = `\Draft`
	flagForwarded = `$Forwarded`
)

// infoLetters are the letters of a Maildir name's info part, in the ASCII
// order in which the convention wants them written. "Passed" covers resent,
// forwarded and bounced; $Forwarded is what IMAP has for it.
var infoLetters = []struct {
	letter byte
	flag   string
}{
	{'D', flagDraft},
	{'F', flagFlagged},
	{'P', flagForwarded},
	{'R', flagAnswered},
	{'S', flagSeen},
	{'T', flagDeleted},
}

// flagOfLetter returns the flag that an info letter stands for, or "".
func flagOfLetter(letter byte) string {
	for _, l := range infoLetters {
		if l.letter == letter {
			return l.flag
		}
	}
	return ""
}

// sortFlags sorts flags into those that have letters, in the letters' order,
// and keywords, in the order given. What no local format can hold (unknown
// system flags, names that are no atoms) is returned as lost, except \Recent,
// which belongs to an IMAP session and not to a message. Names are compared
// without regard to case (RFC 9051 section 2.3.2).
func sortFlags(flags []string) (letters string, keywords, lost []string) {
	var set [256]bool
	for _, flag := range flags {
		if i := slices.IndexFunc(infoLetters, func(l struct {
			letter byte
			flag   string
		}) bool {
			return strings.EqualFold(l.flag, flag)
		}); i >= 0 {
			set[infoLetters[i].letter] = true
			continue
		}
		switch {
		case strings.EqualFold(flag, `\Recent`):
		case !isKeyword(flag):
			lost = append(lost, flag)
		case !slices.ContainsFunc(keywords, func(k string) bool { return strings.EqualFold(k, flag) }):
			keywords = append(keywords, flag)
		}
	}
	var b strings.Builder
	for _, l := range infoLetters {
		if set[l.letter] {
			b.WriteByte(l.letter)
		}
	}
	return b.String(), keywords, lost
}

// addFlag adds flag unless it is there already.
func addFlag(flags []string, flag string) []string {
	for _, have := range flags {
		if strings.EqualFold(have, flag) {
			return flags
		}
	}
	return append(flags, flag)
}

// isKeyword reports whether name is a flag-keyword, that is an atom (RFC 9051
// section 9). Anything else would break the files it is written to: a keyword
// with a line feed in it could name a second one.
func isKeyword(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}
