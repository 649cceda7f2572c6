package mailfiles

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Layout is how the folders of a Maildir tree lie in its directory.
type Layout int

const (
	// MaildirPlusPlus puts every folder next to the others, directly below
	// the root, which is the INBOX: ".Lists.go" for Lists/go.
	MaildirPlusPlus Layout = iota + 1
	// MaildirNested gives every level a directory: "Lists/go". Dovecot calls
	// it LAYOUT=fs. The root is the INBOX.
	MaildirNested
	// thunderbird is the layout of mbox trees: files "Lists" and
	// "Lists.sbd/go".
	thunderbird
)

// A level of a folder name becomes a file name in modified UTF-7 (RFC 3501
// section 5.1.3), as Dovecot and Courier have it. What must not stand in a
// file name is a backslash and two hexadecimal digits before that, as Dovecot's
// listescape plugin writes it; Dovecot without it shows the folder as it is
// written and can open it, which it cannot where base64 stands needlessly, as
// Courier has it ("&AC8-" for '/'). Both are read. So are escaped:
//
//	both layouts   '/'; a '~' at the beginning; a backslash that would be
//	               taken for one of these
//	Maildir++      '.', because it stands between levels
//	nested         a '.' at the beginning, because Maildir++ folders and
//	               hidden files begin so; the first letter of a name that
//	               means something in a Maildir ("cur", "dovecot-uidlist");
//	               the '.' of ".sbd" at the end, Thunderbird's subfolders
//	mbox           as nested, and the '.' of endings that other files have;
//	               a name with characters beyond ASCII that is safe in every
//	               other way stands as it is, as Thunderbird writes it
//
// An empty level is "\00". Windows has no backslash in names: there it is
// Courier's way, for all that its file systems refuse besides, and "&3AA-",
// half of a surrogate pair, for an empty level.
const (
	emptyLevel        = `\00`
	emptyLevelWindows = "&3AA-"
)

// maxName is how many octets file systems take in one name.
const maxName = 255

// reservedNames are file names that have a meaning of their own in a Maildir.
var reservedNames = []string{"cur", "new", "tmp", "subscriptions", "maildirfolder", "maildirsize"}

func isReserved(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(reservedNames, name) ||
		strings.HasPrefix(name, "dovecot") || strings.HasPrefix(name, "courier")
}

// encodeLevel writes one level of a folder name for a layout.
func encodeLevel(level string, layout Layout) (string, error) {
	windows := runtime.GOOS == "windows"
	switch {
	case !utf8.ValidString(level):
		return "", fmt.Errorf("encoding the level %q: %w: it is not UTF-8", level, ErrName)
	case level == "" && windows:
		return emptyLevelWindows, nil
	case level == "":
		return emptyLevel, nil
	case layout == thunderbird && isPlain(level):
		return level, nil
	case windows:
		return encodeUTF7(level, func(offset int, c rune) bool {
			return isSpecial(level, offset, layout) || windowsRefuses(c, offset == len(level)-1)
		}), nil
	}
	var escaped strings.Builder
	for offset := range len(level) {
		if c := level[offset]; isSpecial(level, offset, layout) || c == '\\' && isEscape(level[offset:]) {
			fmt.Fprintf(&escaped, `\%02x`, c)
		} else {
			escaped.WriteByte(c)
		}
	}
	return encodeUTF7(escaped.String(), func(int, rune) bool { return false }), nil
}

// isSpecial reports whether the octet at offset must not stand in a file name
// as it is.
func isSpecial(level string, offset int, layout Layout) bool {
	c := level[offset]
	switch {
	case c == '/', c == '~' && offset == 0:
		return true
	case layout == MaildirPlusPlus:
		return c == '.'
	case offset == 0:
		return c == '.' || isReserved(level)
	case c != '.':
		return false
	}
	ending := level[offset:]
	return strings.EqualFold(ending, ".sbd") ||
		layout == thunderbird && (isIndexFile(ending) || strings.EqualFold(ending, ".mbox"))
}

// isEscape reports whether name begins with a backslash and two digits that
// stand for an octet: one that isSpecial knows, or a letter. Others are names
// that have a backslash in them.
func isEscape(name string) bool {
	if name == emptyLevel {
		return true
	}
	if len(name) < 3 || name[0] != '\\' || strings.ToLower(name[1:3]) != name[1:3] {
		return false
	}
	c, err := strconv.ParseUint(name[1:3], 16, 8)
	return err == nil && (strings.IndexByte(`./~\`, byte(c)) >= 0 || 'a' <= c|0x20 && c|0x20 <= 'z')
}

// unescape undoes escapes.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for text != "" {
		if isEscape(text) {
			c, _ := strconv.ParseUint(text[1:3], 16, 8)
			b.WriteByte(byte(c))
			text = text[3:]
			continue
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}

// isPlain reports whether a level has characters beyond ASCII and none that
// needs to be encoded. Then decodeLevel reads it as it stands.
func isPlain(level string) bool {
	ascii := true
	for _, c := range level {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune(" -_,+()'", c) || isInvisible(c) {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return !ascii && level == strings.TrimSpace(level)
}

func windowsRefuses(c rune, last bool) bool {
	return strings.ContainsRune(`\:*?"<>|`, c) || last && (c == '.' || c == ' ')
}

// folderPath returns the path below the root for a folder name.
func folderPath(levels []string, layout Layout) (string, error) {
	if len(levels) == 0 {
		return "", fmt.Errorf("encoding a folder name: %w: it has no levels", ErrName)
	}
	if isInbox(levels) && layout != thunderbird {
		return ".", nil
	}
	if len(levels) > maxDepth {
		return "", fmt.Errorf("encoding a folder name: %w: it has %d levels, the limit is %d", ErrName, len(levels), maxDepth)
	}
	names := make([]string, len(levels))
	for i, level := range levels {
		name, err := encodeLevel(level, layout)
		if err != nil {
			return "", err
		}
		names[i] = name
		if layout == thunderbird && i < len(levels)-1 {
			names[i] += ".sbd"
		}
	}
	if layout == MaildirPlusPlus {
		names = []string{"." + strings.Join(names, ".")}
	}
	limit := maxName
	if layout == thunderbird {
		limit -= len("..restante-append.new") // the longest name of a file beside an mbox
	}
	for _, name := range names {
		if len(name) > limit {
			return "", fmt.Errorf("encoding the folder name %q: %w: it takes %d octets, file systems allow %d", levels, ErrName, len(name), limit)
		}
	}
	return strings.Join(names, "/"), nil
}

// decodeLevel reads a file name as one level. Names in UTF-8 and names that
// are no modified UTF-7 ("R&D") stand for themselves. raw says that the name
// is not even UTF-8.
func decodeLevel(name string) (level string, raw bool) {
	if name == emptyLevel || name == emptyLevelWindows {
		return "", false
	}
	if text, ok := decodeUTF7(name); ok {
		return unescape(text), false
	}
	if utf8.ValidString(name) {
		return name, false
	}
	var b strings.Builder
	for len(name) > 0 {
		c, n := utf8.DecodeRuneInString(name)
		if c == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, "%%%02X", name[0])
		} else {
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String(), true
}

// isInbox reports whether a name is the one that IMAP compares without regard
// to case (RFC 9051 section 5.1).
func isInbox(levels []string) bool { return len(levels) == 1 && strings.EqualFold(levels[0], "INBOX") }

// distinct sorts folders by path and gives each a name of its own. A folder
// keeps its name before others if its path is the one the name encodes to.
func distinct(folders []Folder, canonical func(Folder) bool) []Folder {
	slices.SortFunc(folders, func(a, b Folder) int { return strings.Compare(a.Path, b.Path) })
	taken := make(map[string]bool, len(folders))
	tried := make(map[string]int) // the last number given to a name, so that many alike stay cheap
	key := func(levels []string) string {
		if isInbox(levels) {
			return "INBOX"
		}
		var b strings.Builder
		for _, level := range levels {
			fmt.Fprintf(&b, "%d:%s", len(level), level)
		}
		return b.String()
	}
	own := make([]bool, len(folders))
	for i, f := range folders {
		if k := key(f.Levels); !taken[k] && canonical(f) {
			taken[k], own[i] = true, true
		}
	}
	for i := range folders {
		if own[i] {
			continue
		}
		levels, last := folders[i].Levels, len(folders[i].Levels)-1
		wanted := key(levels)
		for n := max(2, tried[wanted]+1); taken[key(levels)]; n++ {
			levels = slices.Clone(folders[i].Levels)
			levels[last] = fmt.Sprintf("%s (%d)", levels[last], n)
			tried[wanted] = n
		}
		folders[i].Levels = levels
		taken[key(levels)] = true
	}
	for i := range folders {
		folders[i].Inbox = isInbox(folders[i].Levels)
	}
	return folders
}

var errTooManyFolders = errors.New("more folders than the limit of 100,000")
