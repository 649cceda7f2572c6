package imapconn

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"
	"time"
)

// fetching is a FETCH answer under way (RFC 9051 section 7.5.2). Its items
// are rewritten one after the other; at a body the answer is interrupted
// until go-imap has read it.
//
// go-imap decides at the first body whose it is, so by then it has to have
// seen the UID. An answer with the UID behind the body is read to its end
// first, the bodies going to a spool.
type fetching struct {
	part
	shown   bool   // go-imap has seen the beginning; text and odd are what came since
	dropped bool   // it never will
	early   *spool // bodies that came before the UID
	quoted  []quotedBody
}

// quotedBody is the sum of a body that came in a quoted string.
type quotedBody struct {
	section string
	sum     uint64
}

// fetchAnswer takes "* n FETCH".
func (f *filter) fetchAnswer(s *scan, seq uint32) error {
	if s.spaces(); !s.special('(') {
		return s.rest()
	}
	f.current = fetching{part: part{seq: seq, text: f.current.text[:0]}}
	f.fetch = &f.current
	return f.fetchItems(s)
}

// fetchOn goes on behind a body.
func (f *filter) fetchOn() error {
	s := &scan{in: f.in}
	if err := s.next(); err != nil {
		return err
	}
	return f.fetchItems(s)
}

// fetchItems deals with items up to the next body that goes straight to
// go-imap, or to the end.
func (f *filter) fetchItems(s *scan) error {
	a := f.fetch
	for {
		if s.spaces(); s.special(')') {
			break
		}
		name, err := itemName(f.name[:0], s)
		if err != nil {
			return err
		}
		f.name = name
		s.spaces()
		if section := bodySection(name); section != "" {
			through, err := f.fetchBody(s, section)
			if err != nil || through {
				return err
			}
		} else if err := f.fetchItem(s, name); err != nil {
			return err
		}
	}
	if s.spaces(); !s.end() {
		return broken("%q behind a FETCH answer", clip(s.b[s.i:]))
	}
	f.fetch = nil
	if !a.shown && !a.dropped && f.pend.hold(&a.part) {
		return nil
	}
	if err := f.fetchBegin(a); err != nil {
		return err
	}
	for _, q := range a.quoted {
		if of := (bodyOf{a.seq, a.uid, q.section}); !f.pend.gave(of, q.sum) {
			return twoBodies(of)
		}
	}
	if a.dropped {
		return f.sumEarly(a)
	}
	f.showEarly(a)
	f.fetchEnd(a)
	return nil
}

// fetchEnd shows the items since the last body and the end.
func (f *filter) fetchEnd(a *fetching) {
	f.tellOdd(a)
	f.buf = append(append(f.buf, a.text...), ")\r\n"...)
	f.show()
	f.asked()
}

// fetchBody deals with a body. through says that it is go-imap's turn to read it.
func (f *filter) fetchBody(s *scan, section string) (through bool, err error) {
	a := f.fetch
	a.got |= itemBody
	n, isLiteral := s.literal()
	if !isLiteral {
		value, plain, err := s.text()
		if err != nil {
			return false, err
		}
		if plain && !is(value, "NIL") {
			return false, broken("a body that is %q", clip(value))
		}
		a.quoted = append(a.quoted, quotedBody{section, maphash.Bytes(f.seed, value)})
		a.text = append(append(append(a.text, ' '), section...), ' ')
		if plain {
			a.text = append(a.text, "NIL"...)
		} else {
			a.text = quote(a.text, value)
		}
		return false, nil
	}
	if a.uid == 0 && !a.shown && !a.dropped && f.pend.wantsUID() {
		if a.early == nil {
			a.early = newSpool(f.opts.TempDir, f.limit.spool)
			f.spool = a.early
		}
		if err := a.early.add(section, f.in.br, n); err != nil {
			return false, err
		}
		return false, s.next()
	}
	if err := f.fetchBegin(a); err != nil {
		return false, err
	}
	if a.dropped {
		if f.pend.listening() { // nobody asked for any body
			f.talk += min(n, f.limit.talk+1)
			if err := f.talkative(); err != nil {
				return false, err
			}
		}
		sum := f.summing()
		if _, err := io.CopyN(sum, f.in.br, n); err != nil {
			return false, err
		}
		if of := (bodyOf{a.seq, a.uid, section}); !f.pend.gave(of, sum.Sum64()) {
			return false, twoBodies(of)
		}
		return false, s.next()
	}
	f.showEarly(a)
	f.tellOdd(a)
	f.buf = append(f.buf, a.text...)
	a.text = a.text[:0]
	f.showBody(a, section, n, f.in.br)
	return true, nil
}

// summing begins a sum of octets.
func (f *filter) summing() *maphash.Hash {
	h := new(maphash.Hash)
	h.SetSeed(f.seed)
	return h
}

// showBody shows the name of a body and then the body.
func (f *filter) showBody(a *fetching, section string, n int64, body io.Reader) {
	if k := len(f.buf); k == 0 || f.buf[k-1] != '(' {
		f.buf = append(f.buf, ' ')
	}
	f.buf = append(append(f.buf, section...), " {"...)
	f.buf = strconv.AppendInt(f.buf, n, 10)
	f.buf = append(f.buf, "}\r\n"...)
	f.show()
	of := bodyOf{a.seq, a.uid, section}
	f.queue = append(f.queue, piece{body: body, n: n, sum: f.summing(), of: of})
}

// fetchBegin appends the beginning of the answer and all items so far, unless
// that has been done, or drops it where go-imap has no command left that
// wants it.
func (f *filter) fetchBegin(a *fetching) error {
	if a.shown || a.dropped {
		return nil
	}
	held, ok, work := f.pend.claim(a.seq, a.uid)
	if err := f.disordered(work); err != nil {
		return err
	}
	if !ok {
		a.dropped = true
		if f.opts.Odd != nil && a.got&itemBody != 0 && a.uid == 0 {
			f.opts.Odd(Oddity{Seq: a.seq, Item: "BODY[]"})
		}
		return nil
	}
	a.shown = true
	if held != nil {
		held.add(&a.part)
		a.text, a.odd = append(a.text[:0], held.text...), held.odd
	}
	f.tellOdd(a)
	f.fetchHead(&a.part)
	a.text = a.text[:0]
	f.asked()
	return nil
}

// fetchHead appends the beginning of an answer and its first items.
func (f *filter) fetchHead(a *part) {
	f.buf = append(f.buf, "* "...)
	f.buf = strconv.AppendUint(f.buf, uint64(a.seq), 10)
	f.buf = append(f.buf, " FETCH ("...)
	start := len(f.buf)
	if a.uid != 0 {
		f.buf = append(f.buf, " UID "...)
		f.buf = strconv.AppendUint(f.buf, uint64(a.uid), 10)
	}
	f.buf = append(f.buf, a.text...)
	if len(f.buf) > start { // every item has a space before it
		f.buf = append(f.buf[:start], f.buf[start+1:]...)
	}
}

// fetchLeft shows what is still held back for a command that has ended.
func (f *filter) fetchLeft(c *command) {
	for _, a := range f.pend.left(c) {
		f.tellOdd(&fetching{part: *a})
		f.fetchHead(a)
		f.buf = append(f.buf, ")\r\n"...)
	}
}

// showEarly shows the bodies that were spooled.
func (f *filter) showEarly(a *fetching) {
	for b, ok := a.early.take(); ok; b, ok = a.early.take() {
		f.showBody(a, b.section, b.n, b)
	}
}

// sumEarly takes the sums of bodies that were spooled and are not wanted.
func (f *filter) sumEarly(a *fetching) error {
	for b, ok := a.early.take(); ok; b, ok = a.early.take() {
		sum := f.summing()
		if _, err := io.Copy(sum, b); err != nil {
			return fmt.Errorf("%w: %w", ErrFile, err)
		}
		if of := (bodyOf{a.seq, a.uid, b.section}); !f.pend.gave(of, sum.Sum64()) {
			return twoBodies(of)
		}
	}
	return nil
}

// fetchItem deals with an item that is not a body.
func (f *filter) fetchItem(s *scan, name []byte) error {
	a := f.fetch
	a.got |= itemNamed[string(name)]
	if string(name) == "FLAGS" {
		a.forgetFlags()
		mark := len(f.buf)
		if err := f.flags(s, func(raw []byte) { f.oddItem(a, "FLAGS", raw) }); err != nil {
			return err
		}
		a.text = append(append(a.text, " FLAGS "...), f.buf[mark:]...)
		f.buf = f.buf[:mark]
		return nil
	}
	raw, err := s.raw(f.raw[:0])
	if err != nil {
		return err
	}
	f.raw = raw
	value := raw
	if c := raw[0]; c == '"' || c == '{' || c == '~' {
		value = plainValue(raw)
	}
	switch string(name) {
	case "UID":
		if uid, ok := number(value, 32); ok && uid != 0 {
			switch {
			case a.uid != 0 && a.uid != uint32(uid):
				// Whose the body is, nobody can tell.
				return broken("an answer about the UIDs %d and %d at once", a.uid, uid)
			case !a.shown:
				a.uid = uint32(uid)
			}
			return nil
		}
	case "INTERNALDATE":
		// This is how go-imap parses it; it gives up on the zero time, too.
		if t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", string(value)); err == nil && !t.IsZero() {
			a.text = append(append(append(a.text, ` INTERNALDATE "`...), value...), '"')
			return nil
		}
	case "RFC822.SIZE":
		if _, ok := number(value, 63); ok {
			a.text = append(append(a.text, " RFC822.SIZE "...), value...)
			return nil
		}
	case "MODSEQ": // RFC 7162 section 3.1.5
		n := bytes.Trim(value, "() ")
		if _, ok := number(n, 64); ok {
			a.text = append(append(append(a.text, " MODSEQ ("...), n...), ')')
			return nil
		}
	}
	// Among the rest are ENVELOPE and BODYSTRUCTURE, in which servers err in
	// more ways than go-imap survives. Whoever wants them parses the message.
	f.oddItem(a, string(name), value)
	return nil
}

// plainValue is what a quoted string or literal stands for.
func plainValue(raw []byte) []byte {
	s := &scan{b: raw}
	if b, ok := s.quoted(); ok {
		return b
	}
	_, b, _ := bytes.Cut(raw, []byte("\r\n"))
	return b
}

// oddItem notes a value that go-imap is not shown.
func (f *filter) oddItem(a *fetching, name string, raw []byte) {
	if (f.opts.Odd != nil || f.labels.Load() != nil) && !a.dropped {
		a.odd = append(a.odd, Oddity{Seq: a.seq, Item: name, Raw: string(raw)})
	}
}

// tellOdd reports what was noted.
func (f *filter) tellOdd(a *fetching) {
	labels := f.labels.Load()
	for _, o := range a.odd {
		o.UID = a.uid
		if f.opts.Odd != nil {
			f.opts.Odd(o)
		}
		if labels != nil {
			(*labels)(o)
		}
	}
	a.odd = nil
}
