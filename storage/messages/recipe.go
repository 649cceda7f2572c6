package messages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// What an operation of a recipe does (storage/FORMAT.md section 4).
const (
	doLiteral = iota // gives the octets that follow
	doContent        // gives the octets of a part
	doBase64         // gives the base64 of a part
)

// Forms of a recipe.
const (
	formAsIs = iota // what the operations give is the message
	formCRLF        // every LF in it becomes CRLF
)

// errTwiceCRLF: base64 with CRLF in a recipe that makes CRLF of every LF.
var errTwiceCRLF = fmt.Errorf("%w: base64 has CRLF where all line ends are LF", ErrRecipe)

// A Ref is a part that a recipe asks for.
type Ref struct {
	ID   ID
	Size int64 // octets
}

// An operation gives the next octets of the message.
type operation struct {
	what    byte
	octets  uint64 // of the literal or the part; at least 1, below 1<<62
	literal []byte // within the recipe
	id      ID
	line    uint64 // base64: characters per line, 0 for one line without end
	crlf    bool   // base64: lines end with CRLF
}

func appendHeader(recipe []byte, form byte, length int64) []byte {
	recipe = append(recipe, form)
	return binary.AppendUvarint(recipe, uint64(length))
}

// appendOperation puts op at the end of recipe.
func appendOperation(recipe []byte, op *operation) []byte {
	recipe = binary.AppendUvarint(recipe, op.octets<<2|uint64(op.what))
	switch op.what {
	case doLiteral:
		return append(recipe, op.literal...)
	case doBase64:
		recipe = binary.AppendUvarint(recipe, op.line)
		if op.crlf {
			recipe = append(recipe, 1)
		} else {
			recipe = append(recipe, 0)
		}
	}
	return append(recipe, op.id[:]...)
}

// readHeader returns what a recipe begins with, and its operations.
func readHeader(recipe []byte) (form byte, length int64, operations []byte, err error) {
	if len(recipe) == 0 {
		return 0, 0, nil, fmt.Errorf("%w: it is empty", ErrRecipe)
	}
	form = recipe[0]
	if form > formCRLF {
		return 0, 0, nil, fmt.Errorf("%w: form %d is unknown; a newer program may have written it", ErrRecipe, form)
	}
	size, n := binary.Uvarint(recipe[1:])
	if n <= 0 || size > math.MaxInt64 {
		return 0, 0, nil, fmt.Errorf("%w: the message's length cannot be read", ErrRecipe)
	}
	return form, int64(size), recipe[1+n:], nil
}

// read takes the operation that operations begin with and returns those after
// it. Numbers in it are checked as far as the operation alone can tell.
func (op *operation) read(operations []byte) (rest []byte, err error) {
	first, n := binary.Uvarint(operations)
	if n <= 0 {
		return nil, fmt.Errorf("%w: an operation's number cannot be read", ErrRecipe)
	}
	rest = operations[n:]
	*op = operation{what: byte(first & 3), octets: first >> 2}
	if op.octets == 0 {
		return nil, fmt.Errorf("%w: an operation gives nothing", ErrRecipe)
	}
	switch op.what {
	case doLiteral:
		if op.octets > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: it ends within a literal", ErrRecipe)
		}
		op.literal, rest = rest[:op.octets], rest[op.octets:]
		return rest, nil
	case doContent:
	case doBase64:
		line, n := binary.Uvarint(rest)
		if n <= 0 || len(rest) == n {
			return nil, fmt.Errorf("%w: it ends within the shape of base64", ErrRecipe)
		}
		end := rest[n]
		if line%4 != 0 || end > 1 || line == 0 && end > 0 {
			return nil, fmt.Errorf("%w: base64 in lines of %d characters with line end %d cannot be", ErrRecipe, line, end)
		}
		op.line, op.crlf = line, end == 1
		rest = rest[n+1:]
	default:
		return nil, fmt.Errorf("%w: operation %d is unknown; a newer program may have written it", ErrRecipe, op.what)
	}
	if len(rest) < len(op.id) {
		return nil, fmt.Errorf("%w: it ends within the id of a part", ErrRecipe)
	}
	return rest[copy(op.id[:], rest):], nil
}

// gives returns how many octets the operation gives before a form changes
// them, and how many line ends base64 has among them. Since octets is below
// 1<<62 nothing overflows.
func (op *operation) gives() (octets, lines uint64) {
	if op.what != doBase64 {
		return op.octets, 0
	}
	octets = (op.octets + 2) / 3 * 4
	if op.line > 0 {
		lines = (octets - 1) / op.line
	}
	octets += lines
	if op.crlf {
		octets += lines
	}
	return octets, lines
}

// Size returns the octets of the message that recipe builds, as the recipe
// says; [References] and [Join] check it.
func Size(recipe []byte) (int64, error) {
	_, length, _, err := readHeader(recipe)
	return length, err
}

// References returns the parts that recipe asks for, in order and as often as
// it does, after it has checked everything in it that can be checked without
// them. A part must have exactly the octets that its Ref says.
func References(recipe []byte) ([]Ref, error) {
	form, length, rest, err := readHeader(recipe)
	if err != nil {
		return nil, err
	}
	var (
		refs []Ref
		// The message has at least least octets, and at most open more:
		// with formCRLF, nobody knows how many LFs the parts have.
		least, open uint64
		op          operation
	)
	for len(rest) > 0 {
		if rest, err = op.read(rest); err != nil {
			return nil, err
		}
		octets, lines := op.gives()
		if form == formCRLF {
			switch op.what {
			case doLiteral:
				octets += uint64(bytes.Count(op.literal, []byte{'\n'}))
			case doContent:
				open += op.octets
			case doBase64:
				if op.crlf {
					return nil, errTwiceCRLF
				}
				octets += lines
			}
		}
		if octets > uint64(length)-least {
			return nil, fmt.Errorf("%w: it gives more than the %d octets it announces", ErrRecipe, length)
		}
		least += octets
		if op.what != doLiteral {
			refs = append(refs, Ref{op.id, int64(op.octets)})
		}
	}
	if missing := uint64(length) - least; missing > open {
		return nil, fmt.Errorf("%w: it gives at most %d of the %d octets it announces", ErrRecipe, least+open, length)
	}
	return refs, nil
}
