package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A demoWitness is what an account held at some time, as the server itself
// knows it: nothing of it has gone through the code that it is to prove.
type demoWitness map[string]demoWitnessed // by folder

type demoWitnessed struct {
	Uses       string
	Subscribed bool
	Messages   []demoMark // by UID
}

// A demoMark is all there is to a message but its place.
type demoMark struct {
	Sum   [sha256.Size]byte
	Size  int
	Flags string // sorted
	Date  string // internal, with its zone
}

// witness takes down what an account holds.
func (s *demoServer) witness(account string) demoWitness {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[account]
	w := demoWitness{}
	for name, f := range a.folders {
		folder := demoWitnessed{Uses: sortedWords(f.uses), Subscribed: a.subscribed[name]}
		for _, m := range f.messages {
			folder.Messages = append(folder.Messages, newDemoMark(m.octets, m.flags, m.date))
		}
		w[name] = folder
	}
	return w
}

func newDemoMark[S ~string](octets []byte, flags []S, date time.Time) demoMark {
	return demoMark{sha256.Sum256(octets), len(octets), sortedWords(flags), date.Format("2006-01-02 15:04:05 -0700")}
}

func sortedWords[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// total counts messages and their octets.
func (w demoWitness) total() (messages, octets int64) {
	for f := range maps.Values(w) {
		messages += int64(len(f.Messages))
		for _, m := range f.Messages {
			octets += int64(m.Size)
		}
	}
	return messages, octets
}

// differences says how an account that should hold what the witness saw holds
// something else. Messages are compared by folder, whatever their UIDs.
func (w demoWitness) differences(now demoWitness) (list []string) {
	say := func(format string, a ...any) { list = append(list, fmt.Sprintf(format, a...)) }
	for _, name := range slices.Sorted(maps.Keys(w)) {
		was, is := w[name], now[name]
		if _, there := now[name]; !there {
			say("folder %q is missing, with %s", name, messages(int64(len(was.Messages))))
			continue
		}
		if was.Uses != is.Uses {
			say("folder %q has the special use %q, and had %q", name, is.Uses, was.Uses)
		}
		if was.Subscribed != is.Subscribed {
			say("folder %q: subscribed to is %v, and was %v", name, is.Subscribed, was.Subscribed)
		}
		compareMarks(was.Messages, is.Messages, func(what string, m demoMark) {
			say("folder %q: a message of %d octets, SHA-256 %x…, %s", name, m.Size, m.Sum[:6], what)
		})
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, there := w[name]; !there {
			say("folder %q is there, and was not", name)
		}
	}
	return list
}

// compareMarks tells of every message that is not on both sides, as often.
func compareMarks(was, is []demoMark, say func(what string, m demoMark)) {
	left := map[demoMark]int{}
	for _, m := range was {
		left[m]++
	}
	extra := map[[sha256.Size]byte][]demoMark{}
	for _, m := range is {
		if left[m]--; left[m] < 0 {
			left[m] = 0
			extra[m.Sum] = append(extra[m.Sum], m)
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(left), byDate) {
		for range left[m] {
			others := extra[m.Sum]
			if len(others) == 0 {
				say("is missing or has other octets", m)
				continue
			}
			o := others[0]
			extra[m.Sum] = others[1:]
			if o.Flags != m.Flags {
				say(fmt.Sprintf("has the flags %q, and had %q", o.Flags, m.Flags), m)
			}
			if o.Date != m.Date {
				say(fmt.Sprintf("has the internal date %s, and had %s", o.Date, m.Date), m)
			}
		}
	}
	for _, m := range slices.SortedFunc(maps.Values(extra), func(a, b []demoMark) int { return cmp.Compare(len(a), len(b)) }) {
		for _, m := range m {
			say("is there, and was not", m)
		}
	}
}

func byDate(a, b demoMark) int { return cmp.Compare(a.Date, b.Date) }
