package messages

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

const (
	// Parts are cut in pieces of at most pieceSize octets, the largest number
	// up to 4 MiB that is whole lines of base64 at 60, 64, 72, 76 and 192
	// characters. So an attachment is cut alike however it was encoded, or
	// not at all.
	pieceSize = 102 * 41_040
	// Where literals would be more than so many octets of a recipe, those of
	// minPart octets or more become content. It keeps recipes small for huge
	// headers, and what is no message at all.
	maxLiterals = 64 << 10
)

var cutters = sync.Pool{New: func() any { return newCutter(windowSize, pieceSize) }}

// A cutter turns one message into a recipe. It works in batches: parts are
// collected, proven together, then saved, and then the next are collected.
// All but large messages are one batch.
type cutter struct {
	piece   int // octets of a part at most
	window  window
	scanner scanner
	proof   proof
	save    func(Kind, []byte) (ID, error)

	recipe   []byte
	literals int64 // octets of literals in it
	result   Result

	// The batch:
	parts   []part
	octets  []byte // of its parts
	checked int    // how much of recipe was proven before it
}

// A part of a batch.
type part struct {
	from, to int // in cutter.octets
	idAt     int // where in the recipe its id goes
	id       ID  // what save said
}

// newCutter returns a cutter with these sizes, which only tests change.
func newCutter(window, piece int) *cutter {
	c := &cutter{piece: piece}
	c.window.limit = window
	return c
}

// split cuts the message that m holds.
func (c *cutter) split(m io.ReaderAt, size int64, save func(Kind, []byte) (ID, error)) (Result, error) {
	defer c.close()
	if err := c.window.open(m, size); err != nil {
		return Result{}, err
	}
	if err := c.scanner.scan(&c.window); err != nil {
		return Result{}, err
	}
	c.window.rewind()
	return c.cut(c.scanner.spans, save)
}

// whole cuts the message into pieces only.
func (c *cutter) whole(m io.ReaderAt, size int64, save func(Kind, []byte) (ID, error)) (Result, error) {
	defer c.close()
	if err := c.window.openRaw(m, size); err != nil {
		return Result{}, err
	}
	spans := append(c.scanner.spans[:0], span{to: size})
	if size == 0 {
		spans = spans[:0]
	}
	return c.cut(spans, save)
}

// close lets go of the message and of everything the caller gave.
func (c *cutter) close() {
	c.window.close()
	c.proof.close()
	c.save, c.result = nil, Result{}
}

// cut makes a recipe of the text in window.
func (c *cutter) cut(spans []span, save func(Kind, []byte) (ID, error)) (Result, error) {
	w := &c.window
	c.save = save
	c.result, c.literals = Result{}, 0
	c.parts, c.octets = c.parts[:0], c.octets[:0]
	c.recipe = appendHeader(c.recipe[:0], w.form, w.size)
	c.checked = len(c.recipe)
	if err := c.proof.begin(w.m, c.recipe); err != nil {
		return Result{}, err
	}

	for _, s := range spans {
		if err := c.between(s.from - w.offset()); err != nil {
			return Result{}, err
		}
		var err error
		if s.decode {
			err = c.base64(s)
		} else {
			err = c.content(s.to - s.from)
		}
		if err != nil {
			return Result{}, err
		}
	}
	if err := c.between(w.length - w.offset()); err != nil {
		return Result{}, err
	}
	if err := c.flush(); err != nil {
		return Result{}, err
	}
	if err := c.proof.end(); err != nil {
		return Result{}, err
	}
	c.result.Recipe = slices.Clone(c.recipe)
	return c.result, nil
}

// between takes the next n octets of the text, which belong to no span.
func (c *cutter) between(n int64) error {
	if n >= minPart && c.literals+n > maxLiterals {
		return c.content(n)
	}
	if n == 0 {
		return nil
	}
	c.literals += n
	c.recipe = appendOperation(c.recipe, &operation{what: doLiteral, octets: uint64(n)})
	var err error
	c.recipe, err = c.take(c.recipe, n)
	return err
}

// content takes the next n octets of the text as they are.
func (c *cutter) content(n int64) error {
	for n > 0 {
		size := min(n, int64(c.piece))
		n -= size
		if err := c.room(int(size)); err != nil {
			return err
		}
		from := len(c.octets)
		var err error
		if c.octets, err = c.take(c.octets, size); err != nil {
			return err
		}
		c.part(from, &operation{what: doContent})
	}
	return nil
}

// base64 takes the span s, which is next in the text, decoded.
func (c *cutter) base64(s span) error {
	end := 0 // octets of a line end
	if s.line > 0 {
		end = 1
		if s.crlf {
			end = 2
		}
	}
	line := s.line // characters, and line end, that are not torn
	if line == 0 {
		line = 4
	}
	piece := c.piece / (line / 4 * 3) // lines in a piece
	chunk := c.window.limit / 2 / (line + end)

	left := s.to - s.from
	for left > 0 {
		size := min(left, int64(piece*(line+end))-int64(end))
		left -= size
		if err := c.room(int(size) / 4 * 3); err != nil {
			return err
		}
		from := len(c.octets)
		for size > 0 {
			octets, err := c.next(min(size, int64(chunk*(line+end))))
			if err != nil {
				return err
			}
			if c.octets, err = decodeBase64(c.octets, octets); err != nil {
				return fmt.Errorf("%w: %v", errProof, err)
			}
			size -= int64(len(octets))
		}
		c.part(from, &operation{what: doBase64, line: uint64(s.line), crlf: s.crlf})
		c.result.Decoded++
		if left > 0 {
			// The line end between two pieces is in neither.
			if err := c.between(int64(end)); err != nil {
				return err
			}
			left -= int64(end)
		}
	}
	return nil
}

// next returns the next n octets of the text, at most half a window.
func (c *cutter) next(n int64) ([]byte, error) {
	octets, err := c.window.need(int(n))
	if err == nil && int64(len(octets)) < n {
		err = fmt.Errorf("%w: it became shorter from one reading to the next", errProof)
	}
	return octets, err
}

// take appends the next n octets of the text to out.
func (c *cutter) take(out []byte, n int64) ([]byte, error) {
	for n > 0 {
		octets, err := c.next(min(n, int64(c.window.limit/2)))
		if err != nil {
			return out, err
		}
		out = append(out, octets...)
		n -= int64(len(octets))
	}
	return out, nil
}

// room sees to it that a part of n octets fits into the batch.
func (c *cutter) room(n int) error {
	if len(c.octets)+n > c.piece {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.octets = slices.Grow(c.octets, n)
	return nil
}

// part puts what stands in octets from there on into the batch, and op, which
// asks for it, into the recipe. Its id is not known yet.
func (c *cutter) part(from int, op *operation) {
	op.octets = uint64(len(c.octets) - from)
	c.recipe = appendOperation(c.recipe, op)
	c.parts = append(c.parts, part{from: from, to: len(c.octets), idAt: len(c.recipe) - len(op.id)})
}

// flush proves the batch, saves its parts and writes their ids into the
// recipe.
func (c *cutter) flush() error {
	batch := c.recipe[c.checked:]
	if err := c.proof.build(batch, c.octets, c.parts); err != nil {
		return err
	}
	for i := range c.parts {
		p := &c.parts[i]
		octets := c.octets[p.from:p.to]
		var err error
		if p.id, err = c.save(kindOf(octets), octets); err != nil {
			return fmt.Errorf("saving a part: %w", err)
		}
		copy(c.recipe[p.idAt:], p.id[:])
	}
	if err := proveIDs(batch, c.parts); err != nil {
		return err
	}
	c.result.Parts += len(c.parts)
	c.checked = len(c.recipe)
	c.parts, c.octets = c.parts[:0], c.octets[:0]
	return nil
}
