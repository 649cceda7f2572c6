package imapconn

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// fetchCommand does the same bookkeeping as go-imap's FetchCommand (a FETCH
// or STORE): the first one sent whose set holds the message, and which has
// not had it yet, gets the answer. go-imap lets each take one answer per
// message only, so which answers go-imap is shown decides whether it finds
// what was asked for.
type fetchCommand struct {
	byUID bool
	want  items
	set   numbers
	had   numbers
	held  map[uint32]*part // see hold
	kept  int              // octets in held
	sums  map[bodyOf]uint64
}

// items is a set of data items of a message.
type items int

const (
	itemFlags items = 1 << iota
	itemDate
	itemSize
	itemModSeq
	itemBody
)

var itemNamed = map[string]items{
	"FLAGS": itemFlags, "INTERNALDATE": itemDate, "RFC822.SIZE": itemSize, "MODSEQ": itemModSeq,
}

// wanted reads the items that a FETCH asks for.
func wanted(args string) items {
	var w items
	for _, word := range strings.FieldsFunc(strings.ToUpper(args), func(r rune) bool { return strings.ContainsRune(" ()", r) }) {
		w |= itemNamed[word]
		if strings.HasPrefix(word, "BODY[") || strings.HasPrefix(word, "BODY.PEEK[") {
			w |= itemBody
		}
	}
	return w
}

// part is what has been answered about a message so far.
type part struct {
	seq, uid uint32
	got      items
	text     []byte // a space before each item
	odd      []Oddity
}

// find finds the fetchCommand that go-imap would give an answer to.
func (p *pending) find(seq, uid uint32) *fetchCommand {
	for _, f := range p.fetches {
		n := seq
		if f.byUID {
			n = uid
		}
		if n != 0 && f.set.has(n) && !f.had.has(n) {
			return f
		}
	}
	return nil
}

// claim does for an answer that go-imap is about to see what go-imap does,
// and returns what was held back for it. ok is false where nobody asked for
// the message, or everybody has had it. work is what numbers.add says.
func (p *pending) claim(seq, uid uint32) (held *part, ok bool, work int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.find(seq, uid)
	if f == nil {
		return nil, false, 0
	}
	p.waited = 0
	n := f.key(seq, uid)
	if held = f.held[n]; held != nil {
		delete(f.held, n)
		f.kept -= len(held.text)
	}
	return held, true, f.had.add(n)
}

func (f *fetchCommand) key(seq, uid uint32) uint32 {
	if f.byUID {
		return uid
	}
	return seq
}

// A bodyOf is a body, or a part of one, of a message.
type bodyOf struct {
	seq, uid uint32
	section  string
}

// gave takes note of the sum of a body that the server has given, and reports
// whether it is the first one in the answer to a command, or like it. The octets
// of a message never change (RFC 9051 section 2.3.1.1), so that of two bodies one
// at least is wrong.
func (p *pending) gave(b bodyOf, sum uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.fetches {
		n := f.key(b.seq, b.uid)
		if n == 0 || !f.had.has(n) {
			continue
		}
		key := bodyOf{section: b.section}
		if f.byUID {
			key.uid = n
		} else {
			key.seq = n
		}
		if before, ok := f.sums[key]; ok {
			return before == sum
		}
		if f.sums == nil {
			f.sums = map[bodyOf]uint64{}
		}
		f.sums[key] = sum
		return true
	}
	return true
}

// twoBodies is the error for a server that gives another body than before.
func twoBodies(b bodyOf) error {
	return broken("two bodies of UID %d that are not alike", b.uid)
}

// hold keeps an answer that lacks something that the next command for the
// message has asked for, and reports whether it did. Such an answer is either
// an update that happened to come first, or the first part of an answer in
// several; either way go-imap would take it for all of the answer and throw
// away the body, or the rest.
func (p *pending) hold(a *part) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.find(a.seq, a.uid)
	if f == nil || a.got&itemBody != 0 {
		return false
	}
	n := f.key(a.seq, a.uid)
	before := f.held[n]
	got := a.got
	if before != nil {
		got |= before.got
	}
	if f.want&^got == 0 {
		return false
	}
	if f.kept+len(a.text) > maxHeld {
		// An update less, if there is a body to come; else what there is.
		return f.want&itemBody != 0
	}
	if before == nil {
		if f.held == nil {
			f.held = map[uint32]*part{}
		}
		before = &part{seq: a.seq, uid: a.uid}
		f.held[n] = before
	}
	before.add(a)
	f.kept += len(a.text)
	return true
}

// maxHeld bounds what hold keeps, in octets, for one command.
const maxHeld = 1 << 20

// add puts a later answer behind an earlier one.
func (a *part) add(later *part) {
	if later.got&itemFlags != 0 {
		a.forgetFlags()
	}
	a.got |= later.got
	a.text = append(a.text, later.text...)
	a.odd = append(a.odd, later.odd...)
}

// forgetFlags forgets the odd flags of an earlier list: the last one counts.
func (a *part) forgetFlags() {
	a.odd = slices.DeleteFunc(a.odd, func(o Oddity) bool { return o.Item == "FLAGS" })
}

// left returns, in order, what is still held for a command that has been
// answered. If it asked for bodies, these messages have none, and to leave
// them out says so.
func (p *pending) left(c *command) []*part {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.fetch == nil || c.fetch.want&itemBody != 0 {
		return nil
	}
	parts := slices.Collect(maps.Values(c.fetch.held))
	slices.SortFunc(parts, func(a, b *part) int { return cmp.Compare(a.seq, b.seq) })
	return parts
}

// wantsUID reports whether an answer must have its UID in front of its body.
func (p *pending) wantsUID() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.fetches {
		if f.byUID && f.want&itemBody != 0 {
			return true
		}
	}
	return false
}
