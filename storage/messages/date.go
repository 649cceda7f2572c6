package messages

import (
	"bytes"
	"strings"
	"time"
)

// parseDate reads the value of a Date field: RFC 5322 section 3.3 with the
// obsolete forms of section 4.3, the output of asctime, and RFC 3339. It
// returns the zero time for what is none of these or is no date.
func parseDate(value []byte) time.Time {
	var words [8][]byte
	n := 0
	for rest := skipDateSpace(value); len(rest) > 0 && n < len(words); rest = skipDateSpace(rest) {
		words[n] = token(rest, ",(")
		rest = rest[len(words[n]):]
		n++
	}
	w := words[:n]
	if n > 0 && isDigit(w[0]) && len(w[0]) >= len(time.DateOnly) && w[0][4] == '-' {
		return parseTimestamp(w)
	}
	if n > 0 && !isDigit(w[0]) && month(w[0]) == 0 {
		w = w[1:] // the day of the week
	}
	if len(w) > 0 { // 2-Jan-2006
		if d := bytes.Split(w[0], []byte("-")); len(d) == 3 {
			w = append(d, w[1:]...)
		}
	}
	if len(w) < 4 {
		return time.Time{}
	}
	day, name, year, clock, zone := w[0], w[1], w[2], w[3], w[4:]
	if month(w[0]) > 0 { // asctime: Jan 2 15:04:05 [EST] 2006
		name, day, clock, year = w[0], w[1], w[2], w[3]
		if number(year, 4) < 0 && len(w) > 4 {
			year, zone = w[4], w[3:4]
		}
	}
	h, m, s, ok := parseClock(clock)
	y, mon, d := parseYear(year), month(name), number(day, 2)
	if !ok || y < 0 || mon == 0 || d < 1 || d > daysIn(mon, y) {
		return time.Time{}
	}
	return time.Date(y, mon, d, h, m, s, 0, parseZone(zone))
}

// daysIn returns how many days a month has.
func daysIn(m time.Month, year int) int {
	return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// parseTimestamp reads a date as RFC 3339 has it, with a space for T too.
func parseTimestamp(w [][]byte) time.Time {
	s := string(bytes.Join(w, []byte(" ")))
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1900 {
			return t
		}
	}
	return time.Time{}
}

// skipDateSpace is skipSpace that goes over commas too.
func skipDateSpace(p []byte) []byte {
	p = skipSpace(p)
	for len(p) > 0 && p[0] == ',' {
		p = skipSpace(p[1:])
	}
	return p
}

// month returns the month whose name p begins with, or 0.
func month(p []byte) time.Month {
	if len(p) < 3 {
		return 0
	}
	for m := time.January; m <= time.December; m++ {
		name := m.String()
		if p[0]|0x20 == name[0]|0x20 && p[1]|0x20 == name[1] && p[2]|0x20 == name[2] {
			return m
		}
	}
	return 0
}

// parseClock reads hours, minutes and, if they are there, seconds.
func parseClock(p []byte) (h, m, s int, ok bool) {
	hours, rest, _ := bytes.Cut(p, []byte(":"))
	minutes, seconds, some := bytes.Cut(rest, []byte(":"))
	seconds, _, _ = bytes.Cut(seconds, []byte("."))
	h, m = number(hours, 2), number(minutes, 2)
	if some {
		s = number(seconds, 2)
	}
	ok = 0 <= h && h < 24 && 0 <= m && m < 60 && 0 <= s && s <= 60 // a leap second
	return h, m, s, ok
}

// parseYear reads a year; RFC 5322 section 4.3 says what two and three digits
// mean, and some write those with zeros before them. What comes before mail
// does is -1.
func parseYear(p []byte) int {
	y := number(p, 4)
	switch {
	case 0 <= y && y < 50:
		y += 2000
	case 50 <= y && y < 1000:
		y += 1900
	}
	if y < 1900 {
		return -1
	}
	return y
}

// zones are those of RFC 5322 section 4.3, in hours. All other names mean
// that nobody knows.
var zones = map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}

// parseZone reads the first word as a zone. It is UTC for what it cannot read.
func parseZone(words [][]byte) *time.Location {
	if len(words) == 0 {
		return time.UTC
	}
	p := words[0]
	if hours, ok := zones[strings.ToUpper(string(p))]; ok {
		return time.FixedZone("", hours*3600)
	}
	for len(p) > 0 && p[0]|0x20 >= 'a' && p[0]|0x20 <= 'z' {
		p = p[1:] // GMT+0100
	}
	if len(p) == 0 || p[0] != '+' && p[0] != '-' {
		return time.UTC
	}
	digits := bytes.ReplaceAll(p[1:], []byte(":"), nil)
	if len(digits) != 4 {
		return time.UTC
	}
	h, m := number(digits[:2], 2), number(digits[2:], 2)
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return time.UTC
	}
	seconds := (h*60 + m) * 60
	if p[0] == '-' {
		seconds = -seconds
	}
	if seconds == 0 {
		return time.UTC
	}
	return time.FixedZone("", seconds)
}

// number reads a number of one to digits digits, or returns -1.
func number(p []byte, digits int) int {
	if len(p) == 0 || len(p) > digits {
		return -1
	}
	n := 0
	for _, c := range p {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func isDigit(p []byte) bool { return len(p) > 0 && '0' <= p[0] && p[0] <= '9' }
