package mailfiles

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// A FromLine is the line that begins a message in an mbox file.
type FromLine struct {
	// Sender is what stands before the date: mostly the envelope sender, "-"
	// from Netscape and Thunderbird, "MAILER-DAEMON" or worse.
	Sender string
	// Date is when the message was delivered; zero if the line does not say.
	Date time.Time
	// Zoned says that the line names the date's zone. Most lines do not; then
	// the zone is a guess.
	Zoned bool
}

// fromShape is what a line that begins with "From " looks like.
type fromShape int

const (
	fromText    fromShape = iota // not like a separator
	fromDated                    // ends in a date
	fromUndated                  // one of the few that programs write without one
)

// maxFromLine is the length in octets up to which a line may be a separator.
// The longest mail address has 254.
const maxFromLine = 1024

// parseFromLine reads a line, without its end, that begins with "From ". The
// forms that are known as separators:
//
//	From joe@example.org Mon Jan  5 08:50:15 2004        asctime; qmail's mbox(5): in UTC
//	From joe@example.org Mon Jan  5 08:50 MET DST 2004   a zone before the year, no seconds
//	From joe@example.org Mon Jan  5 08:50:15 2004 +0100  a zone behind it
//	From joe Mon Jan  5 08:50:15 2004 remote from uucp
//	From joe@example.org Mon, 5 Jan 2004 08:50:15 +0100  as in a Date field
//	From - …, From -, From                               Netscape, Thunderbird
//	From 1844347792267117879@xxx …                       Gmail, with and without a date
//
// The sender may hold spaces, so the date is looked for from the right.
func parseFromLine(line []byte, zone *time.Location) (FromLine, fromShape) {
	text := string(bytes.TrimRight(line[len("From "):], " \t\r"))
	fields := strings.Fields(text)
	for i := len(fields) - 1; i >= 0; i-- {
		if !isOneOf(strings.TrimSuffix(fields[i], ","), "Sun Mon Tue Wed Thu Fri Sat") {
			continue
		}
		if date, zoned, ok := parseFromDate(fields[i+1:], zone); ok {
			sender := strings.TrimSpace(text[:begin(text, fields, i)])
			return FromLine{Sender: sender, Date: date, Zoned: zoned}, fromDated
		}
	}
	text = strings.TrimSpace(text)
	if text == "" || text == "-" || len(fields) == 1 && strings.Contains(text, "@") {
		return FromLine{Sender: text}, fromUndated
	}
	return FromLine{}, fromText
}

// begin returns where in text the field with that number begins. The same word
// may stand there more than once, and as a part of others.
func begin(text string, fields []string, number int) (at int) {
	for i := range number {
		at += strings.Index(text[at:], fields[i]) + len(fields[i])
	}
	return at + strings.Index(text[at:], fields[number])
}

// isOneOf reports whether word is one of the words in list, each of which has
// three letters.
func isOneOf(word, list string) bool {
	return len(word) == 3 && strings.Contains(list, word)
}

// parseFromDate reads what follows the day of the week. ok says that it is in
// the form of a date; if the numbers are impossible, date is zero.
func parseFromDate(fields []string, zone *time.Location) (date time.Time, zoned, ok bool) {
	if len(fields) < 4 {
		return date, false, false
	}
	day, month, rest := fields[1], fields[0], fields[2:]
	asctime := true
	if !isMonth(month) {
		day, month, asctime = month, day, false
	}
	d, isDay := number(day, 2)
	if !isMonth(month) || !isDay {
		return date, false, false
	}
	var clock, year string
	var zones []string
	if asctime {
		clock, rest = rest[0], rest[1:]
		for len(rest) > 0 && isZone(rest[0]) && len(zones) < 2 {
			zones, rest = append(zones, rest[0]), rest[1:]
		}
		if len(rest) == 0 {
			return date, false, false
		}
		year, rest = rest[0], rest[1:]
	} else {
		year, clock, rest = rest[0], rest[1], rest[2:]
	}
	for len(rest) > 0 && isZone(strings.Trim(rest[0], "()")) && len(zones) < 3 {
		zones, rest = append(zones, strings.Trim(rest[0], "()")), rest[1:]
	}
	if len(rest) == 3 && rest[0] == "remote" && rest[1] == "from" {
		rest = nil
	}
	y, isYear := number(year, 4)
	h, m, s, isClock := parseClock(clock)
	if len(rest) > 0 || !isYear || len(year) == 3 || !isClock {
		return date, false, false
	}
	switch {
	case len(year) <= 2 && y < 70:
		y += 2000
	case len(year) <= 2:
		y += 1900
	}
	if offset, known := zoneOffset(zones); known {
		zone, zoned = time.FixedZone("", offset), true
	}
	mon := time.Month(strings.Index(months, month)/4 + 1)
	date = time.Date(y, mon, d, h, m, s, 0, zone)
	// time.Date makes 3 March of 31 February. A leap second is all right.
	if date.Day() != d && s < 60 || d == 0 || d > 31 || h > 23 || m > 59 || s > 60 {
		return time.Time{}, false, true
	}
	return date, zoned, true
}

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"

func isMonth(word string) bool { return isOneOf(word, months) }

// number reads up to that many decimal digits and nothing else.
func number(text string, digits int) (n int, ok bool) {
	if text == "" || len(text) > digits || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// parseClock reads hh:mm or hh:mm:ss.
func parseClock(text string) (h, m, s int, ok bool) {
	parts := strings.Split(text, ":")
	if len(parts) == 2 {
		parts = append(parts, "0")
	}
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	for i, n := range []*int{&h, &m, &s} {
		if *n, ok = number(parts[i], 2); !ok {
			return 0, 0, 0, false
		}
	}
	return h, m, s, true
}

// isZone reports whether a word looks like a zone: +0100, or capital letters.
func isZone(word string) bool {
	if len(word) == 5 && (word[0] == '+' || word[0] == '-') {
		_, ok := number(word[1:], 4)
		return ok
	}
	return word != "" && len(word) <= 8 && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// zoneHours are the zones by name that are no matter of taste: those of RFC
// 5322 section 4.3, and Europe's. Others are too ambiguous to know.
var zoneHours = map[string]int{
	"UTC": 0, "UT": 0, "GMT": 0, "Z": 0, "WET": 0,
	"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
	"WEST": 1, "WETDST": 1, "CET": 1, "MET": 1, "MEZ": 1,
	"CEST": 2, "MEST": 2, "METDST": 2, "CETDST": 2, "MESZ": 2, "EET": 2, "EEST": 3, "EETDST": 3,
}

// zoneOffset returns the offset in seconds that zone words stand for: a
// number before a name, "MET DST" as one.
func zoneOffset(words []string) (seconds int, known bool) {
	for _, word := range words {
		if n, ok := number(word[1:], 4); ok && (word[0] == '+' || word[0] == '-') {
			seconds = (n/100*60 + n%100) * 60
			if word[0] == '-' {
				seconds = -seconds
			}
			return seconds, true
		}
	}
	hours, known := zoneHours[strings.Join(words, "")]
	if !known && len(words) > 0 {
		hours, known = zoneHours[words[0]]
	}
	return hours * 3600, known
}
