package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// allocated is how many octets f allocates. Other tests may add to it.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Pages are sealed, so that only somebody with the key can write such ones. They
// are no reason to run out of memory all the same.
func TestPagesThatSayMoreThanTheyHoldTakeLittleMemory(t *testing.T) {
	const size = 1 << 20
	// As many messages as there are octets, and nothing but their UIDs.
	many := append(binary.AppendUvarint([]byte{pageVersion}, size-8), bytes.Repeat([]byte{0}, size-8)...)
	// One name of half the page, and a set of flags with it for every message.
	const messages = 4096
	long := binary.AppendUvarint([]byte{pageVersion}, messages)
	for range messages {
		long = binary.AppendUvarint(long, 1)
	}
	names := []string{strings.Repeat("x", size/2)}
	for i := range 13 {
		names = append(names, fmt.Sprint(i))
	}
	long = binary.AppendUvarint(long, uint64(len(names)))
	for _, n := range names {
		long = append(binary.AppendUvarint(long, uint64(len(n))), n...)
	}
	for i := range uint64(messages) {
		long = binary.AppendUvarint(long, i<<1|1)
	}
	long = append(long, 0)

	for _, c := range []struct {
		name string
		most uint64 // times the page
		read func() error
		ok   bool
	}{
		{"messages", 8, func() error { _, err := parseMessagePage(many); return err }, false},
		{"flags of many", 17, func() error { _, err := parseFlagPage(many, new(flagSets)); return err }, false},
		{"a long flag", 17, func() error { _, err := parseFlagPage(long, new(flagSets)); return err }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			took := allocated(func() { err = c.read() })
			if (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
			if took > c.most*size {
				t.Errorf("%d octets of memory for a page of %d", took, size)
			}
		})
	}
}
