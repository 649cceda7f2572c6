package mailfiles

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// infoSeparator stands between the unique name and the info part in names
// that we write. Windows has no ':' in file names.
var infoSeparator = func() string {
	if runtime.GOOS == "windows" {
		return ";"
	}
	return ":"
}()

// splitName cuts the name of a file in cur or new into the unique name, which
// stays the same as long as the message is in the folder, and its info
// letters. The info part begins with ":2,", or with ";2," or "!2," where
// files have been on a system without ':' in names. A name with a ':' and no
// "2," behind it has an info part that means nothing to us.
//
// The letters end at a comma, as with Dovecot: other programs' fields follow.
func splitName(name string) (unique, letters string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		unique = name[:i]
		letters, _ = strings.CutPrefix(name[i+1:], "2,")
		if len(letters) == len(name[i+1:]) {
			letters = ""
		}
	} else if i := max(strings.LastIndex(name, ";2,"), strings.LastIndex(name, "!2,")); i >= 0 {
		unique, letters = name[:i], name[i+3:]
	} else {
		unique = name
	}
	letters, _, _ = strings.Cut(letters, ",")
	return unique, letters
}

// flagsOf reads info letters. Small letters stand for the folder's keywords;
// letters that mean nothing are returned in lost.
func flagsOf(letters string, keywords keywordTable) (flags []string, lost string) {
	for i := 0; i < len(letters); i++ {
		letter := letters[i]
		flag := flagOfLetter(letter)
		if 'a' <= letter && letter <= 'z' && isKeyword(keywords[letter-'a']) {
			flag = keywords[letter-'a']
		}
		if flag == "" {
			lost += string(rune(letter))
			continue
		}
		flags = addFlag(flags, flag)
	}
	return flags, lost
}

// deliveries counts the unique names this process has made.
var deliveries atomic.Uint64

// hostPart is the host's name as it may stand in a unique name: what could
// end the name or leave the directory is written as a backslash and three
// octal digits, as the Maildir convention has it for '/' and ':'.
func hostPart(host string) string {
	var b strings.Builder
	for i := 0; i < len(host) && b.Len() < 64; i++ {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		case runtime.GOOS == "windows":
			b.WriteByte('_')
		default:
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	if b.Len() == 0 {
		return "localhost"
	}
	return b.String()
}

// newUnique makes a unique name: seconds, then microseconds, process and a
// counter within the process, then the host.
func newUnique(now time.Time) string {
	host, _ := os.Hostname() // without a name, "localhost" does
	return fmt.Sprintf("%d.M%dP%dQ%d.%s", now.Unix(), now.Nanosecond()/1000, os.Getpid(), deliveries.Add(1), hostPart(host))
}
