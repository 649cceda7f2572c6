package rawimap

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Difference says line by line what only one of the mailboxes holds: folders
// with their special uses and subscriptions, and in each folder messages with
// flags and internal dates, however they are numbered.
func Difference(want, got Mailbox) []string {
	count := make(map[string]int)
	for _, line := range describe(want) {
		count[line]++
	}
	for _, line := range describe(got) {
		count[line]--
	}
	var diff []string
	for line, n := range count {
		switch {
		case n > 0:
			diff = append(diff, fmt.Sprintf("%s: missing (%d)", line, n))
		case n < 0:
			diff = append(diff, fmt.Sprintf("%s: too many (%d)", line, -n))
		}
	}
	slices.Sort(diff)
	return diff
}

// describe has a line for every folder and message.
func describe(m Mailbox) []string {
	var lines []string
	for _, f := range m.Folders {
		lines = append(lines, fmt.Sprintf("folder %q attributes %v special use %v subscribed %t", f.Name, f.Attributes, f.SpecialUse, f.Subscribed))
		for _, m := range f.Messages {
			lines = append(lines, fmt.Sprintf("folder %q message %x of %d octets (%q) flags %v date %s",
				f.Name, sha256.Sum256(m.Octets), len(m.Octets), subject(m.Octets), m.Flags, m.InternalDate))
		}
	}
	return lines
}

// subject is for people who look for a message.
func subject(message []byte) string {
	for line := range bytes.Lines(message) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if len(line) > 8 && strings.EqualFold(string(line[:8]), "Subject:") {
			return strings.TrimSpace(string(line[8:min(len(line), 80)]))
		}
	}
	return ""
}
