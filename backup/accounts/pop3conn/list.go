package pop3conn

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Listed is a message in a maildrop, as its server lists it.
type Listed struct {
	// Number is what the message is called in this session, and in no other.
	Number int
	// Size is how many octets the server says it has, which may be wrong; -1
	// where it says nothing.
	Size int64
	// UIDL is its unique-id (RFC 1939 section 7), as far as the server keeps its
	// word; empty where it gives none.
	UIDL string
}

// A Listing is what a server says is in a maildrop.
type Listing struct {
	// Messages are in the order of their numbers.
	Messages []Listed
	// Counted is how many messages STAT tells of.
	Counted int
	// Sure says that all the server said fits together. If it does not, there
	// may be messages that are not in Messages.
	Sure bool
}

// List asks what is in the maildrop: STAT, LIST and UIDL. Servers without UIDL,
// or with lines in it that are none, leave messages without a unique-id.
func (c *Conn) List() (Listing, error) {
	var l Listing
	count, _, err := c.lib.Stat()
	if err = c.explain("STAT", err); err != nil {
		return l, err
	}
	sizes, err := c.sizes()
	if err != nil {
		return l, err
	}
	uidls, err := c.uidls()
	if err != nil {
		return l, err
	}
	l.Counted = count
	numbers := map[int]bool{}
	for n := range sizes {
		numbers[n] = true
	}
	for n := range uidls {
		numbers[n] = true
	}
	l.Sure = count == len(numbers)
	if len(numbers) < count && count <= len(numbers)+mostUnlisted {
		// RFC 1939 section 5: they are numbered from 1 on.
		for n := 1; n <= count; n++ {
			numbers[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		m := Listed{Number: n, Size: -1, UIDL: uidls[n]}
		if size, ok := sizes[n]; ok {
			m.Size = size
		}
		l.Messages = append(l.Messages, m)
	}
	return l, nil
}

const (
	// mostMessages is how many messages a maildrop may have.
	mostMessages = 1_000_000
	// mostUnlisted is how many messages are asked for of which only STAT tells. A
	// server needs but a few octets to say that there are four billion.
	mostUnlisted = 10_000
)

// sizes asks LIST.
func (c *Conn) sizes() (map[int]int64, error) {
	sizes := map[int]int64{}
	err := c.numbered("LIST", func(number int, rest string) {
		word, _, _ := strings.Cut(rest, " ")
		size, err := strconv.ParseInt(word, 10, 64)
		if err != nil || size < 0 || size > c.w.opts.MaxMessage {
			size = -1 // it is none
		}
		if before, twice := sizes[number]; twice && before != size {
			size = -1
		}
		sizes[number] = size
	})
	return sizes, err
}

// uidls asks UIDL. A number that has two unique-ids has none.
func (c *Conn) uidls() (map[int]string, error) {
	uidls := map[int]string{}
	err := c.numbered("UIDL", func(number int, rest string) {
		if len(rest) > mostUIDL {
			rest = ""
		}
		if before, twice := uidls[number]; twice && before != rest {
			rest = ""
		}
		uidls[number] = rest
	})
	return uidls, err
}

// mostUIDL is how long a unique-id may be. RFC 1939 says 70 octets, and some
// servers give longer ones.
const mostUIDL = 1000

// numbered asks for a list of lines that begin with a message's number. Where
// the server does not know the command, there is nothing.
func (c *Conn) numbered(command string, each func(number int, rest string)) error {
	err := c.list(command, func(line []byte) {
		word, rest, _ := strings.Cut(strings.Trim(string(line), " \t\r\n"), " ")
		number, err := strconv.Atoi(word)
		if err != nil || number < 1 || number > mostMessages {
			return // the count tells that one is missing
		}
		each(number, strings.TrimSpace(rest))
	})
	if errors.Is(err, ErrRefused) {
		return nil
	}
	return err
}
