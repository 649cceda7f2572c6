package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/oklog/ulid/v2"
)

// A DayShare is the packs whose data a check reads on one day, so that the
// checks of Days days in a row read all of them. Nothing is kept of what was
// read: a pack's name says on which day it is its turn, which is the same for
// every program on every machine, and a new pack has its turn within the next
// Days days. A day on which no check ran is made up for by a check with that
// day's number.
type DayShare struct {
	Days int   `json:"days"` // in how many days all packs are read; 1 or more
	Day  int64 `json:"day"`  // see DayOf
}

// DayOf numbers days, by UTC: those since 1970 that are over.
func DayOf(t time.Time) int64 {
	const day = 24 * 60 * 60
	n := t.Unix() / day
	if t.Unix()%day < 0 {
		n--
	}
	return n
}

// turn says whether it is a pack's turn.
func (s DayShare) turn(id ulid.ULID) bool {
	days := uint64(max(1, s.Days))
	// The name begins with the time at which the pack was made; its SHA-256
	// spreads those of one night over all days.
	sum := sha256.Sum256([]byte(packName(id)))
	today := s.Day % int64(days)
	if today < 0 {
		today += int64(days)
	}
	return binary.BigEndian.Uint64(sum[:])%days == uint64(today)
}
