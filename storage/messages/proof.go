package messages

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// A proof builds a message again from what is about to be returned for it,
// with the joiner that Join uses, and compares with the message as it is read
// once more. It is always on: a mistake in cutting, or a bit that flipped in
// memory, must show while the message is still at its source.
type proof struct {
	joiner   joiner
	original original
	load     func(ID) ([]byte, error)

	octets []byte // of the batch
	parts  []part // of the batch, those that are still to be asked for
}

// begin starts a proof for a recipe that has no operations yet.
func (p *proof) begin(m io.ReaderAt, header []byte) error {
	if p.load == nil {
		p.load = p.next
	}
	if _, err := p.joiner.begin(&p.original, header); err != nil {
		return fmt.Errorf("%w: %v", errProof, err)
	}
	p.original = original{m: m, size: p.joiner.length, buf: p.original.buf[:0]}
	return nil
}

// close lets go of the message and keeps the buffers.
func (p *proof) close() {
	p.original = original{buf: p.original.buf[:0]}
	p.octets, p.parts = nil, nil
}

// build goes on with operations whose parts have no ids yet.
func (p *proof) build(operations, octets []byte, parts []part) error {
	p.octets, p.parts = octets, parts
	return p.why(p.joiner.build(operations, p.load))
}

// end says whether the message is there to its last octet.
func (p *proof) end() error { return p.why(p.joiner.end()) }

// next gives the parts in the order in which the operations ask for them.
func (p *proof) next(ID) ([]byte, error) {
	if len(p.parts) == 0 {
		return nil, fmt.Errorf("there is no such part")
	}
	octets := p.octets[p.parts[0].from:p.parts[0].to]
	p.parts = p.parts[1:]
	return octets, nil
}

// why tells a message that cannot be read from a proof that fails.
func (p *proof) why(err error) error {
	if err == nil || p.original.err != nil {
		return p.original.err
	}
	return fmt.Errorf("%w: %v", errProof, err)
}

// proveIDs checks that operations ask for parts by the ids that save gave
// them. Nothing else in operations has changed since the proof.
func proveIDs(operations []byte, parts []part) error {
	var op operation
	for len(operations) > 0 {
		var err error
		if operations, err = op.read(operations); err != nil {
			return fmt.Errorf("%w: %v", errProof, err)
		}
		if op.what == doLiteral {
			continue
		}
		if len(parts) == 0 || parts[0].id != op.id || op.octets != uint64(parts[0].to-parts[0].from) {
			return fmt.Errorf("%w: a part is asked for by another's id", errProof)
		}
		parts = parts[1:]
	}
	return nil
}

// original is a writer that takes nothing but the octets of a message, in
// order.
type original struct {
	m    io.ReaderAt
	size int64
	next int64 // where in m the octets after buf stand
	buf  []byte
	pos  int   // buf[pos] is the octet to be written next
	err  error // m could not be read
}

// originalBuffer is how many octets original reads at once.
const originalBuffer = 128 << 10

func (o *original) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if o.pos == len(o.buf) {
			n := int(min(originalBuffer, o.size-o.next))
			o.buf, o.pos = slices.Grow(o.buf[:0], n)[:n], 0
			if o.err = readFull(o.m, o.buf, o.next); o.err != nil {
				return 0, o.err
			}
			o.next += int64(n)
		}
		n := min(len(p), len(o.buf)-o.pos)
		if want := o.buf[o.pos : o.pos+n]; !bytes.Equal(p[:n], want) {
			i := 0
			for p[i] == want[i] {
				i++
			}
			return 0, fmt.Errorf("octet %d differs", o.next-int64(len(o.buf)-o.pos-i))
		}
		p = p[n:]
		o.pos += n
	}
	return written, nil
}
