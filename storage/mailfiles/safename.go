package mailfiles

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSafeName is the length in octets of what SafeName returns. It leaves
// room for a directory in the 260 characters that Windows allows for a path.
const maxSafeName = 80

// SafeName makes the file name of an exported message from its position and
// its subject: "0001-subject.eml". The subject may be anything that anybody
// sent. Letters, digits and the marks that go with letters are kept, in any
// script; everything else is a '-'. So no name has a separator, a control or
// direction character, a dot but the last one, or a device's name that
// Windows would open instead ("0001-CON.eml" is none). Names differ as long
// as positions do. Nothing is normalized: a letter with its mark stays one
// character or two, as it was sent.
func SafeName(index int, subject string) string {
	const ext = ".eml"
	name := fmt.Sprintf("%04d", max(index, 0))
	gap, marks := true, 0
	for _, c := range subject {
		isMark := unicode.IsMark(c)
		switch {
		case c == utf8.RuneError, isInvisible(c):
			continue
		case isMark && (gap || marks == 2):
			continue // marks need a letter, and no letter needs many
		case !isMark && !unicode.IsLetter(c) && !unicode.IsDigit(c):
			gap = true
			continue
		}
		text := string(c)
		if gap {
			text = "-" + text
		}
		if len(name)+len(text)+len(ext) > maxSafeName {
			break
		}
		name += text
		gap = false
		if marks++; !isMark {
			marks = 0
		}
	}
	return strings.TrimRight(name, "-") + ext
}

// isInvisible reports whether a letter or mark shows as nothing: fillers and
// selectors (Unicode's Default_Ignorable_Code_Point).
func isInvisible(c rune) bool {
	return unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Cf)
}
