package pop3source

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Policy says which messages are deleted from the server when they are
// proven to be in the repository. The zero Policy keeps all.
type Policy struct {
	rule  rule
	age   time.Duration // of deleteAfter
	limit int64         // of deleteOver, octets
	text  string
}

type rule int

const (
	keep rule = iota
	deleteAfterBackup
	deleteAfter
	deleteOver
)

// ParsePolicy reads a policy as people write it:
//
//	keep                            nothing is deleted
//	delete-after-backup             as soon as it is backed up
//	delete-after: 30d               when it was first seen so long ago (h, d, w)
//	delete-over: 5GB oldest first   the oldest, until no more is left than this
//	                                (kB, MB, GB, TB; KiB, MiB, GiB, TiB)
func ParsePolicy(text string) (Policy, error) {
	name, value, has := strings.Cut(strings.TrimSpace(text), ":")
	value = strings.TrimSpace(value)
	p := Policy{text: strings.TrimSpace(text)}
	ok := false
	switch name {
	case "", "keep":
		ok = !has
	case "delete-after-backup":
		p.rule, ok = deleteAfterBackup, !has
	case "delete-after":
		p.rule = deleteAfter
		p.age, ok = parseAge(value)
	case "delete-over":
		p.rule = deleteOver
		p.limit, ok = parseSize(strings.TrimSpace(strings.TrimSuffix(value, "oldest first")))
	}
	if !ok {
		return Policy{}, fmt.Errorf("%q is no policy: write keep, delete-after-backup, \"delete-after: 30d\" or \"delete-over: 5GB oldest first\"", text)
	}
	return p, nil
}

// Keeps reports whether nothing is to be deleted.
func (p Policy) Keeps() bool { return p.rule == keep }

// String is a policy as ParsePolicy reads it.
func (p Policy) String() string {
	if p.rule == keep {
		return "keep"
	}
	return p.text
}

// scaled reads a whole number, not zero, and a unit.
func scaled(text string, units map[string]int64) (int64, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, known := units[strings.TrimSpace(text[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func parseAge(text string) (time.Duration, bool) {
	n, ok := scaled(text, map[string]int64{"h": int64(time.Hour), "d": int64(24 * time.Hour), "w": int64(7 * 24 * time.Hour)})
	return time.Duration(n), ok
}

func parseSize(text string) (int64, bool) {
	return scaled(text, map[string]int64{
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	})
}
