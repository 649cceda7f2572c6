package retention

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parse reads keep rules, separated by commas:
//
//	last 7, hourly 24, daily 30, weekly 12, monthly 36, yearly 10, within 90d
//
// Last keeps the newest so many; hourly to yearly the newest of each of the
// last so many hours, days, weeks, months and years that have any; within all
// of an age: hours (h), days (d), weeks (w), months (mo) and years (y), also
// together (1y6mo). Each rule may stand there once.
func Parse(text string) (Policy, error) {
	var p Policy
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		r, err := NewRule(name, strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("keep rule %q stands there twice", name)
		}
		seen[name] = true
		p = append(p, r)
	}
	return p, nil
}

// Names of all rules, in the order in which people write them.
var Names = []string{"last", "hourly", "daily", "weekly", "monthly", "yearly", "within"}

// NewRule makes the rule of a name: "daily", "30".
func NewRule(name, value string) (Rule, error) {
	if name == "within" {
		return parseWithin(value)
	}
	if name != "last" && !slices.Contains(periods, Period(name)) {
		return nil, fmt.Errorf("%q is no keep rule; there are: %s", name, strings.Join(Names, ", "))
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("keep rule %q: %q is no number from 1 up", name, value)
	}
	if name == "last" {
		return Last(n), nil
	}
	return Each{Period(name), n}, nil
}

// mostWithin is the largest number of a unit in an age.
const mostWithin = 100_000

func parseWithin(text string) (Rule, error) {
	var w Within
	bad := fmt.Errorf("keep rule \"within\": %q is no age: write 90d, 12h, 8w, 6mo or 1y", text)
	for rest := text; rest != ""; {
		unit := strings.TrimLeft(rest, "0123456789")
		n, err := strconv.Atoi(rest[:len(rest)-len(unit)])
		if err != nil || n > mostWithin {
			return nil, bad
		}
		next := strings.TrimLeft(unit, "abcdefghijklmnopqrstuvwxyz")
		switch unit[:len(unit)-len(next)] {
		case "h":
			w.Hours += n
		case "d":
			w.Days += n
		case "w":
			w.Days += 7 * n
		case "mo":
			w.Months += n
		case "y":
			w.Years += n
		default:
			return nil, bad
		}
		rest = next
	}
	if w == (Within{}) || max(w.Years, w.Months, w.Days, w.Hours) > mostWithin { // what is written has to be read again
		return nil, bad
	}
	return w, nil
}
