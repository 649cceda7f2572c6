// Package messages cuts a message into a recipe and parts, and builds it
// again, octet for octet: call [Split] with a message and [Join] with what it
// gave.
//
// A part is what is worth storing once: the body of a leaf of the MIME tree,
// decoded where it is base64. A recipe is everything else, in order, with the
// places where the parts go:
//
//	message                                    recipe
//	┌───────────────────────────────┐
//	│ From: ann@example.org         │          literal 112
//	│ Content-Type: multipart/mixed │
//	│                               │
//	│ --b1                          │
//	│ Content-Type: text/plain      │
//	│                               │
//	├───────────────────────────────┤
//	│ Hello, …                      │ ───────▶ content 1840, id ──▶ part (text)
//	├───────────────────────────────┤
//	│ --b1                          │          literal 96
//	│ Content-Transfer-Encoding: b… │
//	│                               │
//	├───────────────────────────────┤
//	│ iVBORw0KGgoAAAANSUhEUgAA…     │ ───────▶ base64 52310, id ──▶ part (attachment)
//	├───────────────────────────────┤
//	│ --b1--                        │          literal 7
//	└───────────────────────────────┘
//
// Section 4 of storage/FORMAT.md gives the octets of a recipe.
//
// Nothing here depends on understanding a message. What is misunderstood
// costs space, never an octet, because Split builds every message again from
// what it is about to return, with the code that Join runs, and compares.
//
// [Summarize] tells what a list of messages shows, from a header that
// [ReadHeader] found.
package messages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ID names a part in a recipe. Whoever stores the parts chooses it.
type ID = [16]byte

// Kind says which parts are like each other, and compress well together.
type Kind uint8

const (
	Text       Kind = iota // looks like text
	Attachment             // does not
)

func (k Kind) String() string {
	if k == Text {
		return "text"
	}
	return "attachment"
}

// Result is what Split and Whole made of a message.
type Result struct {
	Recipe  []byte
	Parts   int // parts handed to save
	Decoded int // how many of them are decoded base64
	// Fallback says that Split stored the message whole, because what it had
	// cut did not build the message again; Reason says what was wrong. It
	// happens to no message while this package is right and memory sound.
	Fallback bool
	Reason   error
}

// ErrRecipe is wrapped by every error that says: this recipe, or a part it
// asks for, is not what it must be.
var ErrRecipe = errors.New("recipe does not hold")

// errProof is wrapped where what was cut does not build the message again.
var errProof = errors.New("what was cut does not build the message again")

// Split cuts the message of size octets that m holds, hands its parts to save
// in the order in which the message has them, and returns the recipe that
// builds it again from them. The same octets are always cut the same way.
//
// m is read more than once, in big reads from the beginning to the end. save
// must not keep the slice. A message up to some 4 MiB is proven before the
// first part is saved; a larger one is saved as far as it is proven, so
// memory does not grow with it.
//
// A message whose proof fails is stored as by [Whole], and the result
// says so; parts that were saved before are not in the recipe then. An error
// means that m could not be read or changes from one read to the next, or
// that save failed.
func Split(m io.ReaderAt, size int64, save func(kind Kind, part []byte) (ID, error)) (Result, error) {
	c := cutters.Get().(*cutter)
	defer cutters.Put(c)
	result, err := c.split(m, size, save)
	if errors.Is(err, errProof) {
		reason := err
		result, err = c.whole(m, size, save)
		result.Fallback, result.Reason = true, reason
	}
	if err != nil {
		return Result{}, fmt.Errorf("cutting a message of %d octets: %w", size, err)
	}
	return result, nil
}

// Whole is Split for a message that is to be left as it is: its recipe is
// nothing but pieces of its octets. It is proven like any other.
func Whole(m io.ReaderAt, size int64, save func(kind Kind, part []byte) (ID, error)) (Result, error) {
	c := cutters.Get().(*cutter)
	defer cutters.Put(c)
	result, err := c.whole(m, size, save)
	if err != nil {
		return Result{}, fmt.Errorf("storing a message of %d octets whole: %w", size, err)
	}
	return result, nil
}

// controls holds the octets that text does not have: control characters but
// for tab, line feed, form feed, carriage return and the escape of ISO 2022.
var controls = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	for _, c := range "\t\n\f\r\x1b" {
		t[c] = false
	}
	return t
}()

// kindOf looks at the first 512 octets of a part, so that equal parts are
// always of one kind, whatever a message says they are. A PDF may well begin
// with that much text, and is compressed all the same.
func kindOf(part []byte) Kind {
	if bytes.HasPrefix(part, []byte("%PDF-")) {
		return Attachment
	}
	for _, c := range part[:min(len(part), 512)] {
		if controls[c] {
			return Attachment
		}
	}
	return Text
}
