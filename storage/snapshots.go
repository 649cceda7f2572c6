package storage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/storage/ledger"
)

// ErrNoSnapshot says that there is no snapshot as asked for.
var ErrNoSnapshot = errors.New("no such snapshot")

// Accounts lists the accounts that have snapshots, in order.
func (r *Repository) Accounts() (accounts []string) {
	r.ledger.View(func(s *ledger.State) { accounts = slices.Sorted(maps.Keys(s.Snapshots)) })
	return accounts
}

// Snapshots lists an account's snapshots, oldest first.
func (r *Repository) Snapshots(account string) (list []Snapshot) {
	r.ledger.View(func(s *ledger.State) { list = oldestFirst(s.Snapshots[account]) })
	return list
}

func oldestFirst(snapshots []Snapshot) []Snapshot {
	list := slices.Clone(snapshots)
	slices.SortStableFunc(list, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.Finished, b.Finished))
	})
	return list
}

// Latest is the account's newest snapshot.
func (r *Repository) Latest(account string) (Snapshot, bool) {
	list := r.Snapshots(account)
	if len(list) == 0 {
		return Snapshot{}, false
	}
	return list[len(list)-1], true
}

// A Point is a point in time, or a snapshot by its id.
type Point struct {
	text   string
	latest bool
	before time.Time // the last instant that counts
	id     string    // what a snapshot's id begins with
}

func (p Point) String() string { return p.text }

// IsID says that the point is a snapshot's id.
func (p Point) IsID() bool { return p.id != "" }

// Before says that a point is a time when a snapshot had not been begun.
func (p Point) Before(s Snapshot) bool {
	return !p.latest && p.id == "" && s.StartedAt().After(p.before)
}

// ParsePoint reads a point in time as people write it, in the zone of now: a
// date (2026-11-20: the end of that day), a time (2026-11-20 14:00, or RFC
// 3339), an age (90m, 12h, 3d, 2w, 6mo, 1y), "latest", or the beginning of a
// snapshot's id, of four hexadecimal digits or more.
func ParsePoint(text string, now time.Time) (Point, error) {
	p := Point{text: text}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed == "latest" {
		p.latest = true
		return p, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, trimmed, now.Location()); err == nil {
		p.before = t.AddDate(0, 0, 1).Add(-time.Nanosecond)
		return p, nil
	}
	if t, err := ParseTime(trimmed, now); err == nil {
		p.before = t
		return p, nil
	}
	if len(trimmed) >= 4 && len(trimmed) <= 32 && strings.Trim(strings.ToLower(trimmed), "0123456789abcdef") == "" {
		p.id = strings.ToLower(trimmed)
		return p, nil
	}
	return p, fmt.Errorf("%q is no point in time", text)
}

// ParseTime reads a time or an age as people write them, in the zone of now. A
// time without seconds means the end of that minute.
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02T15:04Z07:00"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.Add(time.Minute - time.Nanosecond), nil
		}
	}
	for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.Add(time.Second - time.Nanosecond), nil
		}
	}
	if t, ok := parseAge(text, now); ok {
		return t, nil
	}
	return now, fmt.Errorf("%q is no time and no age", text)
}

// parseAge reads a number and a unit and counts back from now.
func parseAge(text string, now time.Time) (time.Time, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || len(digits) > 5 { // more digits, and a "d", are a snapshot's id
		return now, false
	}
	switch text[len(digits):] {
	case "s":
		return now.Add(-time.Duration(n) * time.Second), true
	case "m", "min":
		return now.Add(-time.Duration(n) * time.Minute), true
	case "h":
		return now.Add(-time.Duration(n) * time.Hour), true
	case "d":
		return now.AddDate(0, 0, -n), true
	case "w":
		return now.AddDate(0, 0, -7*n), true
	case "mo":
		return now.AddDate(0, -n, 0), true
	case "y":
		return now.AddDate(-n, 0, 0), true
	}
	return now, false
}

// At finds the account's snapshot at a point: the newest one that was begun
// then or before.
func (r *Repository) At(account string, p Point) (Snapshot, error) {
	list := r.Snapshots(account)
	if len(list) == 0 {
		return Snapshot{}, r.noAccount(account)
	}
	if p.latest {
		return list[len(list)-1], nil
	}
	if p.id != "" {
		var found []Snapshot
		for _, s := range list {
			if strings.HasPrefix(s.ID.String(), p.id) {
				found = append(found, s)
			}
		}
		switch len(found) {
		case 1:
			return found[0], nil
		case 0:
			return Snapshot{}, fmt.Errorf("%w: none of account %q has an id that begins with %q", ErrNoSnapshot, account, p.id)
		}
		return Snapshot{}, fmt.Errorf("the ids of %d snapshots begin with %q; write more digits", len(found), p.id)
	}
	for _, s := range slices.Backward(list) {
		if !p.Before(s) {
			return s, nil
		}
	}
	return Snapshot{}, fmt.Errorf("%w: account %q has none from %s or before; its first is from %s", ErrNoSnapshot, account,
		p.before.Format("2006-01-02 15:04"), list[0].StartedAt().In(p.before.Location()).Format("2006-01-02 15:04"))
}

func (r *Repository) noAccount(account string) error {
	known := r.Accounts()
	if len(known) == 0 {
		return fmt.Errorf("%w: there is none of any account yet", ErrNoSnapshot)
	}
	if len(known) > 10 {
		known = append(known[:10], "…")
	}
	return fmt.Errorf("%w: there is none of an account %q; there are: %s", ErrNoSnapshot, account, strings.Join(known, ", "))
}

// Since lists the account's snapshots from the one at a point on, oldest
// first. Where the account has none that old, it is all of them.
func (r *Repository) Since(account string, p Point) ([]Snapshot, error) {
	list := r.Snapshots(account)
	first, err := r.At(account, p)
	if errors.Is(err, ErrNoSnapshot) && len(list) > 0 && p.id == "" {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(s Snapshot) bool { return s.ID == first.ID })
	return list[i:], nil
}

// Marks say what kind of snapshot it is.
type Marks = ledger.Marks

// Marks of snapshots.
const (
	Partial    = ledger.Partial
	Incomplete = ledger.Incomplete
	Anomalous  = ledger.Anomalous
	Draining   = ledger.Draining
	Drained    = ledger.Drained
)

// Latest is the newest snapshot, as a Point.
var Latest = Point{text: "latest", latest: true}
