package mailfiles

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mboxrd cannot say two things: whether the last line feed belongs to the
// message, since every message in an mbox must end with one, and whether its
// lines ended with CRLF, since mail programs expect LF in an mbox. What a
// message's octets do not say must stand outside of them, and the From_ line
// is all that is there. Its sender is a word that no mail program cares about
// and none would change, so MboxWriter writes all it has to say there:
//
//	From mboxrd.crlf.open.e0100.FS.0123456789abcdef@restante.invalid Mon Jan  5 07:50:15 2004
//
//	lf, crlf      each LF of the message stands for itself, or for CRLF
//	whole, open   the LF at the end is the message's, or was added
//	e0100, w0500  the zone of the internal date, in hours and minutes east or
//	              west; the date itself is in UTC, as mbox(5) has it
//	nodate        there is none
//	FS            the flags as letters of Maildir, "-" if there are none
//	0123…         the first 8 octets of the SHA-256 of all that stands before it
//	              in the mark, and of the SHA-256 of the message in the file
//
// To other programs it is an mboxrd file with LF line ends and odd senders.
// The hash is there because this must be certain: a From_ line may come from
// a sender who wrote such an address, and a mail program may have changed the
// message or its quoting since. Only when it is right the rest is believed.
type mark struct {
	crlf, open bool
	zone       *time.Location // nil: no date
	letters    string
	hash       string
}

const markDomain = "@restante.invalid"

func (m mark) String() string {
	ends, end, zone, letters := "lf", "whole", "nodate", "-"
	if m.crlf {
		ends = "crlf"
	}
	if m.open {
		end = "open"
	}
	if m.zone != nil {
		_, seconds := time.Time{}.In(m.zone).Zone()
		direction, minutes := "e", seconds/60
		if minutes < 0 {
			direction, minutes = "w", -minutes
		}
		zone = fmt.Sprintf("%s%02d%02d", direction, minutes/60, minutes%60)
	}
	if m.letters != "" {
		letters = m.letters
	}
	return fmt.Sprintf("mboxrd.%s.%s.%s.%s.%s%s", ends, end, zone, letters, m.hash, markDomain)
}

// parseMark reads the sender of a From_ line as a mark.
func parseMark(sender string) (m mark, ok bool) {
	text, ok := strings.CutSuffix(sender, markDomain)
	parts := strings.Split(text, ".")
	if !ok || len(parts) != 6 || parts[0] != "mboxrd" {
		return mark{}, false
	}
	m = mark{crlf: parts[1] == "crlf", open: parts[2] == "open", hash: parts[5]}
	if parts[4] != "-" {
		m.letters = parts[4]
	}
	if zone := parts[3]; len(zone) == 5 {
		n, err := strconv.ParseUint(zone[1:], 10, 16)
		seconds := int(n/100*60+n%100) * 60
		if zone[0] == 'w' {
			seconds = -seconds
		}
		if err != nil {
			return mark{}, false
		}
		m.zone = time.FixedZone("", seconds)
	}
	// What is not written exactly as we write it is somebody else's.
	return m, m.String() == sender
}

// sign returns the mark for a message whose octets in the file have this sum.
func (m mark) sign(sum [32]byte) mark {
	m.hash = ""
	whole := sha256.Sum256(append([]byte(strings.TrimSuffix(m.String(), markDomain)), sum[:]...))
	m.hash = hex.EncodeToString(whole[:8])
	return m
}

// setDate puts right what was read as the date of the mark's From_ line, which
// is in UTC whatever the zone of the others is. Not much can be wrong with
// that even if the message was changed.
func (m mark) setDate(from *FromLine) {
	from.Zoned = m.zone != nil && !from.Date.IsZero()
	if !from.Zoned {
		from.Date = time.Time{}
		return
	}
	d := from.Date
	from.Date = time.Date(d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), 0, time.UTC).In(m.zone)
}
